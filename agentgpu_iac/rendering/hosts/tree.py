"""The files of all machines, in the order of their paths."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.machine_paths import (
    CLOUD_CONFIG_HEADER,
    FIREWALL,
    SECRETS_FILE,
    SETUP,
    TUNE,
    cloud_init_path,
    pool_folder,
)
from agentgpu_iac.plan.names import PROXY_NAME
from agentgpu_iac.rendering.context import Context
from agentgpu_iac.rendering.dashboard import machine_dashboard
from agentgpu_iac.rendering.hosts import grafana
from agentgpu_iac.rendering.hosts.cloud_init import CLOUD_INIT_HEADER, cloud_init
from agentgpu_iac.rendering.hosts.compose import COMPOSE, compose_text, settings_path
from agentgpu_iac.rendering.hosts.firewall import FRONT_RULE, firewall_context, front_rule
from agentgpu_iac.rendering.hosts.machine import Machine, machine_of
from agentgpu_iac.rendering.hosts.nginx import machines_list, nginx_context, stream
from agentgpu_iac.rendering.hosts.prometheus import PROMETHEUS, RULES, prometheus_context, rules_context
from agentgpu_iac.rendering.hosts.setup import ENVIRONMENT, SYSCTL, UNITS, environment, sysctl
from agentgpu_iac.rendering.hosts.tuning import tune
from agentgpu_iac.rendering.model_cache import MODELS_FILE, models_document
from agentgpu_iac.rendering.names import SCRIPTS
from agentgpu_iac.rendering.origin import Origins
from agentgpu_iac.rendering.proxy import proxy_files
from agentgpu_iac.rendering.router import CONFIG
from agentgpu_iac.rendering.templates import document, filled, verbatim
from agentgpu_iac.rendering.ways import MACHINES_LIST, STREAM
from agentgpu_iac.rendering.yaml_text import dump

_OPENED = frozenset((COMPOSE, CONFIG, FIREWALL, SYSCTL, ENVIRONMENT, PROMETHEUS, RULES, STREAM, MACHINES_LIST, TUNE))


def hosts_tree(plan: Plan) -> tuple[RenderedFile, ...]:
    """The files of every pool's machines, in the order of their paths."""
    origins = Origins(plan)
    files = [
        file
        for host in plan.hosts
        for file in _host_files(machine_of(plan, host), origins.of_pool(host.node_pool, "machines"))
    ]
    return tuple(sorted(files, key=lambda file: file.path))


def _host_files(machine: Machine, opening: str) -> Iterator[RenderedFile]:
    """The digests by which Compose starts containers anew are of the texts without the opening."""
    texts = {name: _opened(name, text, opening) for name, text in _texts(machine).items()}
    beside = {TUNE: _opened(TUNE, filled(tune(machine.host)), opening), **_dashboard(machine)}
    for name, text in {**beside, **texts}.items():
        yield RenderedFile(path=f"{pool_folder(machine.host.node_pool)}/{name}", content=text.encode())
    header = CLOUD_INIT_HEADER.format(pool=machine.host.node_pool, secrets=SECRETS_FILE)
    body = _yaml_text(cloud_init(texts))
    yield RenderedFile(
        path=cloud_init_path(machine.host.node_pool), content=f"{CLOUD_CONFIG_HEADER}\n{opening}{header}{body}".encode()
    )


def _opened(name: str, text: str, opening: str) -> str:
    """A file with its opening. What is the same for every stack, or has no comments, has none; nor has what an engine reads."""
    if name not in _OPENED:
        return text
    first, rest = text.split("\n", 1)
    return f"{first}\n{opening}{rest}" if first.startswith("#!") else opening + text


def _texts(machine: Machine) -> dict[str, str]:
    """Every file that lies on the machine, by its name below the folder of the machine's files."""
    host = machine.host
    nginx_text = filled(nginx_context(machine))
    watching = _watching(machine)
    proxied = _proxied(machine)
    texts = {
        COMPOSE: compose_text(machine, nginx_text, watching, proxied),
        CONFIG: nginx_text,
        FIREWALL: filled(firewall_context(machine)),
        SYSCTL: filled(sysctl(host)),
        ENVIRONMENT: filled(environment(machine)),
        SETUP: verbatim(SETUP),
        **{script: verbatim(script) for script in SCRIPTS},
        MODELS_FILE: models_document(machine.plan, machine.pool),
        **{unit: verbatim(unit) for unit in UNITS},
        **watching,
        **proxied,
    }
    if machine.front is not None:
        texts[STREAM] = filled(stream(machine.front))
        texts[MACHINES_LIST] = filled(machines_list(machine.front))
    if machine.other is not None:
        texts[FRONT_RULE] = filled(front_rule(host))
    for workload in machine.workloads.values():
        for file in workload.engine.files:
            texts[settings_path(workload, file.name)] = file.content
    return texts


def _watching(machine: Machine) -> dict[str, str]:
    """What Prometheus and Grafana read."""
    host = machine.host
    if host.prometheus is None:
        return {}
    texts = {PROMETHEUS: _yaml_text(prometheus_context(machine))}
    rules = rules_context(machine)
    if rules is not None:
        texts[RULES] = _yaml_text(rules)
    if host.grafana is not None:
        texts |= {
            grafana.DATASOURCE: _yaml_text(grafana.datasource(machine)),
            grafana.DASHBOARDS: _yaml_text(grafana.dashboards()),
            **_dashboard(machine),
        }
    return texts


def _proxied(machine: Machine) -> dict[str, str]:
    """What LiteLLM reads."""
    if machine.proxy is None:
        return {}
    return {f"{PROXY_NAME}/{name}": text for name, text in proxy_files(machine.plan, machine.proxy).items()}


def _dashboard(machine: Machine) -> dict[str, str]:
    """For a Grafana of the machine, or one elsewhere: then it lies in the tree, and a machine is not burdened with it."""
    if machine.host.prometheus is None or not machine.plan.watching.dashboard:
        return {}
    return {grafana.DASHBOARD: machine_dashboard(machine.plan, machine.host)}


def _yaml_text(context: Context) -> str:
    return dump(document(context)).decode()
