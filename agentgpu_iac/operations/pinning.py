"""Exact versions of what a plan names by tag or branch, asked of those who know: registries, the model hub and AWS.

Nothing is installed for it: registries by the OCI distribution protocol with its token dance, the hub by its API, AWS by its own
command line, which holds your credentials. Whatever cannot be asked is told in one error, and then nothing was pinned.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentgpu_iac.errors import OutsideFailure
from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.node_image import release_parameter
from agentgpu_iac.plan.node_pool import NodePool
from agentgpu_iac.spec.addresses import keeps_secrets
from agentgpu_iac.spec.loader import LoadedStack
from agentgpu_iac.spec.model.agent import Agent
from agentgpu_iac.spec.repository import repository_of
from agentgpu_iac.spec.yaml_tree import Steps, spelled
from agentgpu_iac.targets import TARGETS

HUB: Final = "https://huggingface.co"
_TIMEOUT_S: Final = 20
_MANIFESTS: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Whom to ask."""

    hub: str = HUB
    registries: Mapping[str, str]
    """Host of an image -> base URL of the mirror to ask instead."""
    token: str | None = None
    """Of the hub, for gated models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """The exact versions that were found, by their places in the spec, and what stays as it is with the reason."""

    values: Mapping[Steps, str]
    left: tuple[str, ...]


def pinned(plan: Plan, loaded: LoadedStack, places: Places) -> Pinned:
    """Ask for every version that the spec leaves open. Raises OutsideFailure, with all reasons, where any cannot be had."""
    values: dict[Steps, str] = {}
    left: list[str] = []
    faults: list[str] = []
    for steps, ask in _questions(plan, loaded, places, left):
        try:
            values[steps] = ask()
        except _Unanswered as error:
            faults.append(str(error))
    if faults:
        raise OutsideFailure("nothing was pinned:\n" + "\n".join(f"  {fault}" for fault in dict.fromkeys(faults)))
    return Pinned(values=values, left=tuple(left))


class _Unanswered(Exception):
    """Nobody gave a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    reference: str
    places: Places

    def __call__(self) -> str:
        return f"{self.reference}@{image_digest(self.reference, self.places)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Revision:
    model: str
    revision: str
    places: Places

    def __call__(self) -> str:
        return model_revision(self.model, self.revision, self.places)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ami:
    pool: NodePool

    def __call__(self) -> str:
        return ami_alias(self.pool)


def _questions(
    plan: Plan, loaded: LoadedStack, places: Places, left: list[str]
) -> Iterator[tuple[Steps, _Image | _Revision | _Ami]]:
    spec = loaded.stack.spec
    pins = spec.pins
    engines = sorted({workload.engine.image for workload in plan.workloads})
    hosts = plan.hosts[:1]
    exporter = None if plan.router is None else plan.router.exporter
    images = (
        ("engineImage", pins.engine_image, engines),
        ("routerImage", pins.router_image, [] if plan.router is None else [plan.router.image]),
        ("routerExporterImage", pins.router_exporter_image, [] if exporter is None else [exporter.image]),
        ("prometheusImage", pins.prometheus_image, [host.prometheus.image for host in hosts if host.prometheus]),
        (
            "dcgmExporterImage",
            pins.dcgm_exporter_image,
            [host.dcgm_exporter.image for host in hosts if host.dcgm_exporter],
        ),
        ("grafanaImage", pins.grafana_image, [host.grafana.image for host in hosts if host.grafana]),
        ("ollamaImage", pins.ollama_image, [host.ollama.image for host in hosts if host.ollama]),
    )
    for key, there, wanted in images:
        if there is None and len(wanted) == 1:
            yield ("spec", "pins", key), _Image(reference=wanted[0], places=places)
        elif there is None and wanted:
            left.append(f"pins.{key}: the agents run {len(wanted)} images, and one pin would be that of all")
    if TARGETS[plan.target].can.chooses_node_image and pins.ami_alias is None:
        yield ("spec", "pins", "amiAlias"), _Ami(pool=plan.node_pools[0])
    yield from _revisions(plan, loaded, places, left)


def _revisions(plan: Plan, loaded: LoadedStack, places: Places, left: list[str]) -> Iterator[tuple[Steps, _Revision]]:
    """Every repository that the agents name: models, drafts and adapters."""
    from_hub = loaded.stack.spec.model_cache.source == "huggingface"
    for index, agent in enumerate(loaded.stack.spec.agents):
        workload = next(each for each in plan.workloads if agent.name in each.served)
        for steps, repository, revision in _repositories(agent, workload.model):
            if _COMMIT.fullmatch(revision):
                continue
            if not from_hub or (steps == ("modelRevision",) and workload.model_source != "catalog"):
                left.append(f"agents[{index}].{spelled(steps)}: {repository} does not come from the hub")
                continue
            yield (
                ("spec", "agents", index, *steps),
                _Revision(model=repository, revision=revision, places=places),
            )


def _repositories(agent: Agent, model: str) -> Iterator[tuple[Steps, str, str]]:
    """What an agent takes from the hub: where its revision is written, the repository, and the revision that holds now."""
    yield ("modelRevision",), model, agent.model_revision or repository_of(agent.model).revision or "main"
    for number, adapter in enumerate(agent.lora_adapters):
        yield ("loraAdapters", number, "revision"), adapter.source, adapter.revision or "main"
    draft = agent.speculative
    if draft is not None and draft.model is not None:
        yield ("speculative", "modelRevision"), draft.model, draft.model_revision or "main"


def image_digest(reference: str, places: Places) -> str:
    """The digest of an image that a tag names now. Raises _Unanswered."""
    host, name, tag = parts_of(reference)
    base = places.registries.get(host, f"https://{'registry-1.docker.io' if host == 'docker.io' else host}")
    url = f"{base.rstrip('/')}/v2/{name}/manifests/{tag}"
    try:
        answer = _get(url, {"Accept": _MANIFESTS})
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise _Unanswered(f"{reference}: {url} answers {error.code}") from None
        token = _token(reference, error.headers.get("WWW-Authenticate", ""), name)
        try:
            answer = _get(url, {"Accept": _MANIFESTS, "Authorization": f"Bearer {token}"})
        except (OSError, ValueError) as again:
            raise _Unanswered(f"{reference}: {url}: {again}") from None
    except (OSError, ValueError) as error:
        raise _Unanswered(f"{reference}: {url} cannot be asked: {_reason(error)}") from None
    body, headers = answer
    computed = f"sha256:{hashlib.sha256(body).hexdigest()}"
    told = headers.get("Docker-Content-Digest", computed)
    if told != computed or not _DIGEST.fullmatch(told):
        raise _Unanswered(f"{reference}: the registry says {told}, and its manifest is {computed}")
    return told


def parts_of(reference: str) -> tuple[str, str, str]:
    """Registry, name and tag of an image, with what Docker leaves out."""
    head, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:
        head, tag = reference, "latest"
    first, slash, rest = head.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest, tag
    return "docker.io", head if slash else f"library/{head}", tag


def _token(reference: str, challenge: str, name: str) -> str:
    """A token for reading, from where the registry sends us."""
    asked = dict(_CHALLENGE.findall(challenge))
    realm = asked.get("realm", "")
    if not challenge.lower().startswith("bearer") or not realm.startswith(("https://", "http://")):
        raise _Unanswered(f"{reference}: the registry wants a login, which agentgpu does not have")
    query = {"service": asked.get("service", ""), "scope": asked.get("scope", f"repository:{name}:pull")}
    try:
        body, _ = _get(f"{realm}?{urllib.parse.urlencode(query)}", {})
        found = json.loads(body)
        token = found.get("token") or found.get("access_token")
    except (OSError, ValueError, AttributeError) as error:
        raise _Unanswered(f"{reference}: no token from {realm}: {_reason(error)}") from None
    if not isinstance(token, str):
        raise _Unanswered(f"{reference}: no token from {realm}")
    return token


def model_revision(model: str, revision: str, places: Places) -> str:
    """The commit that a branch or tag of a model stands at now. Raises _Unanswered."""
    url = f"{places.hub.rstrip('/')}/api/models/{urllib.parse.quote(model)}/revision/{urllib.parse.quote(revision, safe='')}"
    try:
        body, _ = _get(url, {"Authorization": f"Bearer {places.token}"} if places.token and keeps_secrets(url) else {})
        commit = json.loads(body).get("sha")
    except urllib.error.HTTPError as error:
        hint = _told_to_sign_in(url, places) if error.code in (401, 403) else ""
        raise _Unanswered(f"{model}: {url} answers {error.code}{hint}") from None
    except (OSError, ValueError, AttributeError) as error:
        raise _Unanswered(f"{model}: {url} cannot be asked: {_reason(error)}") from None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _Unanswered(f"{model}: {url} names no commit")
    return commit


def _told_to_sign_in(url: str, places: Places) -> str:
    if places.token and not keeps_secrets(url):
        return "; HF_TOKEN is sent by HTTPS or on this machine alone, and this is neither"
    return "; HF_TOKEN must hold a token that may read it"


def ami_alias(pool: NodePool) -> str:
    """The newest release of EKS's Amazon Linux 2023 images with NVIDIA's driver, as Karpenter's alias. Raises _Unanswered."""
    program = shutil.which("aws")
    if program is None:
        raise _Unanswered("pins.amiAlias: the aws command is not installed; set the alias by hand, or install it")
    words = [
        program,
        "ssm",
        "get-parameter",
        "--name",
        release_parameter(pool),
        "--region",
        pool.region,
        "--query",
        "Parameter.Value",
        "--output",
        "text",
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unanswered(f"pins.amiAlias: aws: {error}") from None
    date = re.search(r"-(\d{8})$", done.stdout.strip())
    if done.returncode or date is None:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise _Unanswered(f"pins.amiAlias: aws ssm get-parameter: {told[-1] if told else 'no answer'}")
    return f"al2023@v{date[1]}"


def hub_token() -> str | None:
    """As the hub's own clients find it."""
    return os.environ.get("HF_TOKEN") or None


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", error))


class _SameHost(urllib.request.HTTPRedirectHandler):
    """A token goes to no other host than the one that asked for it."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Follow, without the token where the host is another, or where others would read it on the way."""
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        same = urllib.parse.urlsplit(newurl).netloc == urllib.parse.urlsplit(req.full_url).netloc
        if made is not None and not (same and keeps_secrets(newurl)):
            made.remove_header("Authorization")
        return made


def _get(url: str, headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url} is no address of the web")
    asked = urllib.request.Request(url, headers={"User-Agent": "agentgpu", **headers})  # noqa: S310 - checked above
    with urllib.request.build_opener(_SameHost).open(asked, timeout=_TIMEOUT_S) as answer:
        return answer.read(8 * 2**20), answer.headers
