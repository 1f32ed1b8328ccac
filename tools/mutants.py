#!/usr/bin/env python3
"""Change one thing in the code, run the tests, and see whether they notice: a seeded sample of such mutants.

    tools/mutants.py [--sample 100] [--seed 1] [--only sizing/memory.py] [--budget 400]

Well-kept tools were tried first. mutmut 3 changes only what stands in functions, and half of what decides here are constants
of modules; cosmic-ray changes no words and takes out no statements, and has one command of tests for all mutants, so a
survivor and a mutant killed at once cost the same. This runs the tests that import the module first, then the golden
outcomes, then the rest of its room, then everything else, and stops at the first failure.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "agentgpu_iac"
TREE = ROOT / "build" / "mutants"
COPIED = (PACKAGE, "stacks", "templates", "tests", "docs", "tools", "requirements", "bench")
TARGETS = (
    "spec/rules.py",
    "sizing/*.py",
    "planning/**/*.py",
    "calculators/*.py",
    "provisioning/faults.py",
    "provisioning/policy.py",
    "provisioning/aws/karpenter_policy.py",
)
"""The core: what decides."""

SWAPPED: dict[type[ast.AST], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.And: "or",
    ast.Or: "and",
}
SWAPPED_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
FOR_PEOPLE = frozenset({"message", "hint", "help", "note", "source", "reason", "text"})
"""Keywords whose words no decision reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change: the text between two offsets of a file, and what stands there instead."""

    path: str
    start: int
    end: int
    text: str

    def applied(self) -> str:
        source = (ROOT / self.path).read_text(encoding="utf-8")
        return source[: self.start] + self.text + source[self.end :]

    def diff(self) -> str:
        before = (ROOT / self.path).read_text(encoding="utf-8").splitlines()
        lines = difflib.unified_diff(before, self.applied().splitlines(), self.path, self.path, lineterm="", n=0)
        return "\n".join(list(lines)[2:])


def mutants_of(path: str) -> Iterator[Mutant]:
    """Every mutant of a file."""
    source = (ROOT / path).read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]

    def offset(line: int, column: int) -> int:  # ast counts columns in bytes
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None  # noqa: S101 - parsed from text
        return offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)

    def between(left: ast.expr, right: ast.expr, word: str) -> Mutant:
        start, end = span(left)[1], span(right)[0]
        gap = source[start:end]
        brackets = gap.count(")"), gap.count("(")  # of what stands around; the operator is all else
        return Mutant(path=path, start=start, end=end, text=f"{')' * brackets[0]} {word} {'(' * brackets[1]}")

    def instead(node: ast.expr | ast.stmt, text: str) -> Mutant:
        start, end = span(node)
        return Mutant(path=path, start=start, end=end, text=text)

    for node in _deciding(ast.parse(source)):
        match node:
            case ast.Constant(value=bool() as value):
                yield instead(node, str(not value))
            case ast.Constant(value=int() as value):
                yield instead(node, str(value + 1))
            case ast.Constant(value=float() as value):
                yield instead(node, repr(value * 1.5 if value else 1.0))
            case ast.Constant(value=str() as value) if value and " " not in value:
                yield instead(node, repr(f"{value}-x"))
            case (
                ast.Compare(left=left, ops=[operator], comparators=[right])
                | ast.BinOp(left=left, op=operator, right=right)
                | ast.BoolOp(op=operator, values=[left, right])
            ) if type(operator) in SWAPPED:
                yield between(left, right, SWAPPED[type(operator)])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield instead(node, f"bool({ast.unparse(operand)})")
            case ast.If(test=test) | ast.IfExp(test=test):
                yield instead(test, f"(not ({ast.unparse(test)}))")
            case ast.Call(func=ast.Name(id=name)) if name in SWAPPED_CALLS:
                yield instead(node.func, SWAPPED_CALLS[name])
            case ast.Expr(value=ast.Yield() | ast.YieldFrom() | ast.Call()):
                yield instead(node, "()")


def _deciding(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that decide something: no annotations, docstrings, imports, raises, or words for people."""
    fields = dict(ast.iter_fields(tree))
    match tree:
        case ast.Raise() | ast.Import() | ast.ImportFrom() | ast.JoinedStr() | ast.Assert():
            return
        case ast.Expr(value=ast.Constant(value=str())):
            return
        case ast.keyword(arg=str() as name) if name in FOR_PEOPLE:
            return
        case ast.arg() | ast.AnnAssign():
            fields.pop("annotation")
        case ast.FunctionDef():
            fields.pop("returns")
            fields.pop("decorator_list")
        case ast.ClassDef():
            fields.pop("decorator_list")
        case ast.Subscript():  # the parameters of a type, or a key
            if isinstance(tree.value, ast.Name) and tree.value.id[:1].isupper():
                return
    yield tree
    for value in fields.values():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _deciding(child)


def stages(path: str) -> tuple[list[str], list[str]]:
    """Test files to run first, in order; and all others."""
    module = path.removesuffix(".py").replace("/", ".")
    parent, _, name = module.rpartition(".")
    room = path.split("/")[1]
    files = [str(file.relative_to(ROOT)) for file in sorted((ROOT / "tests").rglob("test_*.py")) if _runs(file)]
    first, last = [], []
    for file in files:
        text = (ROOT / file).read_text(encoding="utf-8")
        imports = f"{module} " in text or f"from {parent} import {name}" in text
        if file.startswith("tests/outcomes/") or imports or (file.startswith(f"tests/{room}/") and "laws" not in file):
            first.append((not imports, not file.startswith("tests/outcomes/"), file))
        else:
            last.append(file)
    return [file for *_, file in sorted(first)], last


def _runs(file: Path) -> bool:
    return not {"e2e", "golden"} & set(file.relative_to(ROOT / "tests").parts)


def killer(mutant: Mutant, budget_s: float, *, near: bool) -> str:
    """The test that fails, or what else ends the run; empty where nothing notices."""
    for files in stages(mutant.path)[: 1 if near else 2]:
        if found := first_failure(files, budget_s):
            return found
    return ""


def first_failure(tests: list[str], budget_s: float) -> str:
    """The first of these tests that fails in the copy; a module that cannot be read, or no end in time, is one too."""
    pytest = str(Path(sys.executable).with_name("pytest"))
    command = [pytest, "-x", "-q", "-rfE", "--no-header", "--tb=no", *tests]
    environment = {**os.environ, "PYTHONPATH": str(TREE), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "400"}
    environment.pop("AGENTGPU_UPDATE_GOLDEN", None)
    try:
        done = subprocess.run(
            command, cwd=TREE, env=environment, capture_output=True, timeout=budget_s, check=False, text=True
        )
    except subprocess.TimeoutExpired:
        return "no end"
    if done.returncode == 0:
        return ""
    named = [line.split(" ", 1)[1] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return named[0].split(" - ")[0] if named else "the tests cannot be run"


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a path")
    parser.add_argument("--numbers", default="", help="run only these of the sample, for example 3,17")
    parser.add_argument(
        "--near", action="store_true", help="only the first stage: tests of the module, its room, goldens"
    )
    parser.add_argument("--budget", type=float, default=900.0, help="seconds for one stage of tests")
    return parser.parse_args()


def copy_tree() -> None:
    """Make the copy in which one thing at a time is changed."""
    shutil.rmtree(TREE, ignore_errors=True)
    for name in COPIED:
        shutil.copytree(ROOT / name, TREE / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (file for file in ROOT.iterdir() if file.is_file()):
        shutil.copy(file, TREE / file.name)


def main() -> int:
    """Run the sample; 1 where a mutant survives."""
    asked = arguments()
    os.nice(10)
    copy_tree()
    paths = sorted({str(file.relative_to(ROOT)) for glob in TARGETS for file in (ROOT / PACKAGE).glob(glob)})
    every = [mutant for path in paths if asked.only in path for mutant in mutants_of(path)]
    sample = random.Random(asked.seed).sample(every, min(asked.sample, len(every)))  # noqa: S311 - no secret
    wanted = {int(number) for number in asked.numbers.split(",") if number} or set(range(1, len(sample) + 1))
    survivors, killers = [], set()
    for number, mutant in enumerate(sample, start=1):
        if number not in wanted:
            continue
        started = time.monotonic()
        (TREE / mutant.path).write_text(mutant.applied(), encoding="utf-8")
        noticed = killer(mutant, asked.budget, near=asked.near)
        shutil.copy(ROOT / mutant.path, TREE / mutant.path)
        survivors += [] if noticed else [number]
        killers |= {noticed} if "::" in noticed else set()
        word = f"{f'killed by {noticed}' if noticed else 'SURVIVED'}, {time.monotonic() - started:.0f} s"
        say(f"{number}/{len(sample)} {word}: {mutant.path}\n{mutant.diff()}")
    if killers and (false := first_failure(sorted(killers), 10 * asked.budget)):
        say(f"{false} fails without any change, so it tells nothing")
        return 2
    killed = len(wanted) - len(survivors)
    say(
        f"{killed} of {len(wanted)} killed, in a sample of {len(sample)} of {len(every)} mutants with seed {asked.seed}"
    )
    say(f"survivors: {','.join(map(str, survivors)) or 'none'}")
    return 1 if survivors else 0


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
