"""What a path may lead to that is no file of the kind that was asked for: one sentence, before anything is read."""

from __future__ import annotations

import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from agentgpu_iac import inputs
from agentgpu_iac.errors import BadInput
from agentgpu_iac.inputs import MOST_DEPTH, MOST_LINE_BYTES, json_of, lines_in, read_file, read_start, text_of


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as caught:
        read()
    (fault,) = caught.value.faults
    return str(fault)


def loop(folder: Path) -> Path:
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    return folder / "a"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def listening(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "s"))
    return folder / "s"


def dangling(folder: Path) -> Path:
    (folder / "gone").symlink_to(folder / "nothing")
    return folder / "gone"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (lambda folder: folder, "Is a directory"),
        (pipe, "it is a pipe, and nobody may ever write to it"),
        (listening, "it is a socket"),
        (lambda _: Path("/dev/zero"), "it is a device"),
        (loop, "Too many levels of symbolic links"),
        (dangling, "No such file or directory"),
        (lambda folder: folder / ("x" * 300), "File name too long"),
    ],
    ids=["directory", "pipe", "socket", "device", "loop", "dangling", "long"],
)
def test_what_is_no_plain_file_is_never_opened(tmp_path: Path, place: Callable[[Path], Path], why: str) -> None:
    path = place(tmp_path)
    with patch.object(Path, "open", side_effect=AssertionError("opened")):
        assert refusal(lambda: read_file(path, 10)) == f"{path}: cannot be read: {why}"
        assert refusal(lambda: read_start(path, 10)) == f"{path}: cannot be read: {why}"


def test_a_name_that_no_file_has() -> None:
    assert "is no name of a file" in refusal(lambda: read_file(Path("a\0b"), 10))


def test_the_size_is_known_before_a_byte_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    with patch.object(inputs, "_read", side_effect=AssertionError("read")):
        told = refusal(lambda: read_file(path, 10, of="a config.json"))
    assert told == f"{path}: is larger than 10 bytes, the most that is read of a config.json"


def test_a_file_without_a_size_of_its_own_is_bounded_too() -> None:
    """The kernel's files say that they have none."""
    path = Path("/proc/self/maps")
    assert path.stat().st_size == 0
    assert "is larger than 10 bytes" in refusal(lambda: read_file(path, 10))


def test_a_pipe_that_a_parent_has_opened_is_read() -> None:
    there, here = os.pipe()
    os.write(here, b"spec")
    os.close(here)
    try:
        assert read_file(Path(f"/dev/fd/{there}"), 10) == b"spec"
    finally:
        os.close(there)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "is a pointer to a file in Git LFS"),
        (b"<!DOCTYPE html>\n<html>", "is a web page (HTML)"),
        (b"\n  <html lang=en>", "is a web page (HTML)"),
        (b"<?xml version='1.0'?><Error/>", "is XML"),
        ('{"a": 1}'.encode("utf-16"), "1:1: is not UTF-8 text: the byte 0xff does not belong here (save it as UTF-8)"),
        (b'{"a":\n "\x93NUMPY"}', "2:3: is not UTF-8 text: the byte 0x93 does not belong here"),
    ],
)
def test_what_lies_where_a_file_should(content: bytes, message: str) -> None:
    assert message in refusal(lambda: text_of(content, "f"))
    assert message in refusal(lambda: json_of(content, "f"))


def test_a_mark_before_the_text_is_no_part_of_it() -> None:
    assert json_of(b'\xef\xbb\xbf{"a": 1}', "f") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "f: holds the key 'c' twice in one object"),
        ('{"a": 1', "f:1:8: is not JSON: Expecting ',' delimiter (it seems to be cut off: fetch it again)"),
        ('{"a": "b', "f:1:7: is not JSON: Unterminated string starting at (it seems to be cut off: fetch it again)"),
        ('{"a" 1}', "f:1:6: is not JSON: Expecting ':' delimiter"),
        ("", "f:1:1: is not JSON: Expecting value"),
        ("1" * 5000, "f: is not JSON: holds a number of thousands of digits"),
        ("[" * 100_000, f"f: is nested more than {MOST_DEPTH} levels deep"),
        ("[" * 80 + "]" * 80, f"f: is nested more than {MOST_DEPTH} levels deep"),
        ('{"a":' * 80 + "1" + "}" * 80, f"f: is nested more than {MOST_DEPTH} levels deep"),
        ("[" + "0," * 4_000_000 + "0]", "f: holds more than 4,000,000 values"),
    ],
)
def test_what_python_s_reader_would_take_or_stumble_over(text: str, message: str) -> None:
    assert refusal(lambda: json_of(text.encode(), "f")) == message


def test_depth_is_counted_as_people_do() -> None:
    assert json_of(b"[" * MOST_DEPTH + b"]" * MOST_DEPTH, "f")
    assert "nested" in refusal(lambda: json_of(b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1), "f"))


def test_infinity_stands_in_configs_and_in_no_plan() -> None:
    assert json_of(b'{"a": Infinity}', "f")["a"] > 10**300
    assert "holds NaN, which is no JSON" in refusal(lambda: json_of(b'{"a": NaN}', "f", constants=False))


def test_lines_come_one_by_one_and_a_long_one_is_cut() -> None:
    content = b"\xef\xbb\xbffirst\n" + b"x" * (3 * MOST_LINE_BYTES) + b"\nlast"
    first, long, last = lines_in(io.BytesIO(content), "f")
    assert (first, last) == ("first\n", "last")
    assert len(long) == MOST_LINE_BYTES + 1
    with pytest.raises(BadInput, match="f: is not UTF-8 text: line 2"):
        list(lines_in(io.BytesIO(b"{}\n\xff\n"), "f"))


def test_no_sentence_repeats_a_whole_file() -> None:
    (fault,) = BadInput.one("f", "y" * 10**6).faults
    assert len(str(fault)) < 5000
    twin = "k" * 10**6
    assert len(refusal(lambda: json_of(f'{{"{twin}": 1, "{twin}": 2}}', "f"))) < 200


def test_a_json_that_is_whole_is_what_python_reads() -> None:
    value = {"a": [1, 2.5, None, True, {"b": "ü"}]}
    assert json_of(json.dumps(value).encode(), "f") == value
