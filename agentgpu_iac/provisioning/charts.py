"""Operators and plugins from Helm charts whose addresses are settings: no registry is built in.

Each is installed with the values that the rendered tree has for it, before the objects that need it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import pulumi
import pulumi_kubernetes as kubernetes

from agentgpu_iac.errors import Fault, did_you_mean
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.charts import CHARTS, ChartName, charts_of
from agentgpu_iac.provisioning.faults import CONFIGURATION
from agentgpu_iac.provisioning.manifests import values_of

KEY: Final = "agentgpu:charts"

_TAG: Final = re.compile(r"oci://[^:@\s]+(?::\d+/[^:@\s]+)?:(?P<version>[^:/@\s]+)")
"""An address in a registry with a version at its end; a port before the path is none, nor is a digest."""

_ELSEWHERE: Final[Mapping[str, str]] = {"karpenter": "set agentgpu:nodes karpenter and agentgpu:karpenterChart"}
"""Charts that a setting of their own installs, with more than the chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorsArgs:
    """Which charts go into which cluster."""

    charts: Mapping[ChartName, str]
    """Addresses, by the name of the chart."""
    files: tuple[RenderedFile, ...]
    """The rendered tree, which has the values."""
    kubeconfig: pulumi.Input[str] | None = None
    """Content or path. None: what kubectl would use here."""
    context: str | None = None
    """Context of the kubeconfig. None: its current one."""


class Operators(pulumi.ComponentResource):
    """Helm releases of what the stack's objects and nodes lean on.

    Those whose objects follow are awaited: an operator that checks objects must answer first. Plugins are not: they run on
    accelerator nodes, which may be none yet, and may wait for objects that come after them.

    Helm makes custom resource definitions with the first installation, and most charts never change them after that.
    """

    releases: tuple[kubernetes.helm.v3.Release, ...]

    def __init__(self, name: str, args: OperatorsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agentgpu:kubernetes:Operators", name, None, opts)
        provider = kubernetes.Provider(
            f"{name}-operators",
            kubeconfig=args.kubeconfig,
            context=args.context,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.releases = tuple(
            _release(name, chart, address, args.files, pulumi.ResourceOptions(parent=self, provider=provider))
            for chart, address in sorted(args.charts.items())
        )
        self.register_outputs({})


def installed(
    name: str,
    charts: Mapping[str, str],
    files: tuple[RenderedFile, ...],
    *,
    kubeconfig: pulumi.Input[str] | None,
    context: str | None = None,
    opts: pulumi.ResourceOptions,
) -> tuple[pulumi.Resource, ...]:
    """The releases of charts that were checked; nothing where there are none."""
    if not charts:
        return ()
    known = cast("Mapping[ChartName, str]", charts)
    made = Operators(name, OperatorsArgs(charts=known, files=files, kubeconfig=kubeconfig, context=context), opts)
    return made.releases


def _release(
    name: str, chart: ChartName, address: str, files: tuple[RenderedFile, ...], opts: pulumi.ResourceOptions
) -> kubernetes.helm.v3.Release:
    where, version = _parts(address)
    return kubernetes.helm.v3.Release(
        f"{name}-{chart}",
        name=chart,
        namespace=CHARTS[chart].namespace,
        create_namespace=True,
        chart=where,
        version=version,
        values=dict(values_of(files, chart)),
        skip_await=not CHARTS[chart].awaited,
        opts=opts,
    )


def chart_groups(charts: Mapping[str, str]) -> frozenset[str]:
    """The API groups that a cluster serves once these charts are installed; names that are none give nothing."""
    return frozenset(group for name, chart in CHARTS.items() if name in charts for group in chart.groups)


def chart_faults(plan: Plan, charts: Mapping[str, str], *, unused: Mapping[str, str] | None = None) -> Iterator[Fault]:
    """Why these charts cannot be installed for this plan.

    ``unused`` are charts that other settings leave no use for, each with the reason.
    """
    wanted = [name for name in charts_of(plan) if name not in _ELSEWHERE and name not in (unused or {})]
    for name, address in sorted(charts.items()):
        at = f"{KEY}.{name}"
        if name in _ELSEWHERE:
            yield _fault(at, "has a setting of its own", _ELSEWHERE[name])
        elif name in (unused or {}):
            yield _fault(at, (unused or {})[name], f"pulumi config rm --path {at}")
        elif name not in wanted:
            use = "is no chart that is known here" if name not in CHARTS else "is nothing that this plan has a use for"
            yield _fault(at, f"{name} {use}", did_you_mean(name, wanted) or f"it has for {', '.join(wanted) or 'none'}")
        elif (wrong := _wrong_address(address)) is not None:
            yield _fault(at, *wrong)
        elif (twice := sorted(CHARTS[name].brings & charts.keys())) != []:
            yield _fault(
                at, f"{name} brings {' and '.join(twice)} itself", f"leave out {name} or {' and '.join(twice)}"
            )
    if charts and not plan.cluster_objects.helm_values:
        yield _fault(
            KEY,
            "the spec says clusterObjects.helmValues: false, so the rendered tree has no values to install charts with",
            "leave helmValues out, or install the charts yourself and leave agentgpu:charts out",
        )


def _wrong_address(address: object) -> tuple[str, str] | None:
    """What is wrong with where a chart is said to be, and what to write."""
    anywhere = "oci://<registry>/<path>:<version>, an https:// address of a .tgz, or a folder or .tgz here"
    if not isinstance(address, str) or not address:
        return "is no address", anywhere
    way, separator, _ = address.partition("://")
    if separator and way not in {"oci", "https"}:
        return f"{way}:// is no way to a chart", anywhere
    wrong: dict[str, tuple[bool, str, str]] = {
        "oci": (
            _TAG.fullmatch(address) is None,
            f"{address} names no version, so what it is may change by itself",
            f"{address}:<version>",
        ),
        "https": (not address.endswith(".tgz"), f"{address} is the address of no chart's version", anywhere),
        "": (
            not Path(address).expanduser().exists(),
            f"there is no {address}",
            f"name the folder or the .tgz of a chart; it was looked for at {Path(address).expanduser().absolute()}",
        ),
    }
    is_wrong, message, hint = wrong[way if separator else ""]
    return (message, hint) if is_wrong else None


def _parts(address: str) -> tuple[str, str | None]:
    """Where Helm finds a chart, and its version where the address has one."""
    tagged = _TAG.fullmatch(address)
    if tagged is None:  # Helm knows no ~
        return address if "://" in address else str(Path(address).expanduser()), None
    version = tagged["version"]
    return address.removesuffix(f":{version}"), version


def _fault(path: str, message: str, hint: str) -> Fault:
    return Fault(source=CONFIGURATION, path=path, message=message, hint=hint)
