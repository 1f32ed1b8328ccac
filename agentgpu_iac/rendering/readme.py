"""``README.md`` of a rendered tree: the plan, what it costs, what to know, what to install, how to apply it and see it answer.

Made from the plan alone, like every other file, so that whoever reviews the tree need not run the tool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from agentgpu_iac.plan import Plan, RenderedFile, Warning, Workload
from agentgpu_iac.plan.buying import dated, place_words, ways_words
from agentgpu_iac.plan.charts import OPERATORS, VALUES_FOLDER, ChartName, values_path
from agentgpu_iac.plan.endpoints import ADDRESS, endpoints
from agentgpu_iac.plan.machine_paths import MACHINE_FOLDER, SECRETS_FILE, SETUP, pool_folder
from agentgpu_iac.plan.meanings import RANK_ORDER, RANKS, WARNINGS
from agentgpu_iac.plan.pooling import first_answer_words, seats_words
from agentgpu_iac.plan.watching import EXPORTER_MISSING
from agentgpu_iac.rendering.dashboard import SIDECAR_LABEL
from agentgpu_iac.rendering.origin import digest_of
from agentgpu_iac.rendering.skyserve import start_command
from agentgpu_iac.spec.vocabulary import PoolingKind
from agentgpu_iac.targets import TARGETS

README: Final = "README.md"

_WITH: Final = {
    "karpenter.sh": ", with its IAM role and its queue of interruptions",
    "monitoring.coreos.com": ", with a Prometheus that selects these monitors and rules",
    "gateway.networking.k8s.io": " and a Gateway that knows InferencePools",
    "external-secrets.io": ", with the store that the spec names",
}
"""What operators need beside themselves."""

_ASIDE: Final = frozenset({"karpenter.k8s.aws", "source.toolkit.fluxcd.io"})
"""API groups of operators that are named by another of theirs."""

_GROUP: Final = re.compile(rb"^apiVersion: ([a-z0-9.-]+)/", re.MULTILINE)


def readme(plan: Plan, files: Sequence[RenderedFile]) -> RenderedFile:
    """The page of the tree that these files make up."""
    text = "\n".join(_lines(plan, files)) + "\n"
    return RenderedFile(path=README, content=text.encode())


def _lines(plan: Plan, files: Sequence[RenderedFile]) -> Iterator[str]:
    yield f"# {plan.stack}"
    yield ""
    yield plan.headline
    yield ""
    yield (
        f"Made by agentgpu for the target {plan.target}, plan {digest_of((plan,))}; the plan itself is `plan.json`. "
        "Change the agent stack and render again, not these files; "
        "`agentgpu explain SPEC AGENT` prints the sum behind each number, `agentgpu diff` what a change touches."
    )
    yield from _section("Agents", _agents(plan))
    yield from _section("Nodes", _pools(plan))
    yield from _section("Cost", _cost(plan))
    yield from _section("What to know first", _warnings(plan.warnings))
    yield from _section("Beforehand", (f"- {item}" for item in _needed(plan, files)))
    yield from _section("Apply", _apply(plan, files))
    yield from _section("Does it answer?", _answers(plan))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    found = tuple(lines)
    if found:
        yield from ("", f"## {title}", "", *found)


def _table(columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _agents(plan: Plan) -> Iterator[str]:
    pooled = [workload.pooling is not None for workload in plan.workloads]
    columns = ("agent", "tier", "model", "accelerators a replica", "replicas", f"{seats_words(pooled)} a replica")
    ttft = f"{first_answer_words(pooled)} p{plan.watching.percentile:g} ms"
    return _table((*columns, ttft), (_agent(workload) for workload in plan.workloads))


def _agent(workload: Workload) -> tuple[str, ...]:
    ttft = workload.latency.first_answer_at_percentile_ms
    budget = workload.latency.first_answer_budget_ms
    return (
        workload.title,
        workload.tier,
        f"{workload.model} {workload.precision}",
        f"{workload.accelerators_per_replica} x {workload.accelerator}",
        f"{workload.replicas.min} to {workload.replicas.max}",
        str(workload.max_num_seqs),
        ("not predicted" if ttft is None else f"{ttft:,.0f}") + ("" if budget is None else f" of {budget:,.0f}"),
    )


def _pools(plan: Plan) -> Iterator[str]:
    rows = (
        (
            pool.name,
            f"{pool.min} to {pool.max}",
            f"{pool.instance_types[0]} ({pool.accelerators_per_node} x {pool.accelerator})",
            ways_words(pool, " > "),
            place_words(pool),
            f"{pool.usd_per_hour:,.4f} ({dated(pool.price_date, ways_words(pool, ' > '))})",
        )
        for pool in plan.node_pools
    )
    return _table(("pool", "nodes", "machine", "bought", "where", "USD an hour (read on)"), rows)


def _cost(plan: Plan) -> Iterator[str]:
    cost = plan.cost
    yield f"- USD {cost.baseline_usd_per_month:,.2f} a month (720 h) for what always runs."
    yield f"- USD {cost.expected_usd_per_month:,.2f} a month with the expected burst hours."
    yield f"- USD {cost.peak_usd_per_hour:,.2f} an hour at the peak."


def _warnings(warnings: Sequence[Warning]) -> Iterator[str]:
    """By rank: what keeps agents from answering, what costs or leaks, what is good to know."""
    for rank in RANK_ORDER:
        for warning in warnings:
            if RANKS[warning.code] == rank:
                agent = f"{warning.agent}: " if warning.agent else ""
                remedy = WARNINGS[warning.code].remedy
                yield f"- **{rank}** [{warning.code}] {agent}{warning.message}. To do: {remedy}."


def _needed(plan: Plan, files: Sequence[RenderedFile]) -> Iterator[str]:
    target = TARGETS[plan.target]
    if plan.sky_services:
        yield "SkyPilot with the clouds above enabled: `sky check`."
    if plan.hosts:
        yield "Debian or Ubuntu with the NVIDIA driver; `setup.sh` sees to Docker and NVIDIA's container toolkit."
    if target.can.has_cluster:
        values = f" (values for the charts: `{VALUES_FOLDER}/`)" if _values(files, "gpu-operator") else ""
        yield f"NVIDIA's device plugin, or the GPU Operator{values}."
    groups = {found[1].decode() for file in files if (found := _GROUP.search(file.content)) is not None}
    for group, operator in OPERATORS.items():
        if group in groups - _ASIDE:
            yield f"{operator[0].upper()}{operator[1:]}{_WITH.get(group, '')} ({group})."
    if target.can.has_cluster:
        yield from _watchers(plan, files)
    for secret in plan.security.secrets:
        if target.can.has_cluster and secret.store_key is None:
            yield (
                f"the Secret {secret.name} ({secret.purpose}): `kubectl -n {plan.stack} create secret generic "
                f"{secret.name} --from-literal={secret.key}=...`, once the namespace is there."
            )
    for host in plan.hosts:
        for variable in host.secrets:
            yield (
                f"`{variable.variable}=...` ({variable.secret}: {variable.purpose}) in `{SECRETS_FILE}` on each machine of "
                f"{host.node_pool}."
            )
    if plan.joined is not None:
        yield (
            f"the ConfigMap {plan.joined.config_map}, once a machine beside the cluster runs: `machines`, a line `NAME ADDRESS` "
            f"for each ({plan.joined.machines[0].name} is the first), and `tls.crt`, the certificate for "
            f"{plan.joined.server_name} that they show. pulumi up makes it on EKS."
        )


def _watchers(plan: Plan, files: Sequence[RenderedFile]) -> Iterator[str]:
    """What the alerts and the dashboard read, and what finds ill nodes."""
    watching = plan.watching
    if watching.monitors != "none":
        yield "kube-state-metrics, scraped by that Prometheus: alerts on pods, nodes and caches read it."
        if watching.accelerators != "none":
            values = _values(files, "dcgm-exporter")
            yield (
                f"NVIDIA's DCGM exporter, which the GPU Operator brings{values}: "
                f"without it {EXPORTER_MISSING} fires and no alert sees a card."
            )
        if watching.dashboard:
            yield f"Grafana, with the sidecar that loads ConfigMaps with the label {SIDECAR_LABEL[0]}."
    if watching.node_health != "none":
        yield (
            "EKS' add-on eks-node-monitoring-agent, which finds ill nodes, and Karpenter with its node repair on"
            f"{_values(files, 'karpenter')}, which replaces them."
        )


def _values(files: Sequence[RenderedFile], chart: ChartName) -> str:
    path = values_path(chart)
    return f" (values for its chart: `{path}`)" if any(file.path == path for file in files) else ""


def _apply(plan: Plan, files: Sequence[RenderedFile]) -> Iterator[str]:
    yield "```bash"
    if plan.sky_services:
        yield from (start_command(service) for service in plan.sky_services)
    for host in plan.hosts:
        yield f"sudo cp -r {pool_folder(host.node_pool)}/. {MACHINE_FOLDER}/  # on each machine of {host.node_pool}"
        yield f"sudo bash {MACHINE_FOLDER}/{SETUP} --dry-run           # what it would change"
        yield f"sudo bash {MACHINE_FOLDER}/{SETUP}"
    overlays = sorted({file.path.split("/")[1] for file in files if file.path.startswith("overlays/")})
    for number, overlay in enumerate(overlays):
        if number == 1:
            yield f"# or, in place of overlays/{overlays[0]}, where node groups make the nodes:"
        yield f"{'# ' if number else ''}kubectl apply -k overlays/{overlay}"
    yield "```"


_QUESTIONS: Final[Mapping[PoolingKind | None, tuple[str, str]]] = {
    None: ("/chat/completions", '"messages":[{"role":"user","content":"Hello"}],"max_tokens":16'),
    "embedding": ("/embeddings", '"input":"Hello"'),
    "reranker": ("/rerank", '"query":"Hello","documents":["Good day","Good night"]'),
}
"""What is asked of an agent to see it answer, by what it answers with."""


def _answers(plan: Plan) -> Iterator[str]:
    found = endpoints(plan)
    if any(ADDRESS in endpoint.base_url for endpoint in found):
        yield f"`{ADDRESS}` stands for an address that only what runs can tell: {found[0].address_from}."
        yield ""
    yield "```bash"
    has_cluster = TARGETS[plan.target].can.has_cluster
    for endpoint in found:
        url = endpoint.base_url
        if has_cluster and ".svc.cluster.local:" in url:
            port = url.rsplit(":", 1)[1].split("/")[0]
            yield f"kubectl -n {plan.stack} port-forward service/{endpoint.agent} 8000:{port} &"
            url = "http://127.0.0.1:8000/v1"
        key = f' -H "Authorization: Bearer ${endpoint.api_key_variable}"' if endpoint.api_key_variable else ""
        insecure = " --insecure" if url.startswith("https://") and plan.in_cluster.hosts else ""
        route, question = _QUESTIONS[endpoint.kind]
        body = f'{{"model":"{endpoint.model}",{question}}}'
        yield f"curl --fail-with-body{insecure} {url}{route} -H 'Content-Type: application/json'{key} -d '{body}'"
        if has_cluster and url.startswith("http://127"):
            yield "kill %1"
    yield "```"
