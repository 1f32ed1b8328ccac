"""Plans read back from a file, as ``agentgpu plan`` writes them: JSON or YAML.

A file is a plan where its ``apiVersion`` at the top says so, whatever else it mentions. JSON is read as JSON; YAML by the
reader of agent stacks, which bounds depth and size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agentgpu_iac import __version__
from agentgpu_iac.characters import character_name, hidden_character
from agentgpu_iac.credentials import signs_in
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.inputs import NotJsonError, json_of, read_file, source_of, text_of
from agentgpu_iac.plan.document import PLAN_VERSION, Plan
from agentgpu_iac.plan.leading import dangling
from agentgpu_iac.plan.names import clashes
from agentgpu_iac.spec.yaml_tree import MAX_FAULTS, MapNode, Steps, compose, data_of, spelled, top_level

MAX_PLAN_BYTES: Final = 64 * 2**20
"""The largest plan that is read: one of 1,000 agents takes 12 MB."""
_MAX_VALUES: Final = 4_000_000
"""Values of one plan: 4,000 for each of 1,000 agents."""
_KIND: Final = PLAN_VERSION.rpartition("/")[0] + "/"
_AGAIN: Final = "plan again"


def load_plan(path: Path) -> Plan:
    """Read a plan from a file.

    Raises:
        BadInput: the file cannot be read, or holds no plan that this version understands.
    """
    source = source_of(path)
    raw = read_file(path, MAX_PLAN_BYTES, of="a plan")
    text_of(raw, source)
    found = plan_in(raw, source)
    if found is None:
        raise BadInput.one(source, f"is no plan: its apiVersion is not {PLAN_VERSION}", hint="make one: agentgpu plan")
    return found


def plan_in(raw: bytes, source: str) -> Plan | None:
    """The plan in the bytes of a file; None where they hold something else, such as an agent stack.

    Raises:
        BadInput: the bytes say that they are a plan, and are none.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    version = _version_of(text)
    if version is None or not version.startswith(_KIND):
        return None
    if version != PLAN_VERSION:
        message = f"is a plan of version {version}; this agentgpu reads {PLAN_VERSION}"
        raise BadInput.one(source, message, path="apiVersion", hint=_AGAIN)
    if len(raw) > MAX_PLAN_BYTES:
        raise BadInput.one(source, f"is larger than {MAX_PLAN_BYTES:,} bytes, the most that is read of a plan")
    if _begins_like_json(text):
        data = _json(text, source)
        if data is not None:
            return _validated(data, text, source)
    tree = compose(text, source, max_nodes=_MAX_VALUES)
    if tree.faults or not isinstance(tree.root, MapNode):
        raise BadInput(tree.faults[:MAX_FAULTS])
    data = data_of(tree.root)
    return _validated(data, json.dumps(data), source)


def _begins_like_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))


def _version_of(text: str) -> str | None:
    """What stands under ``apiVersion`` at the top; None where nothing does. What is wrong elsewhere is not looked at."""
    if _begins_like_json(text):
        try:
            data = json_of(text, "", most_values=_MAX_VALUES)
        except BadInput:
            return top_level(text, "apiVersion")
        version = data.get("apiVersion") if isinstance(data, dict) else None
        return version if isinstance(version, str) else None
    return top_level(text, "apiVersion")


def _json(text: str, source: str) -> object | None:
    """What a plan in JSON holds; None where it is none, as YAML may begin like it. Raises BadInput for what is nearly JSON."""
    try:
        found: object = json_of(text, source, most_values=_MAX_VALUES, constants=False)
    except NotJsonError:
        if not source.endswith(".json"):
            return None
        raise
    return found


def _foul(value: object, steps: Steps, source: str) -> Iterator[Fault]:
    """Texts that no plan of ours holds, wherever somebody has put them: what a terminal would obey, addresses that sign in."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _foul(key, (*steps, key), source)
            yield from _foul(below, (*steps, key), source)
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from _foul(below, (*steps, index), source)
    elif isinstance(value, str):
        if hidden := hidden_character(value):
            message = f"holds the hidden character {character_name(hidden)}"
            yield Fault(source=source, path=spelled(steps), message=message, hint="take it out, or plan again")
        if "://" in value and signs_in(value):
            message = "is an address with a password or token in it, which is not repeated"
            yield Fault(source=source, path=spelled(steps), message=message, hint=_AGAIN)


def _validated(data: object, text: str, source: str) -> Plan:
    foul = tuple(islice(_foul(data, (), source), MAX_FAULTS))
    if foul:
        raise BadInput(foul)
    try:
        plan = Plan.model_validate_json(text, by_alias=True, by_name=False)
    except ValidationError as error:
        _refuse(error.errors(include_url=False), json.loads(text), source)
    faults = [
        Fault(source=source, message=clash.message, hint="rename an agent, and plan again") for clash in clashes(plan)
    ]
    faults += [
        Fault(source=source, path=path, message=message, hint=_AGAIN)
        for path, message in islice(dangling(plan), MAX_FAULTS)
    ]
    if faults:
        raise BadInput(faults)
    return plan


def _refuse(errors: Sequence[ErrorDetails], data: dict[str, Any], source: str) -> NoReturn:
    """One sentence for a plan of another version of the tool, else every fault."""
    missing, unknown = ([spelled(error["loc"]) for error in errors if error["type"] == kind] for kind in _KINDS)
    provenance = data.get("provenance")
    maker = provenance.get("toolVersion") if isinstance(provenance, dict) else None
    if isinstance(maker, str) and (missing or (unknown and maker != __version__)):
        what, fields = ("lacks", missing) if missing else ("holds what this version does not know,", unknown)
        more = f" and {len(fields) - 1:,} more" if fields[1:] else ""
        message = f"was made by agentgpu {maker} and {what} {fields[0]}{more}; this is agentgpu {__version__}"
        raise BadInput.one(source, message, hint=_AGAIN)
    raise BadInput(
        Fault(source=source, path=spelled(error["loc"]), message=error["msg"]) for error in errors[:MAX_FAULTS]
    )


_KINDS: Final = ("missing", "extra_forbidden")
