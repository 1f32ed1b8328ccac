"""A small catalog made by hand, in which every choice can be computed on paper, and stacks that use it."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

from agentgpu_iac.catalog.model import (
    Accelerator,
    DenseTflops,
    EngineRelease,
    InstanceType,
    LayerCounts,
    Model,
    Offering,
    Provider,
    RouterRelease,
    Thinking,
)
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.catalog.store import Catalog
from agentgpu_iac.plan import Plan, Workload
from agentgpu_iac.planning.choosing.remembering import Evaluators
from agentgpu_iac.planning.planner import make_plan
from agentgpu_iac.spec.loader import LoadedStack, load_text
from tests.parts import model_of

SOURCES = ("made by hand for tests",)
REGION = "us-east-1"
UNKNOWN = "unknown"
"""The price of an offering that has none."""


NEVER_THINKS = Thinking(id="none", models=(), thinks="never", sources=SOURCES, read="2026-11-27")
THINKS = NEVER_THINKS.model_copy(
    update={
        "id": "thinker",
        "thinks": "by-default",
        "switch": "chat-template",
        "variable": "enable_thinking",
        "on": True,
        "off": False,
        "typical_tokens": 1000,
        "tokens_error_factor": 4.0,
    }
)
"""Thinks unless its template is told not to."""
ALWAYS_THINKS = THINKS.model_copy(
    update={"thinks": "always", "switch": None, "variable": None, "on": None, "off": None}
)
WHEN_ASKED = THINKS.model_copy(update={"thinks": "when-asked"})


def make_model(model_id: str, params: float, **changes: Any) -> Model:
    """A dense model with grouped-query attention; ``params`` in billions."""
    fields: dict[str, Any] = dict(
        id=model_id,
        family="test",
        architecture="llama",
        params_total=int(params * 1e9),
        params_active=int(params * 1e9),
        layers=LayerCounts(full=32),
        hidden_size=4096,
        attention_heads=32,
        kv_heads=8,
        head_dim=128,
        vocab_size=32_000,
        max_context_tokens=131_072,
        intermediate_size=14_336,
        native_precision="bf16",
        tool_call_parser="hermes",
        thinking=NEVER_THINKS,
        sources=SOURCES,
    )
    return model_of({**fields, **changes})


def make_accelerator(
    accelerator_id: str, gib: float, bandwidth: float, tflops: float | None, **changes: Any
) -> Accelerator:
    """A card whose memory is known as CUDA sees it; GB/s and dense 16-bit TFLOPS."""
    fields: dict[str, Any] = dict(
        id=accelerator_id,
        name=accelerator_id.upper(),
        memory_gb=gib,
        cuda_memory_gib=gib,
        bandwidth_gb_per_s=bandwidth,
        vendor_dense_tflops=DenseTflops(bf16=tflops),
        nvlink_gb_per_s=0.0,
        pcie_generation=4,
        compute_capability="9.0",
        sources=SOURCES,
    )
    return Accelerator(**{**fields, **changes})


SMALL, LARGE, NO_DATA, OLD = (
    make_accelerator("small-40", 40.0, 800.0, 300.0),
    make_accelerator("large-80", 80.0, 2400.0, 900.0, nvlink_gb_per_s=900.0),
    make_accelerator("no-data-24", 24.0, 600.0, None, compute_capability="8.6"),
    make_accelerator("old-40", 40.0, 800.0, 120.0, compute_capability="8.0"),
)
ACCELERATORS = (SMALL, LARGE, NO_DATA, OLD)

TINY, DENSE, BIG = (
    make_model("test/tiny", 1.5),
    make_model("test/dense", 8),
    make_model("test/big", 70, layers=LayerCounts(full=80)),
)
MODELS = (TINY, DENSE, BIG)

RELEASES = tuple(
    EngineRelease(
        engine="vllm",
        version=version,
        image=f"vllm/vllm-openai:v{version}",
        image_gb=9.35,
        gpu_memory_utilization=share,
        graphs_in_budget=graphs,
        sources=SOURCES,
    )
    for version, share, graphs in (("0.11.0", 0.9, False), ("0.19.0", 0.9, False), ("0.33.0", 0.92, True))
) + tuple(
    EngineRelease(
        engine=engine,
        version=version,
        image=f"test/{engine}:{version}",
        gpu_memory_utilization=share,
        graphs_in_budget=False,
        sources=SOURCES,
    )
    for engine, version, share in (("sglang", "0.5.23", 0.828), ("tensorrt-llm", "1.2.1", 0.9), ("tgi", "3.3.7", 0.9))
)
PROVIDERS = (
    Provider(id="aws", name="AWS", interruption_notice_s=120, sources=SOURCES),
    Provider(id="silent", name="Silent", interruption_notice_s=0, sources=SOURCES),
)

ROUTERS = (
    RouterRelease(router="endpoint-picker", version="0.10.0", image="example/picker:v0.10.0", sources=SOURCES),
    RouterRelease(router="nginx", version="1.28.3", image="example/nginx:1.28.3", sources=SOURCES),
    RouterRelease(router="nginx", version="1.30.4", image="example/nginx:1.30.4", sources=SOURCES),
)


def offerings(
    name: str,
    accelerator: str,
    count: int = 1,
    *,
    on_demand: str | None = None,
    spot: str | None = None,
    reserved: str | None = None,
    provider: str = "aws",
    region: str = REGION,
    **machine: Any,
) -> tuple[Offering, ...]:
    """One machine, bought each way that has a price."""
    fields: dict[str, Any] = dict(
        provider=provider,
        name=name,
        gpu=accelerator,
        gpu_count=float(count),
        vcpu=16 * count,
        memory_gib=128.0 * count,
        nvme_count=1,
        nvme_total_gb=1000 * count,
        network_baseline_gbps=25.0,
        ebs_baseline_mbps=1000.0,
        sources=SOURCES,
    )
    instance = InstanceType(**{**fields, **machine})
    return tuple(
        Offering(
            provider=provider,
            instance_type=instance,
            accelerator=accelerator,
            accelerator_count=count,
            region=region,
            capacity_type=way,
            usd_per_hour=None if price == UNKNOWN else Decimal(price),
            price_date="2026-11-01",
            price_source="test",
        )
        for way, price in (("on-demand", on_demand), ("spot", spot), ("reserved", reserved))
        if price is not None
    )


OFFERINGS = (
    *offerings("s1", "small-40", on_demand="1.00", spot="0.40", reserved="0.60"),
    *offerings("s8", "small-40", 8, on_demand="9.00", spot="3.00"),
    *offerings("l1", "large-80", on_demand="3.00", spot="1.20", reserved="1.80"),
    *offerings("l8", "large-80", 8, on_demand="22.00", spot="8.00"),
)


def make_catalog(
    rows: tuple[Offering, ...] = OFFERINGS,
    *,
    accelerators: tuple[Accelerator, ...] = ACCELERATORS,
    models: tuple[Model, ...] = MODELS,
) -> Catalog:
    return Catalog(
        accelerators=accelerators,
        models=models,
        offerings=rows,
        releases=RELEASES,
        providers=PROVIDERS,
        exclusions=(),
        version="0" * 12,
        routers=ROUTERS,
        services=packaged_rows().services,
        metrics=packaged_rows().metrics,
        parsers=packaged_rows().parsers,
        limits=packaged_rows().limits,
        host_memory=packaged_rows().host_memory,
        volumes=packaged_rows().volumes,
        kubernetes=packaged_rows().kubernetes,
        quotas=packaged_rows().quotas,
        charges=packaged_rows().charges,
        system_machines=packaged_rows().system_machines,
        cluster_pods=packaged_rows().cluster_pods,
        newest_date=NEWEST_DATE,
        engine_facts=packaged_rows().engine_facts,
        engine_options=packaged_rows().engine_options,
        quantisation_methods=packaged_rows().quantisation_methods,
    )


NEWEST_DATE = "2026-09-01"
"""Three months before the end of the oldest supported Kubernetes version."""
CATALOG = make_catalog()


def reordered(catalog: Catalog, order: Any) -> Catalog:
    """The same catalog with its rows in another order; ``order`` makes a shuffled tuple of a tuple."""
    return dataclasses.replace(
        catalog,
        accelerators=order(catalog.accelerators),
        models=order(catalog.models),
        offerings=order(catalog.offerings),
        releases=order(catalog.releases),
        providers=order(catalog.providers),
        metrics=order(catalog.metrics),
    )


def make_agent(name: str = "support", model: str = "test/dense", **changes: Any) -> dict[str, Any]:
    """An agent with replicas of its own, unless it is said otherwise: most tests of several are about how they get on apart."""
    return {"name": name, "model": model, "isolation": "dedicated", "sessions": {"concurrent": 4}, **changes}


def load(*agents: dict[str, Any], **spec: Any) -> LoadedStack:
    """A stack of these agents (a default one where none is given); keys as in the file."""
    document = {
        "apiVersion": "agentgpu.dev/v1alpha1",
        "kind": "AgentStack",
        "metadata": {"name": "demo"},
        "spec": {"target": "eks", **spec, "agents": list(agents) or [make_agent()]},
    }
    return load_text(json.dumps(document, indent=1), "stack.yaml")


def plan(
    *agents: dict[str, Any], catalog: Catalog = CATALOG, evaluators: Evaluators | None = None, **spec: Any
) -> Plan:
    """``evaluators`` remember what was evaluated for other plans, over catalogs that differ in what they sell at most."""
    return make_plan(load(*agents, **spec), catalog, evaluators)


def only(*accelerators: str) -> dict[str, Any]:
    return {"allow": list(accelerators)}


def workload(found: Plan, agent: str = "support", tier: str = "baseline") -> Workload:
    return next(one for one in found.workloads if (one.agent, one.tier) == (agent, tier))


def codes(found: Plan, agent: str | None = None) -> set[str]:
    return {one.code for one in found.warnings if agent is None or one.agent == agent}


def constraints(found: Plan, agent: str = "support") -> dict[str, str]:
    """Accelerator -> constraint of the rejections of an agent."""
    return {one.accelerator: one.constraint for one in found.rejections if one.agent == agent}
