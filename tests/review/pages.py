"""Reports as a reader has them: read by an HTML parser that follows the standard, as browsers do."""

from __future__ import annotations

from decimal import Decimal

from selectolax.lexbor import LexborHTMLParser, LexborNode

from agentgpu_iac import plan as p
from tests.plans import make_plan, make_workload


def parsed(page: str) -> LexborHTMLParser:
    return LexborHTMLParser(page)


def tags(page: str) -> list[str]:
    """Every element, in order; those of drawings too."""
    return [node.tag for node in parsed(page).root.traverse() if node.tag not in ("-text", "-comment", "_comment")]


def table(page: str, caption: str) -> list[dict[str, str]]:
    """The rows of the table of that caption, each by its columns."""
    for node in parsed(page).css("table"):
        if text(node.css_first("caption")) == caption:
            columns = [text(cell) for cell in node.css("thead th")]
            return [dict(zip(columns, map(text, row.css("th, td")), strict=True)) for row in node.css("tbody tr")]
    raise KeyError(caption)


def text(node: LexborNode | None) -> str:
    assert node is not None
    return " ".join(node.text().split())


def rich_plan(
    *, stack: str = "demo", agent: str = "support", role: str = "helper", model: str = "Qwen/Qwen3-8B"
) -> p.Plan:
    """A plan with something for every part of the report. Its figures are made up."""
    workload = make_workload(
        agent=agent,
        name=agent,
        role=role,
        model=model,
        sessions_concurrent=12,
        sessions_peak=48,
        burst_ramp_s=60.0,
        chosen_because=f"the cheapest for {role}",
    )
    memory = workload.memory.model_copy(update={"reserve_ratio": 0.2})
    workload = workload.model_copy(update={"memory": memory})
    cost = make_plan().cost
    return make_plan(
        stack=stack,
        headline=f"1 x L40S keeps the 12 sessions of {agent} resident.",
        workloads=(workload,),
        cost=cost.model_copy(
            update={
                "by_agent": (
                    p.AgentCost(
                        agent=agent,
                        usd_per_month=Decimal("1339.92"),
                        asked_per_month=300_000.0,
                        usd_per_1000=Decimal("4.4664"),
                    ),
                ),
                "alternatives": (
                    p.Alternative(
                        agent=agent,
                        description="1 x 1 H100 SXM on p5.4xlarge",
                        accelerator="h100-sxm",
                        instance_type="p5.4xlarge",
                        replicas=1,
                        usd_per_month=Decimal("4953.6"),
                        delta_usd_per_month=Decimal("3613.68"),
                        note=f"dearer for {role}",
                        ttft_at_percentile_ms=73.6,
                        tpot_at_percentile_ms=12.0,
                    ),
                ),
            }
        ),
        rejections=(
            rejection(agent, "l4", "ttft", 612.0, 500.0, "ms", Decimal("579.46"), role),
            rejection(agent, "a10g", "memory", 24.1, 17.65, "GiB", Decimal("724.32"), role),
            rejection(agent, "t4", "precision", None, None, "", None, role),
        ),
        warnings=(
            p.Warning(code="unpinned", agent=None, message=f"image of {role} is named by tag"),
            p.Warning(code="unpinned", agent=agent, message=f"model {model} is taken at main"),
            p.Warning(code="latency-risk", agent=agent, message="TPOT is near its budget"),
        ),
        ledger=(
            entry(agent, "Memory of one accelerator", "totalGib", "weights + KV cache", "15.26 + 8", "23.26 GiB"),
            entry(agent, "Latency", "ttftAtPercentileMs", f"network + {role}", "20 + 110", "130.0 ms"),
        ),
        assumptions=(p.Assumption(agent=agent, part="conversation", field="turns", value=role),),
        proof=(proof(agent),),
    )


def proof(agent: str) -> p.ProofPlan:
    """What three simulations of an hour say, of which the second went worst."""
    return p.ProofPlan(
        agent=agent,
        traffic="bursty",
        hours=1.0,
        seeds=(1, 2, 3),
        requests=27_417,
        wanted_ratio=0.95,
        inside_ttft_ratio=0.98125,
        inside_tpot_ratio=0.99,
        low_ratio=0.9612,
        high_ratio=0.9913,
        refused=17,
        lost=0,
        holds=True,
        warm_replicas=1,
        warm_replicas_before=1,
        usd_per_month_before=Decimal("1339.92"),
        burst_replicas=3,
        burst_replicas_before=3,
        waits=p.ProofWaits(p50_ms=81.5, p95_ms=412.0, p99_ms=733.25),
        course=p.ProofCourse(
            seed=2,
            minutes=(15.0, 30.0, 45.0, 60.0),
            sessions=(12.0, 46.5, 31.0, 12.25),
            running=(3.5, 14.0, 9.0, 3.5),
            waiting=(0.0, 5.75, 0.0, 0.0),
            warm_replicas=(1, 1, 1, 1),
            burst_replicas=(0, 2, 3, 0),
            starting_replicas=(0, 1, 0, 0),
        ),
    )


def rejection(
    agent: str,
    accelerator: str,
    constraint: p.Constraint,
    need: float | None,
    limit: float | None,
    unit: p.RejectionUnit,
    usd: Decimal | None,
    message: str,
) -> p.Rejection:
    return p.Rejection(
        agent=agent,
        accelerator=accelerator,
        instance_type=None,
        tensor_parallel_size=1,
        pipeline_parallel_size=1,
        precision="bf16",
        constraint=constraint,
        need=need,
        limit=limit,
        unit=unit,
        usd_per_month=usd,
        message=message,
    )


def entry(workload: str, section: str, name: str, formula: str, inputs: str, result: str) -> p.LedgerEntry:
    return p.LedgerEntry(
        workload=workload,
        section=section,
        name=name,
        formula=formula,
        inputs=inputs,
        result=result,
        value=float(result.split(maxsplit=1)[0]),
        unit=result.split()[1],
        source=f"source of {name}",
    )
