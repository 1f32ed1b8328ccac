"""Two plans, field by field: everything is compared but a short list of exceptions, each with its reason.

Items of lists are matched by what names them, so that an agent which comes first does not change all others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from agentgpu_iac import plan as p
from agentgpu_iac.spec.document import Document, camel
from agentgpu_iac.spec.model.agent import Quantile
from agentgpu_iac.spec.model.fan_out import FanOut

NOT_COMPARED: Final[Mapping[str, str]] = {
    "apiVersion": "the format, not what is planned",
    "headline": "a sentence made of figures that are compared",
    "facts": "the same, sentence by sentence",
    "written": "what was asked, which is told as causes; what follows from it is compared",
    "provenance": "what a plan was made from, not what it decides",
    "ledger": "the sums behind figures that are compared",
    "rejections": "what was looked at and not taken; what was taken is compared",
    "warnings": "compared as sentences, which are listed by themselves",
    "drivers": "what the price stands at; the figures are compared where they are",
    "startChoices": "what was looked at and not taken; what was taken is compared",
    "startTargets": "what was not taken; what was taken is compared",
    "cost.alternatives": "what was looked at and not taken; what was taken is compared",
    "cost.baselineUsdPerMonth": "compared as money, ahead of everything else",
    "cost.peakUsdPerHour": "compared as money, ahead of everything else",
    "cost.expectedUsdPerMonth": "compared as money, ahead of everything else",
    "proof.course": "how one simulation went, moment by moment; what came of all is compared",
    "cost.beside": "what no plan decides; a change of the nodes is compared as theirs",
    "cost.besideUsdPerMonth": "the same as a sum",
    "cost.calls": "what was not taken; what was taken is compared",
    "cost.endpoints": "what was not taken; what was taken is compared",
    "cost.byAgent": "parts of sums that are compared",
    "cost.priceAge": "when prices were read; the prices are compared",
    "cost.lineItems.priceSource": "where a price was read; the price is compared",
    "nodePools.priceSource": "where a price was read; the price is compared",
    "sharing": "what was looked at; what was taken is compared",
    "workloads.chosenBecause": "a sentence made of figures that are compared",
    "workloads.modelCache.choices": "where weights could lie instead; where they lie is compared",
}
"""Fields that no change is reported of, by their path in the plan's words, with the reason."""

KEYS: Final[Mapping[type[Document], tuple[str, ...]]] = {
    p.AgentPlan: ("name",),
    p.AgentCost: ("agent",),
    p.AlertPlan: ("name", "agent"),
    p.Assumption: ("agent", "part", "field"),
    p.BesideItem: ("what",),
    p.CachedModel: ("model",),
    p.CachedRepository: ("path",),
    p.BreakEven: ("machine",),
    p.CallCost: ("agent", "seller"),
    p.CommitmentCost: ("position",),
    p.CoveredNodes: ("node_pool",),
    p.ClosedHours: ("schedule",),
    p.Driver: ("agent", "constraint", "refused"),
    p.EndpointCost: ("deployment", "seller", "accelerator"),
    p.EngineFile: ("name",),
    p.EnvironmentVariable: ("name",),
    p.HostEngine: ("name",),
    p.HostPlan: ("node_pool",),
    p.HostSecret: ("variable",),
    p.KernelSetting: ("name",),
    p.LineItem: ("node_pool", "capacity_type"),
    p.MachineRoute: ("agent",),
    p.MarketWay: ("capacity_type",),
    p.NamedSecret: ("name", "key"),
    p.NodePool: ("name",),
    p.NodeTypePlan: ("instance_type",),
    p.OtherMachine: ("name",),
    p.Override: ("agent", "field"),
    p.PriorityClassPlan: ("level",),
    p.PaidRoute: ("model",),
    p.ProxyRoute: ("model",),
    p.MachinePoolScaling: ("node_pool",),
    p.MachineTrigger: ("name",),
    p.SystemPod: ("name",),
    p.TuningSetting: ("name",),
    p.ProofPlan: ("agent",),
    p.NinePlan: ("wanted_ratio",),
    Quantile: ("percent",),
    FanOut: ("agent",),
    p.ReplicaWeight: ("workload",),
    p.RoutePlan: ("agent",),
    p.TeamPlan: ("name",),
    p.Schedule: ("start", "end"),
    p.SharingPlan: ("model", "agents"),
    p.SecretParameter: ("parameter",),
    p.SecretVariable: ("variable",),
    p.SkyPlace: ("cloud", "region", "accelerator"),
    p.SkySecret: ("variable",),
    p.StartChoice: ("agent", "choice"),
    p.StartTarget: ("agent", "warm_replicas"),
    p.SkyServicePlan: ("name",),
    p.Trigger: ("name",),
    p.Written: ("path",),
    p.VcpuNeed: ("provider", "region", "capacity_type", "name"),
    p.Workload: ("name",),
}
"""What names an item of a list."""

PRESENT: Final = "present"
Found = tuple[str, str, str | None, str | None]
"""Path of a field, the same without the names of items, and what it holds before and after; None where it is not there."""


def differences(before: Document, after: Document, kind: str = "") -> Iterator[Found]:
    """Every field in which two parts of a plan differ. ``kind``: where such parts stand in a plan."""
    for name in type(before).model_fields:
        place = f"{kind}.{camel(name)}".lstrip(".")
        if place not in NOT_COMPARED:
            yield from _values(camel(name), place, getattr(before, name), getattr(after, name))


def named(items: Sequence[Document]) -> dict[str, Document]:
    """The items by what names them; of several with one name the further ones are numbered."""
    found: dict[str, Document] = {}
    for item in items:
        name = " ".join(str(value) for value in (getattr(item, key) for key in KEYS[type(item)]) if value is not None)
        again = sum(1 for other in found if other == name or other.startswith(f"{name} #"))
        found[f"{name} #{again + 1}" if again else name] = item
    return found


def _values(path: str, kind: str, before: Any, after: Any) -> Iterator[Found]:
    if before == after:
        return
    if isinstance(before, Document) and isinstance(after, Document):
        yield from ((f"{path}.{below}", *rest) for below, *rest in differences(before, after, kind))  # type: ignore[misc]
    elif isinstance(before, Document) or isinstance(after, Document):
        yield from _one_side(path, kind, before, after)
    elif _holds_parts(before) or _holds_parts(after):
        yield from _lists(path, kind, before, after)
    elif isinstance(before, dict):
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                yield f"{path}.{key}", kind, before.get(key), after.get(key)
    elif (old := _options(before)) and (new := _options(after)) and old != new:
        for option in dict.fromkeys((*old, *new)):
            if old.get(option) != new.get(option):
                yield f"{path}[{option}]", kind, old.get(option), new.get(option)
    else:
        words = shown(before), shown(after)
        yield path, kind, *(words if words[0] != words[1] else (_exactly(before), _exactly(after)))


def _one_side(path: str, kind: str, before: Any, after: Any) -> Iterator[Found]:
    """A part that comes or goes."""
    if isinstance(before, Document):
        yield from ((leaf, place, value, None) for leaf, place, value in leaves(before, path, kind))
    else:
        yield from ((leaf, place, None, value) for leaf, place, value in leaves(after, path, kind))


def _options(value: Any) -> dict[str, str]:
    """A command line by its options, so that a reader sees the one that changes; empty: it is none, or not in plain words."""
    if not isinstance(value, tuple) or not all(isinstance(word, str) for word in value):
        return {}
    found: dict[str, list[str]] = {}
    option = ""
    for word in value:
        if word.startswith("--"):
            option = word
            if option in found or " " in option:
                return {}
        found.setdefault(option, []).extend([] if word.startswith("--") else [word])
    if not any(name for name in found):
        return {}
    return {name or "before the options": " ".join(words) or PRESENT for name, words in found.items()}


def _lists(path: str, kind: str, before: Sequence[Document], after: Sequence[Document]) -> Iterator[Found]:
    old, new = named(before), named(after)
    for name in (*old, *(name for name in new if name not in old)):
        place = f"{path}[{name}]"
        if name not in new:
            yield place, kind, PRESENT, None
        elif name not in old:
            yield place, kind, None, PRESENT
        else:
            yield from _values(place, kind, old[name], new[name])
    yield from ((path, kind, *sides) for sides in orders(old, new))


def orders(before: Mapping[str, Document], after: Mapping[str, Document]) -> Iterator[tuple[str, str]]:
    """The order of the items that stay, before and after, where it changes."""
    kept = [[name for name in items if name in other] for items, other in ((before, after), (after, before))]
    if kept[0] != kept[1]:
        yield ", ".join(kept[0]), ", ".join(kept[1])


def leaves(
    part: Document, path: str = "", kind: str = "", *, into_lists: bool = False
) -> Iterator[tuple[str, str, str]]:
    """Every field of a part with its path, the same without names of items, and what it holds.

    Lists of parts are told item by item; ``into_lists``: with every field of every item.
    """
    for name in type(part).model_fields:
        value = getattr(part, name)
        below, place = (f"{above}.{camel(name)}".lstrip(".") for above in (path, kind))
        if place in NOT_COMPARED:
            continue
        if isinstance(value, Document):
            yield from leaves(value, below, place, into_lists=into_lists)
        elif not _holds_parts(value):
            yield below, place, shown(value)
        else:
            for item, inner in named(value).items():
                if into_lists:
                    yield from leaves(inner, f"{below}[{item}]", place, into_lists=True)
                else:
                    yield f"{below}[{item}]", place, PRESENT


def _holds_parts(value: Any) -> bool:
    return isinstance(value, tuple) and any(isinstance(item, Document) for item in value)


def shown(value: Any) -> str:
    """A value as the plan's file has it; a list with spaces between its items."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return str(float(value))
    if isinstance(value, dict):
        return " ".join(f"{key}={value[key]}" for key in sorted(value))
    return " ".join(map(shown, value)) if isinstance(value, tuple) else str(value)


def _exactly(value: Any) -> str:
    """A value whose everyday form hides how it differs from another."""
    return json.dumps(value, default=str, ensure_ascii=False)
