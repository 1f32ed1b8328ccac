"""``catalog``: the facts that plans rest on, and prices of today."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agentgpu_iac.cli import completing
from agentgpu_iac.cli.app import Format, FormatOption, OverlayOption
from agentgpu_iac.cli.files import writing


class CatalogKind(StrEnum):
    """What the catalog holds."""

    ACCELERATORS = "accelerators"
    MODELS = "models"
    OFFERINGS = "offerings"
    ENGINES = "engines"
    PARSERS = "parsers"
    LIMITS = "limits"
    PROVIDERS = "providers"
    VOLUMES = "volumes"
    KUBERNETES = "kubernetes"
    QUOTAS = "quotas"
    EXCLUDED = "excluded"


class LiveProvider(StrEnum):
    """Providers whose prices can be asked for."""

    AWS = "aws"
    SPHERON = "spheron"


def catalog_list(
    kind: Annotated[CatalogKind, typer.Argument(help="What to list.")] = CatalogKind.ACCELERATORS,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """List accelerators, models, offerings, engines, providers, or what is excluded and why."""
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.cli import output
    from agentgpu_iac.review.catalog_view import listing

    found = listing(load_catalog(catalog), kind.value)
    if format is Format.JSON:
        output.write_json(found.rows)
    else:
        output.write_blocks((found.table,))


def catalog_show(
    name: Annotated[
        str,
        typer.Argument(
            help="Accelerator, model, instance type or provider: id or name.", autocompletion=completing.rows
        ),
    ],
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Show one row with its sources."""
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.cli import output
    from agentgpu_iac.review.catalog_view import entry, entry_view

    found = entry(load_catalog(catalog, base_directory=Path.cwd()), name)
    if format is Format.JSON:
        output.write_json(found)
    else:
        output.write_blocks(entry_view(found))


def catalog_update(
    provider: Annotated[LiveProvider, typer.Option(help="Provider to ask.")],
    output_file: Annotated[
        Path,
        typer.Option("--output", "-o", help="Catalog overlay to write; an earlier one of this command is replaced."),
    ],
    url: Annotated[
        str | None, typer.Option(help="Address of the provider's API, where it is not the usual one.")
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(help="Region of AWS to ask about, again for each; left out, all that the catalog knows."),
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Ask a provider for its prices of today, and write them as a catalog overlay for --catalog.

    Exit code 0: written. 2: the file is someone else's. 3: the provider does not answer, or sells nothing of use; nothing is
    written then.
    """
    from agentgpu_iac.cli import output, update

    made = update.ask(provider.value, url, tuple(region or ()))
    with writing(output_file):
        update.write(made, output_file)
    if format is Format.JSON:
        output.write_json(update.summary(made, output_file))
    else:
        output.write_blocks(update.view(made, output_file))
