"""Where a page of ``docs`` is, for texts that send a reader to one: the one home of what such a page is called.

The project has no address of its own yet, so a page is called by its path in the checkout: it opens there, on any code
host, and in the site that ``make docs`` builds. Once there is an address, it goes in front of it here, in ``site_url`` of
``mkdocs.yml`` and in ``[project.urls]``.
"""

from __future__ import annotations

from typing import Final

FOLDER: Final = "docs"
SCHEMA_NAMES: Final = "urn:agentgpu:schema"
"""What the names of our JSON Schemas begin with: a name (RFC 8141), for a schema that no address serves."""


def page(name: str, heading: str = "") -> str:
    """The path of a page in the checkout. ``heading``: the anchor of one of its headings."""
    return f"{FOLDER}/{name}.md{f'#{heading}' if heading else ''}"


def schema_name(document: str) -> str:
    """The ``$id`` of the JSON Schema of a document, such as ``agentstack``."""
    return f"{SCHEMA_NAMES}:{document}.v1alpha1"
