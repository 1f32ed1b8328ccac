"""Looks at pages in Chromium; run by the interpreter that has playwright, and prints what it saw as JSON.

``look.py CHROMIUM ROOT PAGE...``: each page is served on loopback by this program, which counts what is asked of it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tools.browser.chromium import launched

VIEWS = ((1280, "light"), (375, "dark"), (1280, "dark"), (375, "light"))
"""The first page is seen in all of them, the others in the first two."""
_MOST_STOPS = 2_000
_PATIENCE_MS = 240_000
"""A machine that does much else is slow, and no fault of the page."""

_OPEN = "for (const each of document.querySelectorAll('details')) each.open = true"
_WIDE = """() => [...document.querySelectorAll('body *')]
    .filter(each => !each.closest('.scroll') && !each.closest('.skip') && each.getBoundingClientRect().right > innerWidth + 0.5)
    .map(each => `${each.tagName} ${each.textContent.slice(0, 40)}`)"""
_FOCUS = """() => { const at = document.activeElement;
    const box = at.getBoundingClientRect(), style = getComputedStyle(at);
    return at === document.body ? null : {tag: at.tagName, text: at.textContent.trim().slice(0, 60), id: at.id,
      href: at.getAttribute('href'), class: at.className, seen: box.width > 0 && box.height > 0,
      outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0}; }"""
_TABLES = """() => Object.fromEntries([...document.querySelectorAll('table')].map(table => [table.caption.innerText,
    [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.innerText.trim()))]))"""
_SHAPES = """() => [...document.querySelectorAll('figure')].map(figure => ({title: figure.querySelector('h3').innerText,
    drawn: [...figure.querySelectorAll('svg g > path, svg > path, svg g > line')].filter(each => each.querySelector('title'))
      .map(each => { const box = each.getBBox(), at = each.getCTM(), svg = each.ownerSVGElement.getCTM();
        return {tip: each.querySelector('title').textContent, width: box.width, height: box.height,
                fill: getComputedStyle(each).fill}; })}))"""
_WORDS = """() => [...document.querySelectorAll('svg text')].filter(each => {
    const box = each.getBoundingClientRect(), of = each.ownerSVGElement.getBoundingClientRect();
    return box.left < of.left - 1 || box.right > of.right + 1; }).map(each => each.textContent)"""


@contextlib.contextmanager
def served(page: bytes) -> Iterator[tuple[str, list[str]]]:
    """The address of a page, and what is asked of its server."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == "/plan.html" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)  # a browser opens connections that it asks nothing on
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/plan.html", asked
    finally:
        server.shutdown()
        server.server_close()


def looked_at(browser: Browser, path: Path, views: int) -> dict[str, Any]:
    """Everything that is looked at on one page."""
    found: dict[str, Any] = {"views": []}
    with served(path.read_bytes()) as (address, asked):
        for width, scheme in VIEWS[:views]:
            found["views"].append(_view(browser, address, width, scheme))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(address)
        found["tables"] = page.evaluate(_TABLES)
        found["title"] = page.title()
        found["heading"] = page.inner_text("h1")
        found["shapes"] = page.evaluate(_SHAPES)
        found["outline"] = page.locator("main").aria_snapshot()
        found["stops"] = _stops(page)
        found["jump"] = _jump(page)
        found["key"] = _opened_by_key(page)
        found["print"] = _printed(page)
        page.close()
        found["asked"] = asked
    return found


def _view(browser: Browser, address: str, width: int, scheme: str) -> dict[str, Any]:
    page = browser.new_page(viewport={"width": width, "height": 812}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(_PATIENCE_MS)
    said: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    found: dict[str, Any] = {"width": width, "scheme": scheme, "said": said, "requests": requests}
    found["background"] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    found["scroll"] = page.evaluate("document.documentElement.scrollWidth")
    found["cut"] = page.evaluate(_WORDS)
    looks_closer = (width, scheme) in VIEWS[:2]  # axe takes its time: a desk in light and a phone in dark are enough
    if looks_closer:
        page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
        found["closed"] = _violations(page)
    page.evaluate(_OPEN)
    if looks_closer:
        found["open"] = _violations(page)
    found["open-scroll"] = page.evaluate("document.documentElement.scrollWidth")
    found["wide"] = page.evaluate(_WIDE)
    page.close()
    return found


def _violations(page: Page) -> list[str]:
    answer = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in answer["violations"]]


def _stops(page: Page) -> list[dict[str, Any]]:
    """Where the Tab key stops, once round."""
    stops: list[dict[str, Any]] = []
    for _ in range(_MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(_FOCUS)
        if stop is None or (stops and stop == stops[0]):
            break
        stops.append(stop)
    return stops


def _jump(page: Page) -> dict[str, Any] | None:
    """A number is clicked: its sum is open and in sight."""
    links = page.locator("table a[href^='#sum-']:visible")
    if not links.count():
        return None
    href = links.first.get_attribute("href")
    links.first.click()
    target = page.locator(f"[id='{(href or '')[1:]}']")
    return {
        "visible": target.is_visible(),
        "in-sight": target.evaluate(
            "each => { const box = each.getBoundingClientRect(); return box.top >= -1 && box.top < innerHeight; }"
        ),
        "text": target.inner_text(),
    }


def _opened_by_key(page: Page) -> bool:
    """Enter opens what is folded."""
    summary = page.locator("figure summary").first
    summary.focus()
    page.keyboard.press("Enter")
    return bool(page.locator("figure details").first.evaluate("each => each.open"))


def _printed(page: Page) -> dict[str, Any]:
    """On paper nothing stays folded."""
    page.goto(page.url.partition("#")[0])
    page.emulate_media(media="print")
    page.wait_for_function("matchMedia('print').matches")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    folded = page.evaluate(
        "[...document.querySelectorAll('details:not([open]) > :not(summary)')].filter(each => !each.checkVisibility({"
        "contentVisibilityAuto: true}) || each.getBoundingClientRect().height < 1).length"
    )
    return {"folded": folded, "all": page.locator("details").count()}


def main(chromium: str, root: str, pages: list[str]) -> None:
    with sync_playwright() as playwright:
        browser = launched(playwright, chromium, root)
        json.dump([looked_at(browser, Path(each), 2 if at else 4) for at, each in enumerate(pages)], sys.stdout)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
