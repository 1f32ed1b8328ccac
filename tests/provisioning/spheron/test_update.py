"""``agentgpu catalog update``: today's prices as an overlay that plans can use."""

from __future__ import annotations

import builtins
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.cli import update
from agentgpu_iac.errors import MissingExtra, OutsideFailure
from agentgpu_iac.provisioning.spheron import client
from agentgpu_iac.provisioning.spheron.prices import update_of
from tests.cli.running import agentgpu
from tests.provisioning.spheron.scenes import Scene
from tests.provisioning.spheron.world import group, offer


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene()
    monkeypatch.setattr(client, "Spheron", lambda *, url: made.client(key=None))
    return made


def test_the_overlay_is_what_plans_are_priced_by(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "spheron.yaml"
    made = agentgpu("catalog", "update", "--provider", "spheron", "-o", str(path), "--format", "json")
    assert made.code == 0, made.err
    assert made.data["notMapped"] == ["Unheard-of X9000 (7 GB, PCIe) is not known to be an accelerator of the catalog"]
    sold = {
        (one.instance_type.name, one.region, one.capacity_type): str(one.usd_per_hour)
        for one in load_catalog(path).offerings
        if one.provider == "spheron"
    }
    assert sold == {
        ("rtx-5090-x1", "oslo-norway-3", "on-demand"): "0.8",
        ("rtx-5090-x1", "casper-usa-1", "on-demand"): "0.85",
        ("rtx-5090-x1", "oslo-norway-3", "spot"): "0.31",
        ("rtx-5090-x2", "oslo-norway-3", "on-demand"): "1.55",
        ("h100-sxm-x1", "oslo-norway-3", "on-demand"): "2.4",
    }


def test_every_row_says_where_and_when_it_was_read(scene: Scene) -> None:
    made = update_of(scene.client(key=None).offers(), "2026-11-24")
    for price in made.overlay.prices:
        assert price.date == "2026-11-24"
        assert "api/gpu-offers, read 2026-11-24" in price.source
    assert {alias.note for alias in made.overlay.gpu_aliases} == {"replaced by the offers read on 2026-11-24"}


def test_what_no_plan_could_use_gives_no_price(scene: Scene) -> None:
    made = update_of(scene.client(key=None).offers(), "2026-11-24")
    assert made.not_usable == 3
    assert "0.6" not in {str(price.usd_per_hour) for price in made.overlay.prices}


def test_cards_on_arm_processors_are_said_to_be(scene: Scene) -> None:
    scene.world.groups = [group("GH200", "GH200", offer("g", gpu_memory=96))]
    (machine,) = update_of(scene.client(key=None).offers(), "2026-11-24").overlay.instance_types
    assert machine.architecture == "arm64"


def test_an_earlier_overlay_is_replaced_and_no_other_file(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("mine: true\n")
    refused = agentgpu("catalog", "update", "--provider", "spheron", "-o", str(path))
    assert refused.code == 2
    assert path.read_text() == "mine: true\n"
    path.unlink()
    for _ in range(2):
        made = agentgpu("catalog", "update", "--provider", "spheron", "-o", str(path))
        assert made.code == 0
    assert f"agentgpu plan SPEC --catalog {path}" in made.out
    assert yaml.safe_load(path.read_text())["kind"] == "CatalogOverlay"
    assert [one.name for one in tmp_path.iterdir()] == ["own.yaml"]


@pytest.mark.parametrize("kind", ["down", "nothing"])
def test_an_api_without_prices_leaves_the_file_as_it_was(kind: str, scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "spheron.yaml"
    agentgpu("catalog", "update", "--provider", "spheron", "-o", str(path))
    before = path.read_bytes()

    def down(request: Any) -> Any:
        raise client.httpx.ConnectError("down", request=request)

    if kind == "down":
        scene.before = down
    else:
        scene.world.groups = []
    made = agentgpu("catalog", "update", "--provider", "spheron", "-o", str(path))
    assert made.code == 3
    assert "Traceback" not in made.err
    assert path.read_bytes() == before


def test_without_the_http_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("agentgpu_iac.provisioning.spheron")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "httpx":
            raise ModuleNotFoundError("No module named 'httpx'", name="httpx")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtra, match=r"pip install 'agentgpu-iac\[spheron\]'"):
        update.ask("spheron", None)


def test_the_summary_is_json(scene: Scene, tmp_path: Path) -> None:
    made = update_of(scene.client(key=None).offers(), "2026-11-24")
    assert json.loads(json.dumps(update.summary(made, tmp_path)))["offersUsed"] == 6


def test_an_answer_that_is_no_list_is_an_outside_failure(scene: Scene) -> None:
    scene.before = lambda request: client.httpx.Response(200, json={"data": "x"})
    with pytest.raises(OutsideFailure):
        update.ask("spheron", None)
