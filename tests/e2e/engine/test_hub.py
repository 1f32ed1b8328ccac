"""The filler as it ships and the hub's real client, against a hub on the loopback: what is fetched is what was counted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agentgpu_iac.rendering.templates import template_folder
from tests.e2e.engine.hub_server import TOKEN, Hub, running
from tests.rendering.repositories import REPOSITORIES, Repository
from tools.install import path as tool

PATIENCE_S = 15.0
"""The import of the hub's library takes a second on an idle core."""
SCRIPT = template_folder() / "model_cache.py"
BY_NAME = {repository.name: repository for repository in REPOSITORIES}
GPT_OSS, LLAMA = BY_NAME["openai/gpt-oss-20b"], BY_NAME["meta-llama/Llama-3.3-70B-Instruct"]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub({repository.name: dict(repository.files) for repository in REPOSITORIES})) as served:
        yield served


class Filler:
    """The fill command as it stands in a pod, by the Python of an engine's environment."""

    def __init__(self, hub: Hub, folder: Path, repositories: Sequence[Repository], revision: str = "main") -> None:
        self.root, self.ready, models = folder / "root", folder / "ready", folder / "models.json"
        self.root.mkdir(exist_ok=True)
        wanted = [
            {
                "name": each.name,
                "path": path_of(each),
                "revision": revision,
                "tokenVariable": "MODEL_TOKEN_1",
                "kind": each.kind,
                "runsCode": False,
                "countedBytes": each.read_bytes,
            }
            for each in repositories
        ]
        models.write_text(json.dumps({"owner": "demo", "models": wanted, "kept": []}))
        # Pauses are cut to a hundredth: how they grow is held elsewhere.
        start = f"import sys, runpy; sys.path.insert(0, {str(SCRIPT.parent)!r}); import model_hub; "
        start += "model_hub.FIRST_PAUSE_S = 0.02; import model_cache; sys.exit(model_cache.main(sys.argv[1:]))"
        self.command = [tool("vllm").with_name("python"), "-B", "-c", start, "fill", f"--root={self.root}"]
        self.command += [f"--models={models}", f"--ready={self.ready}", "--connections=2"]
        self.environment = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(folder / "hub"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "MODEL_TOKEN_1": TOKEN,
        }

    def run(self, **environment: str) -> tuple[int | None, str]:
        """Exit code, or None once it is ready and idles; and what it said."""
        with subprocess.Popen(
            self.command,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            deadline = time.monotonic() + PATIENCE_S
            while process.poll() is None and not self.ready.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            code = process.poll()
            late = code is None and not self.ready.exists()
            process.send_signal(signal.SIGTERM)
            assert process.stdout is not None
            said = process.stdout.read()
            assert not late, said
            return code, said

    def stored(self, repository: Repository) -> dict[str, bytes]:
        """What lies in the model's folder."""
        folder = self.root / path_of(repository)
        found = (path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

    def marker(self, repository: Repository) -> Path:
        """What says that the model is complete."""
        return self.root / f"{path_of(repository)}.complete"


def path_of(repository: Repository) -> str:
    return f"{repository.name.replace('/', '--').lower()}--main"


def read_of(repository: Repository) -> dict[str, bytes]:
    return {name: repository.files[name] for name in repository.read}


def test_what_is_fetched_is_what_engines_read_and_what_was_counted(hub: Hub, tmp_path: Path) -> None:
    """Of every shape of repository, in one run: bytes sent, bytes counted, bytes on the disk and files verified agree."""
    filler = Filler(hub, tmp_path, REPOSITORIES)
    code, said = filler.run()
    assert code is None, said
    for repository in REPOSITORIES:
        assert filler.stored(repository) == read_of(repository), repository.name
        assert json.loads(filler.marker(repository).read_text())["bytes"] == repository.read_bytes
        sent = {name: hub.sent[f"{repository.name}/{name}"] for name in repository.files}
        indexes = {name: len(repository.files[name]) for name in repository.read if name.endswith(".index.json")}
        assert sent == {
            name: len(content) * (name in repository.read) + indexes.get(name, 0)
            for name, content in repository.files.items()
        }, f"{repository.name}: an index is read twice, to list and to keep; nothing else is"
    assert hub.most_at_once <= 2
    assert list(tmp_path.rglob("*.incomplete")) == []


def test_vllm_reads_exactly_the_weights_that_are_taken(tmp_path: Path) -> None:
    """Its own loaders say which files of each folder they would read; nothing that lies there is left out, or missing."""
    models = [repository for repository in REPOSITORIES if repository.kind == "model"]
    folders = {}
    for repository in models:
        folders[repository.name] = str(tmp_path / path_of(repository))
        for name, content in read_of(repository).items():
            place = tmp_path / path_of(repository) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    answer = subprocess.run(
        [tool("vllm").with_name("python"), "-B", Path(__file__).with_name("read_by_vllm.py")],
        env={
            **os.environ,
            "PYTHONPATH": str(tool("vllm-parser")),
            "HF_HUB_OFFLINE": "1",
            "VLLM_LOGGING_LEVEL": "ERROR",
        },
        input=json.dumps(folders),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,  # vLLM is imported, which takes longest on a busy machine
    )
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found["version"] == "0.33.0"
    for repository in models:
        weights = {name for name in repository.read if name.endswith((".safetensors", ".bin", ".pt"))}
        for loader, read in found["read"][repository.name].items():
            assert set(read) == weights, f"{repository.name} by {loader}"


@pytest.mark.parametrize("repository", [GPT_OSS, LLAMA], ids=lambda repository: repository.name)
def test_whole_repositories_would_be_twice_or_thrice_as_much(repository: Repository) -> None:
    every = sum(map(len, repository.files.values()))
    assert every > 1.9 * repository.read_bytes


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_line_that_goes_dead_at_any_point_leaves_what_the_next_run_completes(
    hub: Hub, tmp_path: Path, share: float
) -> None:
    hub.stops_after = int(GPT_OSS.read_bytes * share)
    filler = Filler(hub, tmp_path, [GPT_OSS])
    process = subprocess.Popen(
        filler.command, env=filler.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + PATIENCE_S
    while sum(hub.sent.values()) < hub.stops_after and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.kill()
    process.wait(timeout=PATIENCE_S)
    assert not filler.marker(GPT_OSS).exists()
    hub.stops_after = None
    whole = set(filler.stored(GPT_OSS))
    hub.sent.clear()
    code, said = filler.run()
    assert code is None, said
    assert filler.stored(GPT_OSS) == read_of(GPT_OSS)
    assert not whole & {name.removeprefix(f"{GPT_OSS.name}/") for name in hub.sent if name.endswith(".safetensors")}
    assert list(tmp_path.rglob("*.incomplete")) == []


@pytest.mark.parametrize("kind", [".safetensors", "/config.json"])
def test_altered_content_never_looks_complete_and_is_fetched_again(hub: Hub, tmp_path: Path, kind: str) -> None:
    shard = next(name for name in GPT_OSS.read if f"/{name}".endswith(kind))
    hub.altered[f"{GPT_OSS.name}/{shard}"] = bytes(len(GPT_OSS.files[shard]))
    filler = Filler(hub, tmp_path, [GPT_OSS])
    code, said = filler.run()
    assert (code, filler.marker(GPT_OSS).exists()) == (1, False)
    assert re.search(rf"{re.escape(shard)}: (sha256|git-sha1) \w+ instead of", said)
    hub.altered.clear()
    assert filler.run()[0] is None
    assert filler.stored(GPT_OSS) == read_of(GPT_OSS)


def test_a_hub_that_is_busy_is_asked_again_as_late_as_it_wants(hub: Hub, tmp_path: Path) -> None:
    hub.failures += [
        ("/api/models", 429, {"Retry-After": "1"}),
        ("/api/models", 503, {}),
        (".index.json", 500, {}),
        ("/content/", 502, {}),
        ("/content/", 429, {"Retry-After": "1"}),
        ("config.json", 504, {}),
    ]
    filler = Filler(hub, tmp_path, [GPT_OSS])
    before = time.monotonic()
    code, said = filler.run()
    assert code is None, said
    assert hub.failures == []
    assert time.monotonic() - before >= 2
    assert re.search(r"listing: HTTP 429; attempt 2 of 8 in 1 s", said)
    assert filler.stored(GPT_OSS) == read_of(GPT_OSS)


@pytest.mark.parametrize("gated", [LLAMA, BY_NAME["acme/vision"]], ids=["with an index", "without"])
def test_a_gated_repository_is_named_with_what_to_do(hub: Hub, tmp_path: Path, gated: Repository) -> None:
    hub.gated.add(gated.name)
    filler = Filler(hub, tmp_path, [gated, GPT_OSS])
    code, said = filler.run(MODEL_TOKEN_1="hf_of_somebody_else")
    assert code == 1
    assert re.search(r"gated \(HTTP 403\)\. Accept its terms .* modelCache\.tokenSecret", said)
    assert "hf_of_somebody_else" not in said
    assert "Traceback" not in said
    assert not filler.marker(gated).exists()
    assert filler.marker(GPT_OSS).exists(), "one failure does not stop the others"
    assert filler.run()[0] is None
    assert filler.stored(gated) == read_of(gated)


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        ("acme/nowhere", "main", r"not allowed, or not there \(HTTP 401\)"),
        (GPT_OSS.name, "v9", r"not there \(HTTP 404\)"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(hub: Hub, tmp_path: Path, name: str, revision: str, said: str) -> None:
    code, text = Filler(hub, tmp_path, [Repository(name, {}, frozenset())], revision).run()
    assert code == 1
    assert re.search(said, text)
    assert "Traceback" not in text


def test_a_fill_ends_within_its_time(hub: Hub, tmp_path: Path) -> None:
    hub.failures += [("/api/models", 429, {"Retry-After": "600"})]
    filler = Filler(hub, tmp_path, [GPT_OSS])
    filler.command.append("--timeout-s=2")
    code, said = filler.run()
    assert code == 75
    assert "not filled within the planned 2 s" in said
