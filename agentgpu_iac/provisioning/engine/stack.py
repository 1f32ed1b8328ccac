"""A Pulumi stack of a project on this machine: where it is, which agents its configuration names, and what is done with it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pulumi import automation

from agentgpu_iac.errors import BadInput, did_you_mean
from agentgpu_iac.inputs import MOST_TEXT_BYTES, read_file, text_of
from agentgpu_iac.provisioning.engine.complaints import refusal, sentences
from agentgpu_iac.provisioning.engine.events import Tally
from agentgpu_iac.provisioning.engine.process import CommandFailed, Engine
from agentgpu_iac.spec.yaml_tree import compose, data_of

PROJECT_FILE: Final = "Pulumi.yaml"
_SPEC, _PLAN, _CATALOG = "agentgpu:spec", "agentgpu:plan", "agentgpu:catalog"
_KUBECONFIG: Final = "kubeconfig"
_LAST_EVENTS_S: Final = 5.0
"""How long the last events may still be on their way once the engine has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How something that the engine did has ended."""

    code: int
    """The engine's exit code."""
    stopped: bool
    """Whether it was told to stop."""
    complaints: tuple[str, ...]
    """What went wrong, each a sentence; empty where nothing did."""


class _Workspace(automation.LocalWorkspace):
    """The project's folder. Looking at a stack does not select it for the user's next command."""

    def select_stack(self, stack_name: str) -> None:
        """Only see whether it is there."""
        self.pulumi_command.run(["stack", "--stack", stack_name], self.work_dir, self.env_vars)


class ProjectStack:
    """The stack."""

    def __init__(self, folder: Path, name: str | None, engine: Engine, *, make: bool) -> None:
        """Find it: the one named, else the one selected, else the only one that has settings. ``make``: where it is missing
        and has settings, make it.

        Raises:
            BadInput: there is no project, no such stack, or it cannot be told which.
            OutsideFailure: Pulumi does not answer, or is logged in nowhere.
        """
        self.folder = project_folder(folder)
        project = _mapping(self.folder / PROJECT_FILE)
        self._settings_folder = self.folder / str(project.get("stackConfigDir") or "")
        self._engine = engine
        self.is_new = False
        """Whether it was made now."""
        with _refusals():
            self._workspace = _Workspace(work_dir=str(self.folder), pulumi_command=engine)
            there = {each.name: each.current for each in self._workspace.list_stacks()}
            self.name = name or self._only(there)
            self._of_project(str(project.get("name")))
            if not _is_among(self.name, there):
                if not make or not self.settings_file.is_file():
                    raise self._missing(there)
                self._workspace.create_stack(self.name)
                self.is_new = True
            self._stack = automation.Stack.select(self.name, self._workspace)

    def _only(self, there: Mapping[str, bool | None]) -> str:
        """The stack that is meant where none is named."""
        if selected := next((name for name, is_current in there.items() if is_current), None):
            return selected
        known = sorted({*there, *self._with_settings()})
        if len(known) == 1:
            return known[0]
        hint = f"there are {', '.join(known)}" if known else "pulumi stack init NAME makes one"
        raise BadInput.one("--stack", "is needed: no Pulumi stack of this project is selected", hint=hint)

    def _of_project(self, ours: str) -> None:
        """Refuse a stack that another project's program made: to this one, all that it holds would be left over."""
        words = self.name.split("/")
        if len(words) == len(("organization", "project", "stack")) and words[1] != ours:
            message = f"is a Pulumi stack of the project {words[1]!r}, and {self.folder} holds the project {ours!r}"
            raise BadInput.one(self.name, message, hint="name the folder of its project with --project")

    def _with_settings(self) -> Iterator[str]:
        for file in self._settings_folder.glob("Pulumi.*.yaml"):
            yield file.name.removeprefix("Pulumi.").removesuffix(".yaml")

    def _missing(self, there: Mapping[str, bool | None]) -> BadInput:
        known = {*there, *self._with_settings()}
        hint = did_you_mean(self.name, known) or f"pulumi stack init {self.name} makes it"
        return BadInput.one(self.name, f"is no Pulumi stack of the project in {self.folder}", hint=hint)

    @property
    def settings_file(self) -> Path:
        """Where its configuration is."""
        return self._settings_folder / f"Pulumi.{self.name.rpartition('/')[2]}.yaml"

    def setting(self, key: str) -> str | None:
        """A plain value of its configuration."""
        if not self.settings_file.is_file():
            return None
        config = _mapping(self.settings_file).get("config")
        found = config.get(key) if isinstance(config, dict) else None
        return found if isinstance(found, str) and found else None

    @property
    def source(self) -> Path | None:
        """The spec or saved plan that its configuration names."""
        named = self.setting(_PLAN) or self.setting(_SPEC)
        return None if named is None else self.folder / named

    @property
    def catalog(self) -> Path | None:
        """The catalog rows that its configuration names."""
        named = self.setting(_CATALOG)
        return None if named is None else self.folder / named

    @contextmanager
    def meaning(self, file: Path, *, is_plan: bool) -> Iterator[Path]:
        """A copy of the configuration that names a spec or saved plan in place of the one that it names."""
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / self.settings_file.name
            if self.settings_file.is_file():
                shutil.copyfile(self.settings_file, copy)
            self._name_in(copy, file, is_plan=is_plan)
            yield copy

    def keep(self, file: Path, *, is_plan: bool) -> None:
        """Write into its configuration that it is made from a spec or saved plan."""
        self._name_in(self.settings_file, file, is_plan=is_plan)

    def _name_in(self, settings: Path, file: Path, *, is_plan: bool) -> None:
        path = file.resolve()
        named = (
            str(path.relative_to(self.folder.resolve())) if path.is_relative_to(self.folder.resolve()) else str(path)
        )
        at = ("--stack", self.name, "--config-file", str(settings.resolve()))
        with _refusals():
            for key, value in ((_SPEC, None if is_plan else named), (_PLAN, named if is_plan else None)):
                words = ("rm", key) if value is None else ("set", key, value)
                self._engine.run(["config", *words, *at], str(self.folder), {})

    def preview(self, tally: Tally, settings: Path | None = None) -> Outcome:
        """See what an ``up`` would do; ``settings``: with this configuration."""
        return self._do(
            tally,
            lambda: self._stack.preview(on_event=tally.take, config_file=None if settings is None else str(settings)),
        )

    def preview_destroy(self, tally: Tally) -> Outcome:
        """See what a ``destroy`` would do."""
        return self._do(tally, lambda: self._stack.preview_destroy(on_event=tally.take))

    def up(self, tally: Tally) -> Outcome:
        """Carry it out."""
        return self._do(tally, lambda: self._stack.up(on_event=tally.take, show_secrets=False))

    def destroy(self, tally: Tally) -> Outcome:
        """Remove everything that it holds. The stack itself stays, with its history."""
        return self._do(tally, lambda: self._stack.destroy(on_event=tally.take, show_secrets=False))

    def _do(self, tally: Tally, work: Callable[[], Any]) -> Outcome:
        before = self._engine.stops
        try:
            work()
        except CommandFailed as failure:
            tally.over.wait(_LAST_EVENTS_S if tally.complaints or tally.begun or tally.failed else 0)
            stopped = self._engine.stops > before
            told = () if stopped and not tally.complaints else sentences(tally.complaints, failure.said)
            return Outcome(code=failure.code, stopped=stopped, complaints=tuple(told))
        tally.over.wait(_LAST_EVENTS_S)
        return Outcome(code=0, stopped=False, complaints=())

    def outputs(self) -> dict[str, Any]:
        """What it tells its users; a secret is not in it, but the word that it is one."""
        with _refusals():
            answer = self._engine.run(["stack", "output", "--json", "--stack", self.name], str(self.folder), {})
        found: dict[str, Any] = json.loads(answer.stdout or "{}")
        return found

    @contextmanager
    def kubeconfig(self, outputs: Mapping[str, Any]) -> Iterator[Path | None]:
        """A file by which to reach its cluster: of the one that it made, else the one that its configuration names.

        None: what kubectl would use.
        """
        if _KUBECONFIG not in outputs:
            named = self.setting(f"agentgpu:{_KUBECONFIG}")
            yield None if named is None else self.folder / Path(named).expanduser()
            return
        words = ["stack", "output", _KUBECONFIG, "--show-secrets", "--stack", self.name]
        with _refusals():
            answer = self._engine.run(words, str(self.folder), {})
        with tempfile.TemporaryDirectory() as scratch:  # nobody else may read in it
            file = Path(scratch) / _KUBECONFIG
            file.write_text(answer.stdout, encoding="utf-8")
            yield file


def project_folder(folder: Path) -> Path:
    """A folder that holds a Pulumi project. Raises BadInput."""
    if not (folder / PROJECT_FILE).is_file():
        hint = "agentgpu init --pulumi DIR makes a project; or name its folder with --project"
        raise BadInput.one(str(folder), f"holds no {PROJECT_FILE}", hint=hint)
    return folder


def _is_among(name: str, there: Mapping[str, object]) -> bool:
    """Whether a stack is there; its name may stand without its organization and project."""
    return any(each in (name, name.rpartition("/")[2]) or each.rpartition("/")[2] == name for each in there)


def _mapping(file: Path) -> dict[str, Any]:
    """What a YAML file of Pulumi's holds."""
    content = data_of(compose(text_of(read_file(file, MOST_TEXT_BYTES), str(file)), str(file)).root)
    if not isinstance(content, dict):
        raise BadInput.one(str(file), "is no file of Pulumi's", hint="it holds no mapping")
    return content


@contextmanager
def _refusals() -> Iterator[None]:
    """What Pulumi's command line refuses before anything begins, as an error of ours."""
    try:
        yield
    except CommandFailed as failure:
        raise refusal(failure.said) from None
