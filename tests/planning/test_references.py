"""What people write for a model or a region, and what they are told where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgpu_iac.calculators.calculator import SIZE
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.planning.choosing.caching import revision
from agentgpu_iac.planning.naming import with_ids
from agentgpu_iac.planning.planner import NoPlan, make_plan
from agentgpu_iac.planning.references import resolve_models
from agentgpu_iac.spec.loader import LoadedStack, load_text
from agentgpu_iac.spec.repository import repository_of

REAL = load_catalog()
CONFIG = """{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 4, "hidden_size": 256,
 "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1000,
 "max_position_embeddings": 4096, "torch_dtype": "bfloat16"%s}"""


def stack(rest: str = "", model: str = "Qwen/Qwen3-8B", agent: str = "") -> LoadedStack:
    return load_text(
        "apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {name: demo}\nspec:\n"
        f"{rest}  agents:\n    - name: one\n      model: {model}\n{agent}",
        "stack.yaml",
    )


PAGES = (
    "https://huggingface.co/Qwen/Qwen3-8B",
    "https://huggingface.co/Qwen/Qwen3-8B/",
    "https://huggingface.co/Qwen/Qwen3-8B/tree/main",
    "https://huggingface.co/qwen/qwen3-8b/blob/main/config.json",
    "https://huggingface.co/Qwen/Qwen3-8B?library=vllm#files",
    "http://www.huggingface.co/Qwen/Qwen3-8B/discussions/3",
    "huggingface.co/Qwen/Qwen3-8B",
    "https://hf.co/Qwen/Qwen3-8B",
    "hf.co/Qwen/Qwen3-8B/resolve/main/model.safetensors.index.json",
    "hf://Qwen/Qwen3-8B",
    "Qwen/Qwen3-8B/",
)


@pytest.mark.parametrize("page", PAGES)
def test_the_page_of_a_model_is_the_model(page: str) -> None:
    (model,) = resolve_models(stack(model=f"'{page}'"), REAL)
    assert model.id == "Qwen/Qwen3-8B"
    answer = SIZE.answer({"model": page, "accelerator": "h100-sxm", "max-model-len": 4096}, REAL)
    assert "weightsGib" in answer


def test_the_page_of_a_revision_pins_it() -> None:
    agent = stack(model="https://huggingface.co/Qwen/Qwen3-8B/tree/v1.0").stack.spec.agents[0]
    assert revision(agent) == "v1.0"
    by_hand = stack(model="https://huggingface.co/Qwen/Qwen3-8B/tree/v1.0", agent="      modelRevision: abc\n")
    assert revision(by_hand.stack.spec.agents[0]) == "abc"


def test_drafts_and_adapters_may_be_pages_too() -> None:
    loaded = stack(
        agent="      speculative: {method: draft-model, model: 'https://huggingface.co/Qwen/Qwen3-0.6B'}\n"
        "      loraAdapters: [{name: tone, source: 'hf.co/acme/tone/tree/main'}]\n"
    )
    agent = loaded.stack.spec.agents[0]
    assert agent.speculative is not None
    assert agent.speculative.model == "Qwen/Qwen3-0.6B"
    assert agent.lora_adapters[0].source == "acme/tone"
    assert (agent.speculative.model_revision, agent.lora_adapters[0].revision) == (None, None)


@pytest.mark.parametrize("name", ["Qwen3-0.6B", "qwen3-0.6b", "qwen/qwen3-0.6b"])
def test_a_draft_is_fetched_by_its_id_however_it_is_named(name: str) -> None:
    """Once engines were told to load a repository ``Qwen3-0.6B``, of nobody."""
    loaded = with_ids(stack(agent=f"      speculative: {{method: draft-model, model: {name}}}\n"), REAL)
    speculative = loaded.stack.spec.agents[0].speculative
    assert speculative is not None
    assert speculative.model == "Qwen/Qwen3-0.6B"


def test_a_draft_without_a_publisher_is_one_of_the_catalog() -> None:
    with pytest.raises(BadInput) as raised:
        resolve_models(stack(agent="      speculative: {method: eagle3, model: my-eagle, weightsGib: 0.5}\n"), REAL)
    (fault,) = raised.value.faults
    assert (fault.line, fault.path) == (8, "spec.agents[0].speculative.model")
    assert fault.message == "there is no model 'my-eagle'"


def test_a_card_is_not_allowed_and_denied_under_two_names() -> None:
    with pytest.raises(BadInput) as raised:
        resolve_models(stack("  accelerators: {allow: [l4], deny: [NVIDIA L4]}\n"), REAL)
    (fault,) = raised.value.faults
    assert (fault.line, fault.path) == (5, "spec.accelerators.deny[0]")
    assert fault.message == "is 'l4', which is both allowed and denied"


def test_the_revision_of_a_draft_s_or_an_adapter_s_page_counts_where_none_is_written() -> None:
    loaded = stack(
        agent="      speculative: {method: draft-model, model: 'https://huggingface.co/Qwen/Qwen3-0.6B/tree/v2'}\n"
        "      loraAdapters:\n"
        "        - {name: tone, source: 'hf.co/acme/tone/blob/1a2b3c/adapter_config.json'}\n"
        "        - {name: law, source: 'hf.co/acme/law/tree/v1', revision: v3}\n"
    )
    agent = loaded.stack.spec.agents[0]
    assert agent.speculative is not None
    assert agent.speculative.model_revision == "v2"
    assert [adapter.revision for adapter in agent.lora_adapters] == ["1a2b3c", "v3"]


def test_ids_and_paths_stay_what_they_are() -> None:
    for text in ("Qwen/Qwen3-8B", "./folder", "folder/config.json", "https://example.org/a/b"):
        assert repository_of(text).id == text


@pytest.mark.parametrize("name", ["./mine", "./mine/", "mine", "./mine/config.json"])
def test_a_folder_with_a_config_is_a_model(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(CONFIG % "")
    catalog = load_catalog(base_directory=tmp_path)
    assert catalog.model(name).is_local
    assert "weightsGib" in SIZE.answer({"model": name, "accelerator": "l4", "max-model-len": 4096}, catalog)


def faults(loaded: LoadedStack) -> tuple[Fault, ...]:
    with pytest.raises(BadInput) as refused:
        resolve_models(loaded, REAL)
    return tuple(refused.value.faults)


def fault(loaded: LoadedStack) -> str:
    (found,) = faults(loaded)
    assert found.line
    return f"{found.message} ({found.hint})"


def test_a_folder_without_one_is_said() -> None:
    assert "config.json" in fault(stack(model="./nowhere"))


def test_another_address_is_no_model() -> None:
    said = fault(stack(model="https://example.org/models/x"))
    assert "did you mean" not in said
    assert "publisher/model" in said


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        ("BAAI/bge-reranker-v3-tiny", "a reranker", "config.json"),
        ("acme/text-embedding-9b", "an embedding model", "config.json"),
        ("sentence-transformers/all-mpnet-base-v2", "an embedding model", "config.json"),
        ("openai/whisper-large-v3", "a speech model", "serve it beside the stack"),
        ("black-forest-labs/flux-schnell", "an image or video model", "serve it beside the stack"),
    ],
)
def test_models_that_do_not_chat_and_nobody_knows_are_told_by_their_names(name: str, kind: str, hint: str) -> None:
    said = fault(stack(model=name))
    assert kind in said
    assert hint in said
    assert "did you mean" not in said


def test_no_chat_model_of_the_catalog_is_taken_for_another_kind() -> None:
    from agentgpu_iac.catalog.kinds import other_kind_by_name

    assert [model.id for model in REAL.models if other_kind_by_name(model.id) and model.pooling is None] == []


@pytest.mark.parametrize("model", ["BAAI/bge-m3", "Qwen/Qwen3-Embedding-8B", "BAAI/bge-reranker-v2-m3"])
def test_a_model_that_generates_nothing_wants_requests(model: str) -> None:
    assert "write requests: {perS" in fault(stack(model=model))


@pytest.mark.parametrize("name", ["MPNetModel", "WhisperForConditionalGeneration", "NewModel", "Qwen2ForRewardModel"])
def test_a_config_of_another_kind_is_refused_by_its_class(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text((CONFIG % "").replace("LlamaForCausalLM", name))
    with pytest.raises(BadInput, match="such models are not planned"):
        load_catalog(base_directory=tmp_path).model("config.json")


def test_an_unknown_region_lists_the_priced_ones_nearest_first() -> None:
    said = fault(stack("  target: eks\n  regions: [us-esat-1]\n"))
    listed = said.split("priced: ")[1]
    assert listed.startswith("us-east-1, us-west-1, eu-west-1, us-east-2")
    assert "atl" not in listed  # no region to name here: a local zone


def test_a_local_zone_is_named_where_the_cluster_cannot_reach_it() -> None:
    (said,) = faults(stack("  target: eks\n  regions: [us-east-1, us-west-2-lax-1]\n"))
    assert said.path == "spec.regions[1]"
    assert said.message.startswith("us-west-2-lax-1 is a local zone of us-west-2, and the cluster's subnets lie in")
    assert said.hint.startswith("name us-west-2 instead")


@pytest.mark.parametrize("region", sorted(region for provider, region in REAL.places if provider == "aws"))
def test_every_region_with_a_price_is_accepted(region: str) -> None:
    assert resolve_models(stack(f"  target: kubernetes\n  regions: [{region}]\n"), REAL)


def test_a_region_that_sells_nothing_to_plan_with_is_a_refusal_that_says_where_to_look() -> None:
    with pytest.raises(NoPlan, match=r"nothing on offer that can be planned with.*catalog list excluded"):
        make_plan(stack("  target: eks\n  regions: [af-south-1]\n"), REAL)


@pytest.mark.parametrize(
    ("rope", "longest"),
    [
        ('"rope_scaling": {"type": "linear", "factor": 4}', 16384),
        ('"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}', 8192),
        ('"rope_scaling": {"rope_type": "yarn", "factor": 4}', 4096),
        ('"rope_scaling": {"rope_type": "llama3", "factor": 8}', 4096),
        ('"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2}}', 8192),
        ('"model_max_length": 32768', 32768),
        ('"rope_scaling": null', 4096),
    ],
)
def test_rotary_scaling_lengthens_the_context_as_engines_read_it(tmp_path: Path, rope: str, longest: int) -> None:
    (tmp_path / "config.json").write_text(CONFIG % f", {rope}")
    assert load_catalog(base_directory=tmp_path).model("config.json").max_context_tokens == longest
