"""What the engine tells, added up."""

from __future__ import annotations

from typing import Any

from pulumi.automation import EngineEvent

from agentgpu_iac.provisioning.engine.events import Tally, Work, by_kind

AGENTS = "urn:pulumi:dev::desk::agentgpu:index:AgentStack"
GROUP = f"{AGENTS}$agentgpu:index:Pool$aws:eks/nodeGroup:NodeGroup::l40s"
SECOND = f"{AGENTS}$agentgpu:index:Pool$aws:eks/nodeGroup:NodeGroup::l4"
SERVICE = f"{AGENTS}$kubernetes:core/v1:Service::desk/support"


def told(at: int, kind: str, op: str, urn: str, *, custom: bool = True, planning: bool = False) -> EngineEvent:
    state = {"type": Work(urn=urn, verb="create").type, "urn": urn, "custom": custom}
    metadata = {"op": op, "urn": urn, "type": state["type"], "new": state}
    return EngineEvent.from_json({"timestamp": at, kind: {"metadata": metadata, "planning": planning}})


def heard(severity: str, message: str, urn: str = "", **more: Any) -> EngineEvent:
    said = {"severity": severity, "message": message, "urn": urn, "color": "never", **more}
    return EngineEvent.from_json({"timestamp": 5, "diagnosticEvent": said})


def test_kinds_are_named_in_short() -> None:
    assert Work(urn=GROUP, verb="create").kind == "aws eks NodeGroup"
    assert Work(urn=GROUP, verb="create").name == "l40s"
    assert Work(urn=SERVICE, verb="create").kind == "kubernetes core/v1 Service"
    assert Work(urn=f"{AGENTS}::agents", verb="create").kind == "agentgpu AgentStack"


def test_a_preview_is_counted_without_components_and_what_stays() -> None:
    preview = Tally()
    for op, urn in (("create", GROUP), ("same", SERVICE), ("create-replacement", SECOND), ("delete-replaced", SECOND)):
        preview.take(told(1, "resourcePreEvent", op, urn, planning=True))
    preview.take(told(1, "resourcePreEvent", "create", f"{AGENTS}::agents", custom=False, planning=True))
    preview.take(
        told(1, "resourcePreEvent", "create", "urn:pulumi:dev::desk::pulumi:providers:aws::aws", planning=True)
    )
    assert preview.planned == {GROUP: "create", SERVICE: "keep", SECOND: "replace"}
    assert [(work.name, work.verb) for work in preview.changes] == [("l40s", "create"), ("l4", "replace")]
    assert preview.begun == {}


def test_the_progress_of_a_kind() -> None:
    tally = Tally()
    planned = {GROUP: "create", SECOND: "create", SERVICE: "create"}
    tally.take(told(10, "resourcePreEvent", "create", GROUP))
    tally.take(told(12, "resourcePreEvent", "create", SECOND))
    groups, services = by_kind(planned, tally)  # type: ignore[arg-type]
    assert (groups.planned, groups.done, groups.now) == (2, 0, (("l40s", 10.0), ("l4", 12.0)))
    assert (services.planned, services.done, services.now) == (1, 0, ())

    tally.take(told(40, "resOutputsEvent", "create", GROUP))
    tally.take(told(41, "resOpFailedEvent", "create", SECOND))
    groups, _ = by_kind(planned, tally)  # type: ignore[arg-type]
    assert (groups.done, groups.failed, groups.now) == (1, 1, ())
    assert tally.done == {GROUP: ("create", 30.0)}
    assert tally.failed == {SECOND: "create"}


def test_what_a_preview_did_not_know_is_counted_once_it_begins() -> None:
    tally = Tally()
    tally.take(told(10, "resourcePreEvent", "delete", GROUP))
    (groups,) = by_kind({}, tally)
    assert (groups.verb, groups.planned, groups.done) == ("delete", 1, 0)


def test_errors_and_warnings_are_kept_and_what_passes_by_is_not() -> None:
    tally = Tally()
    tally.take(heard("error", "no capacity", GROUP))
    tally.take(heard("warning", "dear"))
    tally.take(heard("warning", "still creating", GROUP, ephemeral=True))
    tally.take(heard("info", "said by the way"))
    policy = {"message": "is open", "policyName": "public-api", "policyPackName": "agentgpu", "policyPackVersion": "1",
              "policyPackVersionTag": "1", "color": "never", "enforcementLevel": "mandatory"}  # fmt: skip
    tally.take(EngineEvent.from_json({"timestamp": 6, "policyEvent": policy}))
    assert [each.text for each in tally.complaints] == ["no capacity", "policy public-api of agentgpu: is open"]
    assert [each.text for each in tally.warnings] == ["dear"]
    assert tally.complaints[0].about == Work(urn=GROUP, verb="keep")
    assert tally.complaints[1].about is None


def test_its_end() -> None:
    tally = Tally()
    assert not tally.over.is_set()
    tally.take(EngineEvent.from_json({"timestamp": 9, "summaryEvent": {"durationSeconds": 42, "resourceChanges": {}}}))
    tally.take(EngineEvent.from_json({"timestamp": 9, "cancelEvent": {}}))
    assert (tally.seconds, tally.over.is_set()) == (42.0, True)
