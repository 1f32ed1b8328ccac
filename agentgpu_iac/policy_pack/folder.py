"""A policy pack on disk: what ``pulumi preview --policy-pack DIR`` reads."""

from __future__ import annotations

from importlib import resources
from typing import Final

from agentgpu_iac.errors import DISTRIBUTION

_PACK: Final = """\
description: Refusals of agentgpu, for every Pulumi program.
runtime:
  name: python
  options:
    virtualenv: .venv
version: {version}
"""
_PROGRAM: Final = '''\
"""The policies of agentgpu; a file of catalog rows of yours tells prices that it lacks: pack(Path("prices.yaml"))."""

from agentgpu_iac.policy_pack.pack import pack

pack()
'''
_NOTE: Final = """\
# All that {requirement} needs for its policies, by version and hash: an environment of the pack's own, since Pulumi's policy
# library wants other versions than its programs. After this file: pip install --no-deps {requirement}
"""


def pack_files(version: str) -> dict[str, str]:
    """Files of the pack by path. ``version``: of ours, to which it is locked."""
    lock = resources.files(__package__).joinpath("requirements.txt").read_text(encoding="utf-8")
    return {
        "PulumiPolicy.yaml": _PACK.format(version=version),
        "__main__.py": _PROGRAM,
        "requirements.txt": _NOTE.format(requirement=f"{DISTRIBUTION}=={version}") + lock,
    }
