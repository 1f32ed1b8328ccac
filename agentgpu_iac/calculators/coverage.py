"""Which of a folder's configs are covered: what was read of each, or why it is refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.store import POOLING_FILE, Catalog, load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.inputs import MOST_CONFIG_BYTES, json_of, read_file, source_of
from agentgpu_iac.sizing.kv_cache import kv_bytes_per_session, kv_bytes_per_token
from agentgpu_iac.spec.document import Document
from agentgpu_iac.units import counted

BESIDE = ("hf_quant_config.json", "model.safetensors.index.json", POOLING_FILE)
"""Files that say something about the config beside them, and are none themselves."""


class Covered(Document):
    """What was read of one config."""

    parameters_total: int
    """Parameters that an engine loads."""
    parameters_active: int
    """Parameters that one token touches."""
    layers: dict[str, int]
    """Layers by the state that they keep."""
    kv_bytes_per_token: int
    """Growing KV cache of one more token, in 16 bit on one accelerator."""
    state_bytes_per_session: int
    """What a session holds whatever its length: recurrent layers, in bytes."""
    towers: tuple[str, ...]
    """Encoders of pictures and sound, each in words."""
    said: tuple[str, ...]
    """What is not counted, each a sentence."""


class Coverage(Document):
    """One config, and what came of it."""

    file: str
    """Its path in the folder."""
    architecture: str
    """Its model type; empty where it has none."""
    covered: Covered | None = None
    """What was read; unset: it is refused."""
    refused: tuple[str, ...] = ()
    """Why it is refused: every fault."""


def coverage_of(folder: Path) -> tuple[Coverage, ...]:
    """Read every config below a folder, in the order of their paths.

    Args:
        folder: Where the files lie, each a config.json under any name that ends with .json.

    Raises:
        BadInput: there is no such folder, or no config in it.
    """
    if not folder.is_dir():
        raise BadInput.one(str(folder), "is no folder of config files")
    catalog = load_catalog(base_directory=folder)
    names = sorted(path.relative_to(folder) for path in folder.rglob("*.json") if not path.as_posix().endswith(BESIDE))
    if not names:
        raise BadInput.one(str(folder), "holds no config: files that end with .json are read")
    return tuple(_of(catalog, name) for name in names)


def _of(catalog: Catalog, name: Path) -> Coverage:
    architecture = _type(catalog, name)
    try:
        model = catalog.model(f"./{name.as_posix()}")
    except BadInput as refusal:
        reasons = tuple(f"{fault.path}: {fault.message}" if fault.path else fault.message for fault in refusal.faults)
        return Coverage(file=name.as_posix(), architecture=architecture, refused=reasons)
    return Coverage(file=name.as_posix(), architecture=architecture or model.architecture, covered=_read(model))


def _type(catalog: Catalog, name: Path) -> str:
    try:
        at = (catalog.base_directory or Path()) / name
        found = json_of(read_file(at, MOST_CONFIG_BYTES), source_of(at))
    except BadInput:
        return ""
    stated = found.get("model_type") if isinstance(found, dict) else None
    return stated if isinstance(stated, str) else ""


def _read(model: Model) -> Covered:
    return Covered(
        parameters_total=model.params_total,
        parameters_active=model.params_active,
        layers=model.layers.model_dump(exclude_defaults=True),
        kv_bytes_per_token=kv_bytes_per_token(model, "auto", 1, 1) if model.keeps_kv else 0,
        state_bytes_per_session=round(kv_bytes_per_session(model, "auto", 1, 1, 0)),
        towers=tuple(
            f"{tower.reads}: {tower.parameters / 1e9:.2f} B, {counted(tower.layers, 'layer')} of {tower.hidden_size}"
            for tower in model.towers
        ),
        said=(*model.unread, *model.unclear),
    )


def coverage_lines(rows: Iterable[Coverage]) -> tuple[str, ...]:
    """The answer as text: a line a config, and one for each thing that was said; the sum at the end."""
    lines: list[str] = []
    rows = tuple(rows)
    for row in rows:
        if row.covered is None:
            lines.append(f"refused  {row.file} ({row.architecture or 'no model_type'})")
            lines += [f"         {reason}" for reason in row.refused]
            continue
        found = row.covered
        layers = ", ".join(f"{count} {kind}" for kind, count in found.layers.items())
        lines.append(
            f"covered  {row.file} ({row.architecture}): {found.parameters_total / 1e9:,.2f} B, "
            f"{found.parameters_active / 1e9:,.2f} B active; layers: {layers}; "
            f"{counted(found.kv_bytes_per_token, 'byte')} of KV a "
            f"token; {counted(found.state_bytes_per_session, 'byte')} of state a session"
        )
        lines += [f"         {sentence}" for sentence in (*found.towers, *found.said)]
    covered = sum(1 for row in rows if row.covered is not None)
    return (*lines, f"{covered} of {len(rows)} covered")
