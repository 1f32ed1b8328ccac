"""Run a suite of real components, and what failed in it once more, alone.

    python tools/twice.py PYTEST_ARGUMENT ...

Such a suite starts databases, control planes and engines beside each other, and some of its tests wait for clocks that are not
ours: a heartbeat, a retry window. What fails beside others may have been short of a core, so it is run again, one test after
another. A test that fails both times is a failure; one that passes the second time alone is named at the end.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FAILED = 1
"""Pytest's exit status where tests ran and some of them failed; any other than 0 says that the run itself went wrong."""


def main(arguments: list[str]) -> int:
    """Run pytest with the arguments, and again for what failed. Answers the exit status: 0 where each test passed in a run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", *arguments, "-o", f"cache_dir={folder}"]
        status = subprocess.run(command, check=False).returncode
        if status != FAILED:
            return status
        names = json.loads((Path(folder) / "v/cache/lastfailed").read_text(encoding="utf-8"))
        print(f"== {len(names)} failed; again, alone", flush=True)
        status = subprocess.run([*command, "-n0", "--last-failed", "--lfnf=none"], check=False).returncode
        if status == 0:
            print("== passed alone, not beside others:", *names, sep="\n   ", flush=True)
        return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
