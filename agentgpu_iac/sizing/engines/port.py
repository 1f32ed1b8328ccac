"""What an engine is to sizing: how it divides an accelerator between weights, KV cache and the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentgpu_iac.catalog.model import Accelerator, EngineRelease, KernelFormat, Model
from agentgpu_iac.sizing.stepping import Scheduling
from agentgpu_iac.spec.vocabulary import Engine


def share_of_release(_: Accelerator, release: EngineRelease) -> float:
    """The default that the release's own parser has."""
    return release.gpu_memory_utilization


def slots_of_own_rank(ranks: tuple[int, ...], _: tuple[int, ...]) -> tuple[int, ...]:
    """Every adapter is held as it is."""
    return ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingPort:
    """One engine."""

    engine: Engine
    share_flag: str
    """How it calls its share of the memory."""
    support: str | None = None
    """How well its accounting is supported, where it is worse than vLLM's."""
    logs_compared: bool = False
    """Start-up logs of its own were held against the sum; else its overhead is counted as that of the newest vLLM."""
    starts_measured: bool = False
    """Starts of its own were measured; else those of vLLM stand for them, with a wider error."""
    default_share: Callable[[Accelerator, EngineRelease], float] = share_of_release
    """The share of the card, or of what is free, that it takes when it is told nothing."""
    share_is_of_free: bool = False
    """Its share is of what is free once it is loaded, so that the rest of that is out of the budget."""
    overhead_beside_budget: bool = False
    """It serves activations and graphs from what its share leaves: the share holds weights and KV cache only."""
    share_grows_with_need: bool = False
    """The share is raised where the planned sessions need more than the default."""
    graphs_follow_release: bool = False
    """Whether graphs come out of the budget is told by its release; else they are captured on top of it."""
    lora_slots: Callable[[tuple[int, ...], tuple[int, ...]], tuple[int, ...]] = slots_of_own_rank
    """(ranks of the adapters, ranks that its flag accepts) -> the rank of each slot that it makes room for."""
    checkpoints_ask_for_8_bit_cache: bool = False
    """Checkpoints that are quantised for it ask for an 8-bit KV cache."""
    deals_all_experts_out: bool = False
    """Expert parallelism is over all accelerators of a stage or off: it has no size of its own."""
    deals_experts_unevenly: bool = False
    """The number of experts need not divide by the expert-parallel size."""
    slices_whole_blocks: bool = False
    """Of FP8 weights with a scale for each block a rank must have whole blocks, else it ends while it loads."""
    keeps_states_by_pages: bool = False
    """Recurrent states are kept for other requests at the end of pages alone."""
    keeps_states_as_the_model: bool = False
    """Of some classes recurrent states are kept in the model's own format, and not in 32 bit."""
    takes_stated_length_since: str | None = None
    """First release that takes the longest sequence as the config states it beside YaRN; those before take YaRN's original length
    times its factor. Unset: nothing is known of it."""
    starts_at_original_length: bool = False
    """Where it is asked for no length it takes the one before a RoPE that is stretched by LongRoPE."""
    starts_with_whole_pages_until: str | None = None
    """The last release known not to start with steps shorter than such a page; unset: none is known."""
    quantises_by_layers_since: str | None = None
    """First release that makes FP8 weights layer by layer, and not of all weights at once; unset: any."""
    refines_blocks_since: str | None = None
    """First release known to give the blocks of sliced experts finer scales, down to blocks of 32; unset: none is."""
    tuned_share: float = 0.93
    """Share of the memory that measured runs gave it, which are tuned."""
    tuned_overhead_gib: float = 4.0
    """What such a run leaves for the rest, beside weights and KV cache."""
    keeps_room_for_output: bool = False
    """A request is let in only where all of its answer has room; else blocks are handed out as it grows."""
    admits_twice: bool = False
    """Its server looks at the limit of requests when it has read the head of one, and again when it hands it to the engine, which
    counts it from then on and may have answered 200: requests of the same moment pass the first look together."""
    prompts_apart: bool = False
    """Prompts are read in steps of their own, and decoding waits for them."""
    whole_prompts: bool = False
    """A prompt that fits into a step is read whole."""
    captured_prompt_tokens: int = 0
    """Largest step with prompts whose kernels are in graphs, all but attention, when it is told nothing."""
    fused_formats: frozenset[KernelFormat] = frozenset()
    """Formats of dense layers whose inputs it quantises in the norm or activation before, with no kernel of their own."""
    default_seats: Callable[[Accelerator], int]
    """(accelerator, version) -> the most requests that it runs at once when it is told nothing."""
    leaves_towers_out: Callable[[Model, str], bool] | None = None
    """(model, version) -> whether it loads no tower that it is told not to use; unset: it cannot be told."""
    default_step_tokens: Callable[[Accelerator, str], int]
    """(accelerator, version) -> the most tokens of a step when it is told nothing."""

    @property
    def held_output_share(self) -> float:
        """Part of its output that a request holds room for on average."""
        return 1.0 if self.keeps_room_for_output else 0.5

    def scheduling(
        self, *, seats: int, step_tokens: int, cache_tokens: float, fixed_tokens: float = 0.0, receive_every: int = 1
    ) -> Scheduling:
        """How a replica of it fills its steps; all sizes are of the whole replica."""
        return Scheduling(
            seats=seats,
            step_tokens=step_tokens,
            cache_tokens=cache_tokens,
            fixed_tokens=fixed_tokens,
            receive_every=receive_every,
            keeps_room_for_output=self.keeps_room_for_output,
            prompts_apart=self.prompts_apart,
            whole_prompts=self.whole_prompts,
        )

    def budget_gib(self, capacity_gib: float, share: float, loaded_gib: float) -> float:
        """What weights, KV cache and the counted part of the overhead may take together.

        ``loaded_gib`` is what is taken when the KV cache is made: weights, activations and non-torch memory.
        """
        if self.share_is_of_free:
            return loaded_gib + max(0.0, capacity_gib - loaded_gib) * share
        return capacity_gib * share

    def planned_budget_gib(
        self, capacity_gib: float, share: float, *, weights_gib: float, before_graphs_gib: float
    ) -> float:
        """The same with the part of the overhead that is beside it, before CUDA graphs that come on top."""
        budget = self.budget_gib(capacity_gib, share, weights_gib + before_graphs_gib)
        return budget + before_graphs_gib if self.overhead_beside_budget else budget

    def taken_from_budget_gib(
        self, activation_gib: float, non_torch_gib: float, graphs_gib: float, *, graphs_in_budget: bool
    ) -> float:
        """The part of the overhead that leaves the KV cache less."""
        if self.overhead_beside_budget:
            return 0.0
        return activation_gib + non_torch_gib + (graphs_gib if graphs_in_budget and self.graphs_follow_release else 0.0)

    def tuned_pool_bytes(self, capacity_bytes: float, weights_bytes: float, gib_bytes: int) -> float:
        """The KV cache of one accelerator in a tuned run."""
        overhead = self.tuned_overhead_gib * gib_bytes
        if self.share_is_of_free:
            return self.tuned_share * (capacity_bytes - weights_bytes - overhead)
        return self.tuned_share * capacity_bytes - weights_bytes - overhead
