"""Environments of peers: each in ``.tools/NAME``, made on first use from its lock and anew when the lock has changed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python_of(name: str, lock: Path) -> Path:
    """Python of a peer's environment."""
    home = ROOT / ".tools" / name
    python, stamp = home / "bin" / "python", home / "lock.sha256"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        print(f"installing the peer in {home.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--require-hashes"]
        subprocess.run([*pip, "--requirement", lock], check=True)
        stamp.write_text(digest)
    return python
