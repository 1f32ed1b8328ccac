"""Evaluation: every candidate of one agent. Each either serves, or is a rejection with its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from agentgpu_iac.catalog.engine_facts import Execution
from agentgpu_iac.catalog.model import Accelerator
from agentgpu_iac.plan import Constraint, Rejection, RejectionUnit
from agentgpu_iac.planning.choosing import several_nodes
from agentgpu_iac.planning.choosing.candidates import Candidate, replica_service
from agentgpu_iac.planning.choosing.impossible import impossible
from agentgpu_iac.planning.choosing.memories import Contexts, terms_of
from agentgpu_iac.planning.choosing.parallelism import (
    Sizes,
    legal_parallelism,
    parallelism_over_nodes,
    set_by_hand_fault,
)
from agentgpu_iac.planning.choosing.pausing import ways_away
from agentgpu_iac.planning.choosing.rejections import latency_rejection, memory_rejection, sizes_rejection
from agentgpu_iac.planning.choosing.requests import shapes, tokens_per_s
from agentgpu_iac.planning.choosing.rules import Rules
from agentgpu_iac.planning.choosing.service import Service, answering, in_time, most_used, with_overrides
from agentgpu_iac.planning.choosing.serving import ReplicaService
from agentgpu_iac.planning.choosing.speeds import speed_of
from agentgpu_iac.planning.choosing.state_pages import found_ratio, page_tokens
from agentgpu_iac.planning.demand import SEATS_FOR_VOLUME, Demand
from agentgpu_iac.planning.deployments import with_context_for
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.planning.speculation import accepted_tokens, draft_of, rows_per_step
from agentgpu_iac.sizing import memory, pooling
from agentgpu_iac.sizing.calibration import is_measured
from agentgpu_iac.sizing.contexts import said_of_yarn
from agentgpu_iac.sizing.conversation import longest_uncached_prompt_tokens
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.groups import Groups
from agentgpu_iac.sizing.pausing import Away
from agentgpu_iac.sizing.replica import ByHand, MemoryTerms, Replica
from agentgpu_iac.sizing.searching import largest_within
from agentgpu_iac.sizing.speed import Serving, Speed
from agentgpu_iac.units import ceil_div, ceil_ratio, counted

LEAST_BATCHED_TOKENS = 2_048
"""The smallest default of the engine."""
_TOKENS_OF_A_STEP = 8_192
"""Tokens in a step of a model that generates nothing, at least: the engine's default on large cards, whose launches weigh little
beside their arithmetic on any; buffers for so many take a quarter of a GiB of BGE-M3 and one of a model of 8 B."""
MAX_REPLICAS = 100_000
"""More replicas than this is a fault of the spec, not a plan."""

_FIXED_POINT_ROUNDS = 8


class Evaluator:
    """Evaluates one agent on every accelerator; a value object around the demand and the rules of the stack."""

    __slots__ = ("_away", "_demand", "_rules", "_serving", "_stated_hit_ratio")

    def __init__(self, demand: Demand, rules: Rules, away: Away | None = None) -> None:
        self._demand = demand
        self._away = away
        self._rules = rules
        self._serving: dict[tuple[int, float, Groups, bool], ReplicaService] = {}
        self._stated_hit_ratio = demand.stated_prefix_hit_ratio

    @property
    def demand(self) -> Demand:
        """The agent's demand."""
        return self._demand

    def evaluate(self, accelerator: Accelerator, most_per_replica: int) -> list[Candidate | Rejection]:
        """All parallelisms of one accelerator, up to ``most_per_replica`` accelerators in one replica.

        Larger parallelism is only tried while the smaller one fell short of the whole peak in one replica: more
        accelerators in one replica than one needs never lowers the price per session. Where a replica must fill its
        machine, all are tried.
        """
        results: list[Candidate | Rejection] = []
        if self._execution(accelerator) is None:
            return [
                self._reject(
                    accelerator,
                    None,
                    "precision",
                    f"{accelerator.name} has no kernels for {self._demand.precision} weights",
                )
            ]
        port = PORTS[self._rules.release.engine]
        if not port.runs_on(accelerator.compute_capability):
            message = (
                f"{port.title} does not run on {accelerator.name} (compute capability {accelerator.compute_capability})"
            )
            return [self._reject(accelerator, None, "engine", message)]
        asked, limit = self._demand.longest_asked, self._demand.model.max_context_tokens
        if asked > limit:
            what = "a session" if self._demand.load is None else "an input"
            message = f"{what} of {counted(asked, 'token')} is longer than the model's {limit:,}"
            message += said_of_yarn(self._demand.model, self._rules.release.engine, asked)
            return [self._reject(accelerator, None, "context-length", message, need=asked, limit=limit, unit="tokens")]
        if fault := set_by_hand_fault(self._demand, groups_are_run=self._rules.attention_groups):
            message, need, at_most, unit = fault
            return [self._reject(accelerator, None, "parallelism", message, need=need, limit=at_most, unit=unit)]
        with_fewer_stages: dict[int, Candidate | Rejection] = {}
        for sizes in legal_parallelism(self._demand, groups_are_run=self._rules.attention_groups):
            fewer = with_fewer_stages.get(sizes.tensor)
            if sizes.accelerators > most_per_replica or (fewer is not None and self._need_no_stages(fewer, sizes)):
                continue
            result = self._evaluate_one(accelerator, sizes)
            if sizes.attention_dp == 1:
                with_fewer_stages[sizes.tensor] = result
            results.extend(self._with_paused(result))
            enough = any(isinstance(each, Candidate) and each.peak_replicas == 1 for each in results)
            if enough and not self._rules.fills_machines:
                break
        if not results and (wide := several_nodes.wide_experts(self._demand, most_per_replica)):
            message, need, at_most = wide
            results.append(
                self._reject(accelerator, None, "wide-experts", message, need=need, limit=at_most, unit="accelerators")
            )
        if not results:
            message = f"no machine on offer has enough {accelerator.name} for a legal parallelism"
            results.append(
                self._reject(accelerator, None, "parallelism", message, limit=most_per_replica, unit="accelerators")
            )
        return results

    def _need_no_stages(self, fewer: Candidate | Rejection, sizes: Sizes) -> bool:
        """Whether more stages than those of the same tensor parallelism that was tried are no help.

        A stage gives memory and no time: what serves with room for a session more than it carries serves no more with stages, and
        a token that comes too late comes later.
        """
        if sizes.pipeline == 1 or self._rules.fills_machines or not self._rules.session_affine:
            return False
        if isinstance(fewer, Rejection):
            return fewer.constraint == "tpot"
        more = fewer.most_sessions + 1
        return fewer.memory.most_sessions(fewer.groups.seats(more)) >= more

    def _with_paused(self, result: Candidate | Rejection) -> Iterator[Candidate | Rejection]:
        """A candidate and its alternatives; only those that the spec asks for, where it names one."""
        asked = self._demand.agent.paused_cache
        if isinstance(result, Rejection) or asked in ("auto", "keep"):
            yield result
            if isinstance(result, Candidate):
                yield from self._not_kept(result)
            return
        others = tuple(self._not_kept(result))
        yield from others
        if not others:
            message = f"pausedCache: {asked} is not possible within the budgets, by this engine and for this model"
            yield self._reject(result.accelerator, result.sizes, "engine-feature", message)

    def _not_kept(self, kept: Candidate) -> Iterator[Candidate]:
        """The same with the cache of sessions that pause in host memory, or dropped, where fewer replicas then do.

        Which only makes requests longer, so that it is no help where memory has room for a session more; or, where fewer replicas
        find more of their prompts cached, for all of them in one.
        """
        terms = kept.memory
        more = kept.most_sessions + 1 if self._rules.session_affine else kept.demand.peak
        no_help = kept.peak_replicas == 1 or terms.most_sessions(more) >= more
        if no_help and kept.demand.agent.paused_cache == "auto":
            return
        engine, batched = kept.speed, kept.max_num_batched_tokens
        for ways in ways_away(kept, self._rules.release):
            best: tuple[int, int, int, Candidate] | None = None
            for fewest_peak, fewest, place, away in sorted(self._at_least(kept, ways), key=lambda each: each[:3]):
                if best is not None and best[:3] <= (fewest_peak, fewest, place):
                    break
                if fewest_peak >= kept.peak_replicas and kept.demand.agent.paused_cache == "auto":
                    break
                elsewhere = Evaluator(kept.demand, self._rules, away)
                other = elsewhere._settle(kept.accelerator, kept.sizes, terms, engine, batched, away.resident)
                if isinstance(other, Candidate):
                    its = (other.peak_replicas, other.baseline_replicas, place, other)
                    best = its if best is None else min(best, its, key=lambda each: each[:3])
            if best and (best[0] < kept.peak_replicas or kept.demand.agent.paused_cache != "auto"):
                yield best[-1]

    def _at_least(self, kept: Candidate, ways: Sequence[Away]) -> Iterator[tuple[int, int, int, Away]]:
        """(fewest replicas of the peak, of normal load, place, way): no request is answered sooner than where all is kept.

        Where chance brings sessions to a replica, fewer replicas find more of their prompts cached, and nothing is known; nor is
        there anything to know where replicas are set by hand.
        """
        demand = kept.demand
        given = demand.agent.overrides
        by_hand = given.baseline_replicas is not None or given.burst_replicas is not None
        is_known = self._rules.session_affine and not by_hand
        replica = replica_service(kept, self._rules.round_trip_ms)
        for place, away in enumerate(ways):
            most = replica.most_sessions_away(away) if is_known else demand.peak
            if most:
                yield ceil_div(demand.peak, most), ceil_div(demand.concurrent, most), place, away

    def evaluate_over_nodes(
        self, accelerator: Accelerator, accelerators_per_node: int, gbps_between_nodes: float
    ) -> list[Candidate | Rejection]:
        """The largest tensor parallelism that serves over each number of nodes, up to that which carries the peak.

        For models that no single node of the kind holds.
        """
        results: list[Candidate | Rejection] = []
        if set_by_hand_fault(self._demand, groups_are_run=self._rules.attention_groups):
            return results
        served = 0
        for nodes, sizes in parallelism_over_nodes(self._demand, accelerators_per_node):
            if nodes == served:
                continue
            result = self._evaluate_one(accelerator, sizes, nodes, gbps_between_nodes)
            results.append(result)
            if isinstance(result, Candidate):
                served = nodes
                if result.peak_replicas == 1:
                    break
        return results

    def _evaluate_one(
        self,
        accelerator: Accelerator,
        parallel: Sizes,
        nodes: int = 1,
        gbps_between_nodes: float = 0.0,
    ) -> Candidate | Rejection:
        """One parallelism; where several replicas hold sessions of several agents, with the contexts that chance deals them."""
        if refused := impossible(self._demand, self._rules, accelerator, parallel):
            return refused
        result = self._evaluate_sizes(accelerator, parallel, nodes, gbps_between_nodes)
        evaluator = self
        while isinstance(result, Candidate) and result.peak_replicas > 1:
            dealt = with_context_for(evaluator.demand, result.most_sessions)
            if dealt.context_tokens == evaluator.demand.context_tokens:
                break
            evaluator = Evaluator(dealt, self._rules)
            result = evaluator._evaluate_sizes(accelerator, parallel, nodes, gbps_between_nodes)
        return result

    def _evaluate_sizes(
        self, accelerator: Accelerator, parallel: Sizes, nodes: int, gbps_between_nodes: float
    ) -> Candidate | Rejection:
        demand, groups = self._demand, self._groups(parallel)
        batched = demand.agent.overrides.max_num_batched_tokens or self._batched_tokens(accelerator, parallel)
        terms = self._memory_terms(accelerator, parallel, batched)
        wanted = demand.agent.overrides.max_num_seqs or 1
        if demand.load is not None:
            wanted = pooling.seats_of_a_step(batched, demand.load)
        most = max(wanted, demand.most_seats)
        by_memory = min(most, groups.sessions(terms.most_sessions(groups.seats(most))))
        if by_memory < wanted:
            return memory_rejection(demand, accelerator, parallel, terms, groups.seats(wanted), self._rules.release)
        pooled = demand.model.pooling
        if pooled is not None and pooled.whole_inputs and batched < demand.longest_asked:
            message = (
                "the engine reads an input of this model in one step: its longest has "
                f"{counted(demand.longest_asked, 'token')}, and "
                f"maxNumBatchedTokens is {batched:,}"
            )
            return self._reject(
                accelerator,
                parallel,
                "batched-tokens",
                message,
                need=demand.longest_asked,
                limit=batched,
                unit="tokens",
            )
        rows = rows_per_step(demand.agent)
        if batched < groups.seats(wanted) * rows:
            of = "" if rows == 1 else f" with {counted(rows, 'token')} each"
            seats = groups.seats(wanted)
            message = (
                f"the engine needs a batch of at least its {seats} sequences{of}; maxNumBatchedTokens is {batched}"
            )
            return self._reject(
                accelerator, parallel, "batched-tokens", message, need=seats * rows, limit=batched, unit="tokens"
            )
        by_memory = min(by_memory, groups.sessions(batched // rows))  # a step has a token for each that runs
        engine = speed_of(
            terms.replica,
            Serving(
                engine=self._rules.release.engine,
                version=self._rules.release.version,
                accepted_tokens=accepted_tokens(demand.agent),
                nodes=nodes,
                gbps_between_nodes=gbps_between_nodes,
                own_run=self._rules.calibrations.get(accelerator.id),
            ),
        )
        if not is_measured(self._rules.release.engine):
            engine = None
        if engine is None and not self._is_measured():
            message = f"no sourced figures for {accelerator.name}: its latency and throughput cannot be predicted"
            if not is_measured(self._rules.release.engine):
                message = (
                    f"no measured run of {self._rules.release.engine} is known, so its latency and throughput cannot be "
                    "predicted; measure them and set overrides.ttftMs, tpotMs, outputTokensPerS and prefillTokensPerS"
                )
            return self._reject(accelerator, parallel, "no-latency-data", message, unit="TFLOPS")
        if demand.load is not None:
            by_memory = pooling.most_ahead(wanted, demand.load, demand.percentile)
        settled = self._settle(accelerator, parallel, terms, engine, batched, by_memory)
        if isinstance(settled, Candidate) and (nodes > 1 or gbps_between_nodes):
            return replace(settled, nodes=nodes, gbps_between_nodes=gbps_between_nodes)
        return settled

    def _groups(self, parallel: Sizes) -> Groups:
        """The attention groups of a replica of those sizes."""
        return Groups(count=parallel.attention_dp, choice=self._rules.group_choice)

    def _batched_tokens(self, accelerator: Accelerator, parallel: Sizes) -> int:
        """--max-num-batched-tokens: the longest uncached prompt in one chunk, within the engine's own range.

        A larger batch takes memory for its activations and delays the tokens of the others; a smaller one reads a
        prompt in several steps. Between 2,048 and the engine's default for the accelerator, in powers of two. With
        speculative decoding a step has several tokens for each session, and the batch holds them too. Never less than a page
        that a recurrent state is kept at the end of: a step that ends before it keeps none.
        """
        if self._demand.load is not None:
            return self._tokens_of_a_step(accelerator)
        groups = self._groups(parallel)
        hit = self._hit_ratio(1, accelerator, parallel)
        prompt = max(longest_uncached_prompt_tokens(shape, hit) for shape in shapes(self._demand))
        prompt = max(prompt, groups.seats(self._demand.agent.overrides.max_num_seqs or 1))
        rows = rows_per_step(self._demand.agent)
        if rows > 1:
            prompt = max(prompt, rows * groups.seats(self._demand.most_seats))
        wanted = 1 << max(LEAST_BATCHED_TOKENS.bit_length() - 1, math.ceil(math.log2(max(1.0, prompt))))
        most = memory.default_max_num_batched_tokens(accelerator, self._rules.accounted_as)
        return max(min(wanted, most), page_tokens(self._demand, self._rules, accelerator, parallel))

    def _tokens_of_a_step(self, accelerator: Accelerator) -> int:
        """The batch of a model that generates nothing: nobody's tokens wait for it, so that it is large on small cards too, and
        holds an input whole where the engine cannot cut it.
        """
        demand, most = self._demand, max(_TOKENS_OF_A_STEP, memory.default_max_num_batched_tokens(accelerator))
        pooled = demand.model.pooling
        return max(most, demand.longest_asked) if pooled is not None and pooled.whole_inputs else most

    def _is_measured(self) -> bool:
        """Whether what cannot be predicted was measured and set by hand: every time with a budget, every rate needed."""
        demand, given = self._demand, self._demand.agent.overrides
        timed = (
            demand.budget_ttft_ms is not None or demand.budget_tpot_ms is not None or demand.budget_e2e_ms is not None
        )
        needs_output = demand.output_tokens_per_s(peak=True) > 0
        needs_prefill = demand.prefill_tokens_per_s(0.0, peak=True) > 0
        return (
            (not timed or (given.ttft_ms is not None and given.tpot_ms is not None))
            and (not needs_output or given.output_tokens_per_s is not None)
            and (not needs_prefill or given.prefill_tokens_per_s is not None)
        )

    def _settle(
        self,
        accelerator: Accelerator,
        parallel: Sizes,
        terms: MemoryTerms,
        engine: Speed | None,
        batched: int,
        by_memory: int,
    ) -> Candidate | Rejection:
        """Find sessions per replica and replicas: with round robin the cache hits depend on the replicas."""
        demand, overrides, groups = self._demand, self._demand.agent.overrides, self._groups(parallel)
        replicas = 1
        for _ in range(_FIXED_POINT_ROUNDS):
            hit = self._hit_ratio(replicas, accelerator, parallel)
            free = self._most_sessions_in_time(engine, hit, by_memory, groups)
            if free == 0:
                return self._reject_latency(accelerator, parallel, engine, hit)
            most = free if demand.load is not None else overrides.max_num_seqs or free
            full = self._service(engine, hit, most, groups)
            if not in_time(full, self._demand):
                return self._reject_latency(accelerator, parallel, engine, hit, sessions=most)
            baseline, peak = self._both_replicas(full, hit)
            if peak <= replicas or self._rules.session_affine:
                break
            replicas = peak
        if peak > MAX_REPLICAS:
            asked = counted(demand.peak, "session")
            if demand.load is not None:
                asked = f"{demand.requests_per_s(peak=True):,.0f} requests/s"
            message = f"{counted(peak, 'replica')} for {asked}"
            return self._reject(
                accelerator, parallel, "replicas", message, need=peak, limit=MAX_REPLICAS, unit="replicas"
            )
        final_baseline = overrides.baseline_replicas or baseline
        burst = overrides.burst_replicas if overrides.burst_replicas is not None else max(0, peak - final_baseline)
        free_replicas = (
            (baseline, peak) if free == most else self._both_replicas(self._service(engine, hit, free, groups), hit)
        )
        by_hand = None if demand.load is not None else overrides.max_num_seqs
        seats = by_hand or self._seats(engine, hit, most, final_baseline, final_baseline + burst, groups)
        computed = self._service(engine, hit, seats, groups, by_hand=False)
        computed_seats = self._seats(engine, hit, free, *free_replicas, groups)
        if demand.load is not None:  # so far: how many inputs may be ahead; a step takes all that it can
            seats = pooling.seats_of_a_step(batched, demand.load)
            computed_seats = pooling.seats_of_a_step(batched, replace(demand.load, most_seats=SEATS_FOR_VOLUME))
        return Candidate(
            demand=demand,
            accelerator=accelerator,
            sizes=parallel,
            groups=groups,
            memory=terms,
            speed=engine,
            max_num_batched_tokens=batched,
            computed_max_num_batched_tokens=self._batched_tokens(accelerator, parallel),
            most_sessions=most,
            most_generating=full.most_generating,
            max_num_seqs=seats,
            computed_max_num_seqs=computed_seats,
            baseline_replicas=final_baseline,
            normal_replicas=final_baseline,
            computed_baseline_replicas=baseline,
            peak_replicas=final_baseline + burst,
            computed_burst_replicas=peak - baseline,
            prefix_hit_ratio=hit,
            prefix_cache=self._rules.prefix_cache,
            state_page_tokens=page_tokens(demand, self._rules, accelerator, parallel),
            service=self._service(engine, hit, seats, groups)
            if demand.load is None
            else with_overrides(computed, demand),
            computed_service=computed,
            away=self._away,
            offload=self._rules.offload,
            must_stream=self._rules.must_stream,
        )

    def reseated(self, candidate: Candidate, *, warm: int, seats: int) -> Candidate:
        """The same candidate with ``warm`` of its peak replicas always running and ``seats`` sessions on each."""
        if warm == candidate.baseline_replicas and seats == candidate.max_num_seqs:
            return candidate
        if self._demand.load is not None:
            return replace(candidate, baseline_replicas=warm, peak_replicas=max(warm, candidate.peak_replicas))
        round_trip_ms = self._rules.round_trip_ms
        return replace(
            candidate,
            baseline_replicas=warm,
            peak_replicas=max(warm, candidate.peak_replicas),
            max_num_seqs=seats,
            service=replica_service(candidate, round_trip_ms).holding(seats),
            computed_service=replica_service(candidate, round_trip_ms, by_hand=False).holding(seats),
        )

    def _both_replicas(self, full: Service, hit: float) -> tuple[int, int]:
        """Replicas for normal load and for the peak, with up to as many sessions on each as the full one serves."""
        baseline = self._replicas(self._demand.concurrent, full.sessions, full, hit, peak=False)
        return baseline, max(baseline, self._replicas(self._demand.peak, full.sessions, full, hit, peak=True))

    def _execution(self, accelerator: Accelerator) -> Execution | None:
        return self._rules.facts.execution(accelerator, self._demand.precision)

    def _memory_terms(self, accelerator: Accelerator, parallel: Sizes, batched: int) -> MemoryTerms:
        demand, agent, overrides = self._demand, self._demand.agent, self._demand.agent.overrides
        ranks = tuple(adapter.rank for adapter in agent.lora_adapters)
        calibration = self._rules.calibrations.get(accelerator.id)
        return terms_of(
            Replica(
                model=demand.model,
                accelerator=accelerator,
                accounted_as=self._rules.accounted_as,
                precision=demand.precision,
                weight_only=self._execution(accelerator) == "weight-only",
                kv_dtype=agent.kv_cache_dtype,
                tensor_parallel=parallel.tensor,
                pipeline_parallel=parallel.pipeline,
                attention_dp=parallel.attention_dp,
                expert_parallel=parallel.expert,
                max_num_batched_tokens=batched,
                draft=draft_of(agent, demand.draft),
                lora_ranks=SIZING_PORTS[agent.engine].lora_slots(ranks, self._rules.facts.lora_ranks),
                prefix_cached=self._rules.prefix_cache != "never",
                engine=agent.engine,
            ),
            Contexts(
                context_tokens=demand.context_tokens,
                longest_tokens=max(demand.longest_input_tokens, demand.longest_context_tokens),
                shared_tokens=demand.shared_kv_tokens,
                other_prefix_tokens=demand.other_prefix_kv_tokens,
            ),
            ByHand(
                weights_gib=overrides.weights_gib,
                kv_bytes_per_token=overrides.kv_bytes_per_token,
                overhead_gib=overrides.overhead_gib,
                overhead_ratio=(calibration and calibration.overhead_ratio) or 1.0,
                overhead_source="" if calibration is None else calibration.source,
            ),
            self._rules.reserve_ratio,
            self._rules.release,
        )

    def _hit_ratio(self, replicas: int, accelerator: Accelerator, parallel: Sizes) -> float:
        """Where nobody brings a session back to its replica, or to its attention group there, its context is found by chance; and
        what lies behind the last whole page of a recurrent state is not found.
        """
        if self._rules.prefix_cache == "never":
            return 0.0
        groups, base = self._groups(parallel), self._stated_hit_ratio
        if base is None:
            base = found_ratio(self._demand, page_tokens(self._demand, self._rules, accelerator, parallel))
        if self._away is not None:
            base *= self._away.prompts_ratio
        places = groups.count if groups.choice == "balanced" else 1
        return base / (places if self._rules.session_affine else places * replicas)

    def _service(
        self, engine: Speed | None, hit: float, sessions: int, groups: Groups, *, by_hand: bool = True
    ) -> Service:
        demand = self._demand
        if demand.load is not None:
            service = answering(engine, demand, demand.load, sessions, self._rules.round_trip_ms)
            return with_overrides(service, demand) if by_hand else service
        return self._replica(engine, hit, groups, by_hand=by_hand).holding(sessions)

    def _replica(self, engine: Speed | None, hit: float, groups: Groups, *, by_hand: bool = True) -> ReplicaService:
        key = (id(engine), hit, groups, by_hand)
        if key not in self._serving:  # which holds the engine, so that no other one gets its id
            round_trip_ms = self._rules.round_trip_ms
            self._serving[key] = ReplicaService(
                self._demand, engine, hit, groups, round_trip_ms, by_hand=by_hand, away=self._away
            )
        return self._serving[key]

    def _most_sessions_in_time(self, engine: Speed | None, hit: float, by_memory: int, groups: Groups) -> int:
        """The most sessions up to ``by_memory`` that still meet every budget: latency only grows with sessions."""
        if self._demand.load is None:
            return self._replica(engine, hit, groups).most_sessions(by_memory)
        return largest_within(
            lambda ahead: most_used(self._service(engine, hit, ahead, groups), self._demand), 1.0, by_memory
        )

    def _replicas(self, sessions: int, most: int, service: Service, hit: float, *, peak: bool) -> int:
        needed = max(1, ceil_div(sessions, most))
        output, prompts = tokens_per_s(self._demand, hit, peak=peak)
        if service.output_tokens_per_s:
            needed = max(needed, ceil_ratio(output, service.output_tokens_per_s))
        if service.prefill_tokens_per_s:
            needed = max(needed, ceil_ratio(prompts, service.prefill_tokens_per_s))
        return needed

    def _seats(self, engine: Speed | None, hit: float, most: int, baseline: int, peak: int, groups: Groups) -> int:
        """The fewest sessions per replica that carry both tiers: fewer seats mean less memory and faster answers."""
        demand = self._demand
        low = min(most, max(1, ceil_div(demand.concurrent, baseline), ceil_div(demand.peak, peak)))

        def carries(seats: int) -> bool:
            service = self._service(engine, hit, seats, groups)
            return (
                self._replicas(demand.concurrent, seats, service, hit, peak=False) <= baseline
                and self._replicas(demand.peak, seats, service, hit, peak=True) <= peak
            )

        if low == most or carries(low):
            return low
        high = most
        while high - low > 1:
            middle = (low + high) // 2
            if carries(middle):
                high = middle
            else:
                low = middle
        return high

    def _reject(
        self,
        accelerator: Accelerator,
        parallel: Sizes | None,
        constraint: Constraint,
        message: str,
        *,
        need: float | None = None,
        limit: float | None = None,
        unit: RejectionUnit = "",
    ) -> Rejection:
        return sizes_rejection(
            self._demand, accelerator, parallel, constraint, message, need=need, limit=limit, unit=unit
        )

    def _reject_latency(
        self, accelerator: Accelerator, parallel: Sizes, engine: Speed | None, hit: float, *, sessions: int = 1
    ) -> Rejection:
        service = self._service(engine, hit, sessions, self._groups(parallel))
        return latency_rejection(self._demand, accelerator, parallel, service, sessions)
