"""Puts the doubles where the engine looks for plugins: executables in a folder of the path."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.pulumi.cli import ROOT

_SCRIPT = """\
#!{interpreter}
import sys

sys.path.insert(0, {root!r})

from tests.e2e.pulumi.aws.{module} import main

main()
"""

_MODULES = {"aws": "provider", "kubernetes": "kubernetes_provider"}


def write_plugins(folder: Path, *names: str) -> Path:
    """Write ``pulumi-resource-aws`` and ``pulumi-resource-kubernetes``, or those named, run by the interpreter of the tests."""
    folder.mkdir(parents=True)
    for name in names or _MODULES:
        module = _MODULES[name]
        script = folder / f"pulumi-resource-{name}"
        script.write_text(_SCRIPT.format(interpreter=sys.executable, root=str(ROOT), module=module), encoding="utf-8")
        script.chmod(0o755)
    return folder
