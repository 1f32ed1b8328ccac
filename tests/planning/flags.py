"""The options of an engine as its own parser declares them, and what is wrong with arguments that it would be given."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NUMBERS = {"int": r"-?\d+", "human_readable_int": r"\d+", "float": r"\d+(\.\d+)?(e-?\d+)?"}


def split(args: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """The words before the first flag, and each flag with the values behind it."""
    words: list[str] = []
    flags: dict[str, list[str]] = {}
    current = words
    for one in args:
        if one.startswith("--"):
            assert one not in flags, f"{one} is given twice"
            flags[one] = current = []
        else:
            current.append(one)
    return tuple(words), flags


@dataclass(frozen=True)
class FlagList:
    """All options of one version."""

    version: str
    known: dict[str, dict[str, Any]]

    @staticmethod
    def read(name: str) -> FlagList:
        file = json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
        return FlagList(file["version"], {name: flag for flag in file["flags"] for name in flag["flags"]})

    def faults(self, args: tuple[str, ...]) -> list[str]:
        found: list[str] = []
        for name, values in split(args)[1].items():
            known = self.known.get(name)
            if known is None:
                found.append(f"{name} is no option of {self.version}")
                continue
            found += _count_faults(name, known["nargs"], values)
            for value in values:
                number = _NUMBERS.get(known["type"] or "")
                if number and not re.fullmatch(number, value):
                    found.append(f"{name} {value} is no {known['type']}")
                if known["choices"] and value not in {str(choice) for choice in known["choices"]}:
                    found.append(f"{name} {value} is none of {known['choices']}")
        return found


def _count_faults(name: str, nargs: Any, values: list[str]) -> list[str]:
    fits = {0: not values, None: len(values) == 1, "+": len(values) >= 1, "?": len(values) <= 1, "*": True}[nargs]
    return [] if fits else [f"{name} takes {nargs or 'one'} value, not {len(values)}"]
