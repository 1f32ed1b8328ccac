"""What a folder of configs is covered by: ``make models``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentgpu_iac.calculators.coverage import coverage_lines, coverage_of
from agentgpu_iac.catalog.huggingface.architectures import REFUSED, known_types
from agentgpu_iac.errors import BadInput

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "tests" / "field" / "configs"


@pytest.fixture(scope="module")
def rows():
    return {row.file: row for row in coverage_of(CONFIGS)}


def test_every_config_is_covered_or_says_why_not(rows):
    assert set(rows) >= {"br-24.json", "br-34/config.json"}
    assert "br-34/hf_quant_config.json" not in rows
    for row in rows.values():
        assert (row.covered is None) == bool(row.refused)
    assert {name for name, row in rows.items() if row.refused} == {"br-23-bf16.json", "br-23-nvfp4.json"}


def test_what_is_said_of_a_config(rows):
    """Falcon-H1-7B: 7.6 B, 138 MB of state, 44 layers of both kinds."""
    found = rows["br-24.json"].covered
    assert found.parameters_total / 1e9 == pytest.approx(7.59, rel=0.005)
    assert found.layers == {"full": 44, "recurrent": 44}
    assert found.kv_bytes_per_token == 44 * 2 * 2 * 128 * 2
    assert found.state_bytes_per_session == pytest.approx(138.4e6, rel=0.01)
    assert rows["br-07.json"].covered.towers == ("pictures: 0.57 B, 27 layers of 1152",)
    assert any("attn_res_block_size" in sentence for sentence in rows["br-29.json"].covered.said)


def test_the_answer_as_text(rows):
    lines = coverage_lines(rows.values())
    assert lines[-1] == f"{len(rows) - 2} of {len(rows)} covered"
    assert any(line.startswith("refused  br-23-bf16.json (qwen4_exp)") for line in lines)
    assert any("7.58 B" in line and "44 full, 44 recurrent" in line for line in lines)


def test_an_encoder_keeps_no_cache_and_what_tells_its_vector_is_no_config(tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "architectures": ["BertModel"],
                "model_type": "bert",
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "max_position_embeddings": 512,
                "num_attention_heads": 16,
                "num_hidden_layers": 24,
                "vocab_size": 30522,
            }
        )
    )
    (row,) = coverage_of(tmp_path)
    assert row.file == "config.json"
    assert row.covered.parameters_total == pytest.approx(335_141_888, rel=0.001)
    assert row.covered.kv_bytes_per_token == 0


def test_broken_configs_are_refused_each_by_itself(tmp_path):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('{"model_type": 3}')
    found = coverage_of(tmp_path)
    assert [bool(row.refused) for row in found] == [True, True]


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_without_configs(tmp_path, folder):
    with pytest.raises(BadInput, match="config"):
        coverage_of(tmp_path / folder)


def test_the_script_says_it_and_exits_with_one(tmp_path):
    (tmp_path / "new.json").write_text('{"model_type": "brandnew"}')
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "models.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "'brandnew' is not known" in done.stdout


def test_the_page_lists_what_is_read_and_what_is_not():
    page = (ROOT / "docs" / "models.md").read_text()
    read = page.split("## Architectures that are read")[1].split("##")[0]
    assert read.strip() == ", ".join(f"`{name}`" for name in known_types()) + "."
    for name, why in REFUSED.items():
        assert f"| `{name}` | {why} |" in page
