"""What MkDocs does beside its own: pages whose text stands at the top of the repository, and links that leave ``docs``.

A link to a file of the repository that is no page of the site becomes the file's path: the site has no copy of it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
AT_THE_TOP = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md", "security-policy.md": "SECURITY.md"}
"""Pages of the site, and the files that hold their text."""
_PAGES = {source: page for page, source in AT_THE_TOP.items()}
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from the top of the repository."""
    for page, source in AT_THE_TOP.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_as_in_docs(text)))
    return files


def on_config(config: Any) -> Any:
    """List every decision, oldest first, where the navigation says ``adr/*``."""
    decisions = sorted(path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md"))
    for section in config["nav"]:
        for item in next(iter(section.values())) if isinstance(section, dict) else ():
            if isinstance(item, dict) and "Decisions" in item:
                item["Decisions"] = ["adr/README.md", *(f"adr/{name}" for name in decisions)]
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links out of ``docs`` to the pages that the site has of them; others become paths."""
    folder = posixpath.dirname(page.file.src_uri)

    def replaced(match: re.Match[str]) -> str:
        target = match["target"]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join("docs", folder, target))
        if path.startswith("docs/"):
            return match[0]
        if path in _PAGES:
            return f"[{match['text']}]({posixpath.relpath(_PAGES[path], folder or '.')}{match['anchor'] or ''})"
        text = match["text"].strip("`")
        return f"`{path}`" if text in path else f"{match['text']} (`{path}`)"

    return _LINK.sub(replaced, markdown)


def _as_in_docs(text: str) -> str:
    """The links of a page at the top, as they would stand in ``docs``."""

    def moved(match: re.Match[str]) -> str:
        target = match["target"]
        if "://" in target:
            return match[0]
        target = target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"
        return f"[{match['text']}]({target}{match['anchor'] or ''})"

    return _LINK.sub(moved, text)
