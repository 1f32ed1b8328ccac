"""Plans for these tests, and what a rendered tree looks like once it is read back."""

from __future__ import annotations

from typing import Any

from agentgpu_iac import plan as p
from tests.plans import (
    make_gateway_plan,
    make_grouped_plan,
    make_plan,
    make_pool,
    make_routed_plan,
    make_tiered_plan,
    make_watched_plan,
    make_workload,
)
from tests.rendered import manifests


def make_shared_plan() -> p.Plan:
    """Two agents that share one accelerator on a fixed-size pool."""
    pool = make_pool(name="demo-shared-g6e-xlarge", sharing="time-slicing", slots_per_accelerator=2, fixed_size=True)
    agents = tuple(
        make_workload(
            agent=name, name=name, served_model_name=name, node_pool=pool.name, share_group="front",
            kv_cache_memory_bytes=2**32,
        )
        for name in ("router", "support")
    )  # fmt: skip
    return make_plan(workloads=agents, node_pools=(pool,), pattern="multi-agent-orchestration")


def make_gated_plan() -> p.Plan:
    """Models behind two tokens, one without, and one that its owner fills."""
    models = tuple(
        p.CachedModel(model=model, path=path, revision="main", gib=1.0, fill=fill, token_secret=secret)
        for model, path, fill, secret in (
            ("acme/open", "acme--open--main", True, None),
            ("acme/gated", "acme--gated--main", True, "acme-token"),
            ("other/gated", "other--gated--main", True, "other-token"),
            ("local", "local--main", False, None),
        )
    )
    return make_plan(node_pools=(make_pool(cached_models=models),))


PLANS = {
    "single": make_plan,
    "tiered": make_tiered_plan,
    "shared": make_shared_plan,
    "gated": make_gated_plan,
    "routed": make_routed_plan,
    "gateway": make_gateway_plan,
    "keda": make_watched_plan,
    "hpa": lambda: make_watched_plan("hpa"),
    "grouped": make_grouped_plan,
}


def tree(plan: p.Plan) -> dict[str, dict[str, Any]]:
    """Every manifest of a plan, by its path."""
    return manifests(plan)


def of_kind(plan: p.Plan, kind: str) -> dict[str, dict[str, Any]]:
    """The manifests of one kind, by name."""
    return {body["metadata"]["name"]: body for body in tree(plan).values() if body["kind"] == kind}


def pod_specs(plan: p.Plan) -> dict[str, dict[str, Any]]:
    """The pod template of everything that has one, by the path of its file."""
    found: dict[str, dict[str, Any]] = {}
    for path, body in tree(plan).items():
        if body["kind"] in ("Deployment", "DaemonSet"):
            found[path] = body["spec"]["template"]["spec"]
        if body["kind"] == "LeaderWorkerSet":
            for role in ("leader", "worker"):
                found[f"{path}#{role}"] = body["spec"]["leaderWorkerTemplate"][f"{role}Template"]["spec"]
    return found
