"""Facts about the outside world are rows of the catalog: no price and no name of a machine stands in code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import pytest

from tests.house.sources import in_modules, modules

MACHINE = re.compile(
    r"\b(?:(?:c|g|hpc|inf|m|p|r|t|trn|vt)[0-9]+[a-z]*(?:-[a-z0-9]+)?\.(?:nano|micro|small|medium|metal|[0-9]*x?large)"
    r"|(?:a[234]|g2|n[12])-(?:standard|highgpu|megagpu|ultragpu|edgegpu)-[0-9]+g?|Standard_N[A-Z]+[0-9]+\w*|gpu_[0-9]+x_\w+)\b"
)
"""Instance types of AWS, Google Cloud, Azure and Lambda."""

MONEY_NAME = re.compile(r"(?:^|_)(?:usd|USD)(?:_|$|Per)|[pP]rice|PRICE|[cC]ost_?[pP]er")
STEPS = frozenset({"_MICRO_USD", "EQUAL_USD", "max_price_age_days"})
"""What money is rounded to, below which two costs are equal, and days."""

ALLOWED = {
    ("planning/writing/ledger/start.py", "g6e.2xlarge"): "the run that a measured constant of the cold start is from",
    ("cli/examples.py", "g6e.xlarge"): "what a help text asks for as an example",
    ("spec/schema_examples.py", "g6e.xlarge"): "what a field may hold, told beside it",
}
"""(file, name): why it may stand there."""

SHOWN = ("spec/schema_examples.py",)
"""What fields may hold, told beside them: sums that nothing is counted with."""


def strings(tree: ast.AST) -> Iterator[str]:
    """The strings of a module that are not docstrings."""
    expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in expressions:
            yield node.value


def amounts(value: ast.AST) -> Iterator[str]:
    """The numbers above 0 that an expression writes down."""
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            if node.value > 0:
                yield str(node.value)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Decimal":
            literal = node.args[0] if node.args else None
            if (
                isinstance(literal, ast.Constant)
                and Decimal(str(literal.value)).is_finite()
                and Decimal(str(literal.value))
            ):
                yield str(literal.value)


def is_literal(value: ast.AST | None) -> bool:
    """A number, or a Decimal of one."""
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", "") == "Decimal"
    return isinstance(value, ast.Constant)


def prices(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Numbers that are given to a name of money: (name, number)."""
    for node in ast.walk(tree):
        targets: list[tuple[str, ast.AST | None]] = []
        if isinstance(node, ast.Assign):
            targets = [(target.id, node.value) for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            targets = [(node.target.id, node.value)]
        elif isinstance(node, ast.keyword) and node.arg is not None:
            targets = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            targets = [
                (key.value, value)
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            ]
        for name, value in targets:
            if (
                value is not None
                and is_literal(value)
                and MONEY_NAME.search(name)
                and "ratio" not in name.lower()
                and name not in STEPS
            ):
                yield from ((name, amount) for amount in amounts(value))


def beside_the_catalog(found: dict[str, Any]) -> dict[str, Any]:
    """What was found outside of the rooms of the catalog, whose work facts are."""
    return {name: things for name, things in found.items() if "catalog" not in PurePath(name).parts}


def test_no_price_stands_in_code() -> None:
    found = beside_the_catalog(in_modules(prices))
    assert {name: amounts for name, amounts in found.items() if name not in SHOWN} == {}


def test_no_name_of_a_machine_stands_in_code() -> None:
    found = beside_the_catalog(
        in_modules(lambda tree: (name for text in strings(tree) for name in MACHINE.findall(text)))
    )
    assert {(file, name) for file, names in found.items() for name in names} - set(ALLOWED) == set()


@pytest.mark.parametrize(("file", "name"), ALLOWED)
def test_what_is_allowed_still_stands_there(file: str, name: str) -> None:
    assert any(name in text for text in strings(modules()[file])), f"{file} no longer names {name}"


def test_a_price_and_a_machine_would_be_found() -> None:
    code = (
        "GP3_USD_PER_GB_MONTH = Decimal('0.08')\nf(usd_per_hour=1.5, price_cap_ratio=2.0)\nx: int = 3\n"
        "price: float = 2.0\n{'usdPerHour': 4, 'nodes': 2}\nleast_usd = Decimal(0)\nusd_dearest = Decimal('Infinity')\n"
    )
    assert sorted(prices(ast.parse(code))) == [
        ("GP3_USD_PER_GB_MONTH", "0.08"),
        ("price", "2.0"),
        ("usdPerHour", "4"),
        ("usd_per_hour", "1.5"),
    ]
    found = MACHINE.findall(
        "p5.48xlarge g6e.xlarge u-6tb1.metal a3-highgpu-8g Standard_ND96isr_H100_v5 gpu_1x_gh200 v1.36 p4d"
    )
    assert found == ["p5.48xlarge", "g6e.xlarge", "a3-highgpu-8g", "Standard_ND96isr_H100_v5", "gpu_1x_gh200"]
