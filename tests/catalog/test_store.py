"""Looking things up."""

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput

CATALOG = load_catalog()


def test_the_default_is_loaded_once():
    assert load_catalog().offerings is CATALOG.offerings


def test_the_version_is_twelve_hexadecimal_digits():
    assert len(CATALOG.version) == 12
    assert int(CATALOG.version, 16) > 0


@pytest.mark.parametrize("reference", ["Qwen/Qwen3-14B", "qwen/qwen3-14b", "QWEN/QWEN3-14B"])
def test_a_model_by_its_id_in_any_case(reference):
    assert CATALOG.model(reference).id == "Qwen/Qwen3-14B"


@pytest.mark.parametrize("reference", ["h100-sxm", "H100 SXM", "h100 sxm", "H100-SXM"])
def test_an_accelerator_by_its_id_or_the_name_that_people_call_it_by(reference):
    assert CATALOG.accelerator(reference).id == "h100-sxm"


@pytest.mark.parametrize(
    ("look_up", "name", "message"),
    [
        ("model", "Qwen/Qwen3-14", r"no model 'Qwen/Qwen3-14' \(did you mean 'Qwen/Qwen3-14B'\?\)"),
        ("model", "deepseek-ai/deepseek-v4-pro", "cannot be sized: compressed sparse attention"),
        ("model", "tencent/Hy3", "the number of layers is unknown"),
        ("model", "missing.json", "cannot be read"),
        ("accelerator", "h100-sxn", r"did you mean 'h100-sxm'\?"),
        ("provider", "awz", r"did you mean 'aws'\?"),
        ("release", "ollama", "no release of engine 'ollama'"),
    ],
)
def test_unknown_names(look_up, name, message):
    with pytest.raises(BadInput, match=message):
        getattr(CATALOG, look_up)(name)


@pytest.mark.parametrize(
    ("version", "share", "graphs"),
    [
        ("0.5.4", 0.9, False),
        ("0.9.2", 0.9, False),
        ("0.19.1", 0.9, False),
        ("0.20.0", 0.92, True),
        ("v0.20.1rc1", 0.92, True),
        ("0.25.0", 0.92, True),
        ("0.33.0", 0.92, True),
        ("1.0", 0.92, True),
    ],
)
def test_the_accounting_of_a_version(version, share, graphs):
    release = CATALOG.release("vllm", version)
    assert (release.gpu_memory_utilization, release.graphs_in_budget) == (share, graphs)
    assert release.version == version.removeprefix("v")
    assert release.image == f"vllm/vllm-openai:v{version.removeprefix('v')}"


@pytest.mark.parametrize("version", [None, "", "latest"])
def test_the_newest_release_where_no_version_is_given(version):
    assert CATALOG.release("vllm", version).version == "0.33.0"


def test_a_local_model(tmp_path):
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "config.json").write_text(
        """{"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
        "vocab_size": 10, "intermediate_size": 128, "max_position_embeddings": 512, "torch_dtype": "bfloat16"}"""
    )
    catalog = load_catalog(base_directory=tmp_path)
    by_file, by_folder = catalog.model("tuned/config.json"), catalog.model("tuned")
    assert (by_file.id, by_folder.id) == ("tuned/config.json", "tuned")
    assert by_file.layers == by_folder.layers
    assert catalog.model("Qwen/Qwen3-14B") is CATALOG.model("Qwen/Qwen3-14B")
