"""``agentgpu catalog update``: today's prices as an overlay file. The date is taken here, and nowhere below."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentgpu_iac.catalog.live import AMAZON
from agentgpu_iac.catalog.marketplace import MARKETPLACE
from agentgpu_iac.cli.files import write_whole
from agentgpu_iac.cli.output import yaml_text
from agentgpu_iac.errors import BadInput, MissingExtra, OutsideFailure
from agentgpu_iac.inputs import read_start
from agentgpu_iac.review.blocks import Block, Commands, Listing, Paragraph
from agentgpu_iac.spec.addresses import keeps_secrets
from agentgpu_iac.units import counted

if TYPE_CHECKING:
    from agentgpu_iac.catalog.live import Update

_ASKERS = {
    AMAZON: "agentgpu_iac.provisioning.aws.live_prices",
    MARKETPLACE: "agentgpu_iac.provisioning.spheron.prices",
}
"""Who asks each provider."""
_FIRST_LINE = "# Made by agentgpu catalog update --provider"


def ask(provider: str, url: str | None, regions: Sequence[str] = ()) -> Update:
    """Read the prices. Raises MissingExtra without the library that asks, OutsideFailure where nothing of use is sold."""
    if url is not None and not keeps_secrets(url):
        raise BadInput.one(
            "--url", "is no address that may be asked", hint="write https://; http:// is for this machine alone"
        )
    now = datetime.now(UTC)
    try:
        prices = importlib.import_module(_ASKERS[provider])
    except ModuleNotFoundError as error:
        raise MissingExtra("catalog update", provider, error) from None
    made: Update = (
        prices.ask(url, now.isoformat(timespec="seconds"), regions)
        if provider == AMAZON
        else prices.ask(url, now.date().isoformat())
    )
    if not made.offers_used:
        raise OutsideFailure(f"{provider} offers nothing now that a plan could use; nothing was written")
    return made


def write(made: Update, path: Path) -> None:
    """Write the overlay whole or not at all; over an earlier one, never over another file."""
    if path.exists() and read_start(path, len(_FIRST_LINE)) != _FIRST_LINE.encode():
        raise BadInput.one(str(path), "the file was not made by this command", hint="name another one")
    rows = made.overlay.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    head = {"apiVersion": made.overlay.api_version, "kind": made.overlay.kind}
    text = f"{_FIRST_LINE} {made.provider}; the next update replaces it.\n{yaml_text({**head, **rows})}"
    write_whole(path, text)


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
    kinds = len({(price.provider, price.instance_type) for price in rows.prices})
    yield Paragraph(
        text=f"{path}: {counted(len(rows.prices), 'price')} of {kinds} kinds of machines, from {made.offers_used} "
        f"offers. {made.not_usable} more cannot be planned with now: {made.not_usable_since}."
    )
    if made.not_mapped:
        yield Paragraph(text="Not among the catalog's accelerators:")
        yield Listing(items=made.not_mapped)
    if made.not_readable:
        yield Paragraph(text="Not answered, or not understood:")
        yield Listing(items=made.not_readable)
    yield Commands(lines=(f"agentgpu plan SPEC --catalog {path}",))
