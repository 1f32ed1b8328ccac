"""What is asked of a cluster, through a fake one and through a real client with an API server of a few lines."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.clusters.port import Cluster, Forbidden, Resource, connect
from agentgpu_iac.errors import BadInput, OutsideFailure
from agentgpu_iac.operations.cluster import OURS, read_snapshot
from agentgpu_iac.operations.snapshot import Snapshot
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.rendering.manifest import manifest
from agentgpu_iac.rendering.render import object_drafts
from agentgpu_iac.spec.loader import load
from tests.examples import EXAMPLES
from tests.operations.scenes import POOL, FakeCluster, healthy, judged, planned, ref

SERVICE = ref("Service", "support")


def read(cluster: Cluster) -> Snapshot:
    return read_snapshot(cluster, "demo", (POOL,), planned())


def test_a_snapshot_holds_what_the_cluster_holds() -> None:
    snapshot = read(FakeCluster(healthy()))
    assert set(snapshot.objects) == set(planned())
    assert (len(snapshot.pods), len(snapshot.nodes)) == (1, 1)
    assert judged(snapshot).in_line


def test_an_object_without_our_label_is_found_by_its_name() -> None:
    cluster = FakeCluster(healthy())
    cluster.objects[SERVICE] = {**cluster.objects[SERVICE], "metadata": {"name": "support", "namespace": "demo"}}
    assert SERVICE in read(cluster).objects


def test_a_kind_that_is_not_served_is_told_only_where_it_is_planned() -> None:
    cluster = FakeCluster(healthy())
    cluster.not_served = frozenset({"Service"})
    assert read(cluster).not_served == {SERVICE.kind}


def test_a_kind_that_may_not_be_read_is_told_and_what_only_explains_is_a_note() -> None:
    snapshot = read(FakeCluster(healthy(), forbidden=frozenset({"Service", "Node"})))
    assert list(snapshot.forbidden) == [SERVICE.kind]
    assert snapshot.unread == ("nodes",)
    assert not [each for each in judged(snapshot).findings if each.kind == "missing"]


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_left_over_objects_are_looked_for_in_every_kind_that_we_render(path: Path) -> None:
    drafts = object_drafts(make_plan(load(path), load_catalog(base_directory=path.parent)))
    bodies = [manifest(draft).body for draft in drafts if draft.folder != "gitops"]
    rendered = {(body["apiVersion"], body["kind"]) for body in bodies}
    assert rendered <= {(kind.api_version, kind.name) for kind in OURS}


SERVICES = Resource(path="/api/v1", plural="services", namespaced=True)


class ApiServer(BaseHTTPRequestHandler):
    """Answers like an API server that holds three Services, a page at a time."""

    asked: ClassVar[list[str]] = []
    busy: ClassVar[int] = 0

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        match url.path:
            case _ if type(self).busy:
                type(self).busy -= 1
                self._answer(429, {"message": "storage is (re)initializing"}, ("Retry-After", "0"))
            case "/api/v1":
                resources = [
                    {"name": "services", "kind": "Service", "namespaced": True},
                    {"name": "services/status", "kind": "Service", "namespaced": True},
                ]
                self._answer(200, {"resources": resources})
            case "/api/v1/namespaces/demo/services":
                start = int(query.get("continue", ["0"])[0])
                more = {"continue": str(start + 1)} if start < 2 else {}
                self._answer(200, {"metadata": more, "items": [{"metadata": {"name": f"service-{start}"}}]})
            case "/api/v1/namespaces/demo/services/closed":
                self._answer(403, {"message": 'services "closed" is forbidden'})
            case "/api/v1/namespaces/demo/services/unknown-you":
                self._answer(401, {"message": "Unauthorized"})
            case "/api/v1/namespaces/demo/services/broken":
                self._answer(500, {"message": "etcd is away"})
            case "/api/v1/namespaces/demo/services/login-page":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<html>")
            case _:
                self._answer(404, {"message": "not found"})

    def _answer(self, code: int, body: Any, *headers: tuple[str, str]) -> None:
        self.send_response(code)
        for name, value in (("Content-Type", "application/json"), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def kubeconfig(folder: Path, server: str) -> Path:
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "me"}}],
        "current-context": "test",
    }
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    ApiServer.asked, ApiServer.busy = [], 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield connect(kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_port}"), "test")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_client_finds_kinds_and_leaves_subresources_out(cluster: Cluster) -> None:
    assert cluster.resources("v1") == {"Service": SERVICES}
    assert cluster.resources("keda.sh/v1alpha1") == {}


def test_the_client_reads_all_pages(cluster: Cluster) -> None:
    found = cluster.items(SERVICES, "demo", labels="a=b", fields="type=Warning")
    assert [each["metadata"]["name"] for each in found] == ["service-0", "service-1", "service-2"]
    query = parse_qs(urlsplit(ApiServer.asked[-1]).query)
    assert (query["labelSelector"], query["fieldSelector"]) == (["a=b"], ["type=Warning"])


def test_the_client_tells_absent_from_forbidden_from_broken(cluster: Cluster) -> None:
    assert cluster.item(SERVICES, "demo", "absent") is None
    with pytest.raises(Forbidden, match='services "closed" is forbidden'):
        cluster.item(SERVICES, "demo", "closed")
    for name, words in (
        ("unknown-you", "does not know you"),
        ("broken", "etcd is away"),
        ("login-page", "is not a Kubernetes"),
    ):
        with pytest.raises(OutsideFailure, match=words) as raised:
            cluster.item(SERVICES, "demo", name)
        assert "\n" not in str(raised.value)


def test_the_client_asks_a_busy_api_server_again(cluster: Cluster) -> None:
    ApiServer.busy = 2
    assert cluster.resources("v1") == {"Service": SERVICES}
    assert len(ApiServer.asked) == 3


def test_an_api_server_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), ApiServer) as closed:
        server = f"http://127.0.0.1:{closed.server_port}"
    with pytest.raises(OutsideFailure, match=f"{server} does not answer: .*refused"):
        connect(kubeconfig(tmp_path, server), None).resources("v1")


def test_a_kubeconfig_that_makes_no_sense_is_bad_input(tmp_path: Path) -> None:
    good = kubeconfig(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(BadInput, match="elsewhere"):
        connect(good, "elsewhere")
    with pytest.raises(BadInput, match="no such file"):
        connect(tmp_path / "absent", None)
    good.write_text("[]", encoding="utf-8")
    with pytest.raises(BadInput, match=str(good)):
        connect(good, None)
    good.write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match=str(good)):
        connect(good, None)


def test_a_hostile_kubeconfig_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reader is the client's, which knows no bounds; so it is looked at before."""
    bomb = tmp_path / "bomb"
    bomb.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(BadInput, match="nested more than"):
        connect(bomb, None)
    monkeypatch.setenv("KUBECONFIG", f"/dev/null:{bomb}")
    with pytest.raises(BadInput, match="nested more than"):
        connect(None, None)
    device = tmp_path / "zero"
    device.symlink_to("/dev/zero")
    monkeypatch.setenv("KUBECONFIG", str(device))
    with pytest.raises(BadInput, match="it is a device"):
        connect(None, None)


def test_reading_writes_nothing(cluster: Cluster) -> None:
    """The handler knows no method but GET, and answers any other with 501."""
    snapshot = read_snapshot(cluster, "demo", (), {})
    assert {each.name for each in snapshot.objects} == {"service-0", "service-1", "service-2"}
    assert replace(snapshot, objects={}).forbidden == {}
