"""A real Kubernetes control plane on 127.0.0.1: etcd, API server, controller manager and scheduler, and KWOK for nodes.

Everything is a plain child process with its data, keys and log in one folder; nothing needs root or a container.
Nodes are KWOK's: objects whose kubelet is played by one process, which makes their pods ready. So what is scheduled is
scheduled by the real scheduler, and what is admitted is admitted by the real admission, but no container runs.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.e2e import processes
from tests.e2e.ports import free_ports
from tests.e2e.processes import PATIENCE_S
from tools.install import path as tool

Object = dict[str, Any]
T = TypeVar("T")

FAKE_NODE = "kwok.x-k8s.io/node"
"""KWOK plays the kubelet of nodes with this annotation."""


class Refused(Exception):
    """The API server's answer to a request that it does not grant."""

    def __init__(self, code: int, status: Object) -> None:
        super().__init__(f"{code}: {status.get('message', status)}")
        self.code = code
        self.status = status


class ControlPlane:
    """A running control plane; a context manager."""

    def __init__(self, folder: Path, *, controllers: Sequence[str] = ()) -> None:
        """``controllers``: further options of the controller manager."""
        self.folder = folder
        self._controllers = controllers
        self.kubeconfig = folder / "kubeconfig"
        self.server = ""
        self._processes: dict[str, processes.Process] = {}
        self._token = secrets.token_hex(16)
        self._context: ssl.SSLContext | None = None
        self._kinds: dict[str, dict[str, tuple[str, bool]]] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process that was started here, in the order opposite to that of their start."""
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in reversed(self._processes.values()):
            processes.end(process, within_s=2)
        self._processes.clear()

    def start(self, name: str, command: Sequence[str | Path], **environment: str) -> None:
        """Start a process; its output goes to ``<name>.log``, and it ends with the control plane."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = processes.start(
                command, cwd=self.folder, env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT
            )

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Meanwhile a process does nothing: what it would do comes after all that is done here, and not in between."""
        process = self._processes[name]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def log(self, name: str, lines: int = 40) -> str:
        """The end of a process's log."""
        text = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def kubectl(self, *arguments: str | Path, text: str | None = None, check: bool = True) -> str:
        """Run kubectl and answer what it printed, errors after the rest. Fails where kubectl does, unless told not to."""
        command = [str(tool("kubectl")), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder / 'discovery'}"]
        done = subprocess.run(
            [*command, *map(str, arguments)],
            input=text,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Object:
        """One request to the API server, as cluster administrator. Raises Refused for an answer that is no success."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with self._open(path, method=method, data=data, headers={"Content-Type": content_type}) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            try:
                status = json.loads(text)
            except ValueError:
                status = {"message": text}
            raise Refused(error.code, status) from None
        try:
            answered = json.loads(content)
        except ValueError:
            return {}
        return answered if isinstance(answered, dict) else {}

    def _open(self, path: str, **request: Any) -> Any:
        """The answer to a request, not read yet."""
        made = urllib.request.Request(f"{self.server}{path}", **request)
        made.add_header("Authorization", f"Bearer {self._token}")
        return urllib.request.urlopen(made, context=self._context, timeout=PATIENCE_S)

    def history(self, path: str) -> Iterator[dict[str, Object]]:
        """The objects of a collection by name: as they are, and then after each change, none left out.

        Fails in the end, when the caller has waited long enough for what does not come about.
        """
        listed = self.get(path)
        found = {each["metadata"]["name"]: each for each in listed["items"]}
        query = f"watch=1&timeoutSeconds={PATIENCE_S}&resourceVersion={listed['metadata']['resourceVersion']}"
        with self._open(f"{path}?{query}") as events:
            yield dict(found)
            for event in map(json.loads, events):
                assert event["type"] != "ERROR", event
                found.pop(event["object"]["metadata"]["name"], None)
                if event["type"] != "DELETED":
                    found[event["object"]["metadata"]["name"]] = event["object"]
                yield dict(found)
        raise AssertionError(f"what was awaited of {path} does not come about\n{self.unrest()}")

    def get(self, path: str) -> Object:
        """Read one object."""
        return self.request("GET", path)

    def items(self, path: str) -> list[Object]:
        """Read a list of objects."""
        return list(self.get(path)["items"])

    def create(self, path: str, body: Object) -> Object:
        """Create an object in a collection."""
        return self.request("POST", path, body)

    def merge(self, path: str, change: Object) -> Object:
        """Change an object by a JSON merge patch."""
        return self.request("PATCH", path, change, "application/merge-patch+json")

    def delete(self, path: str) -> None:
        """Delete an object or a collection."""
        self.request("DELETE", path)

    def apply(self, text: str) -> str:
        """Apply YAML documents server-side with strict field validation, as GitOps tools do."""
        return self.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", text=text)

    def put(self, body: Object, text: str | None = None) -> Object:
        """Apply one object server-side with strict field validation, and answer what became of it.

        The API server gets the text, where there is one, and reads it with a parser of its own.
        """
        query = "?fieldManager=tests&force=true&fieldValidation=Strict"
        content = body if text is None else text.encode()
        return self.request("PATCH", f"{self.place(body)}{query}", content, "application/apply-patch+yaml")

    def remove(self, objects: Sequence[Object]) -> None:
        """Delete objects, all but namespaces, and wait until they are gone: others may come under the same names."""
        paths = [self.place(each) for each in objects if each["kind"] != "Namespace"]
        for path in reversed(paths):
            self.request("DELETE", path, {"propagationPolicy": "Background"})
        self.until("the objects are gone", lambda: not any(self.exists(path) for path in paths))

    def exists(self, path: str) -> bool:
        """Whether there is an object."""
        try:
            self.get(path)
        except Refused as refused:
            if refused.code != 404:
                raise
            return False
        return True

    def place(self, body: Object) -> str:
        """The path of an object."""
        version, kind, metadata = body["apiVersion"], body["kind"], body["metadata"]
        plural, is_namespaced = self._resources(version)[kind]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        namespace = f"/namespaces/{metadata['namespace']}" if is_namespaced else ""
        return f"{group}{namespace}/{plural}/{metadata['name']}"

    def _resources(self, version: str) -> dict[str, tuple[str, bool]]:
        """Kinds of an API version: their plural, and whether they are in namespaces."""
        if version not in self._kinds:
            listed = self.get(f"/apis/{version}" if "/" in version else f"/api/{version}")["resources"]
            self._kinds[version] = {
                each["kind"]: (each["name"], each["namespaced"]) for each in listed if "/" not in each["name"]
            }
        return self._kinds[version]

    def add_namespace(self, name: str) -> None:
        """Create a namespace where it is not there yet."""
        try:
            self.create("/api/v1/namespaces", {"metadata": {"name": name}})
        except Refused as refused:
            if refused.code != 409:
                raise

    def install_crds(self) -> None:
        """Install the CustomResourceDefinitions of all operators that we render for, and wait until they are served."""
        self.kubectl("apply", "--server-side", "-f", tool("crds"))
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        self.until("all kinds are served", lambda: all(is_established(each) for each in self.items(path)))

    def unrest(self) -> str:
        """What does not run, and the last events: what one asks for first when something does not come about."""
        pods = self.kubectl("get", "pods", "-A", "-o", "wide", "--field-selector=status.phase!=Running", check=False)
        events = self.kubectl("get", "events", "-A", "--sort-by=.lastTimestamp", check=False).splitlines()
        return "\n".join((pods, *events[-15:]))

    def _start(self) -> None:
        self._make_keys()
        ports = free_ports(6)
        etcd = f"http://127.0.0.1:{ports[0]}"
        self.start(
            "etcd",
            (
                *(tool("etcd"), f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn"),
                *(f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}"),
                f"--listen-peer-urls=http://127.0.0.1:{ports[1]}",
            ),
        )
        self.server = f"https://127.0.0.1:{ports[2]}"
        self._write_kubeconfig()
        self.start(
            "kube-apiserver",
            (
                *(tool("kube-apiserver"), f"--etcd-servers={etcd}"),
                *("--bind-address=127.0.0.1", f"--secure-port={ports[2]}", "--endpoint-reconciler-type=none"),
                *("--tls-cert-file=server.crt", "--tls-private-key-file=server.key", "--token-auth-file=tokens.csv"),
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                *("--service-account-key-file=accounts.key", "--service-account-signing-key-file=accounts.key"),
                *("--authorization-mode=Node,RBAC", "--allow-privileged=true"),
                "--service-cluster-ip-range=10.0.0.0/16",
            ),
        )
        self._context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        self.until("the API server answers", self._is_ready)
        local = ("--kubeconfig=kubeconfig", "--leader-elect=false", "--bind-address=127.0.0.1")
        self.start(
            "kube-controller-manager",
            (
                *(tool("kube-controller-manager"), *local, f"--secure-port={ports[3]}"),
                *("--service-account-private-key-file=accounts.key", "--root-ca-file=ca.crt"),
                *("--use-service-account-credentials=false", "--concurrent-serviceaccount-token-syncs=2"),
                "--node-monitor-grace-period=1h",  # a kubelet's heartbeat may be late here, or not be played at all
                *self._controllers,
            ),
        )
        self.start("kube-scheduler", (tool("kube-scheduler"), *local, f"--secure-port={ports[4]}"))
        self.start(
            "kwok",
            (
                *(tool("kwok"), "--kubeconfig=kubeconfig", f"--server-address=127.0.0.1:{ports[5]}"),
                *(f"--manage-nodes-with-annotation-selector={FAKE_NODE}=fake", "--node-lease-duration-seconds=40"),
                *(f"--config={stage}" for stage in sorted(tool("kwok-stages").glob("*.yaml"))),
            ),
        )
        self.until("the controllers run", self._has_default_account)

    def _make_keys(self) -> None:
        names = "subjectAltName=IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes.default.svc"
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        ca = ("-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=agentgpu-test-ca")
        server = ("-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=kube-apiserver")
        signed = ("-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.crt")
        (self.folder / "names").write_text(f"{names}\n", encoding="utf-8")
        for command in (
            ("req", "-x509", *curve, *ca),
            ("req", *curve, *server),
            ("x509", "-req", *signed, "-days", "2", "-extfile", "names"),
            ("genrsa", "-out", "accounts.key", "2048"),
        ):
            subprocess.run(["openssl", *command], cwd=self.folder, check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(f'{self._token},admin,admin,"system:masters"\n', encoding="utf-8")

    def _write_kubeconfig(self) -> None:
        cluster = {"server": self.server, "certificate-authority": str(self.folder / "ca.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
        self.kubeconfig.write_text(json.dumps(config), encoding="utf-8")

    def _is_ready(self) -> bool:
        try:
            self.get("/readyz")
        except (OSError, Refused):
            return False
        return True

    def _has_default_account(self) -> bool:
        return self.exists("/api/v1/namespaces/default/serviceaccounts/default")

    def until(self, what: str, answer: Callable[[], T], pause_s: float = 0.1) -> T:
        """Ask until the answer is true, and return it. Fails after a while, or when a process has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if found := answer():
                return found
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended while waiting until {what}:\n{self.log(name)}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not after {PATIENCE_S} s: {what} (logs in {self.folder})\n{self.unrest()}")
            time.sleep(pause_s)


def is_established(definition: Object) -> bool:
    """Whether the kind of a CustomResourceDefinition is served."""
    conditions = definition.get("status", {}).get("conditions") or ()
    return any((each["type"], each["status"]) == ("Established", "True") for each in conditions)
