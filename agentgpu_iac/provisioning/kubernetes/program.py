"""The agents on a cluster that is there already: the rendered manifests, applied server-side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from agentgpu_iac.clusters.namespaces import before_taking, standing
from agentgpu_iac.clusters.port import connect
from agentgpu_iac.errors import AgentGpuError, BadInput, Fault, MissingExtra, did_you_mean
from agentgpu_iac.inputs import MOST_TEXT_BYTES, read_file, text_of
from agentgpu_iac.plan import Plan, RenderedFile
from agentgpu_iac.plan.addresses import base_url
from agentgpu_iac.provisioning.charts import chart_faults, chart_groups, installed
from agentgpu_iac.provisioning.cost_report import OUTPUT, report_cost
from agentgpu_iac.provisioning.faults import CONFIGURATION, target_faults
from agentgpu_iac.provisioning.kubernetes.prerequisites import prerequisites
from agentgpu_iac.provisioning.manifests import GITOPS_FOLDER, read_manifests
from agentgpu_iac.provisioning.policy import policy_faults
from agentgpu_iac.provisioning.project_paths import chart_places, from_project
from agentgpu_iac.provisioning.serving import Serving, ServingArgs, scaled_by_others
from agentgpu_iac.provisioning.within import within
from agentgpu_iac.spec.yaml_tree import compose, data_of

_EXCLUDES = (
    "everything else in your cluster. Nothing is bought here: the planner found such nodes at these prices, and yours "
    "may cost something else"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Which cluster, and what it has: it comes from the Pulumi stack's configuration."""

    kubeconfig: Path | None = None
    """``agentgpu:kubeconfig``: path of a kubeconfig. None: the one that kubectl would use."""
    context: str | None = None
    """``agentgpu:context``: context of that kubeconfig. None: its current one."""
    installed_api_groups: frozenset[str] = frozenset()
    """``agentgpu:installedApiGroups``: API groups of operators that you have installed, such as keda.sh."""
    charts: Mapping[str, str] = field(default_factory=dict)
    """``agentgpu:charts``: where Helm finds the charts to install, by their names, such as keda."""

    @classmethod
    def from_config(cls, config: pulumi.Config) -> Settings:
        """Read the settings of the selected Pulumi stack."""
        kubeconfig = config.get("kubeconfig")
        return cls(
            kubeconfig=Path(from_project(kubeconfig)) if kubeconfig else None,
            context=config.get("context") or None,
            installed_api_groups=frozenset(config.get_object("installedApiGroups") or ()),
            charts=chart_places(config.get_object("charts") or {}),
        )


def deploy(plan: Plan, files: tuple[RenderedFile, ...], settings: Settings | None = None) -> None:
    """Put the plan's objects into the cluster and export what its users need.

    Call it from inside a Pulumi program. ``files`` are the rendered manifests of the same plan. Where it names a GitOps
    tool, only what tells the tool of the stack is applied. Raises BadInput, before anything is made, for a plan or
    settings that cannot be carried out.
    """
    settings = settings or Settings()
    check(plan, settings)
    for name, value in make(plan, files, settings).items():
        pulumi.export(name, value)


def check(plan: Plan, settings: Settings) -> None:
    """Raise BadInput for a plan or settings that cannot be carried out."""
    faults = [
        *target_faults(plan, "kubernetes", "clusters"),
        *unreachable(settings),
        *chart_faults(plan, settings.charts),
        *policy_faults(plan),
    ]
    if faults:
        raise BadInput(faults)


def make(
    plan: Plan, files: tuple[RenderedFile, ...], settings: Settings, parent: pulumi.Resource | None = None
) -> dict[str, Any]:
    """Put the objects of a plan that was checked into the cluster, and return what its users need."""
    cost = report_cost(plan, excludes=_EXCLUDES)
    _tell_of_namespace(plan, settings)
    served = settings.installed_api_groups | chart_groups(settings.charts)
    objects = read_manifests(files, served)
    manifests, handed_over = objects, None
    if plan.gitops is not None:
        manifests, handed_over = read_manifests(files, served, GITOPS_FOLDER), objects
    kubeconfig = None if settings.kubeconfig is None else str(settings.kubeconfig)
    operators = installed(
        plan.stack, settings.charts, files, kubeconfig=kubeconfig, context=settings.context, opts=within(parent)
    )
    Serving(
        plan.stack,
        ServingArgs(
            kubeconfig=kubeconfig,
            context=settings.context,
            operators=operators,
            manifests=manifests,
            scaled=scaled_by_others(plan.in_cluster),
        ),
        within(parent),
    )
    return {
        "agentUrls": {agent.name: base_url(plan, agent.name) for agent in plan.served_agents},
        OUTPUT: cost,
        "prerequisites": list(prerequisites(plan.in_cluster, manifests, handed_over, settings.charts)),
        "notApplied": [str(manifest) for manifest in manifests.waiting],
    }


def _tell_of_namespace(plan: Plan, settings: Settings) -> None:
    """Warn, in a preview as well, of a namespace that applying would take over, or that could not be asked about."""
    name = plan.stack
    try:
        told = standing(connect(settings.kubeconfig, settings.context, what="looking at a namespace"), name)
    except MissingExtra as error:
        pulumi.log.warn(f"whether the namespace {name} belongs to somebody else was not asked: {error}")
        return
    except BadInput as error:  # of the kubeconfig: its hints are of the command line
        reason = "; ".join(fault.message for fault in error.faults)
        pulumi.log.warn(f"whether the namespace {name} belongs to somebody else could not be asked: {reason}")
        return
    except AgentGpuError as error:
        pulumi.log.warn(f"whether the namespace {name} belongs to somebody else could not be asked: {error}")
        return
    if told is not None:
        pulumi.log.warn(f"the namespace {name} {told}. What to do: {before_taking(name)}")


def unreachable(settings: Settings) -> Iterator[Fault]:
    """Settings that lead to no cluster, as far as the files on this machine say."""
    path, context = settings.kubeconfig, settings.context
    if path is None:
        return
    if not path.is_file():
        yield _fault(
            "kubeconfig",
            f"there is no file {path}",
            "pulumi config set agentgpu:kubeconfig PATH; unset, it is the file that kubectl uses",
        )
        return
    known = _contexts(path)
    if context is not None and context not in known:
        hint = did_you_mean(context, known) or f"it has {', '.join(known) or 'none'}"
        yield _fault("context", f"there is no context {context!r} in {path}", hint)


def _contexts(kubeconfig: Path) -> tuple[str, ...]:
    """The names of a kubeconfig's contexts; none where it cannot be read as one."""
    try:
        text = text_of(read_file(kubeconfig, MOST_TEXT_BYTES), str(kubeconfig))
        content: Any = data_of(compose(text, str(kubeconfig)).root)
        return tuple(str(context["name"]) for context in content["contexts"])
    except (BadInput, TypeError, KeyError):
        return ()


def _fault(key: str, message: str, hint: str) -> Fault:
    return Fault(source=CONFIGURATION, path=f"agentgpu:{key}", message=message, hint=hint)
