"""``agentgpu catalog update``: today's prices as an overlay file. The date is taken here, and nowhere below."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentgpu_iac.cli.output import yaml_text
from agentgpu_iac.errors import BadInput, MissingExtra, OutsideFailure
from agentgpu_iac.inputs import read_start
from agentgpu_iac.review.blocks import Block, Commands, Listing, Paragraph

if TYPE_CHECKING:
    from agentgpu_iac.provisioning.spheron.prices import Update

_FIRST_LINE = "# Made by agentgpu catalog update --provider"


def ask(provider: str, url: str | None) -> Update:
    """Read the offers. Raises MissingExtra without an HTTP client, OutsideFailure where nothing of use is sold."""
    try:
        client = importlib.import_module("agentgpu_iac.provisioning.spheron.client")
        prices = importlib.import_module("agentgpu_iac.provisioning.spheron.prices")
    except ModuleNotFoundError as error:
        raise MissingExtra("catalog update", provider, error) from None
    spheron = client.Spheron(url=url or client.URL)
    try:
        made: Update = prices.update_of(spheron.offers(), datetime.now(UTC).date().isoformat(), url or client.URL)
    finally:
        spheron.close()
    if not made.offers_used:
        raise OutsideFailure(f"{provider} offers nothing now that a plan could use; nothing was written")
    return made


def write(made: Update, path: Path) -> None:
    """Write the overlay whole or not at all; over an earlier one, never over another file."""
    if path.exists() and read_start(path, len(_FIRST_LINE)) != _FIRST_LINE.encode():
        raise BadInput.one(str(path), "the file was not made by this command", hint="name another one")
    rows = made.overlay.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    head = {"apiVersion": made.overlay.api_version, "kind": made.overlay.kind}
    text = f"{_FIRST_LINE} spheron; the next update replaces it.\n{yaml_text({**head, **rows})}"
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def summary(made: Update, path: Path) -> dict[str, Any]:
    """What was written and what was not, as data."""
    return {
        "file": str(path),
        "instanceTypes": len(made.overlay.instance_types),
        "prices": len(made.overlay.prices),
        "offersUsed": made.offers_used,
        "offersNotUsable": made.not_usable,
        "notMapped": made.not_mapped,
        "notReadable": made.not_readable,
    }


def view(made: Update, path: Path) -> Iterator[Block]:
    """The same for people."""
    rows = made.overlay
    yield Paragraph(
        text=f"{path}: {len(rows.prices)} prices of {len(rows.instance_types)} kinds of machines, from {made.offers_used} "
        f"offers. {made.not_usable} more cannot be planned with now: no cloud-init, sold out or under maintenance."
    )
    if made.not_mapped:
        yield Paragraph(text="Not among the catalog's accelerators:")
        yield Listing(items=made.not_mapped)
    if made.not_readable:
        yield Paragraph(text="Not understood:")
        yield Listing(items=made.not_readable)
    yield Commands(lines=(f"agentgpu plan SPEC --catalog {path}",))
