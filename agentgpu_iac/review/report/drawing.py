"""Draws the figures: Vega-Lite to SVG by vl-convert, and of that SVG what a page needs, and nothing else.

What comes out is read as XML and written anew from a list of elements and attributes: shapes and text, no script, no style, no
link, no name that another figure could bear too. Numbers are cut to two decimals. So a figure's bytes depend on its data alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from xml.etree import ElementTree as Xml

from agentgpu_iac.characters import visible
from agentgpu_iac.errors import MissingExtra

_VERSION: Final = "6.4"
"""Release of Vega-Lite, among those that vl-convert holds."""
_SVG: Final = "{http://www.w3.org/2000/svg}"
_SHAPES: Final = frozenset({"path", "rect", "line", "text"})
_ATTRIBUTES: Final = frozenset(
    {
        "d", "fill", "fill-opacity", "font-size", "font-weight", "height", "opacity", "stroke", "stroke-dasharray",
        "stroke-opacity", "stroke-width", "text-anchor", "transform", "width", "x", "x2", "y", "y2",
    }
)  # fmt: skip
_LONG: Final = re.compile(r"-?\d+\.\d{3,}")
_EMPTY: Final = frozenset({"", "M0,0h0v0h0Z"})


def library() -> Callable[..., str]:
    """What makes SVG of a Vega-Lite specification: asked for before a plan is made, which takes longer.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        from vl_convert import vegalite_to_svg  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingExtra("report", "report", error) from None
    found: Callable[..., str] = vegalite_to_svg
    return found


def draw(spec: Mapping[str, Any], name: str, title: str, summary: str) -> str:
    """A figure as SVG for the inside of a page.

    Raises:
        MissingExtra: the library that draws is not installed.
    """
    drawn = library()(_spelled(dict(spec)), vl_version=_VERSION, allowed_base_urls=[])
    return cleaned(drawn, name, title, summary)


def _spelled(value: Any) -> Any:
    """The same with every text as it may stand on a page."""
    match value:
        case str():
            return visible(value)
        case Mapping():
            return {key: _spelled(each) for key, each in value.items()}
        case list() | tuple():
            return [_spelled(each) for each in value]
        case _:
            return value


def cleaned(svg: str, name: str, title: str, summary: str) -> str:
    """The picture of an SVG document under another name, with what it shows in words."""
    root = Xml.fromstring(svg)  # noqa: S314 - it is our own library's, and expands no entity that is declared elsewhere
    width, height = root.get("width", ""), root.get("height", "")
    made = Xml.Element(
        "svg",
        {
            "class": "drawing",
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-summary",
        },
    )
    Xml.SubElement(made, "title", {"id": f"{name}-title"}).text = visible(title)
    Xml.SubElement(made, "desc", {"id": f"{name}-summary"}).text = visible(summary)
    made.extend(_kept(root, is_mark=False))
    return Xml.tostring(made, encoding="unicode", short_empty_elements=False)


def _kept(parent: Xml.Element, *, is_mark: bool) -> Iterator[Xml.Element]:
    """What is visible below an element, as elements without a name space."""
    for element in parent:
        tag = element.tag.removeprefix(_SVG)
        if tag == "g":
            here = is_mark or "role-mark" in element.get("class", "").split()
            group = Xml.Element("g", _attributes(element))
            group.extend(_kept(element, is_mark=here))
            if len(group) and group.attrib:
                yield group
            else:
                yield from group
        elif tag in _SHAPES and not _is_hidden(element):
            shape = Xml.Element(tag, _attributes(element))
            shape.text = element.text
            if is_mark and element.get("aria-label"):
                Xml.SubElement(shape, "title").text = element.get("aria-label")
            yield shape


def _is_hidden(element: Xml.Element) -> bool:
    classes = element.get("class", "").split()
    frame = bool({"background", "foreground"} & set(classes))
    return frame or element.get("display") == "none" or (element.get("d") in _EMPTY)


def _attributes(element: Xml.Element) -> dict[str, str]:
    found = {
        key: _LONG.sub(_cut, value)
        for key, value in element.items()
        if key in _ATTRIBUTES and value not in ("translate(0,0)", "")
    }
    return {key: value for key, value in found.items() if (key, value) != ("opacity", "1")}


def _cut(number: re.Match[str]) -> str:
    return f"{float(number.group()):.2f}".rstrip("0").rstrip(".")
