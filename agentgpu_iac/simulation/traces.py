"""Traces of requests that others measured, in the layouts in which they are published; read once, with the line of each fault.

| layout | fields |
|---|---|
| Azure LLM inference | ``TIMESTAMP, ContextTokens, GeneratedTokens`` (CSV) |
| BurstGPT | ``Timestamp, Session ID, Request tokens, Response tokens`` and others (CSV) |
| Mooncake | ``timestamp`` (ms), ``input_length, output_length, hash_ids`` of 512 tokens (JSON Lines) |
| ServeGen | a client's windows, or a folder of ``*-trace.csv``: see ``servegen`` |
| aiperf | the same by ``session_id``, with ``delay`` (ms) after the answer before and new tokens alone (JSON Lines) |
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any, Final, NoReturn

from agentgpu_iac.errors import BadInput, Fault, shortened
from agentgpu_iac.inputs import MOST_LINE_BYTES, json_of, lines_in, opened, source_of
from agentgpu_iac.simulation import servegen
from agentgpu_iac.units import counted

MOST_REQUESTS: Final = 2_000_000
"""Requests of one trace: each takes some hundred bytes of memory."""
MOST_TOKENS: Final = 10_000_000
"""Tokens of one request: no model takes more."""
BLOCK_TOKENS: Final = 512
"""Tokens of one hash of Mooncake and aiperf."""
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One request of a trace."""

    at_s: float
    """From the trace's first request."""
    prompt_tokens: int
    """0: the trace does not say, and what is asked is a first request of the agent's own."""
    output_tokens: int
    session: int
    """Requests of one number share a beginning."""
    shared_tokens: int
    """Tokens at its beginning that an earlier request of that session had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Requests in the order of time."""

    source: str
    layout: str
    requests: tuple[TraceRequest, ...]

    @property
    def span_s(self) -> float:
        """From the first request to the last, and one mean gap more; 1 s at least."""
        last = self.requests[-1].at_s
        return max(1.0, last + last / max(1, len(self.requests) - 1))

    @property
    def requests_per_s(self) -> float:
        """Mean rate."""
        return len(self.requests) / self.span_s


def read_trace(path: Path) -> Trace:
    """The requests of a trace file.

    Raises:
        BadInput: it is in no layout that is known, or a line of it has a fault; with the line.
    """
    source = source_of(path)
    if path.is_dir():
        layout, found = "servegen", _clients(path)
    else:
        with opened(path) as file:
            layout, found = _read(file, source)
    if not found:
        raise BadInput.one(source, "holds no requests")
    found.sort(key=lambda each: each.at_s)
    start = found[0].at_s
    requests = tuple(
        TraceRequest(each.at_s - start, each.prompt_tokens, each.output_tokens, each.session, each.shared_tokens)
        for each in found
    )
    if requests[-1].at_s > servegen.MOST_SPAN_S + servegen.WINDOW_S:  # of several files; each has its line
        days = counted(requests[-1].at_s / 86_400, "day", ",.0f")
        raise BadInput.one(source, f"spans {days}, and 400 are the most that is read")
    return Trace(source=path.name, layout=layout, requests=requests)


def _clients(folder: Path) -> list[TraceRequest]:
    """The requests of all clients of a folder."""
    files = sorted(folder.glob("*-trace.csv"))
    if not files:
        raise BadInput.one(
            source_of(folder), "is a folder without *-trace.csv", hint="write the path of a trace's file"
        )
    found: list[TraceRequest] = []
    for path in files:
        with opened(path) as file:
            found += _client(lines_in(file, source_of(path)), source_of(path), path.name, len(found))
    return found


def _client(lines: Iterator[str], source: str, name: str, known: int) -> list[TraceRequest]:
    """``prompt_tokens`` 0: what is asked is not known."""
    times = servegen.arrivals(lines, source, name, MOST_REQUESTS - known)
    return [TraceRequest(at_s, 0, 0, known + number, 0) for number, at_s in enumerate(times)]


def _read(file: BufferedReader, source: str) -> tuple[str, list[TraceRequest]]:
    lines = lines_in(file, source)
    first = next(lines, "").strip()
    if first.startswith("{"):
        return "mooncake", list(_json_lines(first, lines, source))
    if servegen.is_servegen(first):
        return "servegen", _client(chain((first,), lines), source, Path(source).name, 0)
    columns = next(csv.reader([first]), [])
    folded = {name.strip().casefold(): place for place, name in enumerate(columns)}
    for layout, needed in _CSV.items():
        if all(name.casefold() in folded for name in needed):
            places = {name: folded[name.casefold()] for name in needed}
            session = folded.get("session id")
            return layout, list(_csv_lines(lines, source, places, session, layout))
    nearest = max(_CSV.values(), key=lambda needed: sum(name.casefold() in folded for name in needed))
    missing = [name for name in nearest if name.casefold() not in folded]
    if len(missing) < len(nearest):
        _fault(source, 1, "", f"has no column {', '.join(missing)} beside {', '.join(columns)}")
    known = "; ".join(f"{layout}: {', '.join(needed)}" for layout, needed in _CSV.items())
    message = f"its first line is no header of a trace that is known: {shortened(first) or 'empty'}"
    raise BadInput(
        [Fault(source=source, line=1, column=1, message=message, hint=f"{known}; or JSON Lines of Mooncake")]
    )


_CSV: Final[Mapping[str, tuple[str, str, str]]] = {
    "azure": ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    "burstgpt": ("Timestamp", "Request tokens", "Response tokens"),
}


def _csv_lines(
    lines: Iterator[str], source: str, places: Mapping[str, int], session: int | None, layout: str
) -> Iterator[TraceRequest]:
    when, prompt, output = places
    time: Callable[[str], float] = _date_s if layout == "azure" else float
    contexts: dict[str, tuple[int, int]] = {}
    order = servegen.Order(source)
    for number, row in servegen.rows(lines, source, read=1):
        if not row:
            continue
        if number > MOST_REQUESTS:
            raise BadInput.one(source, f"holds more than {MOST_REQUESTS:,} requests, the most that is read")
        at_s = _time(_cell(row, places[when], source, number, when), time, source, number, when)
        order.check(at_s, number, when)
        tokens = _tokens(_cell(row, places[prompt], source, number, prompt), source, number, prompt)
        answer = _tokens(_cell(row, places[output], source, number, output), source, number, output)
        if not answer:
            continue  # a request that failed
        key, shared = number, 0
        name = row[session].strip() if session is not None and session < len(row) else ""
        if name:
            key, had = contexts.get(name, (number, 0))
            shared = had if had < tokens else 0
            contexts[name] = (key, tokens + answer)
        yield TraceRequest(at_s, max(1, tokens), answer, key, shared)


def _cell(row: list[str], place: int, source: str, line: int, name: str) -> str:
    if place >= len(row):
        _fault(source, line, name, "is missing")
    return row[place].strip()


def _time(text: Any, read: Callable[[Any], float], source: str, line: int, name: str) -> float:
    try:
        found = read(text)
    except (ValueError, TypeError, OverflowError):
        _fault(source, line, name, f"is no time: {shortened(str(text))!r}")
    if not math.isfinite(found) or found < 0 or isinstance(text, bool):
        _fault(source, line, name, f"is no time from 0 on: {shortened(str(text))!r}")
    return found


def _tokens(value: Any, source: str, line: int, name: str) -> int:
    try:
        found = float(value)
    except (ValueError, TypeError, OverflowError):
        _fault(source, line, name, f"is no number of tokens: {shortened(str(value))!r}")
    if not 0 <= found <= MOST_TOKENS or isinstance(value, bool):
        _fault(source, line, name, f"is {shortened(str(value))}; write 0 to {MOST_TOKENS:,} tokens")
    return int(found)


def _date_s(text: str) -> float:
    """Seconds of ``2023-11-16 18:17:03.9799600``, counted from the year 0 (proleptic, by days)."""
    day, _, clock = text.partition(" ")
    year, month, date = (int(part) for part in day.split("-"))
    hour, minute, second = clock.split(":")
    second = second.partition("+")[0].removesuffix("Z")
    if not (1 <= month <= 12 and 1 <= date <= 31 and 0 <= int(hour) < 24 and 0 <= int(minute) < 60):
        raise ValueError(text)
    shifted = (month + 9) % 12
    years = year - (shifted >= 10)
    days = 365 * years + years // 4 - years // 100 + years // 400 + (shifted * 306 + 5) // 10 + date - 1
    return days * 86_400.0 + int(hour) * 3600 + int(minute) * 60 + float(second)


def _fault(source: str, line: int, path: str, message: str) -> NoReturn:
    raise BadInput([Fault(source=source, line=line, column=1, path=path, message=message)])


class _Blocks:
    """Which session's beginning a request continues: that of the last of its blocks that was seen before."""

    def __init__(self) -> None:
        self._owner: dict[int, int] = {}

    def place(self, hashes: list[int], number: int) -> tuple[int, int]:
        """(session, blocks that it had before)."""
        owner, found = number, 0
        for count, each in enumerate(hashes):
            had = self._owner.get(each)
            if had is None:
                break
            owner, found = had, count + 1
        for each in hashes[found:]:
            self._owner[each] = owner
        return owner, found


def _json_lines(first: str, rest: Iterator[str], source: str) -> Iterator[TraceRequest]:
    blocks = _Blocks()
    sessions: dict[str, tuple[int, float, int]] = {}
    """session -> (number, end of its last request as far as is known, context)"""
    order, started = servegen.Order(source), servegen.Order(source)

    def every() -> Iterator[str]:
        yield first
        yield from rest

    for number, text in enumerate(every(), start=1):
        if not text.strip():
            continue
        if number > MOST_REQUESTS:
            raise BadInput.one(source, f"holds more than {MOST_REQUESTS:,} requests, the most that is read")
        row = _object(text, source, number)
        prompt = _tokens(_field(row, "input_length", source, number), source, number, "input_length")
        output = _tokens(_field(row, "output_length", source, number), source, number, "output_length")
        name = row.get("session_id")
        if isinstance(name, str):
            key, last_s, context = sessions.get(name, (number, 0.0, 0))
            if "delay" in row:
                at_s = last_s + _time(row["delay"], float, source, number, "delay") / 1000
            else:
                at_s = _time(_field(row, "timestamp", source, number), float, source, number, "timestamp") / 1000
            started.check_span(at_s, number, "delay" if "delay" in row else "timestamp")
            sessions[name] = (key, at_s, context + prompt + output)
            yield TraceRequest(at_s, max(1, context + prompt), max(1, output), key, context)
            continue
        at_s = _time(_field(row, "timestamp", source, number), float, source, number, "timestamp") / 1000
        order.check(at_s, number, "timestamp")
        hashes = row.get("hash_ids", [])
        if not isinstance(hashes, list) or not all(type(each) is int for each in hashes):
            _fault(source, number, "hash_ids", "is no list of whole numbers")
        key, found = blocks.place(hashes, number)
        yield TraceRequest(at_s, max(1, prompt), max(1, output), key, min(found * BLOCK_TOKENS, max(0, prompt - 1)))


def _object(text: str, source: str, line: int) -> dict[str, Any]:
    if len(text) > MOST_LINE_BYTES:
        _fault(source, line, "", f"is longer than {MOST_LINE_BYTES:,} bytes, the most that is read of a line")
    try:
        row = json_of(text, source)
    except BadInput as refused:
        _fault(source, line, "", refused.faults[0].message)
    if not isinstance(row, dict):
        _fault(source, line, "", "is no JSON object")
    return row


def _field(row: Mapping[str, Any], name: str, source: str, line: int) -> Any:
    if name not in row:
        _fault(source, line, name, "is missing")
    return row[name]
