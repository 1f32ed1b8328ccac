"""Pulumi's command line as a process: its age, and who tells it to stop. A script stands in for it here."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from agentgpu_iac.errors import OutsideFailure
from agentgpu_iac.provisioning.engine.process import CommandFailed, Engine, oldest_version

STAND_IN = """\
#!/bin/sh
[ "$1" = version ] && { echo "$PULUMI_STAND_IN"; exit; }
trap 'echo told; exit 7' INT
touch ready
while :; do sleep 0.05; done
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / "pulumi"
    script.write_text(STAND_IN)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("PULUMI_STAND_IN", "v3.900.0")
    return tmp_path


def test_it_is_as_old_as_the_library_at_most(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oldest = oldest_version()
    assert oldest is not None
    monkeypatch.setenv("PULUMI_STAND_IN", f"v{oldest}")
    Engine()
    monkeypatch.setenv("PULUMI_STAND_IN", "v3.100.0")
    with pytest.raises(
        OutsideFailure, match=rf"minimum CLI version requirement is {oldest}, your current .* 3\.100\.0"
    ):
        Engine()


def test_it_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutsideFailure, match="pulumi is not there: install it"):
        Engine()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_us_stops_it_once_and_gets_its_exit_code(folder: Path, number: signal.Signals) -> None:
    told: list[int] = []
    engine = Engine(told.append)

    def stop() -> None:
        while not (folder / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=stop).start()
    handler = signal.getsignal(number)
    with pytest.raises(CommandFailed) as failed:
        engine.run(["up"], str(folder), {})
    assert (failed.value.code, failed.value.said) == (7, "told")
    assert (told, engine.stops) == ([1], 1)
    assert signal.getsignal(number) is handler


def test_it_can_be_stopped_where_we_were_started_in_the_background(folder: Path) -> None:
    """A shell has what it starts in the background ignore SIGINT, and what that starts would ignore it as well."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        test_who_stops_us_stops_it_once_and_gets_its_exit_code(folder, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)
