"""Models from a bucket: the script as it ships, against an S3 that checks signatures and fails in several ways."""

from __future__ import annotations

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
from tests.plans import make_plan, make_pool
from tests.rendering.s3_server import AGENT_TOKEN, KEY_ID, S3, SECRET, TOKEN, Stored, running
from tests.rendering.test_model_cache_script import script
from tests.rendering.test_network_policy import ENGINE, FILLER, IMDS, INTERNET, POD_IDENTITY, End, may
from tests.rendering.trees import of_kind

FOLDER = template_folder()
MODEL = script.Model("acme/m", "acme--m--main", "main", "")
WORK = script.Work("demo", (MODEL,), frozenset())
PREFIX = f"agents/{MODEL.path}/"
TEMPLATE = "additional_chat_templates/a name+100%.jinja"
FILES = {
    "config.json": Stored(b"{}"),
    "merges.txt": Stored(b""),
    "model-1.safetensors": Stored(bytes(range(256)) * 40, part_bytes=3000),
    "model-2.safetensors": Stored(b"weights" * 1000, part_bytes=4096, has_sha256=True),
    TEMPLATE: Stored(b"extra", has_sha256=True),
    "sealed.json": Stored(b"sealed" * 10, encryption="aws:kms"),
}


@pytest.fixture(scope="module")
def bucket_script() -> Iterator[ModuleType]:
    """The S3 half as a module, without a compiled copy beside it; pieces are small, and it does not wait to try again."""
    module = ModuleType("s3_bucket")
    sys.modules[module.__name__] = module
    path = FOLDER / "s3_bucket.py"
    exec(compile(path.read_text(), path, "exec"), module.__dict__)
    module.__dict__.update(PIECE_BYTES=1000, FIRST_PAUSE_S=0.0)
    yield module
    del sys.modules[module.__name__]


@pytest.fixture
def s3() -> Iterator[S3]:
    with running(S3({f"{PREFIX}{name}": stored for name, stored in FILES.items()})) as served:
        served.objects[PREFIX] = Stored(b"")
        served.objects[f"{PREFIX}original/consolidated.00.pth"] = Stored(b"another copy")
        served.objects[f"{PREFIX}model.gguf"] = Stored(b"for another engine")
        served.objects[f"agents/{MODEL.path}-other/config.json"] = Stored(b"not ours")
        yield served


@pytest.fixture
def identity(s3: S3, tmp_path: Path) -> dict[str, str]:
    """What EKS puts into the environment of a pod with Pod Identity."""
    token = tmp_path / "pod-token"
    token.write_text(f"{AGENT_TOKEN}\n")
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{s3.url}/pod-identity",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": s3.url,
    }


@pytest.fixture
def hub(bucket_script: ModuleType, identity: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in identity.items():
        monkeypatch.setenv(name, value)
    return script.S3Hub("s3://acme-models/agents", 3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def marker(root: Path) -> Path:
    return root / f"{MODEL.path}.complete"


def stored(root: Path) -> dict[str, bytes]:
    folder = root / MODEL.path
    found = (path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


WHOLE = {name: each.content for name, each in FILES.items()}


def test_a_model_is_filled_verified_and_marked(hub: Any, s3: S3, root: Path) -> None:
    assert script.fill_model(hub, root, MODEL, WORK) is True
    assert stored(root) == WHOLE
    content = json.loads(marker(root).read_text())
    assert content["revision"] == "main"
    assert content["bytes"] == sum(map(len, WHOLE.values()))
    assert s3.keys_given == 1
    again = len(s3.pieces)
    assert script.fill_model(hub, root, MODEL, WORK) is False
    assert len(s3.pieces) == again


def test_the_strongest_hash_that_can_be_compared_is_taken(hub: Any) -> None:
    digests = {file.name: file.digest for file in hub.listing(MODEL).files}
    assert (digests["config.json"].algorithm, digests["config.json"].part_bytes) == ("md5", 0)
    assert (digests["model-1.safetensors"].algorithm, digests["model-1.safetensors"].part_bytes) == ("md5", 3000)
    assert (digests["model-2.safetensors"].algorithm, digests["model-2.safetensors"].part_bytes) == ("sha256", 4096)
    assert digests[TEMPLATE].algorithm == "sha256"
    assert digests["sealed.json"] is None


@pytest.mark.parametrize("after", [0, 1, 4, 11])
def test_an_interrupted_download_goes_on_where_it_stopped(hub: Any, s3: S3, root: Path, after: int) -> None:
    s3.served_pieces = after
    assert script.fill(hub, root, WORK) == [MODEL]
    assert not marker(root).exists()
    arrived = set(s3.pieces)
    s3.served_pieces = None
    assert script.fill(hub, root, WORK) == []
    assert stored(root) == WHOLE
    assert marker(root).exists()
    assert len(s3.pieces) == len(set(s3.pieces))
    assert arrived < set(s3.pieces)


@pytest.mark.parametrize("name", ["config.json", "model-1.safetensors", "model-2.safetensors", TEMPLATE])
def test_altered_content_never_looks_complete(hub: Any, s3: S3, root: Path, name: str) -> None:
    s3.altered[PREFIX + name] = bytes(len(FILES[name].content))
    with pytest.raises(script.UnverifiedError, match="instead of"):
        script.fill_model(hub, root, MODEL, WORK)
    assert not marker(root).exists()
    assert name not in stored(root)
    s3.altered.clear()
    script.fill_model(hub, root, MODEL, WORK)
    assert stored(root) == WHOLE


def test_content_that_is_cut_short_never_looks_complete(hub: Any, s3: S3, root: Path) -> None:
    s3.altered[f"{PREFIX}sealed.json"] = b"seal"
    assert script.fill(hub, root, WORK) == [MODEL]
    assert not marker(root).exists()


def test_an_object_that_changes_is_not_mixed_with_its_old_content(hub: Any, s3: S3, root: Path) -> None:
    listing = hub.listing(MODEL)
    s3.objects[f"{PREFIX}model-1.safetensors"] = Stored(bytes(reversed(range(256))) * 40, part_bytes=3000)
    folder = root / MODEL.path
    folder.mkdir(parents=True)
    with pytest.raises(Exception, match="412"):
        hub.download(MODEL, listing, folder)
    script.fill_model(hub, root, MODEL, WORK)
    assert stored(root) == {**WHOLE, "model-1.safetensors": bytes(reversed(range(256))) * 40}


def test_a_sealed_file_of_the_same_size_is_fetched_anew_when_it_changes(hub: Any, s3: S3, root: Path) -> None:
    script.fill_model(hub, root, MODEL, WORK)
    marker(root).unlink()
    s3.objects[f"{PREFIX}sealed.json"] = Stored(b"SEALED" * 10, encryption="aws:kms")
    script.fill_model(hub, root, MODEL, WORK)
    assert stored(root)["sealed.json"] == b"SEALED" * 10


def test_what_passes_is_tried_again(hub: Any, s3: S3, root: Path) -> None:
    s3.failures = [503, 500, 429]
    assert script.fill(hub, root, WORK) == []
    assert s3.failures == []


def test_what_does_not_pass_ends_the_fill(hub: Any, s3: S3, root: Path) -> None:
    s3.failures = [403]
    assert script.fill(hub, root, WORK) == [MODEL]


def test_a_folder_that_is_not_there_is_no_model(hub: Any, s3: S3, root: Path) -> None:
    s3.objects.clear()
    with pytest.raises(script.NoWeightsError, match="no weights"):
        script.fill_model(hub, root, MODEL, WORK)


@pytest.mark.parametrize("name", ["../outside", "a//b", ".cache/note", "./a"])
def test_keys_stay_below_the_models_folder(hub: Any, s3: S3, root: Path, name: str) -> None:
    s3.objects[PREFIX + name] = Stored(b"x")
    assert script.fill(hub, root, WORK) == [MODEL]
    assert not (root / "outside").exists()


def test_a_bucket_of_another_region_is_found(hub: Any, s3: S3, root: Path) -> None:
    s3.region = "ap-south-1"
    script.fill_model(hub, root, MODEL, WORK)
    assert marker(root).exists()


def test_a_pod_without_an_identity_is_told_what_it_lacks(bucket_script: ModuleType) -> None:
    with pytest.raises(bucket_script.S3Error, match="Pod Identity or IRSA"):
        bucket_script.Bucket("s3://acme-models", {}, 3).names("m")


def test_a_web_identity_is_taken_too(bucket_script: ModuleType, s3: S3, identity: dict[str, str]) -> None:
    environment = {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/model-cache",
        "AWS_WEB_IDENTITY_TOKEN_FILE": identity["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
        "AWS_ENDPOINT_URL_STS": s3.url,
    }
    found = bucket_script.credentials(environment, "eu-west-1")
    assert (found.key_id, found.secret, found.token) == (KEY_ID, SECRET, TOKEN)


@pytest.mark.parametrize(
    ("bucket", "region", "address"),
    [
        ("acme", "us-east-1", "https://acme.s3.us-east-1.amazonaws.com"),
        ("acme.models", "eu-west-1", "https://s3.eu-west-1.amazonaws.com/acme.models"),
        ("acme", "cn-north-1", "https://acme.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_where_a_bucket_answers(bucket_script: ModuleType, bucket: str, region: str, address: str) -> None:
    assert bucket_script._endpoint(bucket, region, {}) == address


def test_the_filler_fills_from_a_bucket_as_it_ships(s3: S3, identity: dict[str, str], tmp_path: Path) -> None:
    """The files side by side, as the ConfigMap mounts them."""
    model = {"name": "acme/m", "path": MODEL.path, "revision": "main", "tokenVariable": ""}
    models = [{**model, "kind": "model", "runsCode": False, "countedBytes": 0}]
    (tmp_path / "models.json").write_text(json.dumps({"owner": "demo", "models": models, "kept": []}))
    (tmp_path / "root").mkdir()
    command = [
        *(sys.executable, "-B", str(FOLDER / "model_cache.py"), "fill"),
        *(f"--root={tmp_path / 'root'}", f"--models={tmp_path / 'models.json'}", f"--ready={tmp_path / 'ready'}"),
        "--bucket=s3://acme-models/agents",
    ]
    with subprocess.Popen(command, env={**os.environ, **identity}, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 10
        while not (tmp_path / "ready").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 143
    assert stored(tmp_path / "root") == WHOLE


BUCKET = make_pool().filler
assert BUCKET is not None
FROM_S3 = make_plan(node_pools=(make_pool(filler=BUCKET.model_copy(update={"bucket": "s3://acme-models/agents"})),))


def test_fillers_are_told_the_bucket_and_given_its_script() -> None:
    (filler,) = of_kind(FROM_S3, "DaemonSet").values()
    (container,) = filler["spec"]["template"]["spec"]["containers"]
    assert "--bucket=s3://acme-models/agents" in container["command"]
    assert set(of_kind(FROM_S3, "ConfigMap")["model-cache-scripts"]["data"]) == {
        *("model_cache.py", "model_files.py", "model_hub.py", "s3_bucket.py"),
    }


def test_fillers_of_the_hub_have_no_part_of_s3() -> None:
    for body in of_kind(make_plan(), "ConfigMap").values():
        assert "s3_bucket.py" not in body["data"]


@pytest.mark.broad(every=4)
@pytest.mark.parametrize(
    ("receiver", "port", "allowed"),
    [
        (INTERNET, 443, True),
        (End(address="10.0.3.4"), 443, True),
        (POD_IDENTITY, 80, True),
        (POD_IDENTITY, 443, False),
        (End(address="fd00:ec2::23"), 80, True),
        (End(address="fd00:ec2::254"), 443, False),
        (IMDS, 80, False),
        (IMDS, 443, False),
        (INTERNET, 80, False),
    ],
)
def test_fillers_reach_s3_and_their_own_keys_but_never_the_nodes(receiver: End, port: int, allowed: bool) -> None:
    assert may(FROM_S3, FILLER, receiver, port) is allowed
    assert not may(FROM_S3, ENGINE, receiver, port)
