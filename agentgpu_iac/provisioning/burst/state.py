"""The Pulumi stack of the machines: what its state holds, and ``pulumi up`` with another number, by the Automation API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pulumi import automation

from agentgpu_iac.errors import BadInput, OutsideFailure
from agentgpu_iac.provisioning.burst.hours import seconds_of
from agentgpu_iac.provisioning.burst.program import CERTIFICATE_OUTPUT
from agentgpu_iac.provisioning.engine.stack import project_folder
from agentgpu_iac.provisioning.spheron.machine import API_KEY_CONFIG, API_KEY_VARIABLE

MACHINE_TYPE: Final = "pulumi-python:dynamic/agentgpu:SpheronMachine"
_CONFIG_MAP: Final = "kubernetes:core/v1:ConfigMap"
COUNTS: Final = "agentgpu:burstMachines"
LISTED: Final = "agentgpu:burstListed"


class UpFailed(OutsideFailure):
    """``pulumi up`` ended with an error; the message holds what it said last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMachine:
    """A machine that the state holds."""

    id: str
    pool: str
    index: int
    address: str
    url: str
    """Of its seller's API."""

    @property
    def name(self) -> str:
        """As the plan calls it."""
        return f"{self.pool}-{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """What the state holds."""

    machines: tuple[StateMachine, ...]
    listed: frozenset[str]
    """Names of those that the cluster is told of."""
    certificate: str
    """What the machines show; empty while there was none."""
    changed_at_s: float | None
    """When the last update ended, in seconds since 1970; None: there was none."""


class BurstStack:
    """The stack, in a folder with its Pulumi project."""

    def __init__(self, folder: Path, name: str) -> None:
        """Select it. Raises BadInput where there is no project or stack."""
        self.folder = project_folder(folder)
        try:
            self._stack = automation.select_stack(stack_name=name, work_dir=str(folder))
        except automation.StackNotFoundError:
            raise BadInput.one(
                name,
                "is no Pulumi stack here",
                hint=f"pulumi stack init {name}, then pulumi config set agentgpu:part burst",
            ) from None
        except automation.CommandError as error:
            raise UpFailed(_last_words(str(error))) from None

    def setting(self, key: str) -> str | None:
        """A value of the stack's configuration."""
        found = self._stack.get_all_config().get(key)
        return None if found is None else found.value

    def source(self) -> Path:
        """The spec or saved plan that the stack is made from."""
        for key in ("agentgpu:plan", "agentgpu:spec"):
            if path := self.setting(key):
                return self.folder / path
        raise BadInput.one("agentgpu:spec", "is not set", hint="nor is agentgpu:plan: name the stack or the plan here")

    def catalog(self) -> Path | None:
        """The catalog overlay that the stack is planned with."""
        path = self.setting("agentgpu:catalog")
        return self.folder / path if path else None

    def seller_key(self, environment: Mapping[str, str]) -> str:
        """The key of the machines' seller. Raises BadInput where there is none."""
        key = environment.get(API_KEY_VARIABLE) or self.setting(API_KEY_CONFIG)
        if not key:
            raise BadInput.one(API_KEY_VARIABLE, "is not set", hint=f"or pulumi config set --secret {API_KEY_CONFIG}")
        return key

    def state(self) -> StackState:
        """What the state holds now."""
        deployment: Mapping[str, Any] = self._stack.export_stack().deployment or {}
        resources = deployment.get("resources") or []
        outputs = next(
            (each.get("outputs") or {} for each in resources if each.get("type") == "pulumi:pulumi:Stack"), {}
        )
        history = self._stack.history(page_size=1, page=1, show_secrets=False)
        last = next((each.end_time or each.start_time for each in history if each.kind != "preview"), None)
        return StackState(
            machines=tuple(
                StateMachine(
                    id=each["id"],
                    pool=each["inputs"]["pool"],
                    index=int(each["inputs"]["index"]),
                    address=each["outputs"].get("ipAddress") or "",
                    url=each["outputs"]["url"],
                )
                for each in resources
                if each.get("type") == MACHINE_TYPE and not each.get("delete")
            ),
            listed=frozenset(
                line.split()[0]
                for each in resources
                if each.get("type") == _CONFIG_MAP
                for line in str(each["inputs"]["data"]["machines"]).splitlines()
            ),
            certificate=outputs.get(CERTIFICATE_OUTPUT) or "",
            changed_at_s=None if last is None else seconds_of(last),
        )

    def up(self, counts: Mapping[str, int], listed: Mapping[str, int], say: Callable[[str], None]) -> None:
        """Have as many machines run, and the cluster told of as many; those that were taken back are made anew.

        Raises UpFailed.
        """
        try:
            self._stack.set_all_config(
                {
                    f'{key}["{pool}"]': automation.ConfigValue(value=str(count))
                    for key, wanted in ((COUNTS, counts), (LISTED, listed))
                    for pool, count in sorted(wanted.items())
                },
                path=True,
            )
            self._stack.up(refresh=True, on_output=say, color="never", show_secrets=False)
        except automation.CommandError as error:
            raise UpFailed(_last_words(str(error))) from None


_LAST_WORDS = 2_000


def _last_words(text: str) -> str:
    """The end of what Pulumi said, where its errors are."""
    stripped = text.strip()
    return stripped if len(stripped) <= _LAST_WORDS else f"... {stripped[-_LAST_WORDS:]}"
