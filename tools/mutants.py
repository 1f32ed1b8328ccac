#!/usr/bin/env python3
"""Change one thing in the code, run the tests, and see whether they notice: a seeded sample of such mutants.

    tools/mutants.py [--sample 100] [--seed 1] [--only sizing/memory.py] [--budget 400]

Two well-kept tools were looked at. mutmut 3 changes only what stands in functions, and half of what decides here are constants
of modules; cosmic-ray changes no words, takes out no statements, and runs one command of tests for every mutant. This runs the
goldens and the tests that import the module first, then its room's, then all others, and stops at the first failure.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import highspy  # noqa: F401 - what every child would import again
import hypothesis  # noqa: F401
import jinja2  # noqa: F401
import numpy  # noqa: F401
import pydantic  # noqa: F401
import pytest
import yaml  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "agentgpu_iac"
TREE = ROOT / "build" / "mutants"
COPIED = (PACKAGE, "stacks", "templates", "tests", "docs", "tools", "requirements", "bench")
TARGETS = (
    "spec/rules.py",
    "spec/agent_rules.py",
    "sizing/*.py",
    "planning/**/*.py",
    "calculators/*.py",
    "provisioning/faults.py",
    "provisioning/policy.py",
    "provisioning/aws/karpenter_policy.py",
)
"""The core: what decides."""

ALL_PASSED = "all passed"
QUIET = ("-x", "-q", "--no-header", "--tb=no", "-W", "ignore::pytest.PytestAssertRewriteWarning")
GOLDENS = "tests/outcomes/test_golden.py"

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


def stages(path: str) -> tuple[list[str], list[str], list[str]]:
    """Test files in the order in which they run: goldens and tests that import the module, its room's, all others."""
    module = path.removesuffix(".py").replace("/", ".")
    parent, _, name = module.rpartition(".")
    room = path.split("/")[1]
    first, second, last = [GOLDENS], [], []
    for file in (str(file.relative_to(TREE)) for file in sorted((TREE / "tests").rglob("test_*.py")) if _runs(file)):
        text = (TREE / file).read_text(encoding="utf-8")
        imports = re.search(rf"{re.escape(module)}\b|from {re.escape(parent)} import .*\b{name}\b", text)
        if file != GOLDENS:
            near = file.startswith((f"tests/{room}/", "tests/outcomes/"))
            (first if imports else second if near else last).append(file)
    return first, second, last


def _runs(file: Path) -> bool:
    return not {"e2e", "golden"} & set(file.relative_to(TREE / "tests").parts)


class Notice:
    """A plugin of pytest that keeps the name of the first failure."""

    def __init__(self) -> None:
        self.failed = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A test."""
        self.failed = self.failed or (report.nodeid if report.failed else "")

    def pytest_collectreport(self, report: Any) -> None:
        """A module that cannot be read."""
        self.failed = self.failed or (report.nodeid if report.failed else "")


def first_failure(runs: Sequence[list[str]], budget_s: float) -> str:
    """The first of these tests that fails in the copy; empty for none. A run that finds no end is noticed too.

    It is made in a fork of this process, which has imported pytest and the libraries, and nothing of ours.
    """
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        _run(runs, sending)
    os.close(sending)
    ends = time.monotonic() + budget_s
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > ends:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "no end"
        time.sleep(0.05)
    with os.fdopen(receiving) as answer:
        found = answer.read()
    if not found:
        raise RuntimeError(f"the tests of {TREE} came to no answer")
    return found.removeprefix(ALL_PASSED)


def _run(runs: Sequence[list[str]], answer: int) -> NoReturn:
    os.chdir(TREE)
    os.environ.update({"PYTHONPATH": str(TREE), "PYTHONDONTWRITEBYTECODE": "1"})
    os.environ.pop("AGENTGPU_UPDATE_GOLDEN", None)
    sys.path.insert(0, str(TREE))
    sys.dont_write_bytecode = True
    silent = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silent, number)
    notice = Notice()
    for files in runs:
        code = pytest.main([*QUIET, *files], plugins=[notice]) if files else 0
        if code:  # without a failure pytest itself was called wrongly, and there is no answer
            os.write(answer, notice.failed.encode())
            os._exit(0)
    os.write(answer, ALL_PASSED.encode())
    os._exit(0)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a path")
    parser.add_argument("--numbers", default="", help="run only these of the sample, for example 3,17")
    parser.add_argument("--stages", type=int, default=3, help="1: goldens and tests of the module; 2: its room; 3: all")
    parser.add_argument("--nice", type=int, default=10)
    parser.add_argument("--budget", type=float, default=900.0, help="seconds for the tests of one mutant")
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
    os.nice(asked.nice)
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
        noticed = first_failure(stages(mutant.path)[: asked.stages], asked.budget)
        shutil.copy(ROOT / mutant.path, TREE / mutant.path)
        survivors += [] if noticed else [number]
        killers |= {noticed} if "::" in noticed else set()
        word = f"{f'killed by {noticed}' if noticed else 'SURVIVED'}, {time.monotonic() - started:.0f} s"
        say(f"{number}/{len(sample)} {word}: {mutant.path}\n{mutant.diff()}")
    if killers and (false := first_failure([sorted(killers)], 10 * asked.budget)):
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
