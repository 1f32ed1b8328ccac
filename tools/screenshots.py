#!/usr/bin/env python3
"""Makes the pictures of README and docs: ``make screenshots``. Each is the first screen of a report in the real Chromium."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agentgpu_iac.catalog.store import load_catalog  # noqa: E402 - after the path
from agentgpu_iac.planning.planner import make_plan  # noqa: E402
from agentgpu_iac.review.report.page import report_page  # noqa: E402
from agentgpu_iac.spec.loader import load  # noqa: E402
from tools.install import path as tool  # noqa: E402

STACK = ROOT / "stacks" / "examples" / "five-agents.yaml"
PICTURES = {"report.png": "light", "report-dark.png": "dark"}


def main() -> None:
    """Plan, write the page, look at it."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(report_page(make_plan(load(STACK), load_catalog())), encoding="utf-8")
        for name, scheme in PICTURES.items():
            picture = ROOT / "docs" / "images" / name
            words = (tool("browser-python"), ROOT / "tools" / "browser" / "shoot.py")
            subprocess.run([*words, tool("chromium"), tool("chromium-root"), page, scheme, picture], check=True)
            print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
