"""Grafana on one machine: its data source and its dashboard come from files, and nobody logs in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentgpu_iac.plan import HostPlan
from agentgpu_iac.rendering.context import Context, Pairs
from agentgpu_iac.rendering.hosts.machine import Machine
from agentgpu_iac.rendering.ways import LOOPBACK

DASHBOARD = "dashboard.json"
DATASOURCE = "grafana-datasource.yaml"
DASHBOARDS = "grafana-dashboards.yaml"
GRAFANA_UID = 472
"""The user of the image, whose volume it is."""

_DASHBOARD_FOLDER = "/etc/grafana/agentgpu"
_PROVISIONING = "/etc/grafana/provisioning"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasourceContext(Context):
    """The machine's own Prometheus."""

    template: ClassVar[str] = "grafana-datasource.yaml.j2"
    url: str
    interval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardsContext(Context):
    """Where Grafana finds dashboards."""

    template: ClassVar[str] = "grafana-dashboards.yaml.j2"
    folder: str


def datasource(machine: Machine) -> DatasourceContext:
    """What Grafana asks. Raises ValueError where no Prometheus runs."""
    if machine.host.prometheus is None:
        raise ValueError(f"Grafana of {machine.host.node_pool} has no Prometheus to ask")
    return DatasourceContext(
        url=f"http://{LOOPBACK}:{machine.host.prometheus.port}", interval=f"{machine.plan.watching.scrape_interval_s}s"
    )


def dashboards() -> DashboardsContext:
    """The folder with the dashboard."""
    return DashboardsContext(folder=_DASHBOARD_FOLDER)


def mounts(host: HostPlan, has_dashboard: bool) -> Pairs:
    """Files beside the Compose file, and where Grafana looks for them."""
    if host.grafana is None:
        return ()
    return (
        (f"./{DATASOURCE}", f"{_PROVISIONING}/datasources/agentgpu.yaml"),
        (f"./{DASHBOARDS}", f"{_PROVISIONING}/dashboards/agentgpu.yaml"),
        *(((f"./{DASHBOARD}", f"{_DASHBOARD_FOLDER}/{DASHBOARD}"),) if has_dashboard else ()),
    )


def environment(port: int) -> Pairs:
    """On the loopback, to look at and not to change: whoever is on the machine may look at Prometheus as well."""
    return (
        ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false"),
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
        ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
        ("GF_AUTH_ANONYMOUS_ENABLED", "true"),
        ("GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer"),
        ("GF_AUTH_BASIC_ENABLED", "false"),
        ("GF_AUTH_DISABLE_LOGIN_FORM", "true"),
        ("GF_PLUGINS_PREINSTALL_DISABLED", "true"),
        ("GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION", "true"),
        ("GF_SERVER_HTTP_ADDR", LOOPBACK),
        ("GF_SERVER_HTTP_PORT", str(port)),
    )
