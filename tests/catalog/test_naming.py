"""What people call an accelerator or a model, and what it may mean."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.catalog.naming import accelerators_meant, model_hint, models_meant, provider_meant
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput

CARDS = load_catalog().accelerators


def ids(word: str) -> tuple[str, ...]:
    return accelerators_meant(word, CARDS)


@pytest.mark.parametrize(
    "word",
    [
        *(
            "h100-sxm",
            "H100 SXM",
            "H100_sxm",
            " h100  SXM",
            "NVIDIA H100 SXM",
            "H100 SXM 80GB",
            "NVIDIA H100 SXM5 80GB",
        ),
        *("NVIDIA-H100-80GB-HBM3", "NVIDIA H100 80GB HBM3"),
    ],
)
def test_an_id_a_name_and_the_drivers_name_in_any_case_and_with_any_gaps(word: str) -> None:
    assert ids(word) == ("h100-sxm",)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_every_card_is_meant_by_each_of_its_names(card: Accelerator) -> None:
    names = [card.id, card.id.upper(), card.name, f"NVIDIA {card.name}", f"{card.name} {card.memory_gb:g}GB"]
    for name in (*names, *([card.product_label, card.product_label.replace("-", " ")] if card.product_label else [])):
        assert ids(name) == (card.id,), name


def test_some_words_of_a_name_may_mean_several_and_a_part_of_a_word_none() -> None:
    assert ids("H100") == ids("NVIDIA H100") == ("h100-nvl", "h100-pcie", "h100-sxm")
    assert ids("NVIDIA H100 80GB") == ids("H100 80GB") == ("h100-pcie", "h100-sxm")
    assert ids("H200") == ("h200-nvl", "h200-sxm")
    assert ids("4090") == ("rtx-4090",)
    assert ids("L4") == ("l4",)
    assert ids("H1") == ids("") == ids("NVIDIA") == ids("H100 nonsense") == ()


def test_a_provider_by_its_id_or_name() -> None:
    catalog = load_catalog()
    for provider in catalog.providers:
        for name in (provider.id, provider.id.upper(), provider.name, provider.name.lower()):
            assert provider_meant(name, catalog.providers) == catalog.provider(name).id == provider.id
    assert provider_meant("nobody", catalog.providers) is None


def test_a_model_without_its_publisher() -> None:
    ids = ("a/Chat", "b/chat", "a/Embed")
    assert models_meant("embed", ids) == ("a/Embed",)
    assert models_meant("CHAT", ids) == ("a/Chat", "b/chat")
    assert models_meant("a/embed", ids) == ()


def test_an_unknown_model_has_a_way_on() -> None:
    """Once ``llama-3.3-70b`` was unknown, and nothing else was said."""
    ids = ("meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-14B")
    assert model_hint("llama-3.3-70b", ids) == "did you mean 'meta-llama/Llama-3.3-70B-Instruct'?"
    assert model_hint("Qwen/Qwen3-14", ids) == "did you mean 'Qwen/Qwen3-14B'?"
    assert model_hint("gpt-4o", ids).startswith("agentgpu catalog list models names them")


def test_the_catalog_names_the_choices() -> None:
    catalog = load_catalog()
    assert catalog.accelerator("h100 sxm").id == "h100-sxm"
    with pytest.raises(BadInput, match="'H100' may mean 3") as refusal:
        catalog.accelerator("H100")
    assert refusal.value.faults[0].hint == "write one of 'h100-nvl', 'h100-pcie', 'h100-sxm'"
    assert catalog.model("qwen3-14b").id == "Qwen/Qwen3-14B"
