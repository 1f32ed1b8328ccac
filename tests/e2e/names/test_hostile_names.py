"""Agents of every hostile name, and of many, before the programs that read the files: NGINX, Compose, nft and promtool."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from agentgpu_iac.planning.running.routing import countable
from agentgpu_iac.rendering.render import render
from tests.e2e.pulumi.compose.machine import MachineNginx, certificate, composed, written
from tests.e2e.pulumi.compose.test_files import check_prometheus, check_rules
from tests.e2e.rules.promtool import check_rules as check_alerts
from tests.e2e.traffic.nginx import Nginx
from tests.rendering.test_every_name import HOSTILE, renamed

TRIPLES = [list(HOSTILE[first : first + 3]) for first in range(0, len(HOSTILE) - 2, 3)]
SECRETS = {"VLLM_API_KEY": "k"}

every_triple = pytest.mark.parametrize("agents", TRIPLES, ids=lambda agents: "+".join(name[:12] for name in agents))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("names") / "tls")


@every_triple
def test_a_machine_s_programs_take_them(agents: list[str], certificates: Path, tmp_path: Path) -> None:
    for folder in written(renamed("spheron", agents), tmp_path).values():
        service = composed(folder, SECRETS)["services"]["nginx"]
        with MachineNginx(folder, service, {}, certificates) as router:
            assert "test is successful" in router.check()
        check_rules(folder / "firewall.nft")
        check_prometheus(folder)


@every_triple
def test_a_cluster_s_router_and_alerts_take_them(agents: list[str], tmp_path: Path) -> None:
    bodies = [yaml.safe_load(file.content) for file in render(renamed("kubernetes", agents)) if file.path.endswith("l")]
    found = {(body["kind"], body.get("metadata", {}).get("name")): body for body in bodies}
    rules = [body for body in bodies if body["kind"] == "PrometheusRule"]
    check_alerts({"groups": [group for each in rules for group in each["spec"]["groups"]]}, tmp_path)
    with Nginx(found["Deployment", "traffic-router"], found["ConfigMap", "traffic-router"], 53) as router:
        assert "test is successful" in router.check()


@pytest.mark.parametrize("requests", [1, 65_535, 65_536, 1_000_000])
def test_nginx_takes_every_limit(requests: int, certificates: Path, tmp_path: Path) -> None:
    plan = renamed("spheron", ["requests", "callers", "x"])
    hosts = tuple(
        host.model_copy(
            update={
                "routes": tuple(
                    route.model_copy(update={"max_connections": countable(requests)}) for route in host.routes
                )
            }
        )
        for host in plan.hosts
    )
    for folder in written(plan.model_copy(update={"hosts": hosts, "front": None}), tmp_path).values():
        text = (folder / "nginx.conf").read_text()
        assert ("limit_conn requests_in_flight" in text) is (requests <= 65_535)
        with MachineNginx(folder, composed(folder, SECRETS)["services"]["nginx"], {}, certificates) as router:
            assert "test is successful" in router.check()
