"""A config.json, however it is broken: a model, or faults that name file and field."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.calculators.calculator import PREDICT, SIZE
from agentgpu_iac.catalog.huggingface import layers, model_from_config
from agentgpu_iac.catalog.huggingface.fields import MOST_LAYERS
from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.errors import BadInput
from tests.catalog import test_huggingface as shapes
from tests.thoroughness import examples

NAME = "config.json"
CONFIGS: dict[str, dict[str, Any]] = {
    name: value for name, value in vars(shapes).items() if isinstance(value, dict) and "num_hidden_layers" in value
} | {
    path.parent.name: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[1] / "field" / "configs").glob("*/config.json"))
}
QUIET = settings(derandomize=True, deadline=None, database=None)
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 3.5, 10**9, 10**10, 10**400, -(10**400), float("nan"), float("inf")),
    *("", "auto", "x" * 10_000, "é\x00", [], {}, [[]], [None], {"a": {}}, ["full_attention"] * 3, [1] * 100_000),
    *({"rope_type": ["a"], "factor": float("inf")}, {"type": "linear", "factor": 10**400}, {"quant_method": ["fp8"]}),
    *({"quant_method": {}, "bits": []}, {"config_groups": [1]}, {"weights": 3}),
)


def paths(value: object, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a config; of a list, to its first item alone."""
    found = [above] if above else []
    items: Any = (
        value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    )
    return found + [path for key, inner in items for path in paths(inner, (*above, key))]


WAYS = {name: paths(config) for name, config in CONFIGS.items()}
FIELDS = sorted({str(path[0]) for ways in WAYS.values() for path in ways})


def assert_model_or_faults(content: bytes | str) -> Model | None:
    try:
        return model_from_config(content, NAME)
    except BadInput as refused:
        assert refused.faults
        for fault in refused.faults:
            assert fault.source == NAME
            assert fault.message
            assert len(str(fault)) < 10_000
            assert "pydantic" not in str(fault)
        return None


@functools.cache
def catalog(folder: Path) -> Catalog:
    return load_catalog(base_directory=folder)


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A real config with one to three of its values changed, left out, or put under another name."""
    name = draw(st.sampled_from(sorted(CONFIGS)))
    config = copy.deepcopy(CONFIGS[name])
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.one_of(st.sampled_from(WAYS[name]), st.sampled_from(FIELDS).map(lambda field: (field,))))
        value = draw(st.sampled_from(HOSTILE))
        place: Any = config
        for step in way[:-1]:
            try:
                place = place[step]
            except (KeyError, IndexError, TypeError):
                break
        if isinstance(place, dict):
            if draw(st.integers(0, 4)):
                place[way[-1]] = value
            else:
                place.pop(way[-1], None)
        elif isinstance(place, list) and place:
            place[0] = value
    return json.dumps(config)


@settings(QUIET, max_examples=examples(600))
@given(text=broken())
def test_a_changed_config_is_a_model_or_faults(text: str) -> None:
    assert_model_or_faults(text)


@settings(QUIET, max_examples=examples(200))
@given(name=st.sampled_from(sorted(CONFIGS)), share=st.floats(0, 1), junk=st.binary(max_size=8))
def test_a_truncated_config_is_a_model_or_faults(name: str, share: float, junk: bytes) -> None:
    raw = json.dumps(CONFIGS[name]).encode()
    at = int(share * len(raw))
    assert_model_or_faults(raw[:at])
    assert_model_or_faults(raw[:at] + junk + raw[at:])


@settings(QUIET, max_examples=examples(100))
@given(text=broken())
def test_what_is_read_is_sized_and_predicted_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if assert_model_or_faults(text) is None:
        return
    folder = tmp_path_factory.getbasetemp()
    (folder / NAME).write_text(text, encoding="utf-8")
    asked = {"model": NAME, "accelerator": "h100-sxm", "tp": 1, "max-model-len": 1024}
    for calculator, more in ((SIZE, {}), (PREDICT, {"input-tokens": 100, "output-tokens": 10, "concurrency": 4.0})):
        try:
            answer = calculator.answer({**asked, **more}, catalog(folder))
        except BadInput:
            continue
        assert json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"num_hidden_layers": 10**6}, "num_hidden_layers", f"no model has more than {MOST_LAYERS:,} layers"),
        ({"num_attention_heads": 10**400}, "num_attention_heads", "must be a positive whole number"),
        ({"vocab_size": float("inf")}, "vocab_size", "must be a positive whole number"),
        ({"rope_scaling": {"rope_type": "linear", "factor": float("inf")}}, "rope_scaling", "no number above 0"),
        ({"layer_types": [f"kind-{n}" for n in range(9_000)]}, "layer_types", "are unknown"),
    ],
)
def test_absurd_figures_are_faults_of_their_field(changes: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        model_from_config(json.dumps({**shapes.DENSE, **changes}), NAME)
    assert len(refused.value.faults) <= 25
    assert all(fault.path == field and words in fault.message for fault in refused.value.faults)


def test_each_layer_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many layers as are read at all; what is asked of all of them is not asked again for each."""
    asked = 0

    def counted(values: Any) -> bool:
        nonlocal asked
        asked += 1
        return next((True for value in values if value), False)

    monkeypatch.setattr(layers, "any", counted, raising=False)
    pattern = {**shapes.MAMBA, "hybrid_override_pattern": "M" * MOST_LAYERS, "num_hidden_layers": MOST_LAYERS}
    assert_model_or_faults(json.dumps(pattern))
    assert 0 < asked < 10


def test_infinity_in_a_field_that_nobody_reads_is_no_fault() -> None:
    """As configs of Mamba-2 models have it."""
    assert model_from_config(json.dumps({**shapes.DENSE, "time_step_limit": [0.0, float("inf")]}), NAME)


HEADER = {
    "__metadata__": {"format": "pt"},
    **{
        f"model.layers.{layer}.mlp.up_proj.weight": {"dtype": "BF16", "shape": [64, 64], "data_offsets": [0, 8192]}
        for layer in range(3)
    },
}
HOSTILE_ENTRIES: tuple[Any, ...] = (
    *(None, 3, [], {}, "x", {"dtype": "BF16"}, {"dtype": ["BF16"], "data_offsets": [0, 1]}),
    *({"dtype": "BF16", "data_offsets": place} for place in ([1, 0], [0, 10**400], [0], ["a", 1], [True, 2], {"a": 1})),
)


def weight_file(folder: Path, header: bytes, *, claimed: int | None = None, more: int = 0) -> Path:
    """A model's folder with one weight file, whose first bytes claim some length."""
    (folder / NAME).write_text(json.dumps(shapes.DENSE), encoding="utf-8")
    length = len(header) if claimed is None else claimed
    (folder / "model.safetensors").write_bytes(length.to_bytes(8, "little") + header + b"\0" * more)
    return folder


def refusal_of(folder: Path) -> str:
    with pytest.raises(BadInput) as refused:
        load_catalog(base_directory=folder).model(NAME)
    (fault,) = refused.value.faults
    return str(fault)


@pytest.mark.parametrize(
    ("claimed", "words"),
    [(2**63, "claims a header of"), (10**9, "claims a header of"), (0, "is not JSON"), (3, "is not JSON")],
)
def test_a_header_that_lies_about_its_length(tmp_path: Path, claimed: int, words: str) -> None:
    told = refusal_of(weight_file(tmp_path, json.dumps(HEADER).encode(), claimed=claimed))
    assert told.startswith(f"{tmp_path / 'model.safetensors'}: ")
    assert words in told


def test_a_weight_file_that_is_a_pointer_or_cut_off(tmp_path: Path) -> None:
    weight_file(tmp_path, b"{}")
    (tmp_path / "model.safetensors").write_bytes(b"\x01\x02")
    assert "is cut off before its header" in refusal_of(tmp_path)
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    assert "model.safetensors: is a pointer to a file in Git LFS" in refusal_of(tmp_path)


@settings(QUIET, max_examples=examples(60))
@given(entry=st.sampled_from(HOSTILE_ENTRIES), name=st.sampled_from(["w", "x" * 10_000, "model.layers.99999999999.w"]))
def test_a_hostile_tensor_is_a_fault(entry: Any, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("model")
    assert len(refusal_of(weight_file(folder, json.dumps({**HEADER, name: entry}).encode(), more=10))) < 1000


def test_an_index_that_is_a_web_page(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps(shapes.DENSE), encoding="utf-8")
    (tmp_path / "model.safetensors.index.json").write_text("<html></html>", encoding="utf-8")
    assert "is a web page (HTML)" in refusal_of(tmp_path)
