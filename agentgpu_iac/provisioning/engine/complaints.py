"""What Pulumi and its providers complain of, in a sentence, with the command that mends it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.errors import EXIT_BAD_INPUT, EXIT_OUTSIDE, AgentGpuError, BadInput, OutsideFailure, shortened
from agentgpu_iac.provisioning.engine.events import Complaint

_LONGEST: Final = 1_500
"""Characters of a complaint that no pattern knows: it quotes what a provider answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A complaint that is known."""

    pattern: re.Pattern[str]
    says: str
    """The sentence; ``{1}`` is what the pattern's first group holds. Empty: what was said is clear."""
    mends: str
    exit_code: int
    """Where the engine has not begun, and so has no code of its own."""


def _known(pattern: str, says: str, mends: str, exit_code: int = EXIT_OUTSIDE) -> _Known:
    return _Known(pattern=re.compile(pattern, re.IGNORECASE | re.DOTALL), says=says, mends=mends, exit_code=exit_code)


_KNOWN: Final = (
    _known(
        r"PULUMI_ACCESS_TOKEN must be set for login",
        "Pulumi is logged in nowhere, so it has no place for its state",
        "pulumi login; or pulumi login --local to keep it on this machine",
    ),
    _known(
        r"passphrase must be set with PULUMI_CONFIG_PASSPHRASE|PULUMI_CONFIG_PASSPHRASE.{0,80}(?:is|are|must be) (?:not )?set",
        "the passphrase that opens the secrets of this Pulumi stack is missing",
        "export PULUMI_CONFIG_PASSPHRASE=..., or PULUMI_CONFIG_PASSPHRASE_FILE",
        EXIT_BAD_INPUT,
    ),
    _known(
        r"incorrect passphrase",
        "the passphrase does not open the secrets of this Pulumi stack",
        "export the one that it was made with as PULUMI_CONFIG_PASSPHRASE",
        EXIT_BAD_INPUT,
    ),
    _known(
        r"the stack is currently locked by|another update is currently in progress",
        "another update of this Pulumi stack is running, or one was killed",
        "wait for it; if none is running: pulumi cancel",
    ),
    _known(
        r"no (?:resource )?plugin '?(?:pulumi-resource-)?([\w-]+)'? found|could not find plugin for provider '?([\w-]+)",
        "the plugin of the provider {1} is not installed",
        "pulumi install",
    ),
    _known(
        r"(?:virtualenv|virtual environment)[^\n]*?(?:doesn't exist|does not exist|is not a valid|isn't)",
        "the project's Python environment is not there",
        "python3 -m venv .venv, then .venv/bin/pip install --require-hashes -r requirements.txt",
    ),
    _known(
        r"No module named '?([\w.]+)'?",
        "the project's Python environment lacks {1}",
        ".venv/bin/pip install --require-hashes -r requirements.txt, and agentgpu itself after it",
    ),
)


def sentence(text: str) -> str:
    """A complaint in a sentence, and in brackets what mends it where that is known."""
    known = _find(text)
    if known is None:
        return _plain(text)
    complaint, says = known
    return f"{says} ({complaint.mends})"


def refusal(text: str) -> AgentGpuError:
    """The same as an error, where nothing has begun."""
    known = _find(text)
    if known is None:
        return OutsideFailure(f"pulumi: {_plain(_errors_in(text))}")
    complaint, says = known
    if complaint.exit_code == EXIT_BAD_INPUT:
        return BadInput.one("pulumi", says, hint=complaint.mends)
    return OutsideFailure(f"pulumi: {says} ({complaint.mends})")


def sentences(complaints: Iterable[Complaint], said: str) -> Sequence[str]:
    """Every complaint once; where there is none, the errors in what the command line said."""
    found = []
    for each in complaints:
        told = sentence(each.text)
        about = each.about
        found.append(told if about is None else f"{about.name} ({about.kind}): {told}")
    return tuple(dict.fromkeys(filter(None, found))) or (sentence(_errors_in(said)),)


def _find(text: str) -> tuple[_Known, str] | None:
    for complaint in _KNOWN:
        if match := complaint.pattern.search(text):
            word = next((group for group in match.groups() if group), "")
            return complaint, complaint.says.format("", word)
    return None


_ERROR: Final = re.compile(r"^\s*error:\s*", re.IGNORECASE)
_MARKS: Final = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
_TRACEBACK: Final = "Traceback (most recent call last)"


def _plain(text: str) -> str:
    """In one line; of a traceback what it ends with."""
    lines = [_ERROR.sub("", line).strip() for line in _MARKS.sub("", text).splitlines() if line.strip()]
    if any(_TRACEBACK in line for line in lines):
        lines = lines[-1:]
    return shortened(" ".join(" ".join(lines).split()), _LONGEST)


def _errors_in(said: str) -> str:
    """The lines of the command line's output that say what is wrong; its last ones where none says so."""
    lines = [line for line in _MARKS.sub("", said).splitlines() if line.strip()]
    first = next((at for at, line in enumerate(lines) if _ERROR.match(line)), None)
    return "\n".join(lines[-3:] if first is None else lines[first:])
