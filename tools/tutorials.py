#!/usr/bin/env python3
"""Takes the time of the tutorials' commands, and writes it into docs/start/times.json and onto their pages: ``make tutorials``.

Processor time and not what a clock says: a machine with other work gives the same figure. Of a page count the lines that run
without a cluster, a cloud or a word from the reader, as tests/wheel runs them.
"""

from __future__ import annotations

import compileall
import datetime
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.pages.shell import SUPPOSED, Supposed, is_run, steps  # noqa: E402 - after the path

START = ROOT / "docs" / "start"
TIMES = START / "times.json"
LINE = re.compile(r"^Measured: .*$", re.MULTILINE)


def said(measured: Mapping[str, Any]) -> str:
    """The line of a page."""
    count = measured["commands"]
    return (
        f"Measured: {measured['seconds']} s of processor time for the {count} commands here that need nothing but `agentgpu`, "
        f"on {measured['date']}."
    )


def commands(page: str) -> int:
    """How many lines of a page run."""
    with tempfile.TemporaryDirectory() as folder:
        return sum(is_run(line) for _, line in steps(page, Path(folder)))


def measured(page: str) -> dict[str, Any]:
    """Run a page, and say what it took."""
    codes = SUPPOSED.get(page, Supposed()).codes
    count = 0
    before = _seconds()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HOME": folder, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for _, line in steps(page, Path(folder)):
            if is_run(line):
                words = ["bash", "-e", "-o", "pipefail", "-c", line]
                done = subprocess.run(
                    words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
                )
                if done.returncode != codes.get(line, 0):
                    sys.exit(f"{page}: {line}\n{done.stderr.decode()}")
                count += 1
    return {
        "commands": count,
        "seconds": round(_seconds() - before, 1),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _seconds() -> float:
    """Processor time of every process that was waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure each page, once everything is compiled."""
    compileall.compile_dir(ROOT / "agentgpu_iac", quiet=1)
    found = {}
    for path in sorted(START.glob("*.md")):
        page = path.relative_to(ROOT).as_posix()
        found[path.name] = measured(page)
        text = path.read_text(encoding="utf-8")
        if len(LINE.findall(text)) != 1:
            sys.exit(f"{page}: needs one line that begins with 'Measured: '")
        path.write_text(LINE.sub(said(found[path.name]), text), encoding="utf-8")
        print(f"{page}: {said(found[path.name])}")
    TIMES.write_text(f"{json.dumps(found, indent=2)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
