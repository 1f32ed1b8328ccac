#!/usr/bin/env python3
"""Writes agentgpu_iac/catalog/data/architectures.json anew from a wheel of transformers: ``tools/architectures.py WHEEL DATE``.

A config leaves out what equals the defaults of its class, so those defaults are facts. They are read from the classes'
source without running it: the fields that our readers know, of the model types below. Computed defaults are not read;
where one matters, a reader says so (catalog/huggingface/layers.py).
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
READERS = ROOT / "agentgpu_iac" / "catalog" / "huggingface"
DATA = ROOT / "agentgpu_iac" / "catalog" / "data" / "architectures.json"

TYPES = (
    "afmoe",
    "apertus",
    "arcee",
    "bailing_hybrid",
    "bamba",
    "cohere",
    "cohere2",
    "cohere2_vision",
    "cwm",
    "deepseek_v2",
    "deepseek_v3",
    "deepseek_v32",
    "dots1",
    "ernie4_5",
    "ernie4_5_moe",
    "exaone4",
    "exaone4_5",
    "exaone_moe",
    "falcon_h1",
    "flex_olmo",
    "flint",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gemma3n",
    "gemma3n_text",
    "gemma4",
    "gemma4_text",
    "gemma4_unified",
    "gemma4_unified_text",
    "glm",
    "glm4",
    "glm4_moe",
    "glm4_moe_lite",
    "glm4v",
    "glm4v_moe",
    "glm4v_moe_text",
    "glm4v_text",
    "glm5_next",
    "glm5_next_text",
    "glm_moe_dsa",
    "glm_ocr",
    "glm_ocr_text",
    "gpt_neox",
    "gpt_oss",
    "granite",
    "granite_swa",
    "granitemoe",
    "granitemoe_swa",
    "granitemoehybrid",
    "granitemoeshared",
    "helium",
    "hunyuan_v1_dense",
    "hunyuan_v1_moe",
    "hy_v3",
    "hy_v4",
    "hyperclovax",
    "internlm3",
    "internvl",
    "jais2",
    "jamba",
    "kimi_k25",
    "kimi_linear",
    "laguna",
    "lfm2",
    "lfm2_moe",
    "lfm2_vl",
    "lfm3",
    "llama",
    "llama4",
    "llama4_text",
    "llava",
    "llava_next",
    "llava_onevision",
    "mellum",
    "mimo_v2_flash",
    "minicpm3",
    "minimax_m2",
    "minimax_m3_vl",
    "minimax_m3_vl_text",
    "ministral",
    "ministral3",
    "mistral",
    "mistral3",
    "mistral4",
    "mixtral",
    "muse_glimmer",
    "muse_glimmer_text",
    "nemotron",
    "nemotron_h",
    "olmo",
    "olmo2",
    "olmo3",
    "olmo_hybrid",
    "olmoe",
    "phi",
    "phi3",
    "phimoe",
    "qwen2",
    "qwen2_5_omni_text",
    "qwen2_5_vl",
    "qwen2_5_vl_text",
    "qwen2_moe",
    "qwen2_vl",
    "qwen2_vl_text",
    "qwen3",
    "qwen3_5",
    "qwen3_5_moe",
    "qwen3_5_moe_text",
    "qwen3_5_text",
    "qwen3_moe",
    "qwen3_next",
    "qwen3_vl",
    "qwen3_vl_moe",
    "qwen3_vl_moe_text",
    "qwen3_vl_text",
    "sarvam_moe",
    "seed_oss",
    "smollm3",
    "solar_open",
    "stablelm",
    "starcoder2",
    "step3p5",
    "step3p7",
    "vaultgemma",
    "youtu",
)
BY_HAND: dict[str, dict[str, Any]] = {
    "kimi_k3": {"text": "kimi_linear"},
    "nemotron-nas": {"defaults": {"tie_word_embeddings": False}},
    "internvl_chat": {"text": "qwen2"},
    "NemotronH_Nano_VL_V2": {"text": "nemotron_h"},
}
"""Types that transformers has no class for."""
TEXT = ("text_config", "llm_config")
NO_READERS = ("unread.py", "mistral.py")
"""Files that name fields without reading them."""
TOWERS = ("vision_config", "audio_config")


def simple(node: ast.expr) -> dict[str, Any]:
    """The pairs of a dictionary whose values are plain."""
    found: dict[str, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ():
        try:
            found[ast.literal_eval(key)] = ast.literal_eval(value)
        except (ValueError, TypeError):
            continue
    return found


def ratio(node: ast.expr) -> float | None:
    """A quotient of two numbers, as some ratios are written."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return float(ast.literal_eval(node.left)) / float(ast.literal_eval(node.right))
    return None


class Inner:
    """A config within another: its class or its type, what it is made with, and whether it may be absent."""

    def __init__(self, node: ast.expr) -> None:
        self.class_name = node.id if isinstance(node, ast.Name) else ""
        self.model_type, self.changes, self.is_optional = "", dict[str, Any](), False
        for word in node.keywords if isinstance(node, ast.Call) else ():
            if word.arg == "config_class" and isinstance(word.value, ast.Name):
                self.class_name = word.value.id
            elif word.arg == "model_type":
                self.model_type = ast.literal_eval(word.value)
            elif word.arg == "init_kwargs":
                self.changes = simple(word.value)
            elif word.arg == "optional":
                self.is_optional = bool(ast.literal_eval(word.value))


class Class:
    """What one configuration class says."""

    def __init__(self, node: ast.ClassDef, known: dict[str, Class]) -> None:
        self.model_type = ""
        self.defaults: dict[str, Any] = {}
        self.inner: dict[str, Inner] = {}
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in known:
                self.defaults.update(known[base.id].defaults)
                self.inner.update(known[base.id].inner)
        for line in node.body:
            self._read(line)

    def _read(self, line: ast.stmt) -> None:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value is not None:
            name, value = line.target.id, line.value
        elif isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            name, value = line.targets[0].id, line.value
        else:
            return
        if name == "sub_configs_defaults" and isinstance(value, ast.Dict):
            pairs = zip(value.keys, value.values, strict=True)
            self.inner = {str(key.value): Inner(node) for key, node in pairs if isinstance(key, ast.Constant)}
            return
        found = ratio(value)
        if found is None:
            try:
                found = ast.literal_eval(value)
            except ValueError:
                return
        if name == "model_type":
            self.model_type = found
        else:
            self.defaults[name] = found


def classes_of(wheel: Path) -> dict[str, tuple[Class, dict[str, Class]]]:
    """Every class by its model type, with the classes of its module."""
    found: dict[str, tuple[Class, dict[str, Class]]] = {}
    with zipfile.ZipFile(wheel) as files:
        for name in sorted(files.namelist()):
            if re.fullmatch(r"transformers/models/\w+/configuration_\w+\.py", name):
                known: dict[str, Class] = {}
                for node in ast.parse(files.read(name)).body:
                    if isinstance(node, ast.ClassDef):
                        known[node.name] = Class(node, known)
                        if known[node.name].model_type:
                            found.setdefault(known[node.name].model_type, (known[node.name], known))
    return found


def names_read() -> frozenset[str]:
    """Every name that our readers may ask a config for."""
    texts = (path.read_text(encoding="utf-8") for path in READERS.glob("*.py") if path.name not in NO_READERS)
    return frozenset(name for text in texts for name in re.findall(r'"([A-Za-z_0-9]+)"', text))


def kept(defaults: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Defaults that a reader knows and that say something."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in sorted(defaults.items())
        if name in names and value is not None and not isinstance(value, dict)
    }


def row_of(
    model_type: str, classes: dict[str, tuple[Class, dict[str, Class]]], names: frozenset[str]
) -> dict[str, Any]:
    """One architecture."""
    if model_type not in classes:
        return {"modelType": model_type}
    own, beside = classes[model_type]
    row: dict[str, Any] = {"modelType": model_type, "defaults": kept(own.defaults, names)}
    for name, spec in own.inner.items():
        inner = beside.get(spec.class_name) or classes.get(spec.model_type, (None,))[0]
        if inner is None:
            continue
        if name in TEXT:
            row["text"] = inner.model_type
            if spec.changes:
                row["textDefaults"] = kept(spec.changes, names)
        elif name in TOWERS:
            defaults = {"model_type": inner.model_type, **kept({**inner.defaults, **spec.changes}, names)}
            row.setdefault("towers", {})[name] = {"isOptional": spec.is_optional, "defaults": defaults}
    return row


def main(wheel: Path, read: str) -> None:
    """Write the file."""
    names, classes = names_read(), classes_of(wheel)
    release = wheel.name.split("-")[1]
    rows = [row_of(name, classes, names) for name in TYPES]
    rows += [{"modelType": name, **row} for name, row in BY_HAND.items()]
    source = f"PyPI transformers {release}, configuration classes"
    lines = (
        json.dumps({**row, "source": source if row["modelType"] in classes else "its public config.json", "read": read})
        for row in sorted(rows, key=lambda row: row["modelType"].casefold())
    )
    DATA.write_text("[\n " + ",\n ".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
