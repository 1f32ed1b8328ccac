"""Which inputs the AWS SDK knows. The engine drops an unknown key in silence, so nothing else would notice one."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import pulumi_aws
from pulumi._types import input_type_types, is_input_type

from tests.provisioning.recording import Recorded


def unknown_inputs(resource: Recorded) -> list[str]:
    """Keys, at any depth, that the SDK's class for this resource does not have."""
    return list(_unknown(resource.inputs, _arguments(resource), resource.token))


def takes_tags(resource: Recorded) -> bool:
    """Whether the SDK's class for this resource has tags."""
    return "tags" in input_type_types(_arguments(resource))


def _arguments(resource: Recorded) -> type:
    _, module, kind = resource.token.split(":")
    sdk = getattr(pulumi_aws, module.split("/")[0])
    # The plain name is that of another resource's property where both would have it.
    found: type = getattr(sdk, f"{kind}InitArgs", None) or getattr(sdk, f"{kind}Args")
    return found


def _unknown(value: Any, declared: type, place: str) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from _unknown(inner, declared, place)
    elif isinstance(value, dict) and is_input_type(declared):
        known = input_type_types(declared)
        for key, inner in value.items():
            if key not in known:
                yield f"{place}.{key}"
            else:
                yield from _unknown(inner, _input_type_in(known[key]), f"{place}.{key}")


def _input_type_in(hint: Any) -> type:
    """The SDK's input class somewhere inside a type hint, or ``object`` for scalars and free-form maps."""
    if isinstance(hint, type) and is_input_type(hint):
        return hint
    inside = (_input_type_in(argument) for argument in typing.get_args(hint))
    return next((found for found in inside if found is not object), object)
