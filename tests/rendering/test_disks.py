"""Which disks setup.sh takes for blank, by the real blkid and wipefs: on loop devices where there is a right to them, else on
files, of which only the size is told another way.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rendering.test_hosts import verbatim

MIB = 2**20
SIZE = 24 * MIB
PROGRAMS = ("blkid", "wipefs", "blockdev", "dd", "cmp", "mkfs.ext4", "mkswap", "losetup")


def program(name: str) -> str | None:
    """Where a program of the system's is; their folders are not on everybody's path."""
    return next(
        (f"{folder}/{name}" for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin") if Path(folder, name).exists()),
        None,
    )


pytestmark = pytest.mark.skipif(
    any(program(name) is None for name in PROGRAMS), reason="needs util-linux and e2fsprogs"
)


def nothing(disk: Path) -> None:
    assert disk.stat().st_size == SIZE


def ext4(disk: Path) -> None:
    subprocess.run([str(program("mkfs.ext4")), "-q", "-F", str(disk)], check=True, capture_output=True)


def swap(disk: Path) -> None:
    subprocess.run([str(program("mkswap")), str(disk)], check=True, capture_output=True)


def written(at: int, content: bytes) -> Callable[[Path], None]:
    def make(disk: Path) -> None:
        with disk.open("r+b") as file:
            file.seek(at)
            file.write(content)

    return make


def ambivalent(disk: Path) -> None:
    ext4(disk)
    written(0, b"-rom1fs-")(disk)


def partition_table(disk: Path) -> None:
    written(446, bytes([0, 32, 33, 0, 0x83, 1, 2, 3]) + (2048).to_bytes(4, "little") + (4096).to_bytes(4, "little"))(
        disk
    )
    written(510, b"\x55\xaa")(disk)


CONTENTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "nothing": (nothing, ""),
    "ext4": (ext4, "a file system or a partition table"),
    "swap": (swap, "a file system or a partition table"),
    "a partition table": (partition_table, "a file system or a partition table"),
    "ext4 over something older": (ambivalent, "signatures of several file systems"),
    "LUKS": (written(0, b"LUKS\xba\xbe\x00\x01"), "a file system or a partition table"),
    "a database on the bare disk": (written(4096, b"\x01" * 512), "data in its first MiB"),
    "an encrypted disk without a header": (written(MIB - 1, b"\x9c"), "data in its first MiB"),
    "what arrays keep at the end": (written(SIZE - 1, b"\x01"), "data in its last MiB"),
    "data that begins in its last MiB": (written(SIZE - MIB, b"\x01"), "data in its last MiB"),
}


@contextmanager
def disk_of(file: Path) -> Iterator[tuple[Path, str]]:
    """A loop device over a file, or the file itself; and what tells its size."""
    made = subprocess.run(
        [str(program("losetup")), "--find", "--show", str(file)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        yield file, 'blockdev() { stat --format=%s "$2"; }'
        return
    device = made.stdout.strip()
    try:
        yield Path(device), ":"
    finally:
        subprocess.run([str(program("losetup")), "--detach", device], check=True)


def told_of(disk: Path, sizes: str) -> str:
    text = verbatim("setup.sh")
    functions = [
        re.search(rf"^{name}\(\) \{{.*?^\}}", text, re.DOTALL | re.MULTILINE) for name in ("is_zero", "content_of")
    ]
    script = "\n".join(("set -o errexit -o nounset -o pipefail", sizes, *(each[0] for each in functions if each)))
    ran = subprocess.run(
        ["bash", "-c", f'{script}\ncontent_of "$1"', "setup", str(disk)],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout.strip()


@pytest.mark.parametrize("name", CONTENTS)
def test_a_disk_is_blank_where_nothing_is_on_it_and_else_is_left_alone(name: str, tmp_path: Path) -> None:
    make, told = CONTENTS[name]
    file = tmp_path / "disk"
    with file.open("wb") as new:
        new.truncate(SIZE)
    make(file)
    with disk_of(file) as (disk, sizes):
        assert told_of(disk, sizes) == told


def test_what_cannot_be_read_is_not_blank(tmp_path: Path) -> None:
    assert told_of(tmp_path / "none", ":")
    small = tmp_path / "small"
    small.write_bytes(b"\0" * MIB)
    assert told_of(small, 'blockdev() { stat --format=%s "$2"; }') == "less than two MiB"
