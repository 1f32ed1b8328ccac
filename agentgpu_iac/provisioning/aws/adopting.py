"""What a Pulumi program would make and what may be there already: the file by which ``pulumi import`` takes it into the state.

It reads what ``pulumi preview --json`` says: type, name, parents and inputs of each create are the program's own, so what is
imported by them is what the next ``up`` looks for. Physical names that Pulumi draws are unlike those that are there; such
things are looked for by what stands before the drawn end.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentgpu_iac.errors import BadInput
from agentgpu_iac.provisioning.aws.pending import KEPT_ONCE, Inputs, where

_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How the engine writes what is known after creation (``pulumi.runtime.rpc.UNKNOWN``)."""

_DRAWN: Final = "[0-9a-f]{7}"
_DRAWN_WILDCARD: Final = "?" * 7
"""Pulumi's suffix: seven hexadecimal digits; EC2's filters know a character as ``?``."""

_NAMES: Final[Mapping[str, str]] = {
    "aws:ec2/launchTemplate:LaunchTemplate": "name",
    "aws:ec2/securityGroup:SecurityGroup": "name",
    "aws:eks/nodeGroup:NodeGroup": "nodeGroupName",
    "aws:iam/role:Role": "name",
}
"""Where types whose names are drawn hold them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoptable:
    """Something that the program would make, and that may be there."""

    resource_type: str
    name: str
    """Logical name."""
    parent: str
    """URN."""
    look_up: str | None
    """Command of AWS that answers with what is there; None where it hangs on ids that are not known yet."""
    ident: str | None = None
    """The id to import it by; None: the answer itself."""
    pattern: str | None = None
    """What an answer must look like to be it, where its name is drawn."""

    @property
    def place(self) -> str:
        """Type and name: what tells it from all others of the program."""
        return f"{self.resource_type}::{self.name}"

    def ids(self, answers: Iterable[str]) -> tuple[str, ...]:
        """The ids that these answers stand for: several where nobody can say which it is."""
        found = [each for each in answers if self.pattern is None or re.fullmatch(self.pattern, each)]
        if self.ident is None:
            return tuple(each.rpartition("key/")[2] if ":kms/" in self.resource_type else each for each in found)
        return tuple(self.ident.format(each) for each in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a preview would make."""

    wanted: tuple[Adoptable, ...]
    settings: Mapping[str, str]
    """The Pulumi stack's configuration."""
    parents: Mapping[str, Mapping[str, Any]]
    """Components that it would make, by URN: a thing is imported below those."""


def read_preview(said: Any, source: str) -> Preview:
    """Read what ``pulumi preview --json`` said.

    Kubernetes objects are not among what it wants (the first ``up`` takes over those that are there), nor what may be made twice.

    Raises:
        BadInput: it is something else.
    """
    steps = said.get("steps") if isinstance(said, Mapping) else None
    if not isinstance(steps, list):
        hint = f"write it with: pulumi preview --json > {source}"
        raise BadInput.one(source, "is nothing that pulumi preview --json says", hint=hint)
    made = [state for step in steps if (state := _created(step)) is not None]
    return Preview(
        wanted=tuple(
            _adoptable(state) for state in made if state["type"].startswith("aws:") and state["type"] not in KEPT_ONCE
        ),
        settings=_settings(said.get("config")),
        parents={state["urn"]: state for state in made if not state.get("custom")},
    )


def _settings(config: Any) -> dict[str, str]:
    found = config if isinstance(config, Mapping) else {}
    return {str(key): value for key, value in found.items() if isinstance(value, str)}


def _created(step: Any) -> Mapping[str, Any] | None:
    if not isinstance(step, Mapping) or step.get("op") != "create":
        return None
    state = step.get("newState")
    whole = isinstance(state, Mapping) and all(isinstance(state.get(key), str) for key in ("urn", "type"))
    return state if whole else None


def _adoptable(state: Mapping[str, Any]) -> Adoptable:
    kind, name = state["type"], str(state["urn"]).rpartition("::")[2]
    inputs: Inputs = state.get("inputs") or {}
    look_up, ident, pattern = _look_up(kind, inputs)
    return Adoptable(
        resource_type=kind,
        name=name,
        parent=str(state.get("parent", "")),
        look_up=look_up,
        ident=ident,
        pattern=pattern,
    )


def _look_up(kind: str, inputs: Inputs) -> tuple[str | None, str | None, str | None]:
    """Command, id and what an answer looks like."""
    drawn = str(inputs.get(_NAMES.get(kind, ""), ""))
    if re.fullmatch(f".+-{_DRAWN}", drawn):
        return _by_stem(kind, drawn[: -len(_DRAWN_WILDCARD)], inputs)
    try:
        look_up, ident = where(kind, inputs)
    except KeyError:
        return None, None, None
    if not look_up.startswith("aws ") or _UNKNOWN in look_up or _UNKNOWN in (ident or ""):
        return None, None, None
    return look_up, None if ident is None else ident.replace("{", "{{").replace("}", "}}"), None


def _by_stem(kind: str, stem: str, inputs: Inputs) -> tuple[str | None, str | None, str | None]:
    """The same of what has a drawn name, by what stands before the drawn end."""
    pattern, filters = f"{re.escape(stem)}{_DRAWN}", f"Values={stem}{_DRAWN_WILDCARD}"
    match kind:
        case "aws:eks/nodeGroup:NodeGroup":
            cluster = str(inputs.get("clusterName", _UNKNOWN))
            query = f"nodegroups[?starts_with(@, '{stem}')]"
            if cluster == _UNKNOWN:
                return None, None, None
            return (
                _aws("eks", "list-nodegroups", "--cluster-name", cluster, "--query", query),
                f"{cluster}:{{}}",
                pattern,
            )
        case "aws:iam/role:Role":
            query = f"Roles[?starts_with(RoleName, '{stem}')].RoleName"
            return _aws("iam", "list-roles", "--query", query), None, pattern
        case "aws:ec2/launchTemplate:LaunchTemplate":
            words = (
                "--filters",
                f"Name=launch-template-name,{filters}",
                "--query",
                "LaunchTemplates[].LaunchTemplateId",
            )
            return _aws("ec2", "describe-launch-templates", *words), None, None
        case _:
            words = ("--filters", f"Name=group-name,{filters}", "--query", "SecurityGroups[].GroupId")
            return _aws("ec2", "describe-security-groups", *words), None, None


def _aws(*words: str) -> str:
    return shlex.join(("aws", *words, "--output", "text"))


def named_ids(preview: Preview, given: Iterable[str], source: str) -> dict[str, str]:
    """Ids that somebody names, as ``TYPE::NAME=ID`` or ``NAME=ID``; by place.

    Raises:
        BadInput: the preview makes no such thing, or several of that name.
    """
    found: dict[str, str] = {}
    for each in given:
        name, equals, ident = each.partition("=")
        meant = [thing.place for thing in preview.wanted if name in (thing.name, thing.place)]
        if not equals or not ident:
            raise BadInput.one(source, f"{each!r} names no id", hint="write NAME=ID, or TYPE::NAME=ID")
        if len(meant) != 1:
            said = f"the preview would make nothing of the name {name!r}" if not meant else f"{name!r} may mean several"
            hint = ", ".join(meant) or "names are those that pulumi preview shows for what it would create"
            raise BadInput.one(source, said, hint=hint)
        found[meant[0]] = ident
    return found


def import_file(preview: Preview, ids: Mapping[str, str]) -> dict[str, Any]:
    """What ``pulumi import --file`` reads: what has an id (``ids``, by place), below its components."""
    taken = [thing for thing in preview.wanted if thing.place in ids]
    table: dict[str, str] = {}
    keys: dict[str, str] = {}
    components: dict[str, dict[str, Any]] = {}
    for thing in taken:
        for urn in _line(preview, thing.parent):
            if urn in keys:
                continue
            keys[urn] = f"parent{len(keys)}"
            state = preview.parents.get(urn)
            if state is None:
                table[keys[urn]] = urn
                continue
            name = urn.rpartition("::")[2]
            entry = {"type": state["type"], "name": keys[urn], "logicalName": name, "component": True}
            components[urn] = {**entry, **_below(keys, str(state.get("parent", "")))}
    return {
        "nameTable": table,
        "resources": [
            *components.values(),
            *(
                {
                    "type": thing.resource_type,
                    "name": f"resource{number}",
                    "logicalName": thing.name,
                    **_below(keys, thing.parent),
                    "id": ids[thing.place],
                }
                for number, thing in enumerate(taken)
            ),
        ],
    }


def _below(keys: Mapping[str, str], parent: str) -> dict[str, str]:
    return {"parent": keys[parent]} if parent in keys else {}


def _line(preview: Preview, urn: str) -> list[str]:
    """A parent and its own, the outermost first; the stack itself needs no name."""
    found = list(_up(preview, urn))
    return found[::-1]


def _up(preview: Preview, urn: str) -> Iterator[str]:
    while urn and "::pulumi:pulumi:Stack::" not in urn:
        yield urn
        state = preview.parents.get(urn)
        urn = "" if state is None else str(state.get("parent", ""))
