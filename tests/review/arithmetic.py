"""A sum as ``explain`` prints it, worked out: numbers, ``+ - x / ^``, ``max``, ``min`` and parentheses, and nothing else."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")


def worked_out(text: str) -> float:
    """The value of a printed sum. Raises ValueError for a text that is none."""
    spelled = _THOUSANDS.sub("", text).replace(" B", "").replace(" x ", " * ").replace("^", "**")
    try:
        return _value(ast.parse(spelled, mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"no sum: {text}") from error


def first_number(text: str) -> float:
    """The first number in a text such as ``USD 2,421.45 a month``."""
    found = re.search(r"-?\d[\d,]*(\.\d+)?", text)
    if found is None:
        raise ValueError(f"no number: {text}")
    return float(found.group().replace(",", ""))


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case ast.Call(func=ast.Name(id="max" | "min" as name), args=values, keywords=[]):
            return {"max": max, "min": min}[name](map(_value, values))
    raise ValueError(f"no sum: {ast.dump(node)}")
