#!/usr/bin/env python3
"""Tries the product beside other versions of its libraries than the lock's: ``make smoke``.

Users install by the ranges of ``pyproject.toml``, not by the lock. So each environment of the table is built anew under
``build/smoke``, the wheel of this checkout is installed into it, and ``tests/smoke`` runs there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "smoke"
UV = Path(sys.executable).with_name("uv")
PROJECT = ROOT / "pyproject.toml"
APART = ("policy",)
"""Extras with an environment of their own: the policy pack's library wants an older protobuf than Pulumi's programs."""
EXTRAS = tuple(
    name
    for name in tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    if name not in APART
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Which versions of what."""

    name: str
    resolution: str
    """uv's word. ``lowest-direct``: our own dependencies at their floors and theirs as new as those allow, which is what a
    user with an old pin gets today. ``lowest`` would try the floors that others wrote down, and of those that wrote none
    the first version ever; it also hides that an old library breaks with what it depends on now."""
    extras: tuple[str, ...]


ENVIRONMENTS = (
    Environment(name="newest", resolution="highest", extras=EXTRAS),
    Environment(name="lowest", resolution="lowest-direct", extras=EXTRAS),
    Environment(name="bare", resolution="highest", extras=()),
)


def main() -> int:
    """Build and try all of them; the number of those that failed."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    _uv("build", "--wheel", "--out-dir", FOLDER / "wheel", ROOT)
    (wheel,) = (FOLDER / "wheel").glob("*.whl")
    return sum(not _tried(each, wheel) for each in ENVIRONMENTS)


def _tried(environment: Environment, wheel: Path) -> bool:
    started_s = time.monotonic()
    python = FOLDER / environment.name / "bin" / "python"
    extras = [word for extra in environment.extras for word in ("--extra", extra)]
    install = ("pip", "install", "--python", python)
    _uv("venv", "--python", sys.executable, FOLDER / environment.name)
    _uv(*install, "--resolution", environment.resolution, *extras, "--requirement", PROJECT)
    _uv(*install, "--no-deps", wheel)
    _uv(*install, "pytest", "pytest-xdist")
    built_s = time.monotonic()
    print(
        f"== {environment.name} ({environment.resolution}, extras: {' '.join(environment.extras) or 'none'})",
        flush=True,
    )
    _uv("pip", "list", "--python", python, "--format", "freeze")
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-m", "pytest", "tests/smoke", "-n", "2", "--durations=3"],
        cwd=ROOT,
        env={**variables, "AGENTGPU_SMOKE_EXTRAS": " ".join(environment.extras)},
        check=False,
    )
    end_s = time.monotonic()
    print(f"== {environment.name}: built in {built_s - started_s:.0f} s, tried in {end_s - built_s:.0f} s", flush=True)
    return done.returncode == 0


def _uv(*arguments: object) -> None:
    subprocess.run([UV, "--quiet" if arguments[1] != "list" else "--no-progress", *map(str, arguments)], check=True)


if __name__ == "__main__":
    sys.exit(main())
