"""Property values of the plugin protocol as plain Python, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi.provider.experimental.property_value import PropertyValue

Wire = Mapping[str, PropertyValue]


def plain(value: PropertyValue) -> Any:
    """A value without its marks; whole numbers as integers, as an API wants them."""
    inner = value.value
    if isinstance(inner, Mapping):
        return {key: plain(one) for key, one in inner.items()}
    if isinstance(inner, Sequence) and not isinstance(inner, str):
        return [plain(one) for one in inner]
    if isinstance(inner, float) and inner.is_integer():
        return int(inner)
    return inner


def plain_map(values: Wire) -> dict[str, Any]:
    """Properties without their marks; null is as good as absent."""
    return {key: inner for key, value in values.items() if (inner := plain(value)) is not None}


def marked(value: Any) -> PropertyValue:
    """A plain value as the protocol has it."""
    if isinstance(value, Mapping):
        return PropertyValue({key: marked(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return PropertyValue([marked(inner) for inner in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)


def marked_map(values: Mapping[str, Any], *, like: Wire) -> dict[str, PropertyValue]:
    """Properties as the protocol has them. What is secret in ``like`` is secret here."""
    return {
        key: marked(value).with_secret(key in like and like[key].contains_secret()) for key, value in values.items()
    }
