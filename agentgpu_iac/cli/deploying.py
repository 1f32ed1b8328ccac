"""``preview``, ``up`` and ``destroy``: the project's Pulumi program, run for those who do not know Pulumi's command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agentgpu_iac.cli import app
from agentgpu_iac.cli.app import Format, FormatOption
from agentgpu_iac.cli.saying import tell
from agentgpu_iac.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from agentgpu_iac.plan import Plan
    from agentgpu_iac.provisioning.engine.events import Tally
    from agentgpu_iac.provisioning.engine.stack import Outcome, ProjectStack
    from agentgpu_iac.review.blocks import Block

FileArgument = Annotated[
    Path | None,
    typer.Argument(
        help="Agent stack, or a plan saved as JSON or YAML; what the Pulumi stack's configuration names when left out.",
        metavar="SPEC",
    ),
]
StackOption = Annotated[
    str | None,
    typer.Option(help="Pulumi stack; the selected one, or the only one that has settings, when left out."),
]
ProjectOption = Annotated[
    Path, typer.Option(help="Folder of the Pulumi project, as init --pulumi writes it.", metavar="DIR")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking; needed without a terminal.")]

_STANDARD_INPUT: Final = "-"


def preview(
    file: FileArgument = None,
    stack: StackOption = None,
    project: ProjectOption = Path(),
    format: FormatOption = Format.TABLE,
) -> None:
    """Say what up would make, change and delete, and what it costs. Changes nothing.

    Exit code: the engine's own; 2 for bad input, 3 where Pulumi is missing or logged in nowhere.
    """
    run = _Run("preview", project, stack, format, make=True, agreed=True)
    named = run.named(file)
    run.show_plan(named.plan)
    with named.settings() as settings:
        tally, outcome = run.previewed(lambda tally: run.stack.preview(tally, settings))
    if not outcome.code:
        run.show_changes(tally)
    run.end(outcome)


def up(
    file: FileArgument = None,
    stack: StackOption = None,
    project: ProjectOption = Path(),
    yes: YesOption = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Carry an agent stack or a saved plan out: what pulumi up makes, with the cost before it and the progress of it.

    A SPEC or plan that is named is written into the Pulumi stack's configuration, so that pulumi up goes on with it. Ctrl-C
    lets what has begun end, and the next up goes on from there; a second one ends it at once.

    Once all is made, each agent is asked whether it answers, and the cluster is read as status reads it, in seconds: what is
    not ready yet changes no exit code.

    Exit code: the engine's own; 2 for bad input, 3 where Pulumi is missing or logged in nowhere.
    """
    run = _Run("up", project, stack, format, make=True, agreed=yes)
    named = run.named(file)
    run.show_plan(named.plan)
    with named.settings() as settings:
        expected, outcome = run.previewed(lambda tally: run.stack.preview(tally, settings))
    if outcome.code:
        run.end(outcome)
    run.show_changes(expected)
    if expected.changes and not yes:
        typer.confirm(f"Have Pulumi do this in {run.stack.name}?", abort=True, err=True)
    named.keep()
    outcome = run.done(expected, run.stack.up)
    run.end(outcome, outputs=True, next_step="agentgpu up", plan=named.plan, follow=str(file or run.stack.source))


def destroy(
    stack: StackOption = None,
    project: ProjectOption = Path(),
    yes: YesOption = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Delete all that the Pulumi stack holds. The stack, its settings and what they keep from deletion stay.

    Exit code: the engine's own; 2 for bad input, 3 where Pulumi is missing or logged in nowhere.
    """
    run = _Run("destroy", project, stack, format, make=False, agreed=yes)
    expected, outcome = run.previewed(run.stack.preview_destroy)
    if outcome.code:
        run.end(outcome)
    run.show_changes(expected)
    if expected.changes and not yes:
        typer.confirm(f"Delete all of this in {run.stack.name}?", abort=True, err=True)
    outcome = run.done(expected, run.stack.destroy)
    run.end(outcome, next_step="agentgpu destroy")


class _Named:
    """What is carried out, and whether the command line named it."""

    def __init__(self, stack: ProjectStack, plan: Plan | None, file: Path | None, *, is_plan: bool) -> None:
        self.plan = plan
        self._stack, self._file, self._is_plan = stack, file, is_plan

    @contextmanager
    def settings(self) -> Iterator[Path | None]:
        """Configuration that names it; None: the stack's own does."""
        if self._file is None:
            yield None
            return
        with self._stack.meaning(self._file, is_plan=self._is_plan) as copy:
            yield copy

    def keep(self) -> None:
        """Write it into the configuration."""
        if self._file is not None:
            self._stack.keep(self._file, is_plan=self._is_plan)
            tell(f"{self._stack.settings_file} names {self._file} now.")


class _Run:
    """One command: the stack that it is about, and what it has found out for its answer."""

    def __init__(self, verb: str, project: Path, name: str | None, format: Format, *, make: bool, agreed: bool) -> None:
        """``agreed``: nobody has to be asked any more."""
        try:
            from agentgpu_iac.provisioning.engine.process import Engine
            from agentgpu_iac.provisioning.engine.stack import ProjectStack, project_folder
        except ModuleNotFoundError as error:
            raise MissingExtra(verb, "pulumi", error) from None

        folder = project_folder(project)
        if not agreed and not app.somebody_answers():
            hint = "agentgpu preview shows what would be done"
            raise BadInput.one("--yes", "is needed where nobody can be asked", hint=hint)
        self.stack = ProjectStack(folder, name, Engine(_stopping), make=make)
        if self.stack.is_new:
            tell(f"The Pulumi stack {self.stack.name} is made now.")
        self._is_json = format is Format.JSON
        self._answer: dict[str, Any] = {"stack": self.stack.name}

    def named(self, file: Path | None) -> _Named:
        """What is to be carried out, planned if it is not yet."""
        from agentgpu_iac.cli.sources import source

        if str(file) == _STANDARD_INPUT:
            raise BadInput.one("standard input", "cannot be what Pulumi's program reads", hint="name a file")
        own = self.stack.source
        if file is None and own is None:
            hint = "name a SPEC, or pulumi config set agentgpu:spec FILE"
            raise BadInput.one(str(self.stack.settings_file), "names no agent stack", path="agentgpu:spec", hint=hint)
        path = file or own
        assert path is not None  # noqa: S101 - one of them is there
        made = source(path, self.stack.catalog, overlay_is_for_others=True)
        is_own = own is not None and own.exists() and path.samefile(own)
        return _Named(self.stack, made.plan, None if is_own else path, is_plan=made.made_from is None)

    def show_plan(self, plan: Plan | None) -> None:
        """The plan's headline, and what it costs."""
        from agentgpu_iac.cli import output
        from agentgpu_iac.review.plan_page import money_page

        if plan is None:
            return
        self._answer |= {
            "agents": plan.stack,
            "target": plan.target,
            "headline": plan.headline,
            "baselineUsdPerMonth": plan.cost.model_dump(mode="json", by_alias=True)["baselineUsdPerMonth"],
        }
        if not self._is_json:
            output.write_blocks(money_page(plan))

    def previewed(self, look: Callable[[Tally], Outcome]) -> tuple[Tally, Outcome]:
        """What would be done."""
        from agentgpu_iac.cli.waiting import waiting
        from agentgpu_iac.provisioning.engine.events import Tally

        tally = Tally()
        with waiting(f"asking Pulumi what is to be done in {self.stack.name}"):
            outcome = look(tally)
        return tally, outcome

    def show_changes(self, expected: Tally) -> None:
        """What a preview has found that came to its end."""
        from agentgpu_iac.cli import output
        from agentgpu_iac.review.carrying_out_view import changes_blocks

        self._answer["changes"] = [
            {"urn": work.urn, "type": work.type, "name": work.name, "verb": work.verb} for work in expected.changes
        ]
        if not self._is_json:
            output.write_blocks(changes_blocks(expected.changes, len(expected.planned) - len(expected.changes)))
        for warning in dict.fromkeys(each.text.strip() for each in expected.warnings):
            tell(f"warning: {warning}")

    def done(self, expected: Tally, work: Callable[[Tally], Outcome]) -> Outcome:
        """Have it done, with its progress."""
        from agentgpu_iac.cli.watching import watching
        from agentgpu_iac.provisioning.engine.events import Tally, by_kind
        from agentgpu_iac.review.carrying_out_view import done_sentence

        tally = Tally()
        with watching(tally, expected.planned):
            outcome = work(tally)
        kinds = by_kind(expected.planned, tally)
        took = "" if tally.seconds is None else f", in {tally.seconds:.0f} s"
        tell(f"{self.stack.name}: {done_sentence(kinds)}{took}.")
        self._answer |= {
            "done": {urn: verb for urn, (verb, _) in tally.done.items()},
            "failed": dict(tally.failed),
            "durationS": tally.seconds,
        }
        return outcome

    def end(
        self,
        outcome: Outcome,
        *,
        outputs: bool = False,
        next_step: str = "",
        plan: Plan | None = None,
        follow: str = "",
    ) -> None:
        """The answer, and the engine's exit code. ``plan``: its agents are asked; ``follow`` is where it comes from."""
        from agentgpu_iac.cli import output
        from agentgpu_iac.review.carrying_out_view import outputs_blocks

        told = self.stack.outputs() if outputs and not outcome.code else {}
        result = "stopped" if outcome.stopped else "failed" if outcome.code else "succeeded"
        self._answer |= {"result": result, "exitCode": outcome.code, "complaints": list(outcome.complaints)}
        if outputs:
            self._answer["outputs"] = told
        answers = self._asked(plan, told, follow) if plan is not None and not outcome.code else ()
        if self._is_json:
            output.write_json(self._answer)
        elif not outcome.code:
            output.write_blocks((*outputs_blocks(told, self.stack.name), *answers))
        for complaint in outcome.complaints:
            tell(complaint)
        if outcome.stopped:
            tell(f"Stopped. What was made is in the state; {next_step or 'the same command'} goes on from there.")
        if outcome.code:
            raise typer.Exit(outcome.code)

    def _asked(self, plan: Plan, outputs: Mapping[str, Any], follow: str) -> tuple[Block, ...]:
        """Which agents answer, and what a cluster lacks. All is made by now, so nothing that is met here is a failure."""
        from agentgpu_iac.cli.waiting import waiting
        from agentgpu_iac.operations.answering import addresses, answers_blocks, ask, look, probed
        from agentgpu_iac.operations.status_view import status_view
        from agentgpu_iac.plan.addresses import server_name

        certificate = outputs.get("certificate")
        report = None
        with waiting("asking the agents"):
            agents = ask(
                addresses(outputs),
                certificate=certificate if isinstance(certificate, str) else None,
                server_name=server_name(plan.stack),
            )
            if any(each.is_inside for each in agents):
                try:
                    with self.stack.kubeconfig(outputs) as kubeconfig:
                        report = look(plan, kubeconfig, self.stack.setting("agentgpu:context"), self._overlay(plan))
                except Exception as error:  # of a client's plugin too: nothing of it undoes what was made
                    tell(f"The cluster was not looked at: {' '.join(str(error).split())}")
                else:
                    agents = probed(agents, report)
        self._answer["answers"] = [
            {"agent": each.agent, "url": each.url, "answers": each.answers, "says": each.says} for each in agents
        ]
        self._answer["status"] = None if report is None else report.model_dump(mode="json", by_alias=True)
        blocks = answers_blocks(agents, f"agentgpu status {follow} --wait goes on looking." if report else "Ask again.")
        return (*blocks, *(() if report is None else status_view(report)))

    def _overlay(self, plan: Plan) -> str | None:
        """What of the rendered tree Pulumi applies where it makes the cluster; elsewhere the tree says."""
        from agentgpu_iac.targets import TARGETS

        return (
            (self.stack.setting("agentgpu:nodes") or "node-groups") if TARGETS[plan.target].can.makes_cluster else None
        )


def _stopping(times: int) -> None:
    if times == 1:
        tell("Stopping: what has begun is brought to its end, and then nothing more. Once more ends it at once.")
