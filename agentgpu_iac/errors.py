"""What can go wrong, drawn once::

    AgentGpuError               exit code
    ├── BadInput                    2      a file or an option that we cannot accept; carries every Fault of it
    │   └── MissingExtra            2      what was asked for needs a library that comes with an extra
    ├── Infeasible                  1      the answer is "no": nothing on offer satisfies the stack
    │   └── NoPlan (planning)              the same, with every rejection as data
    ├── OwnershipConflict           2      the output folder holds files that we did not write
    └── OutsideFailure              3      a cluster, cloud or tool that we depend on failed

A rejection (a candidate that does not fit) is not an error: it is data in the plan. ``Infeasible`` is raised
only where a whole agent is left without any candidate, and it carries those rejections.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agentgpu_iac.characters import visible
from agentgpu_iac.credentials import without_credentials

DISTRIBUTION = "agentgpu-iac"
"""What package indexes call us."""

_MOST_TEXT = 4_000
"""Characters of a sentence: what is longer quotes somebody's file."""

EXIT_GOOD = 0
EXIT_NO = 1
EXIT_BAD_INPUT = 2
EXIT_OUTSIDE = 3


def shortened(text: str, most: int = 80) -> str:
    """A text of the user's as it stands in a sentence: its beginning, where it is long."""
    return text if len(text) <= most else f"{text[:most]}…"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """One thing wrong with an input: where it stands, what is wrong, and what to do about it.

    ``line`` and ``column`` count from 1; 0 means that the fault has no place in the file (it is missing, say).
    """

    source: str
    line: int = 0
    column: int = 0
    path: str = ""
    message: str
    hint: str = ""

    def __post_init__(self) -> None:
        """No fault repeats a credential, wherever it was pasted, nor a whole file that stands where a word should, nor what a
        terminal would obey.
        """
        for name in ("source", "path", "message", "hint"):
            object.__setattr__(self, name, visible(without_credentials(shortened(getattr(self, name), _MOST_TEXT))))

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}" if self.line else self.source
        path = f" {self.path}:" if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}:{path} {self.message}{hint}"


class AgentGpuError(Exception):
    """Anything that the user is told about in one clear message instead of a traceback."""

    exit_code = EXIT_OUTSIDE

    def __str__(self) -> str:
        """The message. What others said to us may repeat the address by which we signed in."""
        return without_credentials(super().__str__())


class BadInput(AgentGpuError):
    """A file, value or option that we cannot accept. Holds all faults, in file order."""

    exit_code = EXIT_BAD_INPUT

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))

    @classmethod
    def one(cls, source: str, message: str, *, path: str = "", hint: str = "") -> BadInput:
        """Make the error for a single fault that has no line, such as a bad option."""
        return cls([Fault(source=source, path=path, message=message, hint=hint)])


class MissingExtra(BadInput):
    """What was asked for needs a library that is not installed, and comes with an extra of ours."""

    def __init__(self, asked: str, extra: str, error: ModuleNotFoundError) -> None:
        """``asked`` is the command or program, ``error`` the failed import. One of a module of ours is a bug: it is raised."""
        library = (error.name or "").partition(".")[0]
        if library in ("", __package__):
            raise error
        hint = f"pip install '{DISTRIBUTION}[{extra}]'"
        super().__init__([Fault(source=asked, message=f"needs {library}, which is not installed", hint=hint)])


class Infeasible(AgentGpuError):
    """Nothing on offer satisfies the stack. The message says which constraint stopped each agent."""

    exit_code = EXIT_NO


class OwnershipConflict(AgentGpuError):
    """The output folder holds files that we did not write and would overwrite."""

    exit_code = EXIT_BAD_INPUT


class OutsideFailure(AgentGpuError):
    """Something that we depend on but do not control failed."""

    exit_code = EXIT_OUTSIDE


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint for a misspelt word: the nearest known one, all that are as near, or nothing when none is near.

    Compares without regard to case, since that is the commonest slip of all.
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    folded = word.casefold()
    near = difflib.get_close_matches(folded, by_folded, n=_MOST_NEAR, cutoff=0.6)
    ratios = {each: difflib.SequenceMatcher(a=each, b=folded).ratio() for each in near}
    nearest = sorted(each for each in near if ratios[each] == ratios[near[0]])
    return f"did you mean {' or '.join(repr(by_folded[each]) for each in nearest)}?" if nearest else ""


_MOST_NEAR: Final = 3
"""Known words that are named, where several are as near as each other."""
