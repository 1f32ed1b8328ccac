"""Take a taint off this pod's own node once a file is there: the node then counts as one that can serve.

    startup_taint.py --ready=/tmp/filled --key=agentgpu.dev/model-cache

Karpenter takes a new node for initialised only when its startup taints are gone, and drains the node that it replaces only
then. The token that is mounted here may read and patch nodes; an admission policy lets it do no more than this, on this
node alone. Where the node has no such taint there is nothing to do.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LOG = logging.getLogger("startup-taint")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
POLL_S = 5.0
TIMEOUT_S = 20.0
PATCH = "application/json-patch+json"

Ask = Callable[[str, Any], Any]
"""Ask the API server: the method, and what to send; answers the node."""


def patch_without(node: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """What takes the taint off, if nobody changes the taints in between; nothing where the node has none of that key."""
    taints = node.get("spec", {}).get("taints", [])
    for index, taint in enumerate(taints):
        if taint["key"] == key:
            place = f"/spec/taints/{index}"
            return [{"op": "test", "path": place, "value": taint}, {"op": "remove", "path": place}]
    return []


def lift(ask: Ask, key: str, pause: Callable[[float], None] = time.sleep) -> None:
    """Take the taint off, again and again until it is gone: others change a new node's taints at the same time."""
    while True:
        try:
            patch = patch_without(ask("GET", None), key)
            if not patch:
                return
            ask("PATCH", patch)
            LOG.info("took the taint %s off", key)
        except (OSError, ValueError) as error:
            LOG.warning("the taint %s stays for now: %s", key, error)
            pause(POLL_S)


def asking(address: str, account: Path) -> Ask:
    """Ask for this node with the token of the moment: the kubelet renews it."""
    trusted = ssl.create_default_context(cafile=str(account / "ca.crt"))

    def ask(method: str, body: Any) -> Any:
        token = (account / "token").read_text(encoding="utf-8").strip()
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data=content, method=method)
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("Content-Type", PATCH)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=trusted) as answer:
            return json.loads(answer.read())

    return ask


def main(arguments: Sequence[str]) -> int:
    """Wait, lift, idle: a DaemonSet's pods are not meant to end."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ready", type=Path, required=True, help="file to wait for")
    parser.add_argument("--key", required=True, help="key of the taint")
    parser.add_argument("--account", type=Path, default=ACCOUNT, help="where token and ca.crt of the account are")
    parser.add_argument("--once", action="store_true", help="end once the taint is gone")
    options = parser.parse_args(arguments)
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    place = f"[{host}]" if ":" in host else host
    while not options.ready.exists():
        time.sleep(POLL_S)
    lift(asking(f"https://{place}:{port}/api/v1/nodes/{os.environ['NODE_NAME']}", options.account), options.key)
    while not options.once:
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
