"""The parts of hand-made models, so that a test may say a shape and a number of parameters and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentgpu_iac.catalog.model import Model, ModelFacts, Module
from agentgpu_iac.catalog.parameters import modules


def model_of(fields: Mapping[str, Any]) -> Model:
    """A model of these fields; ``params_total`` among them is divided into parts as its shape says.

    Where the shape counts more than was asked for, all beyond the embedding is feed-forward.
    """
    total = fields["params_total"]
    given = {name: value for name, value in fields.items() if name != "params_total"}
    if "modules" not in given:
        given["modules"] = _parts(fields, total)
    return Model(**given)


def _parts(fields: Mapping[str, Any], total: int) -> tuple[Module, ...]:
    facts = ModelFacts(**{name: fields[name] for name in ModelFacts.model_fields if fields.get(name)})
    found = modules(facts)
    if sum(part.parameters for part in found) == total:
        return found
    embedding = min(total, found[0].parameters)
    native = fields["native_precision"]
    parts = (
        ("embedding", embedding, "bf16" if native == "bf16" else "fp16"),
        ("feed_forward", total - embedding, native),
    )
    return tuple(Module(kind=kind, parameters=count, precision=precision) for kind, count, precision in parts if count)
