"""Towers that read pictures and video: what vLLM's profiling run takes for them.

It encodes as many of the largest items as its budget of tokens allows, which is --max-num-batched-tokens or one such item
(``compute_mm_encoder_budget``, ``MultiModalBudget``, read in the wheels of 0.11.0, 0.27.0 and 0.33.0). Then it holds the
embeddings while the language model and the sampler are profiled, in 0.11 for the whole budget
(``new_zeros((encoder_budget, width))``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from agentgpu_iac.catalog.model import Model
from agentgpu_iac.catalog.versions import at_least, before

_PADS_TO_BUDGET = ("0.11", "0.12")
"""From the first to before the second: 0.10.2 and 0.13.0 hold what was encoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A tower, as far as its profiling run depends on it."""

    hidden_size: int
    """Width of its residual."""
    intermediate_size: int
    """Width of its feed-forward."""
    item_tokens: int
    """Tokens of the largest item that the processor makes: a picture, or a video."""
    item_patches: int
    """Patches of that item."""
    deepstack_levels: int = 0
    """Further embeddings of each token that are handed to the first layers of the language model."""
    item_tokens_of_old: int | None = None
    """Tokens that 0.11 counted for the largest item, where they differ."""
    patch_width: int = 0
    """Numbers of one patch as it goes in: colours, height, width and frames; 0: not known."""
    is_divided: bool = True
    """Tensor parallelism divides its feed-forward; else every rank has the whole tower."""

    def profiled_bytes(self, max_num_batched_tokens: int, tensor_parallel: int = 1) -> float:
        """Peak of one layer over all items that are encoded at once: feed-forward twice, the residual five times.

        One picture of Qwen3.5 is 1.75 GiB; 1.75 to 1.80 logged on A100. On two ranks 1.23, on four 0.97.
        """
        width = self.intermediate_size / (tensor_parallel if self.is_divided else 1)
        return self._patches(max_num_batched_tokens) * (2 * width + 5 * self.hidden_size) * 2.0

    def input_bytes(self, max_num_batched_tokens: int) -> float:
        """The items themselves, which ``profile_run`` holds to its end (0.11.0 to 0.33.0)."""
        return self._patches(max_num_batched_tokens) * self.patch_width * 2.0

    def _patches(self, max_num_batched_tokens: int) -> int:
        return max(1, max_num_batched_tokens // self.item_tokens) * self.item_patches

    def held_tokens(self, version: str, max_num_batched_tokens: int) -> int:
        """Tokens whose embeddings are held meanwhile, each as many times as there are levels."""
        items = max(1, max_num_batched_tokens // self.item_tokens)
        held = items * self.item_tokens
        if at_least(version, _PADS_TO_BUDGET[0]) and before(version, _PADS_TO_BUDGET[1]):
            held = max(max_num_batched_tokens, self.item_tokens_of_old or self.item_tokens)
        return held * (1 + self.deepstack_levels)


_QWEN = Encoder(
    hidden_size=1152, intermediate_size=4304, item_tokens=16_384, item_patches=65_536, patch_width=2 * 3 * 16 * 16
)
_ENCODERS: tuple[tuple[str, Encoder], ...] = (
    (
        "qwen3_vl",
        Encoder(
            hidden_size=1152,
            intermediate_size=4304,
            item_tokens=16_384,
            item_patches=65_536,
            deepstack_levels=3,
            item_tokens_of_old=153_600,
            patch_width=2 * 3 * 16 * 16,
        ),
    ),
    ("qwen3_5", _QWEN),
    (
        "qwen2_5_vl",
        Encoder(
            hidden_size=1280,
            intermediate_size=3420,
            item_tokens=16_384,
            item_patches=65_536,
            patch_width=2 * 3 * 14 * 14,
        ),
    ),
    (
        "gemma3",
        Encoder(hidden_size=1152, intermediate_size=4304, item_tokens=256, item_patches=4_096, patch_width=3 * 14 * 14),
    ),
    (
        "gemma4",
        Encoder(
            hidden_size=1152,
            intermediate_size=4304,
            item_tokens=2_496,
            item_patches=20_160,
            patch_width=3 * 16 * 16,
            is_divided=False,
        ),
    ),
    (
        "mistral3",
        Encoder(
            hidden_size=1024, intermediate_size=4096, item_tokens=3_025, item_patches=12_100, patch_width=3 * 14 * 14
        ),
    ),
    (
        "llama4",
        Encoder(
            hidden_size=1408, intermediate_size=5632, item_tokens=2_448, item_patches=9_792, patch_width=3 * 14 * 14
        ),
    ),
)
"""By the beginning of the model type. Widths: config.json copies of Qwen3-VL, Qwen3.5 and Gemma 4 in PyPI aiconfigurator-core
0.12.0, of the others the vision configs of PyPI transformers 5; largest items: the processors of vLLM 0.27.0 (qwen3_vl.py;
gemma4_mm.py: 32 frames of 70 tokens and 8 more, 9 patches a token; pixtral.py: 1,540 pixels in patches of 28; Llama 4: 17
tiles of 144 tokens). Gemma 4's tower is transformers' own, which no rank divides (gemma4_mm.py); the others are made of
vLLM's divided layers (wheels of 0.20.0 and 0.29.0). 153,600: 12,288 tokens of a video times 12.5 (0.11.0). Read 2026-11-27."""
_WIDEST_WITHOUT_TOWER = {"gemma3": 1152}
"""Families whose models up to this width read text alone (Gemma 3 of 270 M and 1 B)."""
_SMALL_TOWERS = {
    "qwen3_vl": ((2560, 1024, 4096),),
    "qwen3_5": ((1024, 768, 3072), (2560, 1024, 4096)),  # Qwen3-VL's for 2B and 4B; the smallest is an assumption
}
"""Up to a width of a dense language model, the width and feed-forward of the tower beside it, where a family has several."""


def encoder_of(model: Model) -> Encoder | None:
    """The tower of a model; None where it has none, or nothing is known of it.

    Widths are those of its config where that has them, and of its family else; so are the largest items the other way round.
    """
    if model.is_text_only:
        return None
    family = _of_family(model)
    tower = next((tower for tower in model.towers if tower.reads == "pictures"), None)
    if tower is None:
        return family
    if family is not None:
        return replace(family, hidden_size=tower.hidden_size, intermediate_size=tower.intermediate_size)
    tokens = tower.max_tokens_per_item or 1  # of unknown size: as many as the batch has tokens for
    return Encoder(
        hidden_size=tower.hidden_size,
        intermediate_size=tower.intermediate_size,
        item_tokens=tokens,
        item_patches=tokens * tower.patches_per_token,
        is_divided=False,
    )


def has_towers(model: Model) -> bool:
    """Whether a model reads more than text, as far as is known."""
    return bool(model.towers) or any(part.kind == "tower" for part in model.modules) or _of_family(model) is not None


def text_only(model: Model, leaves_out: Callable[[Model], bool]) -> Model:
    """The model as an engine loads it that is told to read text alone: whether that leaves the towers out is its to say."""
    if not has_towers(model):
        return model
    kept = tuple(part for part in model.modules if part.kind != "tower") if leaves_out(model) else model.modules
    return model.model_copy(update={"is_text_only": True, "modules": kept})


def _of_family(model: Model) -> Encoder | None:
    for beginning, encoder in _ENCODERS:
        if not model.architecture.startswith(beginning):
            continue
        if model.hidden_size <= _WIDEST_WITHOUT_TOWER.get(beginning, 0):
            return None
        for most, hidden, intermediate in _SMALL_TOWERS.get(beginning, ()):
            if model.hidden_size <= most and not model.experts:
                return replace(encoder, hidden_size=hidden, intermediate_size=intermediate)
        return encoder
    return None
