"""Bytes, tokens, money and time: the few conversions that the rest of the code relies on.

Every quantity carries its unit in its name (``_bytes``, ``_gib``, ``_ms``, ``_usd_per_hour``). Memory is
counted in GiB (2**30 bytes), because that is what CUDA, vLLM and Kubernetes count in; storage that vendors
sell in GB (10**9 bytes) keeps ``_gb``.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

MIB = 2**20
GIB = 2**30
GB = 10**9

HOURS_PER_MONTH = 720
"""A month is 720 h wherever a monthly price is shown (the plan contract)."""

SECONDS_PER_DAY = 86_400

_CENT = Decimal("0.01")
_MICRO_USD = Decimal("0.000001")


def gib(size_bytes: float) -> float:
    """Convert bytes to GiB, unrounded."""
    return size_bytes / GIB


def rounded(value: float, digits: int = 4) -> float:
    """Round a computed quantity for the plan, so that the same input gives the same bytes everywhere."""
    return round(value, digits) + 0.0


def figure(value: float | Decimal) -> str:
    """A number as people read it: in full, to four decimals at most, thousands set apart."""
    return f"{round(value, 4):,.15g}"


def plural(count: float) -> str:
    """The s of a noun that is counted, or of nothing: none of 1."""
    return "" if count == 1 else "s"


def counted(number: float | str, noun: str, form: str = ",") -> str:
    """A number and what it counts: ``1 replica``, ``3 replicas``, ``1,024 tokens``.

    Args:
        number: How many; a text is taken as it is written.
        noun: What is counted, as one of it is called, with its adjectives: ``warm replica``.
        form: How the number is written, as a format of Python. What is written decides: 1.04 as ``.0f`` is ``1 replica``.
    """
    text = number if isinstance(number, str) else format(number, form)
    return f"{text} {noun if text == '1' else _several(noun)}"


def _several(noun: str) -> str:
    if re.search("[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def ceil_div(numerator: int, denominator: int) -> int:
    """Divide two non-negative integers and round up, exactly."""
    return -(-numerator // denominator)


def ceil_ratio(need: float, capacity: float) -> int:
    """How many units of ``capacity`` carry ``need``; one millionth of slack absorbs floating-point noise."""
    if need <= 0:
        return 0
    return max(1, math.ceil(need / capacity - 1e-6))


def round_up(value: int, multiple: int) -> int:
    """Round ``value`` up to the next multiple of ``multiple``."""
    return ceil_div(value, multiple) * multiple


def usd(value: Decimal | float | int | str) -> Decimal:
    """Make an amount of money from a number's shortest decimal form (never from its binary expansion)."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def usd_per_month(usd_per_hour: Decimal) -> Decimal:
    """The price of running all month: 720 h, rounded to the cent."""
    return (usd_per_hour * HOURS_PER_MONTH).quantize(_CENT, ROUND_HALF_EVEN)


def usd_per_hour(value: Decimal) -> Decimal:
    """Round an hourly price to a millionth of a dollar, the finest that providers quote for GPU machines."""
    return value.quantize(_MICRO_USD, ROUND_HALF_EVEN)


def money_text(value: Decimal) -> str:
    """An amount of money as text, without zeros at its end: the same whether it was computed or read from a file."""
    return f"{value.normalize():f}"


def mib_quantity(size_mib: int) -> str:
    """A Kubernetes memory quantity, in Gi where that is exact and in Mi otherwise."""
    return f"{size_mib // 1024}Gi" if size_mib % 1024 == 0 else f"{size_mib}Mi"


def cpu_quantity(milli: int) -> str:
    """A Kubernetes CPU quantity, in whole cores where that is exact and in millicores otherwise."""
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)|[eE]([+-]?[0-9]{1,3}))?"
)
_SUFFIXES = {
    **{
        suffix: Fraction(1000) ** power
        for suffix, power in zip("numkMGTPE", (-3, -2, -1, 1, 2, 3, 4, 5, 6), strict=True)
    },
    **{f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}


def quantity(text: str) -> Fraction | None:
    """The value of a Kubernetes quantity (``1000m`` and ``1`` are one), or None for what is none."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, suffix, exponent = match.groups()
    factor = _SUFFIXES[suffix] if suffix else Fraction(10) ** int(exponent or 0)
    return Fraction(number) * factor
