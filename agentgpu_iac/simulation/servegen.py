"""ServeGen's clients: windows of ten minutes with a rate and how bursty it is, from which arrivals are drawn.

``start in s, requests/s, coefficient of variation, Gamma or Weibull, two parameters``, a file for each client. Gaps have the rate
and the variation of their window; what is asked is not in these files, so that each request is a first one of the agent's own.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Final, NoReturn

from agentgpu_iac.errors import BadInput, Fault, shortened
from agentgpu_iac.units import counted

WINDOW_S: Final = 600.0
_COLUMNS: Final = 6
_MOST_PER_S: Final = 1e6
_MOST_VARIATION: Final = 100.0
_SHAPES: Final = (0.05, 1_000.0)
"""Of Weibull's distribution; outside of them its mean, or a draw, is no number."""
MOST_SPAN_S: Final = 400 * 86_400.0
"""Longest time of a trace."""


class Order:
    """Times of a file, line after line."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._first = math.nan
        self._before = -math.inf

    def check(self, at_s: float, line: int, name: str) -> None:
        """Refuse a time before that of the line before, and one that is too far from the first."""
        if at_s < self._before:
            _fault(self._source, line, name, "lies before the line before it; sort the file by time")
        self._before = at_s
        self.check_span(at_s, line, name)

    def check_span(self, at_s: float, line: int, name: str) -> None:
        """Refuse a time that is too far from the first."""
        if math.isnan(self._first):
            self._first = at_s
        if at_s - self._first > MOST_SPAN_S:
            most = f"{MOST_SPAN_S / 86_400:.0f} days after the first one, the longest time that is read"
            _fault(self._source, line, name, f"lies more than {most}")


def rows(lines: Iterator[str], source: str, *, read: int = 0) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of CSV, behind so many lines that were read before."""
    reader = csv.reader(lines)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            _fault(source, read + reader.line_num, "", f"is no CSV: {error}")
        yield read + reader.line_num, row


def is_servegen(first_line: str) -> bool:
    """Whether a file begins as a client's: six columns, the first two numbers, and no header."""
    cells = next(csv.reader([first_line]), [])
    return len(cells) == _COLUMNS and _number(cells[0]) is not None and _number(cells[1]) is not None


def arrivals(lines: Iterator[str], source: str, name: str, most: int) -> Iterator[float]:
    """Times of one client's requests in s, in order; ``most`` of them at most."""
    chance = Random(f"servegen/{name}")
    count, order, before = 0, Order(source), -math.inf
    for line, row in rows(lines, source):
        if not row:
            continue
        if len(row) != _COLUMNS:
            _fault(source, line, "", f"has {counted(len(row), 'column')}; write {_COLUMNS}")
        start_s, rate = _figure(row[0], source, line, "start"), _figure(row[1], source, line, "rate")
        order.check(start_s, line, "start")
        if start_s == before:
            _fault(source, line, "start", "is that of the line before it; a client has one line for each window")
        if rate > _MOST_PER_S:
            _fault(source, line, "rate", f"is {rate:g}; write {_MOST_PER_S:,.0f} requests a second at most")
        before = start_s
        if not rate:
            continue
        gap = _gaps(row, rate, chance, source, line)
        at_s = gap() * chance.random()
        while at_s < WINDOW_S:
            count += 1
            if count > most:
                raise BadInput.one(source, f"makes more than {counted(most, 'request')}, the most that is read")
            yield start_s + at_s
            at_s += gap()


def _gaps(row: list[str], rate: float, chance: Random, source: str, line: int) -> Callable[[], float]:
    mean_s = 1 / rate
    if not row[2].strip():
        return lambda: -math.log(1 - chance.random()) * mean_s
    variation = _figure(row[2], source, line, "variation")
    pattern = row[3].strip()
    if variation > _MOST_VARIATION:
        _fault(source, line, "variation", f"is {variation:g}; write {_MOST_VARIATION:g} at most")
    if pattern == "Gamma" and variation:
        shape = 1 / variation**2
        return lambda: chance.gammavariate(shape, mean_s / shape)
    if pattern == "Weibull":
        shape = _figure(row[4], source, line, "shape")
        if not _SHAPES[0] <= shape <= _SHAPES[1]:
            _fault(source, line, "shape", f"is {shape:g}; write {_SHAPES[0]:g} to {_SHAPES[1]:,.0f}")
        scale = mean_s / math.gamma(1 + 1 / shape)
        return lambda: chance.weibullvariate(scale, shape)
    if pattern not in ("", "Gamma"):
        _fault(source, line, "pattern", f"is {shortened(pattern)!r}; write Gamma or Weibull")
    return lambda: -math.log(1 - chance.random()) * mean_s


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _figure(text: str, source: str, line: int, name: str) -> float:
    found = _number(text)
    if found is None or found < 0:
        _fault(source, line, name, f"is no number from 0 on: {shortened(text)!r}")
    return found


def _fault(source: str, line: int, path: str, message: str) -> NoReturn:
    raise BadInput([Fault(source=source, line=line, column=1, path=path, message=message)])
