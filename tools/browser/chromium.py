"""Chromium out of its unpacked packages: how it is started, for all that look at a page or take its picture."""

from __future__ import annotations

import os
import tempfile

from playwright.sync_api import Browser, Playwright

_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio")
"""Folders of a root in which its programs find their libraries; the last by a path that only an installed system has."""


def launched(playwright: Playwright, chromium: str, root: str) -> Browser:
    """The browser, which the caller closes. ``root``: the folder of its packages, with its libraries and fonts."""
    libraries = ":".join(f"{root}/{part}" for part in _LIBRARIES)
    environment: dict[str, str | float | bool] = {
        "LD_LIBRARY_PATH": libraries,
        "FONTCONFIG_SYSROOT": root,
        "PATH": os.environ["PATH"],
        "HOME": tempfile.gettempdir(),  # nothing of the user's own
    }
    return playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], env=environment)
