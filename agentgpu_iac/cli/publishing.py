"""``publish``: plans and renders the stacks of a repository, several at once, and hands what changes to ``operations``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from agentgpu_iac import __version__
from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.cli.collecting import collect_rarely
from agentgpu_iac.errors import AgentGpuError, BadInput, Infeasible
from agentgpu_iac.inputs import json_of
from agentgpu_iac.operations.git import Repository, repository_at
from agentgpu_iac.operations.publishing.branch import base_of, signing_in
from agentgpu_iac.operations.publishing.description import Published
from agentgpu_iac.operations.publishing.environments import Placed, placed
from agentgpu_iac.operations.publishing.folders import PublishedFolder, published_folders
from agentgpu_iac.operations.publishing.forge import site_of, token_of
from agentgpu_iac.operations.publishing.publish import Outcome, changes_of, publish
from agentgpu_iac.operations.publishing.settings import Publishing, load_settings
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.reading import plan_in
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.inventory import sha256
from agentgpu_iac.rendering.plan_file import PLAN_FILE
from agentgpu_iac.rendering.tree import render_all
from agentgpu_iac.review.diff import PlanDiff, diff
from agentgpu_iac.review.policies import Policies, Violation, violations
from agentgpu_iac.review.policy_file import load_policies
from agentgpu_iac.spec.documents import ReadDocument
from agentgpu_iac.spec.loader import LoadedStack

_PROCESSES: Final = 2
"""Plans that are made at once: as many as a small runner has cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One folder, in a form that another process takes."""

    placed: Placed
    root: str
    overlay: str | None
    today: str
    before: bytes | None
    before_hashes: Mapping[str, str]
    policies: Policies | None
    day: str
    keep: bool
    """The published plan stands; only its policies are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What a folder becomes."""

    folder: str
    title: str
    files: tuple[RenderedFile, ...] | None
    """None: it stays."""
    usd_per_month: Any
    difference: PlanDiff | None
    violations: tuple[Violation, ...]
    refusal: AgentGpuError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What publishing did, for people and as data."""

    outcome: Outcome
    planned: int
    kept: int
    broken: tuple[tuple[str, Violation], ...]
    """Policies that are broken, by folder; nothing was published where there is one."""
    waived: tuple[tuple[str, Violation], ...]


def publish_all(
    file: Path,
    *,
    refresh: bool,
    push: bool,
    today: datetime | None,
    progress: Callable[[int, int, str], None],
    step: Callable[[str], None] = lambda _: None,
) -> Report:
    """Plan, render and publish.

    Args:
        file: ``agentgpu-publish.yaml``.
        refresh: Plan anew what was published from the same specs, for newer facts or another version.
        push: Push the branch, and open a request where a forge is named.
        today: Day of price ages.
        progress: Told of each folder: how many are done, of how many, and which.
        step: Told what has just been done.

    Raises:
        AgentGpuError: something is in the way; nothing is half done.
    """
    settings = load_settings(file)
    says = settings.document
    repository = _repository(file, says, push=push)
    site = site_of(says.forge) if push and says.forge is not None else None
    policies = None if says.policies is None else load_policies(repository.root / says.policies)
    _refuse_edits(repository, file, says)
    stacks = placed(repository.root, settings)
    base = base_of(repository, says.remote if push else "", says.base)
    there = published_folders(repository, base.commit, says.into)
    tasks = [*_tasks(repository.root, stacks, settings, there, policies, refresh=refresh, today=today)]
    made = [*_made(tasks, progress)]
    _refuse(made)
    broken = tuple((each.title, found) for each in made for found in each.violations if found.counts)
    waived = tuple((each.title, found) for each in made for found in each.violations if not found.counts)
    kept = [each.folder for each in made if each.files is None]
    branch = says.refresh_branch if refresh else says.branch
    outcome = Outcome(folders=(), branch=branch, commit=None, moved=False, request=None)
    if not broken:
        wanted = {each.folder: each.files for each in made if each.files is not None}
        changes = changes_of(repository, base.commit, there, wanted, kept)
        told = _told(made, [change.folder for change in changes], says.into)
        reason = _reason(made, there) if refresh else ""
        outcome = publish(repository, base, branch, changes, told, reason=reason, site=site, step=step)
    return Report(outcome=outcome, planned=len(made) - len(kept), kept=len(kept), broken=broken, waived=waived)


def _repository(file: Path, says: Publishing, *, push: bool) -> Repository:
    found = repository_at(file.resolve().parent)
    if not push or says.forge is None:
        return found
    address = found.run("config", "--get", f"remote.{says.remote}.url", fails_with=(1,)).decode().strip()
    user = "x-access-token" if says.forge.kind == "github" else "oauth2"
    return Repository(root=found.root, secrets=signing_in(address, user, token_of(says.forge)))


def _refuse_edits(repository: Repository, file: Path, says: Publishing) -> None:
    """What is published must be what a commit holds, so that who reviews it can plan the same."""
    inputs = [str(file.resolve().relative_to(repository.root.resolve())), *says.stacks]
    inputs += [each for each in (says.catalog, says.policies) if each is not None]
    edited = repository.edited([each for each in inputs if (repository.root / each).exists()])
    if edited:
        more = f" and {len(edited) - 3} more" if edited[3:] else ""
        message = f"is not as the last commit has it: {', '.join(edited[:3])}{more}"
        raise BadInput.one(str(repository.root), message, hint="commit it first, or put it aside: git stash")
    if repository.commit_of("HEAD") is None:
        raise BadInput.one(str(repository.root), "has no commit yet", hint="commit the stacks first")


def _tasks(
    root: Path,
    stacks: Sequence[Placed],
    settings: ReadDocument[Publishing],
    there: Mapping[str, PublishedFolder],
    policies: Policies | None,
    *,
    refresh: bool,
    today: datetime | None,
) -> Iterator[_Task]:
    overlay = settings.document.catalog
    for each in stacks:
        found = there.get(each.folder)
        before = None if found is None else found.plan
        yield _Task(
            placed=each,
            root=str(root),
            overlay=None if overlay is None else str(root / overlay),
            today="" if today is None else today.date().isoformat(),
            before=before,
            before_hashes={} if found is None else found.inventory.files,
            policies=policies,
            day=(today or datetime.now()).date().isoformat(),
            keep=not refresh and _is_as_published(each.loaded, before),
        )


def _is_as_published(loaded: LoadedStack, before: bytes | None) -> bool:
    """Whether the published plan is of this very spec. A model's own config.json is in no digest, so it is planned again."""
    if before is None or any(agent.model.endswith(".json") for agent in loaded.stack.spec.agents):
        return False
    return _provenance(before).get("specSha256") == loaded.sha256


def _provenance(raw: bytes) -> Mapping[str, Any]:
    """What a published plan says that it was made from; nothing where it is none."""
    try:
        data = json_of(raw, PLAN_FILE, constants=False)
    except BadInput:
        return {}
    found = data.get("provenance") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _made(tasks: Sequence[_Task], progress: Callable[[int, int, str], None]) -> Iterator[_Made]:
    """Every folder, in order; in several processes where there is more than one to plan."""
    work = sum(not task.keep or task.policies is not None for task in tasks)
    if work <= 1:
        for number, task in enumerate(tasks, 1):
            yield _folder(task)
            progress(number, len(tasks), task.placed.title)
        return
    count = min(_PROCESSES, os.cpu_count() or 1, work)
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])  # each worker is a copy of one that has imported all of this
    with ProcessPoolExecutor(count, mp_context=context, initializer=collect_rarely) as pool:
        for number, made in enumerate(pool.map(_folder, tasks, chunksize=max(1, len(tasks) // (count * 8))), 1):
            yield made
            progress(number, len(tasks), made.title)


def _folder(task: _Task) -> _Made:
    """Plan, render and compare one folder. What is wrong comes back with it, so that all of it is told at once."""
    each = task.placed
    try:
        before = None if task.before is None else _readable(task.before, each.folder)
        if task.keep and before is not None:
            return _result(task, before, None, None)
        loaded = each.loaded
        base = (Path(task.root) / each.path).parent
        plan = make_plan(loaded, _catalog(task.overlay, base, task.today), _evaluators(task.overlay, base, each.path))
        files = render_all(plan)
        difference = None
        if before is not None:
            from agentgpu_iac.cli.sides import file_changes  # noqa: PLC0415 - only to compare

            hashes = {file.path: sha256(file.content) for file in files}
            difference = diff(before, plan, files=file_changes(task.before_hashes, hashes))
        return _result(task, plan, files, difference, before)
    except AgentGpuError as refusal:
        return _Made(
            folder=each.folder,
            title=each.title,
            files=None,
            usd_per_month=None,
            difference=None,
            violations=(),
            refusal=_carried(refusal, each),
        )


@cache
def _catalog(overlay: str | None, base: Path, today: str) -> Catalog:
    """The catalog, once for each process and folder of stacks."""
    return load_catalog(None if overlay is None else Path(overlay), base_directory=base, asked_on=today)


@lru_cache(maxsize=1)
def _evaluators(overlay: str | None, base: Path, stack: Path) -> Evaluators:  # noqa: ARG001 - what it is remembered by
    """What is remembered between the environments of a stack, which follow each other: an overlay leaves most as it is."""
    return Evaluators()


def _result(
    task: _Task,
    plan: Plan,
    files: tuple[RenderedFile, ...] | None,
    difference: PlanDiff | None,
    before: Plan | None = None,
) -> _Made:
    found: tuple[Violation, ...] = ()
    if task.policies is not None:
        found = violations(task.policies, plan, day=task.day, before=before, environment=task.placed.environment)
    return _Made(
        folder=task.placed.folder,
        title=task.placed.title,
        files=files,
        usd_per_month=plan.cost.expected_usd_per_month,
        difference=difference,
        violations=found,
    )


def _readable(raw: bytes, folder: str) -> Plan | None:
    """The published plan; None where another version made it that this one does not read."""
    try:
        return plan_in(raw, f"{folder}/{PLAN_FILE}")
    except BadInput:
        return None


def _carried(refusal: AgentGpuError, each: Placed) -> AgentGpuError:
    """A refusal that another process can send back."""
    if isinstance(refusal, BadInput):
        return BadInput(refusal.faults)
    return Infeasible(f"{each.title} ({each.path}): {refusal}")


def _refuse(made: Sequence[_Made]) -> None:
    """Everything that cannot be planned, at once."""
    refusals = [each.refusal for each in made if each.refusal is not None]
    faults = [fault for each in refusals if isinstance(each, BadInput) for fault in each.faults]
    if faults:
        raise BadInput(faults)
    if refusals:
        raise Infeasible("\n".join(str(each) for each in refusals))


def _told(made: Sequence[_Made], folders: Sequence[str], into: str) -> list[Published]:
    by_folder = {each.folder: each for each in made}
    return [
        Published(
            title=folder.removeprefix(f"{into}/") if found is None else found.title,
            usd_per_month=None if found is None else found.usd_per_month,
            difference=None if found is None else found.difference,
            violations=() if found is None else tuple(broken for broken in found.violations if not broken.counts),
        )
        for folder in folders
        for found in (by_folder.get(folder),)
    ]


def _reason(made: Sequence[_Made], there: Mapping[str, PublishedFolder]) -> str:
    """Why plans of the same specs are made anew: which facts and which version they were made from, and are now."""
    published = [there[each.folder].plan for each in made if each.folder in there]
    before = [found for raw in published if raw is not None and (found := _provenance(raw))]
    after = [_provenance(file.content) for each in made for file in each.files or () if file.path == PLAN_FILE]
    catalogs, news = ({str(each.get("catalogVersion", "")) for each in side} for side in (before, after))
    tools = {str(each.get("toolVersion", "")) for each in before}
    parts = []
    if catalogs - news:
        parts.append(f"catalog {', '.join(sorted(catalogs - news))} -> {', '.join(sorted(news))}")
    if tools - {__version__}:
        parts.append(f"agentgpu {', '.join(sorted(tools - {__version__}))} -> {__version__}")
    said = "; ".join(parts) or "the facts that were published are those of today"
    return f"The specs are the same; what they rest on is not: {said}."
