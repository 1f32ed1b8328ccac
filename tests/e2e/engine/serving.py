"""A real engine in the place of a pod: the pod's own command, arguments and environment, on this machine's CPU."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e import processes
from tests.e2e.engine.pods import EnginePod
from tests.e2e.ports import HOST, free_ports
from tests.e2e.processes import PATIENCE_S

START_LIMIT_S = 900
"""One takes about 40 s alone on two idle cores."""
KV_CACHE_GIB = 1
LATER = 15
"""The kernel's nice value of what computes."""


def local_args(args: tuple[str, ...], models_folder: str, models: Path, port: int) -> tuple[str, ...]:
    """The pod's arguments, changed where they are about the pod's file system, network or accelerator."""
    words = list(args)
    words[0] = words[0].replace(models_folder, str(models), 1)
    for flag, value in (("--host", HOST), ("--port", str(port))):
        words[words.index(flag) + 1] = value
    return (*words, "--enforce-eager")


class Engine:
    """The process of one pod, while it runs."""

    def __init__(self, pod: EnginePod, models: Path, folder: Path, programs: Path) -> None:
        self.pod = pod
        self.models = models
        self.folder = folder
        (self.port,) = free_ports(1)
        mounts = {each["mountPath"]: each["name"] for each in pod.container["volumeMounts"]}
        models_folder = next(path for path, name in mounts.items() if pod.args[0].startswith(f"{path}/"))
        self.args = local_args(pod.args, models_folder, models, self.port)
        self.environment = {name: self._here(value) for name, value in pod.environment.items()}
        self.log = folder / "engine.log"
        folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = processes.start(
                [*pod.command, *self.args],
                cwd=folder,
                env={
                    "PATH": f"{programs}:{os.defpath}",
                    "VLLM_CPU_KVCACHE_SPACE": str(KV_CACHE_GIB),
                    **self.environment,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.started = time.monotonic()
        self.polls: list[dict[str, int | None]] = []
        """What each probe's path answered, from the start of the process to the first time that all were content."""

    def _here(self, value: str) -> str:
        """A variable's value, with the container's writable folders below the test's."""
        if not value.startswith("/"):
            return value
        place = self.folder / value.removeprefix("/")
        place.mkdir(parents=True, exist_ok=True)
        return str(place)

    def is_ready(self) -> bool:
        """Whether every probe's path answers 200. Keeps the answers; fails where none can be hoped for."""
        self.polls.append({path: self.status(path) for path in set(self.pod.probe_paths.values())})
        if (code := self.process.poll()) is not None:
            raise AssertionError(f"engine {self.pod.owner} exited {code}\n{self.log_tail()}")
        if time.monotonic() > self.started + START_LIMIT_S:
            raise AssertionError(f"engine {self.pod.owner} is not ready after {START_LIMIT_S} s\n{self.log_tail()}")
        return all(status == 200 for status in self.polls[-1].values())

    def status(self, path: str) -> int | None:
        """Status of a GET; None where nothing answers."""
        try:
            return self.ask(path)[0]
        except OSError:
            return None

    def ask(self, path: str, body: object = None, *, timeout_s: float = PATIENCE_S) -> tuple[int, str]:
        """Send a request and read the whole answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)
        try:
            content = None if body is None else json.dumps(body)
            connection.request("POST" if content else "GET", path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def complete(self, tokens: int) -> tuple[int, int]:
        """Ask for so many tokens; the status of the answer, and how many came."""
        status, text = self.ask("/v1/completions", self.request(tokens))
        return status, json.loads(text)["usage"]["completion_tokens"] if status == 200 else 0

    def status_of_completion(self) -> int | None:
        """Status of a short request; None where nothing answers."""
        try:
            return self.complete(1)[0]
        except (OSError, http.client.HTTPException):
            return None

    def request(self, tokens: int, **more: object) -> dict[str, object]:
        """A request for exactly so many tokens."""
        return {"model": self.model, "prompt": "hello", "max_tokens": tokens, "ignore_eos": True, **more}

    @property
    def model(self) -> str:
        """Name under which the pod serves."""
        return self.pod.args[self.pod.args.index("--served-model-name") + 1]

    def samples(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """What ``/metrics`` says: by name, each series' labels and value."""
        status, text = self.ask("/metrics")
        assert status == 200
        found: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for name, labels, value in re.findall(r"^([a-zA-Z_:]\w*(?::\w+)*)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
            found[name].append((dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)))
        return dict(found)

    def log_tail(self, lines: int = 60) -> str:
        """The end of what the engine printed."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def terminate(self) -> None:
        """What the kubelet does when the hook before the stop is through: SIGTERM to the process itself."""
        self.process.send_signal(signal.SIGTERM)

    def exit_code_within(self, limit_s: float) -> int | None:
        """Exit code of the process, or None where it still runs after so many seconds."""
        try:
            return self.process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            return None

    def children(self) -> set[str]:
        """Names of the processes that the engine has started and that still run."""
        found = set()
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
                if fields["PPid"] == str(self.process.pid) and not fields["State"].startswith("Z"):
                    found.add(fields["Name"])
        return found

    def put_server_first(self) -> None:
        """Let what computes have only the time that its server leaves, as where an accelerator computes.

        Else, on a machine that is busy, tokens come faster than the server passes them on, and it hears nothing else.
        """
        for task in Path("/proc").glob("[0-9]*/task/[0-9]*"):
            process = int(task.parts[2])
            with contextlib.suppress(OSError):
                if process != self.process.pid and os.getsid(process) == self.process.pid:
                    os.setpriority(os.PRIO_PROCESS, int(task.name), LATER)

    def stop(self) -> None:
        """Let the process end by itself, having been told to; then end what is left."""
        self.exit_code_within(20)
        self.kill()

    def kill(self) -> None:
        """End the process and its children at once."""
        processes.end(self.process)


def until_ready(engines: Sequence[Engine]) -> None:
    """Wait until all are. They start together: one waits for files while another computes."""
    starting = list(engines)
    while starting := [engine for engine in starting if not engine.is_ready()]:
        time.sleep(0.2)
    for engine in engines:
        engine.put_server_first()


class Stream(threading.Thread):
    """A completion, read in the background as a client would: streamed, or all at once, which costs the engine's server less."""

    def __init__(self, engine: Engine, tokens: int, *, at_once: bool = False) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection(HOST, engine.port, timeout=PATIENCE_S)
        self._body = engine.request(
            tokens, **({} if at_once else {"stream": True, "stream_options": {"include_usage": True}})
        )
        self.begun = threading.Event()
        self.status: int | None = None
        self.tokens: int | None = None
        """Tokens that the engine says it has sent; None where the stream broke off before it said so."""
        self.finish: str | None = None
        self.is_whole = False
        """Whether the stream ended as streams should."""
        self.start()

    def hang_up(self) -> None:
        """Go away, as a client that has lost its patience; the engine then forgets the request."""
        assert self._connection.sock is not None
        self._connection.sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        ask = self._connection.request
        with contextlib.closing(self._connection), contextlib.suppress(OSError, http.client.HTTPException):
            ask("POST", "/v1/completions", json.dumps(self._body), {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            self.status = response.status
            for line in response:
                if line.startswith(b"data: "):
                    self._take(line.removeprefix(b"data: ").strip())
        self.begun.set()

    def _take(self, data: bytes) -> None:
        self.begun.set()
        if data == b"[DONE]":
            self.is_whole = True
            return
        event: dict[str, Any] = json.loads(data)
        for choice in event.get("choices", ()):
            self.finish = choice["finish_reason"] or self.finish
        if event.get("usage"):
            self.tokens = event["usage"]["completion_tokens"]
