"""What the engine tells while it works, added up: resources by kind, those in the making, and what went wrong.

Times are the engine's own, in seconds since 1970. Components and providers are no resources here: nothing is made of them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from pulumi import automation

Verb = Literal["create", "update", "replace", "delete", "read", "import", "keep"]
VERBS: Final[Mapping[str, Verb]] = {
    "create": "create",
    "update": "update",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "delete": "delete",
    "read": "read",
    "read-replacement": "read",
    "import": "import",
    "import-replacement": "import",
    "same": "keep",
    "refresh": "keep",
}
"""What each operation of the engine is for who only wants to know what happens to the thing; others are no work."""
CHANGES: Final[frozenset[Verb]] = frozenset({"create", "update", "replace", "delete", "import"})
_HIDDEN: Final = "[secret]"
"""What Pulumi writes in the place of a secret."""
_PRIVATE: Final = "pulumi:"
"""Types of the engine's own: the stack, providers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One resource, and what is done with it."""

    urn: str
    verb: Verb

    @property
    def name(self) -> str:
        """Its name in the program."""
        return self.urn.rpartition("::")[2]

    @property
    def type(self) -> str:
        """Its type, without those of the components that it is in."""
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def kind(self) -> str:
        """Its type in short: ``aws eks NodeGroup``, ``kubernetes apps/v1 Deployment``."""
        package, _, rest = self.type.partition(":")
        module, _, name = rest.rpartition(":")
        module = module.rpartition("/")[0] if module.rpartition("/")[2].casefold() == name.casefold() else module
        return " ".join(word for word in (package, module if module != "index" else "", name) if word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Something that the engine, a provider or the program says is wrong."""

    text: str
    urn: str = ""
    """Of the resource that it is about; empty: of none, or of the stack."""

    @property
    def about(self) -> Work | None:
        """The resource."""
        found = Work(urn=self.urn, verb="keep") if self.urn.count("::") > 2 else None  # project, stack, type
        return None if found is None or found.type.startswith(_PRIVATE) else found


@dataclass(slots=True)
class Tally:
    """What was told so far. Events come in threads of their own."""

    planned: dict[str, Verb] = field(default_factory=dict)
    """Of a preview: what would be done with which URN, things that stay as they are too."""
    begun: dict[str, tuple[Verb, float]] = field(default_factory=dict)
    """What is being done now, and since when."""
    done: dict[str, tuple[Verb, float]] = field(default_factory=dict)
    """What was done, and in how many seconds."""
    failed: dict[str, Verb] = field(default_factory=dict)
    """What could not be done."""
    complaints: list[Complaint] = field(default_factory=list)
    warnings: list[Complaint] = field(default_factory=list)
    seconds: float | None = None
    """How long all of it took; None: it did not come to its end."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set once nothing more comes."""

    def take(self, event: automation.EngineEvent) -> None:
        """Add an event."""
        at = float(event.timestamp)
        if event.resource_pre_event is not None:
            self._begin(event.resource_pre_event, at)
        elif event.res_outputs_event is not None:
            self._finish(event.res_outputs_event.metadata, at)
        elif event.res_op_failed_event is not None:
            urn = event.res_op_failed_event.metadata.urn
            begun = self.begun.pop(urn, None)
            if begun is not None:
                self.failed[urn] = begun[0]
        elif event.diagnostic_event is not None:
            self._hear(event.diagnostic_event)
        elif event.policy_event is not None:
            self._refuse(event.policy_event)
        elif event.summary_event is not None:
            self.seconds = float(event.summary_event.duration_seconds)
        elif event.cancel_event is not None:
            self.over.set()

    def _begin(self, event: automation.ResourcePreEvent, at: float) -> None:
        step = event.metadata
        verb = VERBS.get(step.op.value)
        if verb is None or not _is_a_thing(step):
            return
        if event.planning:
            if self.planned.get(step.urn) != "replace":
                self.planned[step.urn] = verb
        elif verb in CHANGES:
            self.begun[step.urn] = (verb, at)

    def _finish(self, step: automation.StepEventMetadata, at: float) -> None:
        begun = self.begun.pop(step.urn, None)
        if begun is not None:
            verb, since = begun
            self.done[step.urn] = (verb, at - since)

    def _hear(self, event: automation.DiagnosticEvent) -> None:
        if event.ephemeral:
            return
        heard = Complaint(text=f"{event.prefix or ''}{event.message}", urn=event.urn or "")
        if event.severity == "error":
            self.complaints.append(heard)
        elif event.severity == "warning":
            self.warnings.append(heard)

    def _refuse(self, event: automation.PolicyEvent) -> None:
        text = f"policy {event.policy_name} of {event.policy_pack_name}: {event.message}"
        heard = Complaint(text=text, urn=event.resource_urn or "")
        (self.complaints if event.enforcement_level == "mandatory" else self.warnings).append(heard)

    @property
    def changes(self) -> tuple[Work, ...]:
        """Of a preview: what would be changed."""
        return tuple(Work(urn=urn, verb=verb) for urn, verb in self.planned.items() if verb in CHANGES)


def _is_a_thing(step: automation.StepEventMetadata) -> bool:
    """Whether a provider makes something of it."""
    state = step.new or step.old
    return not step.type.startswith(_PRIVATE) and (state is None or bool(state.custom))


@dataclass(frozen=True, slots=True, kw_only=True)
class KindProgress:
    """How far the resources of one kind are."""

    kind: str
    verb: Verb
    planned: int
    """How many the preview counted; of what it did not know, as many as were begun."""
    done: int
    failed: int
    now: tuple[tuple[str, float], ...]
    """Names of those in the making, and since when."""


def by_kind(planned: Mapping[str, Verb], tally: Tally) -> tuple[KindProgress, ...]:
    """How far each kind of resource is, in the order of the plan; ``planned``: what the preview before it said."""
    begun, done, failed = dict(tally.begun), dict(tally.done), dict(tally.failed)  # events go on meanwhile
    verbs: dict[str, Verb] = {urn: verb for urn, (verb, _) in (*begun.items(), *done.items())}
    verbs = {
        **planned,
        **verbs,
        **failed,
        **planned,
    }  # what was planned first, in its order, and as it was called there
    groups: dict[tuple[str, Verb], list[str]] = {}
    for urn, verb in verbs.items():
        if verb in CHANGES:
            groups.setdefault((Work(urn=urn, verb=verb).kind, verb), []).append(urn)
    return tuple(
        KindProgress(
            kind=kind,
            verb=verb,
            planned=len(urns),
            done=sum(urn in done for urn in urns),
            failed=sum(urn in failed for urn in urns),
            now=tuple((Work(urn=urn, verb=verb).name, begun[urn][1]) for urn in urns if urn in begun),
        )
        for (kind, verb), urns in groups.items()
    )


def is_secret(output: object) -> bool:
    """Whether an output is a secret, as Pulumi tells it to who does not ask for secrets."""
    return output == _HIDDEN
