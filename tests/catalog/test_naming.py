"""What people call an accelerator or a model, and what it may mean."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.naming import accelerators_meant, models_meant
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput

NAMES = {"h100-sxm": "H100 SXM", "h100-pcie": "H100 PCIe", "l4": "L4", "l40s": "L40S"}


@pytest.mark.parametrize("word", ["h100-sxm", "H100 SXM", "H100_sxm", " h100  SXM"])
def test_an_id_and_a_name_in_any_case_and_with_any_gaps(word: str) -> None:
    assert accelerators_meant(word, NAMES) == ("h100-sxm",)


def test_a_beginning_may_mean_several_and_a_part_of_a_word_none() -> None:
    assert accelerators_meant("H100", NAMES) == ("h100-sxm", "h100-pcie")
    assert accelerators_meant("L4", NAMES) == ("l4",)
    assert accelerators_meant("H1", NAMES) == accelerators_meant("", NAMES) == ()


def test_a_model_without_its_publisher() -> None:
    ids = ("a/Chat", "b/chat", "a/Embed")
    assert models_meant("embed", ids) == ("a/Embed",)
    assert models_meant("CHAT", ids) == ("a/Chat", "b/chat")
    assert models_meant("a/embed", ids) == ()


def test_the_catalog_names_the_choices() -> None:
    catalog = load_catalog()
    assert catalog.accelerator("h100 sxm").id == "h100-sxm"
    with pytest.raises(BadInput, match="'H100' may mean 3") as refusal:
        catalog.accelerator("H100")
    assert refusal.value.faults[0].hint == "write one of 'h100-nvl', 'h100-pcie', 'h100-sxm'"
    assert catalog.model("qwen3-14b").id == "Qwen/Qwen3-14B"
