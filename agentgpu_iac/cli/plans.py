"""``plan``, ``explain``, ``render`` and ``diff``: what is planned, why, as files, and against another plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentgpu_iac.cli import app, completing
from agentgpu_iac.cli.app import (
    DEFAULT_SPEC,
    Format,
    FormatOption,
    OverlayOption,
    PageFormat,
    PlanFormat,
    SourceArgument,
    SpecArgument,
    TodayOption,
)
from agentgpu_iac.cli.files import refuse_inputs, write_answer, writing
from agentgpu_iac.cli.proving import check_hours, simulating
from agentgpu_iac.cli.saying import say, say_sentences, tell
from agentgpu_iac.cli.waiting import waiting
from agentgpu_iac.errors import EXIT_NO, BadInput, did_you_mean
from agentgpu_iac.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentgpu_iac.catalog.store import Catalog
    from agentgpu_iac.plan import Plan, RenderedFile
    from agentgpu_iac.planning.proving import Question
    from agentgpu_iac.review.blocks import Block
    from agentgpu_iac.simulation.profiles import Traffic
    from agentgpu_iac.spec.loader import LoadedStack

_SIDE = "Agent stack, saved plan, rendered folder, or REV:PATH of any of them in Git."


def plan(
    spec: SpecArgument = DEFAULT_SPEC,
    catalog: OverlayOption = None,
    format: Annotated[PageFormat, typer.Option("--format", "-f", help="How to print the plan.")] = PageFormat.TABLE,
    output_file: Annotated[Path | None, typer.Option("--output", "-o", help="Write the plan to this file.")] = None,
    locked: Annotated[
        Path | None,
        typer.Option(
            help="A plan of this stack that was saved: print what planning again would change; exit code 1 if anything."
        ),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--all", help="Print all tables of the plan, not the one screen; Markdown always has them.")
    ] = False,
    prove: Annotated[
        bool,
        typer.Option(
            "--prove",
            help="Simulate the plan under a burst, and plan until its budgets hold; exit code 1 if they do not.",
        ),
    ] = False,
    nines: Annotated[
        bool, typer.Option("--nines", help="With --prove: what each further nine of the requests costs.")
    ] = False,
    traffic: Annotated[
        str | None,
        typer.Option(help="With --prove: bursty (default), ramp, flash, cron or office-day."),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(
            help="With --prove: hours of each simulation; left out, the traffic's, or fewer where it is large."
        ),
    ] = None,
    today: TodayOption = None,
) -> None:
    """Size, price and place an agent stack."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.price_ages import since_then
    from agentgpu_iac.cli.sources import load_both, planned
    from agentgpu_iac.plan.reading import load_plan
    from agentgpu_iac.plan.writing import plan_text
    from agentgpu_iac.planning.planner import NoPlan, OverBudget
    from agentgpu_iac.planning.proving import NINES, Question
    from agentgpu_iac.review.blocks import markdown, plain_text
    from agentgpu_iac.review.plan_page import plan_page
    from agentgpu_iac.review.plan_view import plan_view

    is_page = format is PageFormat.HTML
    if is_page:
        _check_report(locked)
    printed = PlanFormat.TABLE if is_page else PlanFormat(format.value)
    refuse_inputs(output_file, spec, catalog)
    if locked is not None and output_file is not None:
        raise BadInput.one("--locked", "prints a difference, so it takes no --output")
    with_prove = (("--nines", nines), ("--traffic", traffic is not None), ("--hours", hours is not None))
    if not prove and (without := next((option for option, is_given in with_prove if is_given), None)):
        raise BadInput.one(without, "is for --prove", hint="write --prove too")
    check_hours(hours)
    question = Question(traffic=_scenario(traffic or "bursty"), hours=hours, nines=NINES if nines else ())
    try:
        saved = None if locked is None else load_plan(locked)
        loaded, facts = load_both(spec, catalog, today)
        made = _proven(loaded, facts, question) if prove else planned(loaded, facts)
    except NoPlan as refusal:
        data: dict[str, Any] = {"feasible": False, "message": str(refusal)}
        data["rejections"] = [rejection.model_dump(mode="json", by_alias=True) for rejection in refusal.rejections]
        if isinstance(refusal, OverBudget) and not is_page:
            data["waysOut"] = _ways_out(loaded, facts, printed)
        _print_data(data, printed)
        raise
    view = plan_view if whole or printed is PlanFormat.MARKDOWN else plan_page
    if saved is not None:
        _compare_with_saved(saved, made, printed, str(locked), str(spec))
    elif output_file is not None:
        texts = {
            PageFormat.JSON: lambda: plan_text(made),
            PageFormat.YAML: lambda: output.yaml_text(made.model_dump(mode="json", by_alias=True)),
            PageFormat.MARKDOWN: lambda: markdown(view(made, str(spec))),
            PageFormat.TABLE: lambda: plain_text(view(made, str(spec))),
            PageFormat.HTML: lambda: _report(made),
        }
        write_answer(output_file, texts[format]())
    elif is_page:
        say(_report(made), nl=False)
    elif printed in (PlanFormat.JSON, PlanFormat.YAML):
        _print_data(made.model_dump(mode="json", by_alias=True), printed)
    else:
        _print_blocks(view(made, str(spec)), printed)
    if today is None and (grown := since_then(made.cost.price_age)):
        tell(grown)
    if not all(each.holds for each in made.proof):
        raise typer.Exit(EXIT_NO)


def _scenario(name: str) -> Traffic:
    """A kind of traffic by its name."""
    from agentgpu_iac.simulation.profiles import HOURS

    found = next((each for each in HOURS if each == name), None)
    if found is None:
        hint = did_you_mean(name, HOURS) or f"write {', '.join(HOURS)}"
        raise BadInput.one("--traffic", f"{name!r} is no kind of traffic", hint=hint)
    return found


def _check_report(locked: Path | None) -> None:
    """A page is of one plan, and needs what draws: both are known before a plan is made."""
    from agentgpu_iac.review.report.drawing import library

    if locked is not None:
        raise BadInput.one("--locked", "prints a difference, which has no page; leave --format html out")
    library()


def _proven(loaded: LoadedStack, catalog: Catalog, question: Question) -> Plan:
    """The plan that holds under the traffic that is asked about, or the nearest one."""
    from agentgpu_iac.planning.proving import proven

    with waiting("planning and simulating") as show:
        return proven(loaded, catalog, question, simulating(show))


def _report(plan: Plan) -> str:
    from agentgpu_iac.review.report.page import report_page

    return report_page(plan)


def _ways_out(loaded: LoadedStack, catalog: Catalog, format: PlanFormat) -> list[Any]:
    """The changes that bring a stack within its budget: as data, and for people printed."""
    from agentgpu_iac.planning.levers.levers import levers
    from agentgpu_iac.review.levers_view import ways_out_view

    with waiting("planning ways out"):
        found = levers(loaded, catalog)
    if format in (PlanFormat.TABLE, PlanFormat.MARKDOWN):
        _print_blocks(ways_out_view(found), format)
    return [lever.model_dump(mode="json", by_alias=True) for lever in found.ways_out]


def _compare_with_saved(saved: Plan, made: Plan, format: PlanFormat, before: str, after: str) -> None:
    """Print what planning again would change, and end with 1 where that is anything."""
    from agentgpu_iac.review.locked import locked_view, since

    found = since(saved, made)
    _print_data(found.model_dump(mode="json", by_alias=True), format)
    if format in (PlanFormat.TABLE, PlanFormat.MARKDOWN):
        _print_blocks(locked_view(found, before, after), format)
    if not found.is_empty:
        raise typer.Exit(EXIT_NO)


def _print_data(data: Any, format: PlanFormat) -> None:
    """Print an answer where it is wanted as data."""
    from agentgpu_iac.cli import output

    if format is PlanFormat.JSON:
        output.write_json(data)
    elif format is PlanFormat.YAML:
        say(output.yaml_text(data), nl=False)


def _print_blocks(blocks: Iterable[Block], format: PlanFormat) -> None:
    """Print an answer for people."""
    from agentgpu_iac.cli import output

    if format is PlanFormat.MARKDOWN:
        output.write_markdown(blocks)
    else:
        output.write_blocks(blocks)


def explain(
    spec: SourceArgument = DEFAULT_SPEC,
    agent: Annotated[
        str | None,
        typer.Argument(
            help="Agent to explain, or one of the words cost and warnings; the whole stack when left out.",
            autocompletion=completing.agents,
        ),
    ] = None,
    number: Annotated[
        str | None, typer.Argument(help="Number of the agent, or section of them, to explain in full.")
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="Explain every number in full.")] = False,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
    today: TodayOption = None,
) -> None:
    """Say where each number is from: the stack on a page, one agent, one number with its sum, or all of them."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.sources import source
    from agentgpu_iac.review import explain as explaining
    from agentgpu_iac.review import explain_page as page

    made = source(spec, catalog, today=today).plan
    topic = page.topic_of(made, agent)
    if number is not None and (whole or topic is not None):
        raise BadInput.one("explain", f"{'--all' if whole else topic} takes no NUMBER", hint="leave one of them out")
    if format is Format.JSON and topic is not None:
        output.write_json(page.topic_data(made, topic))
    elif format is Format.JSON:
        entries = (
            explaining.explain(made, str(spec), agent)
            if agent is None or number is None
            else page.numbers_named(made, str(spec), agent, number)
        )
        output.write_json([entry.model_dump(mode="json", by_alias=True) for entry in entries])
    elif topic is not None:
        output.write_blocks(page.topic_view(made, topic))
    elif whole:
        output.write_blocks(explaining.explain_view(made, str(spec), agent))
    elif agent is None:
        output.write_blocks(page.stack_page(made, str(spec)))
    elif number is None:
        output.write_blocks(page.agent_page(made, str(spec), agent))
    else:
        output.write_blocks(page.number_page(made, str(spec), agent, number))


def render(
    spec: SourceArgument = DEFAULT_SPEC,
    directory: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; files in it that are ours are kept up to date."),
    ] = None,
    catalog: OverlayOption = None,
    validate: Annotated[
        bool,
        typer.Option(
            "--validate",
            help="Check the built-in kinds against the Kubernetes schemas; of virtual machines' files, the structure.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files in the folder that are not ours or were edited.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Write into a folder that holds files of somebody else, without asking.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            help="Instead of writing, say what would be written, changed or deleted in this folder; exit code 1 if anything."
        ),
    ] = None,
    format: FormatOption = Format.TABLE,
    today: TodayOption = None,
) -> None:
    """Write the plan's files: a Kustomize tree of manifests, what virtual machines run, or SkyServe's services.

    The plan itself lies beside them as plan.json.
    """
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.sources import source
    from agentgpu_iac.rendering.next_step import next_step
    from agentgpu_iac.rendering.render import render as render_plan
    from agentgpu_iac.rendering.tree import beside
    from agentgpu_iac.rendering.validate_hosts import too_long_cloud_inits
    from agentgpu_iac.rendering.write import write

    if (directory is None) is (check is None):
        raise BadInput.one("render", "needs one of --output and --check: a folder to write, or one to look at")
    made = source(spec, catalog, today=today).plan
    files = render_plan(made)
    if validate:
        from agentgpu_iac.rendering.validate import validation

        checked = validation(files, made.node_pools[0].kubernetes_version)
        if checked.faults:
            raise BadInput(checked.faults)
        for unchecked in checked.not_checked:
            tell(f"no schema to check against: {unchecked}")
    for sentence in too_long_cloud_inits(files):
        tell(sentence)
    whole = (*files, *beside(made, files))
    if directory is None:
        assert check is not None  # noqa: S101 - said above
        _check(whole, check, format)
        return
    if not (yes or force):
        _ask_before_writing_into(directory)
    with writing(directory):
        report = write(whole, directory, force=force)
    if format is Format.JSON:
        output.write_json(
            {
                "directory": str(directory),
                "written": report.written,
                "unchanged": report.unchanged,
                "deleted": report.deleted,
            }
        )
    else:
        say_sentences(
            f"{directory}: {report.written} written, {report.unchanged} unchanged, {report.deleted} deleted. "
            f"Next: {next_step(made, files, str(directory))}"
        )


def _ask_before_writing_into(directory: Path) -> None:
    """Ask whether a folder is meant that holds files of somebody else. Without a terminal nobody can be asked."""
    from agentgpu_iac.rendering.write import is_somebody_elses

    if not is_somebody_elses(directory):
        return
    told = "holds files, and none that we wrote"
    if not app.somebody_answers():
        hint = "--yes writes beside them; or name a new folder"
        raise BadInput.one(str(directory), told, hint=hint)
    if not typer.confirm(f"{directory} {told}. Write beside them?", err=True):
        raise typer.Abort


def _check(files: tuple[RenderedFile, ...], directory: Path, format: Format) -> None:
    """Say what a write would do to a folder, and end with 1 where that is anything."""
    from dataclasses import asdict

    from agentgpu_iac.cli import output
    from agentgpu_iac.rendering.write import difference

    found = difference(files, directory)
    if format is Format.JSON:
        output.write_json({"directory": str(directory), **asdict(found)})
    elif found.is_empty:
        say_sentences(f"{directory}: {counted(len(files), 'file')}, all as they would be written.")
    else:
        for verb, paths in (("write", found.added), ("change", found.changed), ("delete", found.deleted)):
            for path in paths:
                say(f"would {verb} {path}")
        for reason in found.refused:
            say(f"would refuse without --force: {reason}")
    if not found.is_empty:
        raise typer.Exit(EXIT_NO)


def diff(
    before: Annotated[str, typer.Argument(help=_SIDE, metavar="BEFORE")],
    after: Annotated[str, typer.Argument(help=_SIDE, metavar="AFTER")],
    topic: Annotated[
        str | None,
        typer.Argument(
            help="Agent to tell all of, or one of the words security, why, money, promises, warnings, flags, fields and files; "
            "a page of everything when left out."
        ),
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="Print every field and file, not the one page.")] = False,
    catalog: OverlayOption = None,
    format: Annotated[
        PlanFormat,
        typer.Option("--format", "-f", help="How to print the difference; markdown is the comment of a pull request."),
    ] = PlanFormat.TABLE,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when the plans or their files differ.")
    ] = False,
) -> None:
    """Compare two stacks or plans: on a page what security must see, the money, why and the risk; then deeper."""
    from agentgpu_iac.cli.sides import compared
    from agentgpu_iac.review.change_page import diff_page, topic_view
    from agentgpu_iac.review.change_view import diff_comment, diff_view

    if topic is not None and (whole or format is not PlanFormat.TABLE):
        other = "--all" if whole else f"--format {format.value}"
        raise BadInput.one("diff", f"{other} holds everything, so it takes no TOPIC", hint="leave one of them out")
    found, agents = compared(before, after, catalog)
    _print_data(found.model_dump(mode="json", by_alias=True), format)
    if format is PlanFormat.MARKDOWN:
        say(diff_comment(found), nl=False)
    elif format is PlanFormat.TABLE:
        if topic is not None:
            view = topic_view(found, topic, agents)
        else:
            view = diff_view(found) if whole else diff_page(found, before, after)
        _print_blocks(view, format)
    if exit_code and not found.is_empty:
        raise typer.Exit(EXIT_NO)
