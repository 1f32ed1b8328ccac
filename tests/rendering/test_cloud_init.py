"""The cloud-init of a machine: all of its files, no longer than clouds take."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import yaml

from agentgpu_iac import plan as p
from agentgpu_iac.plan.packed_files import LEAST_PACKED_BYTES
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.validate_hosts import too_long_cloud_inits
from tests.outcomes.scenes import GOLDEN
from tests.plans import make_machines_plan

BASELINE = "hosts/demo-baseline"


def rendered() -> dict[str, str]:
    return {file.path: file.content.decode() for file in render(make_machines_plan())}


def as_written(file: dict[str, str]) -> str:
    """What cloud-init writes: its ``gz+b64`` is gzip, then base64."""
    assert file.get("encoding") in (None, "gz+b64")
    return gzip.decompress(base64.b64decode(file["content"])).decode() if "encoding" in file else file["content"]


def test_cloud_init_carries_every_file_and_starts_the_machine() -> None:
    made = rendered()
    text = made[f"{BASELINE}/cloud-init.yaml"]
    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    assert set(document) == {"package_update", "packages", "write_files", "runcmd"}
    written = {one["path"]: one for one in document["write_files"]}
    beside = {path.removeprefix(f"{BASELINE}/"): content for path, content in made.items() if path.startswith(BASELINE)}
    for alone in ("cloud-init.yaml", "tune.sh"):
        del beside[alone]
    assert {path: as_written(one) for path, one in written.items()} == {
        f"/opt/agentgpu/{name}": content for name, content in beside.items()
    }
    assert {path for path, one in written.items() if one["permissions"] == "0755"} == {
        "/opt/agentgpu/setup.sh",
        "/opt/agentgpu/firewall.nft",
    }
    assert document["runcmd"] == [["bash", "/opt/agentgpu/setup.sh", "--yes"]]


def test_large_files_are_packed_without_a_time_and_short_ones_stay_readable() -> None:
    document = yaml.safe_load(rendered()[f"{BASELINE}/cloud-init.yaml"])
    files = {Path(file["path"]).name: file for file in document["write_files"]}
    for name, file in files.items():
        assert ("encoding" in file) is (len(as_written(file).encode()) >= LEAST_PACKED_BYTES), name
    large = {name for name, file in files.items() if "encoding" in file}
    assert {"setup.sh", "model_cache.py", "docker-compose.yaml"} <= large
    assert base64.b64decode(files["setup.sh"]["content"])[4:8] == bytes(4)


def test_every_golden_one_is_what_openstack_takes_as_user_data() -> None:
    """Nova takes 65,535 characters, in base64."""
    kept = sorted(GOLDEN.glob("*/*/tree/hosts/*/cloud-init.yaml"))
    assert len(kept) >= 6
    assert {path: size for path in kept if (size := len(base64.b64encode(path.read_bytes()))) > 65_535} == {}


def test_a_longer_one_is_said() -> None:
    assert too_long_cloud_inits(render(make_machines_plan())) == ()
    files = (p.RenderedFile(path=f"{BASELINE}/cloud-init.yaml", content=bytes(49_150)),)
    (said,) = too_long_cloud_inits(files)
    assert said.startswith(f"{BASELINE}/cloud-init.yaml is 49,150 bytes long, and many clouds take 49,149 of user data")
    assert "copy its folder to the machine and run setup.sh there" in said
