#!/usr/bin/env python3
"""Says of every config in a folder whether it is covered: ``make models FOLDER=...``, or ``tools/models.py FOLDER [--json]``.

docs/models.md says what to do about one that is not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from agentgpu_iac.calculators.coverage import coverage_lines, coverage_of
from agentgpu_iac.errors import BadInput


def main(arguments: list[str]) -> int:
    """Print the answer; 1 where a config is refused, 2 where there is nothing to read."""
    folders = [word for word in arguments if not word.startswith("-")]
    if len(folders) != 1:
        print("usage: tools/models.py FOLDER [--json]", file=sys.stderr)
        return 2
    try:
        rows = coverage_of(Path(folders[0]))
    except BadInput as fault:
        print(fault, file=sys.stderr)
        return 2
    if "--json" in arguments:
        print(json.dumps([row.model_dump(mode="json", by_alias=True) for row in rows], indent=1))
    else:
        print("\n".join(coverage_lines(rows)))
    return 0 if all(row.covered is not None for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
