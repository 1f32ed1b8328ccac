"""``publish``, ``check`` and ``comment``: stacks into Git, policies, and the comment of a pull request."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentgpu_iac.cli.app import DEFAULT_SPEC, Format, FormatOption, OverlayOption, TodayOption
from agentgpu_iac.cli.saying import say_sentences, tell, tell_in_place
from agentgpu_iac.errors import EXIT_NO, BadInput
from agentgpu_iac.units import counted

if TYPE_CHECKING:
    from agentgpu_iac.cli.publishing import Report


class CheckFormat(StrEnum):
    """How policies are told."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def publish(
    file: Annotated[Path, typer.Argument(help="What is published, and where.", metavar="FILE")] = Path(
        "agentgpu-publish.yaml"
    ),
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Plan anew what has the same spec: for newer facts, prices or another version."),
    ] = False,
    push: Annotated[
        bool,
        typer.Option("--push/--no-push", help="Push the branch and open the request; or make the branch here alone."),
    ] = True,
    format: FormatOption = Format.TABLE,
    today: TodayOption = None,
) -> None:
    """Render every stack of a repository into its GitOps tree, on a branch, and open or update its pull request."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.publishing import publish_all

    def progress(done: int, of: int, title: str) -> None:
        if sys.stderr.isatty():
            tell_in_place(f"{done}/{of} {title}", last=done == of)
        elif done == of or done % 20 == 0:
            tell(f"{done}/{of} {title}")

    found = publish_all(file, refresh=refresh, push=push, today=today, progress=progress)
    if format is Format.JSON:
        request = found.outcome.request
        output.write_json(
            {
                "folders": found.outcome.folders,
                "branch": found.outcome.branch,
                "commit": found.outcome.commit,
                "moved": found.outcome.moved,
                "request": None if request is None else {"number": request.number, "url": request.address},
                "planned": found.planned,
                "kept": found.kept,
                "broken": [{"of": of, **each.model_dump(mode="json", by_alias=True)} for of, each in found.broken],
                "waived": [{"of": of, **each.model_dump(mode="json", by_alias=True)} for of, each in found.waived],
            }
        )
    else:
        _tell(found)
    if found.broken:
        raise typer.Exit(EXIT_NO)


def _tell(found: Report) -> None:
    outcome = found.outcome
    say_sentences(f"{found.planned} planned, {found.kept} as they were published.")
    for of, each in (*found.broken, *found.waived):
        say_sentences(f"{of}: {each.sentence}")
    if found.broken:
        say_sentences("Nothing was published.")
    elif outcome.commit is None:
        say_sentences("Nothing to publish: the base holds all of it.")
    else:
        verb = "is now" if outcome.moved else "was already"
        count = len(outcome.folders)
        changed = f"{counted(count, 'folder')} {'changes' if count == 1 else 'change'}"
        say_sentences(f"{changed}: branch {outcome.branch} {verb} {outcome.commit[:12]}.")
        if outcome.request is not None:
            say_sentences(f"Request {outcome.request.number} {outcome.request.outcome}: {outcome.request.address}")


def check(
    spec: Annotated[
        Path, typer.Argument(help="Agent stack, saved plan, rendered folder, or REV:PATH in Git.", metavar="SPEC")
    ] = DEFAULT_SPEC,
    policies: Annotated[Path, typer.Option("--policies", "-p", help="File of policies.")] = Path(
        "agentgpu-policies.yaml"
    ),
    against: Annotated[
        str | None, typer.Option(help="What it takes the place of, in the same forms: increases count from it.")
    ] = None,
    environment: Annotated[str | None, typer.Option(help="Environment that the plan is of.")] = None,
    catalog: OverlayOption = None,
    format: Annotated[CheckFormat, typer.Option("--format", "-f", help="How to print the answer.")] = CheckFormat.TABLE,
    today: TodayOption = None,
) -> None:
    """Hold a plan against the policies of an organisation; exit code 1 where one is broken and not waived."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.cli.sides import plan_of
    from agentgpu_iac.review.policies import policy_view, violations
    from agentgpu_iac.review.policy_file import load_policies

    plan = plan_of(str(spec), catalog)
    held = load_policies(policies)
    before = None if against is None else plan_of(against, catalog)
    day = (today or datetime.now()).date().isoformat()
    found = violations(held, plan, day=day, before=before, environment=environment)
    if format is CheckFormat.JSON:
        output.write_json([each.model_dump(mode="json", by_alias=True) for each in found])
    elif format is CheckFormat.MARKDOWN:
        output.write_markdown(policy_view(found))
    else:
        output.write_blocks(policy_view(found))
    if any(each.counts for each in found):
        raise typer.Exit(EXIT_NO)


def comment(
    number: Annotated[int, typer.Argument(help="Number of the pull or merge request.", metavar="NUMBER")],
    text: Annotated[Path, typer.Option("--text", help="File with the comment, in Markdown.")],
    project: Annotated[str, typer.Option(help="Owner and name: acme/stacks.")],
    kind: Annotated[str, typer.Option(help="github or gitlab.")] = "github",
    api: Annotated[
        str | None, typer.Option(help="Address of the API, where it is not that of github.com or gitlab.com.")
    ] = None,
    token_variable: Annotated[str, typer.Option(help="Environment variable that holds the token.")] = "GITHUB_TOKEN",  # noqa: S107 - the name of a variable
) -> None:
    """Write one comment on a pull request, or bring the one of ours up to date."""
    from pydantic import ValidationError

    from agentgpu_iac.inputs import read_file, source_of, text_of
    from agentgpu_iac.operations.publishing.forge import MOST_BODY, site_of
    from agentgpu_iac.operations.publishing.settings import Forge

    body = text_of(read_file(text, MOST_BODY * 4, of="a comment"), source_of(text))
    if len(body) > MOST_BODY:
        raise BadInput.one(source_of(text), f"is longer than {MOST_BODY:,} characters, the most that a comment takes")
    try:
        forge = Forge.model_validate(
            {"kind": kind, "project": project, "api": api, "tokenVariable": token_variable},
            by_alias=True,
            by_name=False,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadInput.one(f"--{'-'.join(map(str, first['loc']))}", first["msg"]) from None
    say_sentences(f"comment {site_of(forge).comment(number, body)}")
