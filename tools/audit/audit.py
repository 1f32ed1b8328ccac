"""Look for holes: bandit over the code, zizmor over the workflows, gitleaks over every tracked file.

What they find is mended, or has its reason in ``reasons.toml`` beside this file. A finding without a reason fails; so does a
reason without a finding, since it would hide the next one. Nothing is asked of a network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REASONS = Path(__file__).with_name("reasons.toml")
_CODE = ("agentgpu_iac", "templates", "tools", "stacks", "examples", "bench")
_RENDERED = "tests/outcomes/golden/"
"""What is rendered from files that are looked through themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a tool found."""

    tool: str
    rule: str
    file: str
    line: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why findings of a rule in some files are none."""

    tool: str
    rule: str
    files: tuple[str, ...]
    why: str

    def covers(self, found: Found, file: str) -> bool:
        """Whether it speaks of a finding, by one of its files."""
        return (found.tool, found.rule) == (self.tool, self.rule) and fnmatchcase(found.file, file)


def reasons(text: str) -> tuple[Reason, ...]:
    """What the file says."""
    return tuple(Reason(**{**each, "files": tuple(each["files"])}) for each in tomllib.loads(text)["reason"])


def faults(found: Sequence[Found], given: Sequence[Reason]) -> Iterator[str]:
    """Findings without a reason, and reasons without a finding."""
    for each in found:
        if not any(reason.covers(each, file) for reason in given for file in reason.files):
            yield f"{each.file}:{each.line}: {each.tool} {each.rule}: {each.message}"
    for reason in given:
        for file in reason.files:
            if not any(reason.covers(each, file) for each in found):
                yield f"{REASONS.name}: {reason.tool} {reason.rule} finds nothing in {file}: remove it there"


def bandit(program: Path) -> Iterator[Found]:
    """Of our code."""
    said = _json(program, "--quiet", "--recursive", "--format", "json", *_CODE)
    assert isinstance(said, dict)  # noqa: S101 - it is what bandit writes
    for each in said["results"]:
        file = each["filename"].removeprefix("./")
        yield Found(
            tool="bandit", rule=each["test_id"], file=file, line=each["line_number"], message=each["issue_text"]
        )
    for each in said["errors"]:
        yield Found(tool="bandit", rule="error", file=each["filename"], line=0, message=each["reason"])


def zizmor(program: Path) -> Iterator[Found]:
    """Of the workflows and the action."""
    for each in _json(program, "--offline", "--no-progress", "--format", "json-v1", ".github", "action.yml"):
        at = each["locations"][0]
        file = next(iter(at["symbolic"]["key"].values()))["given_path"]
        line = at["concrete"]["location"]["start_point"]["row"] + 1
        yield Found(tool="zizmor", rule=each["ident"], file=file.removeprefix("./"), line=line, message=each["desc"])


def gitleaks(program: Path) -> Iterator[Found]:
    """Of all files that are tracked: a checkout also holds caches and environments."""
    listed = subprocess.run(("git", "ls-files", "-z"), cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S607
    with tempfile.TemporaryDirectory() as folder:
        for name in filter(None, listed.stdout.split("\0")):
            if not name.startswith(_RENDERED) and (ROOT / name).is_file():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, Path(folder) / name)
        words = ("dir", folder, "--no-banner", "--log-level", "error", "--exit-code", "0", "--redact")
        for each in _json(program, *words, "--report-format", "json", "--report-path", "-"):
            file = Path(each["File"]).relative_to(folder).as_posix()
            yield Found(
                tool="gitleaks", rule=each["RuleID"], file=file, line=each["StartLine"], message=each["Description"]
            )


def _json(*words: str | Path) -> object:
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        raise SystemExit(f"{words[0]} ended with {done.returncode}: {done.stdout}{done.stderr}") from None


def main() -> int:
    """Say what is wrong; 1 where anything is."""
    sys.path.insert(0, str(ROOT))
    from tools.install import path  # noqa: PLC0415

    found = [each for look in (bandit, zizmor, gitleaks) for each in look(path(look.__name__))]
    given = reasons(REASONS.read_text(encoding="utf-8"))
    said = sorted(set(faults(found, given)))
    print("\n".join((*said, f"{len(found)} findings, {len(given)} reasons, {len(said)} faults")))
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
