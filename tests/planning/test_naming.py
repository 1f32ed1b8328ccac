"""Names of a spec become ids once, and every fault of a file is told at once."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.planning.naming import with_ids
from agentgpu_iac.planning.references import resolve_models, unknown_models
from agentgpu_iac.spec.loader import load_text

STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: demo}
spec:
  accelerators: {allow: [CARDS]}
  agents:
    - {name: a, model: MODEL}
"""


def written(cards: str, model: str = "Qwen3-14B") -> str:
    return STACK.replace("CARDS", cards).replace("MODEL", model)


def test_a_spec_takes_the_names_that_commands_take() -> None:
    """Once ``accelerators.allow: [H100 SXM]`` was an unknown accelerator, though every command took it."""
    spec = with_ids(load_text(written("H100 SXM, l40s"), "x"), load_catalog()).stack.spec
    assert spec.accelerators.allow == ("h100-sxm", "l40s")
    assert spec.agents[0].model == "Qwen/Qwen3-14B"


MANY = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: demo}
spec:
  target: kubernetes
  providers: [Amazon Web Services]
  regions: [EU-Central-1]
  accelerators: {allow: [NVIDIA H100 80GB HBM3], deny: [NVIDIA L40S]}
  capacity:
    inventory: [{machine: P5.48xLarge, count: 1}]
  agents:
    - {name: a, model: Qwen3-14B}
"""


def test_every_name_of_the_catalog_in_a_spec_becomes_an_id() -> None:
    """Once a machine or a region needed the very case in which it is sold."""
    spec = with_ids(load_text(MANY, "x"), load_catalog()).stack.spec
    assert (spec.providers, spec.regions) == (("aws",), ("eu-central-1",))
    assert (spec.accelerators.allow, spec.accelerators.deny) == (("h100-sxm",), ("l40s",))
    assert spec.capacity.inventory[0].machine == "p5.48xlarge"
    resolve_models(load_text(MANY, "x"), load_catalog())


def test_a_provider_in_another_case_is_the_same() -> None:
    """Once ``providers: [AWS]`` was told that nothing joins the machines of AWS to those of aws."""
    text = written("l40s").replace("  agents:", "  providers: [AWS]\n  agents:")
    assert with_ids(load_text(text, "x"), load_catalog()).stack.spec.providers == ("aws",)
    with pytest.raises(BadInput, match="'amazon web services' is no provider's id"):
        load_text(text.replace("AWS", "Amazon Web Services"), "x")


def test_a_spec_of_ids_stays_as_it_is() -> None:
    loaded = load_text(written("l40s", "Qwen/Qwen3-14B"), "x")
    assert with_ids(loaded, load_catalog()) is loaded


def test_a_name_that_may_mean_several_names_the_choices() -> None:
    with pytest.raises(BadInput) as refusal:
        resolve_models(load_text(written("H100, nothing, B200"), "x"), load_catalog())
    messages = {fault.path: (fault.message, fault.hint) for fault in refusal.value.faults}
    assert messages["spec.accelerators.allow[0]"] == (
        "accelerator 'H100' may mean 3",
        "write one of 'h100-nvl', 'h100-pcie', 'h100-sxm', or several",
    )
    assert messages["spec.accelerators.allow[1]"][0] == "unknown accelerator 'nothing'"
    assert messages["spec.accelerators.allow[2]"] == ("unknown accelerator 'B200'", "did you mean 'b200-sxm'?")


def test_an_unknown_model_is_told_with_the_other_faults() -> None:
    """Once it was told only when everything else was mended."""
    catalog = load_catalog()
    text = written("l40s", "nope/nope").replace("  agents:", "  budget: 5\n  target: vm\n  agents:")
    with pytest.raises(BadInput) as refusal:
        load_text(text, "x", also=lambda tree, name: unknown_models(tree, name, catalog))
    faults = {fault.path: fault for fault in refusal.value.faults}
    assert faults["spec.agents[0].model"].line == 9
    assert faults["spec"].hint == "did you mean 'budgetUsdPerMonth' under 'capacity'?"
    assert "compose is one machine of yours with Docker" in faults["spec.target"].hint
