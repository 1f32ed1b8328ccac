"""What the ``aws`` command answers to a look-up of ours."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from typing import Final

from agentgpu_iac.errors import OutsideFailure

Ask = Callable[[str], tuple[str, ...]]
"""The words that a command prints; none where it says that there is no such thing."""

_PATIENCE_S: Final = 60
_NOT_THERE: Final = re.compile(r"NotFound|NoSuch|NonExistent|\.Unknown\)|DoesNotExist")
_NOTHING: Final = "None"
"""How the command prints a query that finds nothing."""


def asking(settings: Mapping[str, str]) -> Ask:
    """How to ask in the region and as the profile of a Pulumi stack: its keys ``aws:region`` and ``aws:profile``.

    Raises:
        OutsideFailure: the command is not installed.
    """
    program = shutil.which("aws")
    if program is None:
        raise OutsideFailure("the aws command is not installed; install it, or list the look-ups with --no-ask")
    said = {"AWS_REGION": settings.get("aws:region"), "AWS_PROFILE": settings.get("aws:profile")}
    environment = {**os.environ, **{key: value for key, value in said.items() if value}}

    def ask(command: str) -> tuple[str, ...]:
        words = [program, *shlex.split(command)[1:]]
        try:
            done = subprocess.run(  # noqa: S603 - without a shell; every value is a word of its own
                words, capture_output=True, text=True, timeout=_PATIENCE_S, check=False, env=environment
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OutsideFailure(f"{' '.join(shlex.split(command)[:3])}: {error}") from None
        if done.returncode == 0:
            return tuple(word for word in done.stdout.split() if word != _NOTHING)
        if _NOT_THERE.search(done.stderr):
            return ()
        lines = done.stderr.strip().splitlines() or ["no answer"]
        raise OutsideFailure(f"{' '.join(shlex.split(command)[:3])}: {lines[-1]}")

    return ask
