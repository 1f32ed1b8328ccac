"""Room for models: what is asked for before the first byte, who holds a model, and what is removed when nobody does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.rendering.test_model_cache_script import FILES, MODEL, SCRIPT, WORK, FakeHub, appears, marker, script, stored

OLD = script.Model("acme/m", "acme--m--v0", "v0", "")
GIB = 2**30


class Crash(BaseException):
    """The process ends here."""


def holding(root: Path, path: str, revision: str, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-B", str(SCRIPT), "hold", f"--root={root}", "--model", path, revision, "--", *command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@contextmanager
def held(root: Path, model: Any) -> Iterator[subprocess.Popen[str]]:
    """An engine that holds a model: any process that takes the command's place."""
    started = root / f"{model.path}.started"
    with holding(root, model.path, model.revision, "sh", "-c", f"touch {started}; exec sleep 60") as process:
        assert appears(started)
        try:
            yield process
        finally:
            process.kill()
            process.wait(timeout=10)
            started.unlink()


def filled(root: Path, *models: Any, owner: str = "demo") -> None:
    for model in models:
        script.fill_model(FakeHub(), root, model, script.Work(owner, (model,), frozenset()))


def free(monkeypatch: pytest.MonkeyPatch, *answers: int) -> None:
    """What the disk has free at each question; the last answer stays."""
    left = list(answers)
    usage = lambda _: SimpleNamespace(free=left.pop(0) if len(left) > 1 else left[0])  # noqa: E731
    monkeypatch.setattr(script.shutil, "disk_usage", usage)


def test_more_than_the_plan_counted_is_refused_with_both_numbers(tmp_path: Path) -> None:
    counted = script.Model("acme/m", MODEL.path, "main", "", counted_bytes=8 * GIB)
    listing = script.Listing("c0ffee", (script.RemoteFile("model.safetensors", 13 * GIB, None),))
    with pytest.raises(
        script.NoRoomError, match=r"13.00 GiB.* counted 8.00 GiB .*allows 12.00 GiB.*checkpointBytes: 139"
    ):
        script.check_counted(counted, listing)
    script.check_counted(counted, script.Listing("c0ffee", (script.RemoteFile("m", 12 * GIB, None),)))

    class Larger(FakeHub):
        def listing(self, model: object) -> object:
            return listing

    hub = Larger()
    assert script.fill(hub, tmp_path, script.Work("demo", (counted,), frozenset())) == [counted]
    assert hub.calls == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_named_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, GIB)
    hub = FakeHub()
    with pytest.raises(script.NoRoomError, match=r"1.00 GiB are free. Nothing was downloaded"):
        script.fill_model(hub, tmp_path, MODEL, WORK)
    assert hub.calls == ["listing"]
    free(monkeypatch, GIB + 707)
    script.fill_model(hub, tmp_path, MODEL, WORK)


def test_files_that_are_there_need_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, MODEL)
    marker(tmp_path).unlink()
    free(monkeypatch, GIB)
    script.fill_model(FakeHub(), tmp_path, MODEL, WORK)


def test_an_old_revision_makes_room_unless_an_engine_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, OLD)
    free(monkeypatch, 0)
    with held(tmp_path, OLD), pytest.raises(script.NoRoomError):
        script.fill_model(FakeHub(), tmp_path, MODEL, WORK)
    assert (tmp_path / OLD.path / "config.json").exists()
    free(monkeypatch, 0, 2 * GIB)
    script.fill_model(FakeHub(), tmp_path, MODEL, WORK)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MODEL.path, f"{MODEL.path}.complete"]


def test_an_old_revision_stays_while_there_is_room_and_goes_after_nobody_held_it_for_long(tmp_path: Path) -> None:
    filled(tmp_path, OLD, MODEL)
    now = [0.0]
    cleaner = script.Cleaner(tmp_path, WORK, lambda: now[0])

    def after(seconds: float) -> bool:
        now[0] += seconds
        cleaner.look()
        return (tmp_path / OLD.path).exists()

    assert after(0)
    assert after(script.UNHELD_S - 1)
    with held(tmp_path, OLD):
        assert after(10_000)
    assert after(0)
    assert after(script.UNHELD_S - 1)
    assert not after(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MODEL.path, f"{MODEL.path}.complete"]


@pytest.mark.parametrize(
    ("marked", "owner", "kept"),
    [({"revision": "v0"}, "demo", ()), (None, "other", ()), (None, "demo", (OLD.path,)), ({}, "demo", ())],
    ids=["filled by hand", "of another stack", "of the list, filled by others", "unknown"],
)
def test_what_no_filler_of_this_stack_put_there_is_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marked: dict[str, str] | None, owner: str, kept: tuple[str, ...]
) -> None:
    filled(tmp_path, OLD, owner=owner)
    if marked is not None:
        (tmp_path / f"{OLD.path}.complete").write_text(json.dumps(marked))
    work = script.Work("demo", (MODEL,), frozenset(kept))
    free(monkeypatch, 0)
    with pytest.raises(script.NoRoomError):
        script.fill_model(FakeHub(), tmp_path, MODEL, work)
    now = [0.0]
    cleaner = script.Cleaner(tmp_path, work, lambda: now[0])
    for now[0] in (0.0, 1e9):
        cleaner.look()
    assert (tmp_path / OLD.path / "config.json").exists()


def test_a_model_of_two_stacks_stays_when_one_needs_it_no_more(tmp_path: Path) -> None:
    filled(tmp_path, OLD, owner="first")
    hub = FakeHub()
    script.fill_model(hub, tmp_path, OLD, script.Work("second", (OLD,), frozenset()))
    assert hub.calls == []
    for owner in ("first", "second"):
        assert list(script.unneeded(tmp_path, script.Work(owner, (MODEL,), frozenset()))) == []


def test_nothing_is_removed_while_another_filler_fills(tmp_path: Path) -> None:
    filled(tmp_path, OLD)
    now = [0.0]
    cleaner = script.Cleaner(tmp_path, WORK, lambda: now[0])
    cleaner.look()
    now[0] = 1e9
    with script.locked(tmp_path, script.fcntl.LOCK_EX):
        cleaner.look()
        assert (tmp_path / OLD.path).exists()
    cleaner.look()
    assert not (tmp_path / OLD.path).exists()


def test_a_download_that_was_given_up_is_removed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub()
    hub.interrupted_after = 2
    script.fill(hub, tmp_path, script.Work("demo", (OLD,), frozenset()))
    assert (tmp_path / OLD.path).exists()
    free(monkeypatch, 0, 2 * GIB)
    script.fill_model(FakeHub(), tmp_path, MODEL, WORK)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MODEL.path, f"{MODEL.path}.complete"]


def test_an_engine_holds_its_model_until_it_ends_whatever_ends_it(tmp_path: Path) -> None:
    filled(tmp_path, MODEL)
    folder = tmp_path / MODEL.path
    with held(tmp_path, MODEL) as process:
        assert script.is_held(folder)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        assert not script.is_held(folder)


def test_two_engines_hold_one_model(tmp_path: Path) -> None:
    filled(tmp_path, MODEL)
    with held(tmp_path, MODEL):
        with holding(tmp_path, MODEL.path, "main", "true") as second:
            assert second.wait(timeout=10) == 0
        assert script.is_held(tmp_path / MODEL.path)


def test_a_model_is_held_where_the_cache_is_mounted_read_only(tmp_path: Path) -> None:
    """A lock asks for no right to write: the handle that carries it is open for reading."""
    filled(tmp_path, MODEL)
    handle = script.hold(tmp_path, MODEL.path, "main")
    assert os.get_inheritable(handle)
    with pytest.raises(OSError, match=r"Is a directory|Bad file descriptor"):
        os.write(handle, b"x")
    os.close(handle)


def test_an_engine_without_its_model_ends_with_what_is_missing(tmp_path: Path) -> None:
    filled(tmp_path, MODEL)
    with holding(tmp_path, MODEL.path, "v2", "true") as process:
        assert process.wait(timeout=10) == 1
        assert process.stdout is not None
        assert "does not name revision v2" in process.stdout.read()


def test_the_engine_takes_the_place_of_the_process_that_holds(tmp_path: Path) -> None:
    """So that SIGTERM reaches it, and its end is the container's."""
    filled(tmp_path, MODEL)
    with holding(tmp_path, MODEL.path, "main", "sh", "-c", "echo $$; exit 7") as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == process.pid
        assert process.wait(timeout=10) == 7


STEPS = ["check_counted", "write", "remove_strangers", "make_room", "verify", "mark"]


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_of_a_fill_leaves_what_the_next_run_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, late: bool
) -> None:
    (tmp_path / MODEL.path / "original").mkdir(parents=True)
    (tmp_path / MODEL.path / "original" / "a.pth").write_bytes(b"from before")
    real: Callable[..., Any] = getattr(script, step)

    def crash(*arguments: Any, **options: Any) -> None:
        if late:
            real(*arguments, **options)
        raise Crash

    monkeypatch.setattr(script, step, crash)
    with pytest.raises(Crash):
        script.fill_model(FakeHub(), tmp_path, MODEL, WORK)
    if (step, late) not in {("mark", True), ("write", True)}:
        assert not marker(tmp_path).exists()
    monkeypatch.setattr(script, step, real)
    assert script.fill(FakeHub(), tmp_path, WORK) == []
    assert stored(tmp_path) == FILES
    assert json.loads(marker(tmp_path).read_text())["commit"] == "c0ffee"


@pytest.mark.parametrize("at", range(9))
def test_a_crash_at_any_step_of_a_removal_leaves_no_half_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """It is whole, or it is not in its place; the next look removes the rest."""
    filled(tmp_path, OLD, MODEL)
    left = [at]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Crash
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for name in ("unlink", "rename", "mkdir", "replace"):
            patched.setattr(Path, name, counted(getattr(Path, name)))
        patched.setattr(script.shutil, "rmtree", counted(shutil.rmtree))
        try:
            script.remove(tmp_path, tmp_path / OLD.path, WORK)
        except Crash:
            if (tmp_path / OLD.path).exists():
                assert (tmp_path / OLD.path / "model.safetensors").read_bytes() == FILES["model.safetensors"]
            else:
                assert not (tmp_path / f"{OLD.path}.complete").exists()
    now = [0.0]
    cleaner = script.Cleaner(tmp_path, WORK, lambda: now[0])
    for now[0] in (0.0, 1e9):
        cleaner.look()
    left_over = {path.name for path in tmp_path.iterdir()}
    assert left_over == {MODEL.path, f"{MODEL.path}.complete"}


def test_a_filler_waits_for_the_one_before_it(tmp_path: Path) -> None:
    """A rollout may start the next while the last still writes; two would undo one another's files."""
    (tmp_path / "models.json").write_text(json.dumps({"owner": "demo", "models": [], "kept": []}))
    (tmp_path / "root").mkdir()
    command = [sys.executable, "-B", str(SCRIPT), "fill", f"--root={tmp_path / 'root'}"]
    command += [f"--models={tmp_path / 'models.json'}", f"--ready={tmp_path / 'ready'}"]
    with script.locked(tmp_path / "root", script.fcntl.LOCK_EX) as alone:
        assert alone
        with subprocess.Popen(command) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
            assert not (tmp_path / "ready").exists()
            process.kill()


def test_an_engine_that_reads_no_model_of_the_node_waits_for_none_and_starts(tmp_path: Path) -> None:
    """One that streams its weights: the folder for compiled code is made all the same."""
    for command in (
        ("wait", "--engine-cache=.engine-cache/chat/x"),
        ("hold", "--", sys.executable, "-c", "print('up')"),
    ):
        words = [sys.executable, "-B", str(SCRIPT), command[0], f"--root={tmp_path}", *command[1:]]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout == "up\n"
    assert (tmp_path / ".engine-cache/chat/x").is_dir()
