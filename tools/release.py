#!/usr/bin/env python3
"""Builds what a release hands out, the same bytes each time, and tries a release before there is a tag.

``wheel`` writes the wheel to ``dist``. ``release`` builds wheel and source archive twice, in folders of their own, and
compares them, and beside the wheel a list of its parts (CycloneDX);
with a tag, named by ``RELEASE`` in the environment, it also holds the version and the changelog against
it, as the workflow does.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.install import InstallError  # noqa: E402
from tools.install import path as tool  # noqa: E402

FOLDER = ROOT / "build" / "release"
_OLDEST_S = 315_532_800
"""1980-01-01, the earliest time that a zip archive knows: where no history says when the last change was."""


def main(arguments: list[str]) -> int:
    """Do what the first word says; 1 where a release could not be made."""
    match arguments:
        case ["wheel"]:
            shutil.rmtree(ROOT / "dist", ignore_errors=True)
            built = _built(ROOT / "dist", "wheel")
            print("\n".join(_told(path) for path in built))
            return 0
        case ["release"]:
            return _release(os.environ.get("RELEASE", ""))
    print("say wheel, or release; RELEASE in the environment names a tag", file=sys.stderr)
    return 2


def _release(tag: str) -> int:
    faults = [*tag_faults(tag, version(), (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))] if tag else []
    shutil.rmtree(FOLDER, ignore_errors=True)
    first, second = (_with_parts(_built(FOLDER / name, "wheel", "sdist")) for name in ("first", "second"))
    faults += [
        f"{one_way.name}: two builds of the same checkout differ"
        for one_way, other_way in zip(first, second, strict=True)
        if one_way.name != other_way.name or one_way.read_bytes() != other_way.read_bytes()
    ]
    print("\n".join(_told(path) for path in first))
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 1
    print(f"version {version()}: built twice, the same bytes" + (f"; {tag} can be released" if tag else ""))
    return 0


def version() -> str:
    """The version, from its one home."""
    text = (ROOT / "agentgpu_iac" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("agentgpu_iac/__init__.py states no __version__")
    return found[1]


def tag_faults(tag: str, stated: str, changelog: str) -> list[str]:
    """What keeps a tag from being a release of this version with this changelog."""
    faults = []
    if tag != f"v{stated}":
        faults.append(
            f"the tag is {tag}, and agentgpu_iac/__init__.py states {stated}: tag v{stated}, or change __version__"
        )
    if not re.search(rf"^## \[{re.escape(stated)}\] - \d{{4}}-\d{{2}}-\d{{2}}$", changelog, re.MULTILINE):
        faults.append(
            f"CHANGELOG.md has no heading '## [{stated}] - YYYY-MM-DD': move what is under Unreleased below one"
        )
    if not re.search(r"^## \[Unreleased\]\n+(?=## \[)", changelog, re.MULTILINE):
        faults.append("CHANGELOG.md: Unreleased must be the first heading, and empty")
    return faults


def _built(folder: Path, *kinds: str) -> tuple[Path, ...]:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(_last_change_s())}
    targets = [word for kind in kinds for word in ("--target", kind)]
    command = [sys.executable, "-m", "hatchling", "build", *targets, "--directory", folder]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr}")
    return tuple(sorted(path for path in folder.iterdir() if path.suffix in {".whl", ".gz"}))


def _with_parts(built: tuple[Path, ...]) -> tuple[Path, ...]:
    """What was built, and the list of the wheel's parts beside it."""
    try:
        interpreter = tool("audit-python")
    except InstallError as error:
        raise SystemExit(f"{error} (or only: tools/install.py audit)") from None
    (wheel,) = (path for path in built if path.suffix == ".whl")
    lock = ROOT / "requirements" / "runtime.txt"
    words = [interpreter, ROOT / "tools" / "audit" / "parts.py", wheel, lock, version(), str(_last_change_s())]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    parts = wheel.with_name(f"agentgpu_iac-{version()}.cdx.json")
    parts.write_text(done.stdout, encoding="utf-8")
    return (*built, parts)


def _last_change_s() -> int:
    """Seconds since 1970 of the last commit; what the caller's environment says wins."""
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    if stated:
        return int(stated)
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"],  # noqa: S607
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else _OLDEST_S


def _told(path: Path) -> str:
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
