"""The script that fills model caches, run as it ships, against hubs that fail in every way we could think of."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentgpu_iac.rendering.templates import template_folder

FOLDER = template_folder()
SCRIPT = FOLDER / "model_cache.py"


def imported(name: str) -> ModuleType:
    """A script as a module, without a compiled copy beside it, where templates are shipped from."""
    module = ModuleType(name)
    sys.modules[name] = module
    path = FOLDER / f"{name}.py"
    exec(compile(path.read_text(), path, "exec"), module.__dict__)
    return module


files, hubs, script = (imported(name) for name in ("model_files", "model_hub", "model_cache"))

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 100, "tokenizer.json": b"extra"}
MODEL = script.Model("acme/m", "acme--m--main", "main", "")
WORK = script.Work("demo", (MODEL,), frozenset())


class FakeHub:
    """A repository whose downloads can be interrupted, cut short or altered."""

    def __init__(self, files: dict[str, bytes] = FILES, commit: str = "c0ffee") -> None:
        self.files = files
        self.commit = commit
        self.altered: dict[str, bytes] = {}
        self.interrupted_after: int | None = None
        self.calls: list[str] = []

    def listing(self, model: object) -> object:
        self.calls.append("listing")
        return script.Listing(
            self.commit,
            tuple(
                script.RemoteFile(
                    name,
                    len(content),
                    hubs.Digest("sha256", hashlib.sha256(content).hexdigest()) if "safetensors" in name else None,
                )
                for name, content in self.files.items()
            ),
        )

    def download(self, model: object, listing: Any, folder: Path) -> None:
        self.calls.append(f"download {listing.commit}")
        for number, (name, content) in enumerate(self.files.items()):
            if number == self.interrupted_after:
                raise ConnectionError("the line is dead")
            if not (folder / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(self.altered.get(name, content))


def marker(root: Path) -> Path:
    return root / "acme--m--main.complete"


def stored(root: Path) -> dict[str, bytes]:
    folder = root / MODEL.path
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_is_filled_verified_and_marked(tmp_path: Path) -> None:
    assert script.fill_model(FakeHub(), tmp_path, MODEL, WORK) is True
    assert stored(tmp_path) == FILES
    content = json.loads(marker(tmp_path).read_text())
    assert content == {
        "revision": "main",
        "commit": "c0ffee",
        "model": "acme/m",
        "bytes": 707,
        "owner": "demo",
    }


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    script.fill_model(FakeHub(), tmp_path, MODEL, WORK)
    again = FakeHub()
    assert script.fill_model(again, tmp_path, MODEL, WORK) is False
    assert again.calls == []


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupted_download_is_not_complete_and_goes_on_later(tmp_path: Path, after: int) -> None:
    hub = FakeHub()
    hub.interrupted_after = after
    assert script.fill(hub, tmp_path, WORK) == [MODEL]
    assert not marker(tmp_path).exists()
    hub.interrupted_after = None
    assert script.fill(hub, tmp_path, WORK) == []
    assert stored(tmp_path) == FILES


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.safetensors", b"weights" * 99, "693 bytes instead of 700"),
        ("model.safetensors", b"Weights" * 100, "sha256"),
        ("config.json", b"", "0 bytes instead of 2"),
    ],
)
def test_a_wrong_file_is_removed_and_fetched_again(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    hub = FakeHub()
    hub.altered = {name: content}
    with pytest.raises(script.UnverifiedError, match=reason):
        script.fill_model(hub, tmp_path, MODEL, WORK)
    assert not marker(tmp_path).exists()
    assert name not in stored(tmp_path)
    hub.altered = {}
    script.fill_model(hub, tmp_path, MODEL, WORK)
    assert stored(tmp_path) == FILES


def test_a_file_that_never_came_is_noticed(tmp_path: Path) -> None:
    class Forgetful(FakeHub):
        def download(self, model: object, listing: Any, folder: Path) -> None:
            super().download(model, listing, folder)
            (folder / "config.json").unlink()

    with pytest.raises(script.UnverifiedError, match=r"config\.json: missing"):
        script.fill_model(Forgetful(), tmp_path, MODEL, WORK)


def test_an_empty_repository_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(script.UnverifiedError, match="no files"):
        script.fill_model(FakeHub({}), tmp_path, MODEL, WORK)


def test_a_new_revision_is_filled_and_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    script.fill_model(FakeHub(), tmp_path, MODEL, WORK)
    (tmp_path / MODEL.path / ".cache" / "huggingface").mkdir(parents=True)
    (tmp_path / MODEL.path / ".cache" / "huggingface" / "notes").write_bytes(b"kept")
    newer = FakeHub({"config.json": b"{}", "model-2.safetensors": b"new"}, commit="beef")
    script.fill_model(newer, tmp_path, script.Model("acme/m", MODEL.path, "v2", ""), WORK)
    assert stored(tmp_path) == {**newer.files, ".cache/huggingface/notes": b"kept"}
    assert json.loads(marker(tmp_path).read_text())["revision"] == "v2"


def test_while_a_new_revision_comes_the_old_one_is_not_complete(tmp_path: Path) -> None:
    script.fill_model(FakeHub(), tmp_path, MODEL, WORK)
    hub = FakeHub()
    hub.interrupted_after = 0
    script.fill(hub, tmp_path, script.Work("demo", (script.Model("acme/m", MODEL.path, "v2", ""),), frozenset()))
    assert not marker(tmp_path).exists()


def test_one_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    bad = script.Model("acme/bad", "../outside", "main", "")
    assert script.fill(FakeHub(), tmp_path / "root", script.Work("demo", (bad, MODEL), frozenset())) == [bad]
    assert marker(tmp_path / "root").exists()
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("path", ["", ".", "..", "../a", "/a", "a/../.."])
def test_paths_stay_below_the_root(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="not below"):
        script.places(tmp_path, path)


@pytest.mark.parametrize("content", ["", "{", "[]", '"main"', "{}", '{"revision": "v2"}', "\x00"])
def test_a_marker_must_name_the_revision(tmp_path: Path, content: str) -> None:
    marker(tmp_path).write_text(content)
    assert not script.is_complete(marker(tmp_path), "main")


def test_waiting_ends_when_the_revision_is_there(tmp_path: Path) -> None:
    contents = iter([None, '{"revision": "old"}', '{"revision": "main"}'])

    def pause(seconds: float) -> None:
        if (content := next(contents)) is not None:
            marker(tmp_path).write_text(content)

    script.wait(tmp_path, MODEL.path, "main", pause)
    assert next(contents, "none left") == "none left"


@pytest.fixture
def hub_library(tmp_path: Path) -> Path:
    """A stand-in for huggingface_hub, with one repository."""
    package = tmp_path / "library" / "huggingface_hub"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        """
import hashlib, os, pathlib
from types import SimpleNamespace as Thing
content = b"weights"
class HfApi:
    def __init__(self, token=None):
        assert token == "sesame", token
    def model_info(self, repo_id, *, revision, files_metadata):
        lfs = Thing(sha256=hashlib.sha256(content).hexdigest())
        return Thing(sha="c0ffee", siblings=[Thing(rfilename="model.safetensors", size=len(content), lfs=lfs),
                                             Thing(rfilename="config.json", size=2, lfs=None),
                                             Thing(rfilename="original/model.pth", size=9, lfs=lfs)])
def hf_hub_url(repo_id, filename, *, revision):
    raise AssertionError("there is no index to read")
def hf_hub_download(repo_id, filename, *, revision, local_dir, token):
    assert (revision, token) == ("c0ffee", "sesame")
    if os.environ.get("HANG"):
        import time; time.sleep(60)
    (local_dir / filename).write_bytes({"model.safetensors": content, "config.json": b"{}"}[filename])
"""
    )
    return package.parent


def start(*arguments: str, library: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-B", str(SCRIPT), *arguments],
        env={**os.environ, "PYTHONPATH": str(library), "MODEL_TOKEN_1": "sesame", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def appears(path: Path) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if path.exists():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def filler(tmp_path: Path, hub_library: Path) -> Iterator[list[str]]:
    model = {"name": "acme/m", "path": MODEL.path, "revision": "main", "tokenVariable": "MODEL_TOKEN_1"}
    models = [{**model, "kind": "model", "runsCode": False, "countedBytes": 0}]
    (tmp_path / "models.json").write_text(json.dumps({"owner": "demo", "models": models, "kept": []}))
    (tmp_path / "root").mkdir()
    yield [
        "fill",
        f"--root={tmp_path / 'root'}",
        f"--models={tmp_path / 'models.json'}",
        f"--ready={tmp_path / 'ready'}",
    ]


def test_the_filler_fills_says_so_idles_and_ends_at_once(tmp_path: Path, hub_library: Path, filler: list[str]) -> None:
    with start(*filler, library=hub_library) as process:
        assert appears(tmp_path / "ready")
        assert marker(tmp_path / "root").exists()
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 143


def test_a_filler_that_is_stopped_while_it_downloads_leaves_no_marker(
    tmp_path: Path, hub_library: Path, filler: list[str]
) -> None:
    (tmp_path / "ready").touch()
    with start(*filler, library=hub_library, HANG="1") as process:
        assert appears(tmp_path / "root" / MODEL.path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 143
    assert not marker(tmp_path / "root").exists()
    assert not (tmp_path / "ready").exists()


def test_a_filler_that_fails_ends_with_an_error(tmp_path: Path, hub_library: Path, filler: list[str]) -> None:
    with start(*filler, library=hub_library, MODEL_TOKEN_1="wrong") as process:
        assert process.wait(timeout=10) == 1
    assert not (tmp_path / "ready").exists()


def test_the_wait_makes_room_for_what_the_engine_compiles(tmp_path: Path) -> None:
    marker(tmp_path).write_text('{"revision": "main"}')
    arguments = [f"--root={tmp_path}", "--model", MODEL.path, "main", "--engine-cache=.engine-cache/a"]
    with start("wait", *arguments, library=tmp_path) as process:
        assert process.wait(timeout=10) == 0
    assert (tmp_path / ".engine-cache" / "a").is_dir()


def test_a_wait_ends_at_once_when_it_is_stopped(tmp_path: Path) -> None:
    arguments = [f"--root={tmp_path}", "--model", MODEL.path, "main", "--engine-cache=a"]
    with start("wait", *arguments, library=tmp_path) as process:
        assert process.stdout is not None
        assert "waiting until" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 143
