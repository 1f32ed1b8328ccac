"""Patches of a rendered overlay, for whoever reads the tree without Kustomize: each is a merge patch, written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Patches = Mapping[tuple[str, str], Mapping[str, Any]]
"""By kind and name of the object that each changes."""


def patches_of(kustomization: Mapping[str, Any]) -> Patches:
    """The patches of a kustomization."""
    return {
        (patch["target"]["kind"], patch["target"]["name"]): json.loads(patch["patch"])
        for patch in kustomization.get("patches", ())
    }


def patched(body: Mapping[str, Any], patches: Patches) -> Mapping[str, Any]:
    """The object as an overlay has it; the object itself where no patch is for it."""
    patch = patches.get((str(body.get("kind")), str(body.get("metadata", {}).get("name"))))
    return body if patch is None else _merged(body, patch)


def _merged(value: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch applied: mappings are joined, everything else is replaced."""
    joined = {
        key: _merged(value[key], change) if isinstance(change, dict) and isinstance(value.get(key), dict) else change
        for key, change in patch.items()
    }
    return {**value, **joined}
