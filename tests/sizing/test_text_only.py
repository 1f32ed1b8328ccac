"""Models told to read text alone: what their engine then loads and profiles, and what it is told."""

import json
from pathlib import Path

import pytest

from agentgpu_iac.calculators.calculator import PREDICT, SIZE
from agentgpu_iac.catalog.huggingface import model_from_config
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.sizing.encoders import encoder_of, text_only
from agentgpu_iac.sizing.engines.vllm import leaves_towers_out

CONFIGS = Path(__file__).parents[1] / "field" / "configs"
CATALOG = load_catalog(base_directory=CONFIGS)
CUT = model_from_config((CONFIGS / "br-67.json").read_text(), "br-67.json")
CASE = {"model": "br-67.json", "precision": "fp8", "accelerator": "l40s", "engine-version": "0.11.2"}


def part(model, kind):
    return sum(module.parameters for module in model.modules if module.kind == kind)


def test_neither_weights_nor_profile_of_the_tower_are_left():
    told = text_only(CUT, lambda model: leaves_towers_out(model, "0.33.0"))
    assert (part(CUT, "tower"), part(told, "tower")) == (CUT.towers[0].parameters, 0)
    assert encoder_of(CUT) is not None
    assert encoder_of(told) is None
    assert told.params_total == CUT.params_total - part(CUT, "tower")


@pytest.mark.parametrize(
    ("architecture", "version", "left_out"),
    [
        ("qwen3_vl_text", "0.10.2", False),
        ("qwen3_vl_text", "0.11.0", True),
        ("gemma4_text", "0.15.0", False),
        ("gemma4_text", "0.19.0", True),
        ("mistral3", "0.10.2", True),
    ],
)
def test_from_which_version_on_the_weights_are_left_out(architecture, version, left_out):
    assert leaves_towers_out(CUT.model_copy(update={"architecture": architecture}), version) is left_out


def test_where_the_weights_stay_the_profile_goes():
    told = text_only(CUT, lambda _: False)
    assert part(told, "tower") == part(CUT, "tower")
    assert encoder_of(told) is None


def test_a_model_that_reads_text_alone_is_told_nothing():
    plain = CATALOG.model("Qwen/Qwen3-32B")
    assert text_only(plain, lambda _: True) is plain


def test_size_says_what_the_tower_takes_and_that_it_fits_without():
    refused = SIZE.answer({**CASE, "max-model-len": 24000}, CATALOG)["rejection"]["message"]
    assert "1.11 GiB are a tower that its config leaves out" in refused
    assert "--text-only" in refused
    assert SIZE.answer({**CASE, "max-model-len": 24000, "text-only": True}, CATALOG)["maxConcurrency"] >= 1


def test_predict_never_refuses_for_a_tower_that_nobody_stated():
    question = {**CASE, "max-model-len": 24000, "input-tokens": 217, "output-tokens": 190, "concurrency": 8}
    answer = PREDICT.answer(question, CATALOG)
    assert any("told to read text alone" in warning for warning in answer["warnings"])
    told = PREDICT.answer({**question, "text-only": True}, CATALOG)
    assert told["tpotMs"] == answer["tpotMs"]


def test_an_engine_that_cannot_be_told_is_named():
    with pytest.raises(BadInput, match="sglang is not known to leave out"):
        SIZE.answer({**CASE, "engine": "sglang", "engine-version": "0.5.23", "text-only": True}, CATALOG)


def test_what_is_left_out_is_in_the_file():
    assert "vision_config" not in json.loads((CONFIGS / "br-67.json").read_text())
