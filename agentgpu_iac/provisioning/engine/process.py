"""Pulumi's command line as a process that leads a group of its own, so that it is told to stop once, by us.

In the terminal's group it would hear each Ctrl-C itself, and who stops us alone, as CI does, would leave it running. A first
signal lets it finish what it has begun and write its state; a second one ends it at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, requires
from typing import IO, Any, Final

from packaging.requirements import Requirement
from pulumi import automation
from semver import VersionInfo

from agentgpu_iac.errors import DISTRIBUTION, OutsideFailure

_STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INSTALL: Final = "https://www.pulumi.com/docs/install/"
_LIBRARY: Final = "pulumi"


class CommandFailed(automation.CommandError):
    """A command of Pulumi's ended with an error."""

    def __init__(self, result: automation.CommandResult) -> None:
        super().__init__(result)
        self.code = result.code
        """Its exit code, which is kept."""
        self.said = f"{result.stderr}\n{result.stdout}".strip()


class Engine(automation.PulumiCommand):
    """The command line that is on the path."""

    def __init__(self, stopping: Callable[[int], None] = lambda _: None) -> None:
        """Find it; ``stopping`` hears how often it was told to stop.

        Raises OutsideFailure where it is not there, or older than the library that speaks with it.
        """
        self._stopping = stopping
        self.stops = 0
        """How often it was told to stop."""
        try:
            super().__init__(version=oldest_version())
        except automation.InvalidVersionError as error:
            raise OutsideFailure(f"pulumi: {error} ({_INSTALL})") from None
        except FileNotFoundError:
            raise OutsideFailure(f"pulumi is not there: install it ({_INSTALL}), and try again") from None
        except (OSError, subprocess.CalledProcessError) as error:
            raise OutsideFailure(f"pulumi does not run: {error}") from None

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> automation.CommandResult:
        """Run a command to its end, whoever wants to stop us meanwhile. Raises CommandFailed."""
        with (
            self._told_to_stop() as begun,
            subprocess.Popen(  # noqa: S603 - words of ours, no shell
                (self.command, "--non-interactive", *args),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env={**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"},
                encoding="utf-8",
                errors="replace",
                process_group=0,
            ) as process,
        ):
            assert process.stdout is not None  # noqa: S101 - PIPE
            assert process.stderr is not None  # noqa: S101 - PIPE
            begun(process)
            readers = [
                _Reader(stream, heard) for stream, heard in ((process.stdout, on_output), (process.stderr, on_error))
            ]
            for reader in readers:
                reader.join()
            code = process.wait()
        stdout, stderr = (reader.text for reader in readers)
        result = automation.CommandResult(stdout=stdout, stderr=stderr, code=code)
        if code:
            raise CommandFailed(result)
        return result

    @contextmanager
    def _told_to_stop(self) -> Iterator[Callable[[subprocess.Popen[str]], None]]:
        """Hand on to the engine, once it has begun, whatever shall end us, and stay until it has ended.

        It begins under our handlers: a signal that we were started to ignore, as shells start what runs in the background, it
        would ignore too, and could not be told to stop.
        """
        running: list[subprocess.Popen[str]] = []
        if threading.current_thread() is not threading.main_thread():
            yield running.append
            return
        stops = self.stops

        def tell() -> None:
            for process in running:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)

        def hand_on(_number: int, _frame: object) -> None:
            self.stops += 1
            tell()
            self._stopping(self.stops)

        def begun(process: subprocess.Popen[str]) -> None:
            running.append(process)
            if self.stops > stops:
                tell()

        before = {number: signal.signal(number, hand_on) for number in _STOPS}
        try:
            yield begun
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Reader(threading.Thread):
    """Reads a stream to its end, line by line."""

    def __init__(self, stream: IO[str], heard: Callable[[str], Any] | None) -> None:
        super().__init__(daemon=True)
        self._stream, self._heard = stream, heard
        self._lines: list[str] = []
        self.start()

    def run(self) -> None:
        for line in self._stream:
            stripped = line.rstrip()
            self._lines.append(stripped)
            if self._heard is not None:
                self._heard(stripped)

    @property
    def text(self) -> str:
        """All that was read."""
        return "\n".join(self._lines)


def oldest_version() -> VersionInfo | None:
    """The oldest command line that we speak with: as old as the oldest library that our extra takes; None: not known."""
    try:
        wanted = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        return None
    bounds = (bound for need in wanted if need.name == _LIBRARY for bound in need.specifier if bound.operator == ">=")
    return next((VersionInfo.parse(_three_numbers(each.version)) for each in bounds), None)


def _three_numbers(version: str) -> str:
    return ".".join((*version.split("."), "0", "0")[:3])
