"""Warnings about what the engine, its image and its options do not do, or are not known to do."""

from __future__ import annotations

from collections.abc import Iterator

from agentgpu_iac.plan import Warning, Workload
from agentgpu_iac.planning.advice.context import Context
from agentgpu_iac.planning.advice.summary import has_role
from agentgpu_iac.planning.advice.wording import warning
from agentgpu_iac.planning.choosing.caching import UNKNOWN_IMAGE_GB
from agentgpu_iac.planning.choosing.candidates import Candidate
from agentgpu_iac.planning.demand import Demand
from agentgpu_iac.planning.engines import PORTS, needs_other_checkpoint, parsers_in, quantises_at_load
from agentgpu_iac.sizing.repacks import assumed_repack
from agentgpu_iac.units import counted

_ORCHESTRATOR_ROLES = frozenset({"orchestrator"})


def other_engine(candidate: Candidate) -> Warning | None:
    """An engine that may suit the agent better."""
    agent = candidate.demand.agent
    calls = max(member.agent.conversation.tool_calls.per_turn for member in candidate.demand.served)
    better = PORTS[agent.engine].better_for_steps
    if better is None or (calls < 1 and not has_role(candidate, _ORCHESTRATOR_ROLES)):
        return None
    return warning(
        "engine-suggestion",
        f"a multi-step agent re-sends a growing prefix with each step: {PORTS[better].title}'s prefix sharing and structured "
        f"output may serve it better; try engine: {better} and compare",
        agent.name,
    )


def image_size_unknown(context: Context, baseline: Workload) -> Warning | None:
    """The pull of an image whose size nobody found is a stand-in."""
    engine = baseline.engine
    if context.catalog.release(engine.name, engine.version).image_gb is not None:
        return None
    return warning(
        "image-size-unknown",
        f"the size of the {PORTS[engine.name].title} image is not known: the cold start counts {UNKNOWN_IMAGE_GB:g} GB, that "
        f"of vLLM's, in {baseline.cold_start_s.image:,.0f} s",
        baseline.agent,
    )


def parser_warnings(context: Context, candidate: Candidate) -> Iterator[Warning]:
    """Tool calls that the engine refuses or returns as text, and reasoning in the answer, since no parser is known."""
    agent, model, port = candidate.demand.agent, candidate.demand.model, PORTS[candidate.demand.agent.engine]
    version = context.tiers[agent.name][0].engine.version
    parsers = parsers_in(context.catalog, agent.engine, version)
    tools = parsers.tool_calls.named(agent.tool_call_parser, model.tool_call_parser)
    if agent.tool_call_parser is None and parsers.tool_calls.names and tools is None:
        known = f"no tool-call parser is known for {model.id}"
        if model.tool_call_parser is not None:
            parser = model.tool_call_parser
            known = f"{port.title} {version} has no counterpart of vLLM's tool-call parser {parser} for {model.id}"
        then = "the engine will return tool calls as text"
        if port.refuses_tools_without_parser:
            then = "the engine answers requests that hold tools with HTTP 400"
        yield warning("no-tool-parser", f"{known}: {then}; name one, or write toolCallParser: none", agent.name)
    reasoning = parsers.reasoning.named(agent.reasoning_parser, model.reasoning_parser)
    if agent.reasoning_parser is not None or reasoning is not None:
        return
    if model.reasoning_parser is not None:
        yield warning(
            "no-reasoning-parser",
            f"{port.title} has no counterpart of vLLM's reasoning parser {model.reasoning_parser} for {model.id}: the engine "
            "will return the reasoning inside the answer",
            agent.name,
        )
    elif model.thinking is not None and model.thinking.thinks != "never" and candidate.demand.thinking.mode == "on":
        yield warning(
            "no-reasoning-parser",
            f"no reasoning parser is known for {model.id}: the engine will return the reasoning inside the answer",
            agent.name,
        )


def speculation_unmeasured(candidate: Candidate) -> Warning | None:
    """Speculation helps or hurts by how many tokens are accepted, which only a run shows."""
    speculative = candidate.demand.agent.speculative
    if speculative is None or speculative.accepted_tokens is not None:
        return None
    return warning(
        "speculative-unmeasured",
        f"speculative decoding ({speculative.method}, {counted(speculative.tokens, 'token')} a step) is counted in "
        "memory only: it may "
        "speed up or slow down, and TPOT is predicted as if it did neither; set speculative.acceptedTokens once measured",
        candidate.demand.name,
    )


def queue_without_limit(baseline: Workload) -> Warning | None:
    """The plan limits the queue, and the engine cannot."""
    limit, engine = baseline.admission.max_queued_requests, baseline.engine
    if limit is None or baseline.admission.refusal_status is not None:
        return None
    return warning(
        "queue-not-limited",
        f"{PORTS[engine.name].title} {engine.version} cannot limit its queue: the planned "
        f"{counted(limit, 'request')} of a replica are "
        "not enforced by it",
        baseline.agent,
    )


def image_without_fabric(baseline: Workload) -> Warning | None:
    """The public vLLM image has no EFA libraries (vllm-project/vllm issue 55635, open in September 2026)."""
    if not baseline.pod.efa_interfaces:
        return None
    return warning(
        "efa-image",
        f"the {counted(baseline.nodes_per_replica, 'node')} of a replica reach one another by EFA only if the engine "
        "image has libfabric "
        f"and the aws-ofi-nccl plugin; {baseline.engine.image} is not known to: without them NCCL uses TCP, which the "
        "latency counts with. Name an image that has them with pins.engineImage",
        baseline.agent,
    )


def attention_groups(context: Context, baseline: Workload) -> Warning | None:
    """Sessions of a replica are in groups that know nothing of one another's cache and wait for one another's steps."""
    groups, seats = baseline.attention_data_parallel_size, baseline.seats_per_group
    if groups == 1:
        return None
    who = (
        "NGINX gives each session one of them by a hash, so that its context is found again, and the fullest is counted with "
        f"{seats} of the {counted(baseline.max_num_seqs, 'session')}: callers that send no "
        f"{context.spec.network.session_header} lose "
        "their context"
        if baseline.group_choice == "by-session"
        else f"the engine chooses one for each request, the fullest with {seats} of the "
        f"{counted(baseline.max_num_seqs, 'session')}: "
        f"context of earlier turns is found in one of {counted(groups, 'request')}, which the prefix hit ratio of "
        f"{baseline.routing.prefix_hit_ratio:.0%} counts"
    )
    each = baseline.tensor_parallel_size
    of = f"one {baseline.accelerator}" if each == 1 else f"{each} x {baseline.accelerator}"
    return warning(
        "attention-groups",
        f"a replica has {counted(groups, 'attention group')} of {of}, which share the experts and step together: "
        + who,
        baseline.agent,
    )


def precision_warnings(candidate: Candidate) -> Iterator[Warning]:
    """Weights that are not those which the model is published with."""
    demand = candidate.demand
    if quantises_at_load(demand.model, demand.precision):
        yield warning(
            "quantised-at-load",
            f"the engine makes FP8 weights from the {demand.model.native_precision} checkpoint at load: check answer quality, "
            "or name a published FP8 checkpoint",
            demand.name,
        )
    elif needs_other_checkpoint(demand.model, demand.precision):
        yield warning(
            "other-checkpoint",
            assumed_repack(demand.model, demand.precision),
            demand.name,
        )
    elif demand.model.unclear:
        yield warning("quantisation-unclear", "; ".join(demand.model.unclear), demand.name)
    if demand.model.unread:
        yield warning("shape-unclear", "; ".join(demand.model.unread), demand.name)
    if _keeps_cache_as_asked(demand):
        yield warning(
            "checkpoint-cache",
            f"the checkpoint of {demand.model.id} asks for a KV cache in FP8, and the engine is told so: kvCacheDtype: bf16 "
            "keeps it in 16 bit",
            demand.name,
        )


def _keeps_cache_as_asked(demand: Demand) -> bool:
    asked = demand.model.checkpoint_cache
    own = demand.precision == demand.model.native_precision
    return own and asked is not None and asked.precision == demand.agent.kv_cache_dtype


def weights_unpacked(candidate: Candidate) -> Warning | None:
    """The accelerator has no units for the precision: it saves memory and bandwidth, and no arithmetic."""
    demand = candidate.demand
    if not candidate.memory.replica.weight_only:
        return None
    return warning(
        "weight-only-precision",
        f"{candidate.accelerator.name} has no {demand.precision} units: the weights are unpacked to 16 bit as they are read, "
        "which saves memory and bandwidth and slows prompts down; no measured run backs the speed on it",
        demand.name,
    )
