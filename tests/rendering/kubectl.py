"""Kustomize, as it is built into kubectl, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """The objects that Kustomize makes of a folder."""
    outcome = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return list(yaml.load_all(outcome.stdout, yaml.CSafeLoader))
