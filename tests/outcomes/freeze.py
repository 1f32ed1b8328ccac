"""Write the frozen catalog anew from the packaged one: ``python -m tests.outcomes.freeze``.

The golden plans are made with these few rows, so that a new price or machine changes none of them. Run this only to add a
row that a golden stack needs, or to take in a new column; then ``make golden``, and review what changed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from agentgpu_iac.catalog.packaged import FILES

FOLDER = Path(__file__).parent / "catalog"

ACCELERATORS = frozenset(
    {
        "a100-80gb-pcie",
        "a100-80gb-sxm",
        "b200-sxm",
        "h100-pcie",
        "h100-sxm",
        "h200-sxm",
        "l4",
        "l40s",
        "rtx-4090",
        "rtx-5090",
        "rtx-pro-6000-blackwell-server",
    }
)
MACHINES = {
    "aws": (
        "g6.xlarge",
        "g6.12xlarge",
        "g6e.xlarge",
        "g6e.12xlarge",
        "g7e.2xlarge",
        "g7e.24xlarge",
        "p4de.24xlarge",
        "p5.48xlarge",
        "p5en.48xlarge",
        "p6-b200.48xlarge",
    ),
    "azure": ("NC24ads_A100_v4",),
    "gcp": ("g2-standard-4",),
    "hyperstack": ("n3-A100x1", "n3-H100x1", "n3-H100x4"),
    "lambda": ("gpu_2x_b200_sxm6",),
    "nebius": ("gpu-h200-sxm_1gpu-16vcpu-200gb",),
    "runpod": ("1x_A100-80GB_SECURE", "RTX 5090"),
    "spheron": ("H200 SXM", "RTX 5090"),
    "vast": ("1x RTX 4090",),
}
REGIONS = frozenset({"us-east-1", "us-west-2"})
"""Of AWS, which has many; the other providers keep all of theirs."""
MODELS = frozenset(
    {
        "BAAI/bge-m3",
        "BAAI/bge-reranker-v2-m3",
        "meta-llama/Llama-2-13b-chat-hf",
        "meta-llama/Llama-3.1-8B-Instruct",
        "meta-llama/Llama-3.2-3B-Instruct",
        "meta-llama/Llama-3.3-70B-Instruct",
        "mistralai/Mistral-7B-Instruct-v0.3",
        "openai/gpt-oss-20b",
        "Qwen/Qwen2.5-Coder-7B-Instruct",
        "Qwen/Qwen2.5-Coder-32B-Instruct",
        "Qwen/Qwen3-0.6B",
        "Qwen/Qwen3-4B",
        "Qwen/Qwen3-8B",
        "Qwen/Qwen3-14B",
        "Qwen/Qwen3-30B-A3B-Instruct-2507",
        "zai-org/GLM-5.1",
    }
)


def _sold(provider: str, machine: str) -> bool:
    return machine in MACHINES.get(provider, ())


EVERY_ROW = frozenset(
    {
        "charges.json",
        "cluster_pods.json",
        "gates.json",
        "kubernetes.json",
        "providers.json",
        "quantisation_methods.json",
        "quotas.json",
        "system_machines.json",
        "repacks.json",
        "routers.json",
        "services.json",
        "shortcuts.json",
        "thinking.json",
        "volumes.json",
    }
)
"""Files that are small, and kept whole, as are those of the engines."""

KEPT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "accelerators.json": lambda row: row["id"] in ACCELERATORS,
    **{name: lambda row: True for name in FILES if name.startswith("engine") or name in EVERY_ROW},
    "gpu_aliases.json": lambda row: row["provider"] == "*" or row["provider"] in MACHINES,
    "instance_types.json": lambda row: _sold(row["provider"], row["name"]),
    "kernels.json": lambda row: row["accelerator"] in ACCELERATORS,
    "models.json": lambda row: row["id"] in MODELS,
    "pooling_models.json": lambda row: row["id"] in MODELS,
    "prices.csv": lambda row: (
        _sold(row["provider"], row["instanceType"]) and (row["provider"] != "aws" or row["region"] in REGIONS)
    ),
    "skypilot.json": lambda row: row["accelerator"] in ACCELERATORS,
    "token_prices.csv": lambda row: row["model"] in MODELS,
}
"""File -> which of its rows stay."""


def frozen(name: str, content: str) -> str:
    """The rows of a file that stay, in their order and as they are spelt, one a line."""
    keep = KEPT[name]
    if name.endswith(".csv"):
        rows = [row for row in csv.DictReader(io.StringIO(content, newline="")) if keep(row)]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
    kept = [json.dumps(row, ensure_ascii=False) for row in json.loads(content) if keep(row)]
    return "[\n " + ",\n ".join(kept) + "\n]\n"


def main() -> None:
    """Rewrite every file."""
    FOLDER.mkdir(exist_ok=True)
    for name in KEPT:
        source = resources.files("agentgpu_iac.catalog") / "data" / name
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_text(frozen(name, source.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
