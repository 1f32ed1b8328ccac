"""Towers: encoders that make tokens of pictures, video and sound, counted from their own part of a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agentgpu_iac.catalog.huggingface.fields import Config, is_list, is_object
from agentgpu_iac.catalog.model import ExtraWeights, Tower
from agentgpu_iac.units import GIB, counted

PICTURES: Final = ("vision_config", "visual", "vision_tower_config", "img_processor")
SOUND: Final = ("audio_config", "audio_encoder_config", "speech_config", "audio_processor")
SECTIONS: Final = (*PICTURES, *SOUND)
"""Where the shape of a tower stands."""

_GATED: Final = (
    "glm5_next_vision",
    "pixtral",
    "qwen2_5_vl",
    "gemma4_vision",
    "glm4v",
    "glm4v_moe",
    "glm4v_vision",
    "glm_ocr",
    "qwen2_5_omni_vision",
)
"""Types whose feed-forward has a gate (by their beginning)."""
_MERGES_BY_ITS_WIDTH: Final = ("glm4v",)
"""Types whose intermediate width is that of the merger, while the tower's own is the output width."""
_TWO_STAGE: Final = ("minimax_m3_vl",)
"""Model types that merge patches after the projection: two more matrices."""
_BY_NAME: Final[Mapping[str, int]] = {"mobilenetv5_300m_enc": 300_000_000}
"""Encoders of timm that a config only names, by the size that they are named after (Gemma 3n)."""
_CONFORMERS: Final[Mapping[str, int]] = {"gemma4_audio": 24, "gemma3n_audio": 24}
"""Encoders of sound whose layers hold so many squares of the width: two feed-forwards, attention, a convolution."""


def towers_of(config: Config, text_hidden_size: int) -> tuple[Tower, ...]:
    """All towers; one whose width or depth does not stand there is a fault: its weights cannot be counted."""
    found = [
        _said(config, name, tower) if name in config.assumed else tower
        for names, read in ((PICTURES, _pictures), (SOUND, _sound))
        for name in names
        if is_object(config.get(name)) and config.section(name).fields
        if config.section(name).text("architecture") not in _BY_NAME
        if (tower := read(config, config.section(name), text_hidden_size))
    ]
    return tuple(found)


def _said(config: Config, name: str, tower: Tower) -> Tower:
    gib = tower.parameters * 2 / GIB
    config.unclear.append(
        f"its config has no {name}, and its class reads {tower.reads}: the tower is taken as published models of its width, or "
        f"its class by default, have it, {counted(tower.layers, 'layer')} of {tower.hidden_size}, {gib:.2f} GiB; "
        "write null for none"
    )
    return tower.model_copy(update={"is_assumed": True})


def fixed_towers(config: Config) -> list[ExtraWeights]:
    """Towers that a config names and does not describe."""
    name = config.section("vision_config").text("architecture")
    count = _BY_NAME.get(name)
    return [] if count is None else [ExtraWeights(kind="tower", parameters=count, what=name)]


def _first(shape: Config, *names: str) -> int | None:
    return shape.integer(*names)


def _pictures(config: Config, shape: Config, text: int) -> Tower | None:
    hidden = _first(shape, "embed_dim", "vt_hidden_size", "width", "hidden_size")
    layers = _first(shape, "num_hidden_layers", "depth", "vt_num_hidden_layers", "num_layers", "layers")
    wide = _first(shape, "intermediate_size", "vt_intermediate_size")
    ratio = shape.number("mlp_ratio")
    if hidden and ratio:
        wide = int(hidden * ratio)
    if not (hidden and layers and wide):
        config.fault(
            shape.prefix.rstrip("."), "does not say how wide and deep the tower is: its weights cannot be counted"
        )
        return None
    patch, merge = _square(shape, "patch_size"), _merge(config, shape)
    attention = 4 * hidden * (_first(shape, "qkv_hidden_size") or hidden)
    gated = shape.text("model_type").startswith(_GATED) or config.text("model_type").startswith(("pixtral", "glm4v"))
    merger = wide
    if shape.text("model_type").startswith(_MERGES_BY_ITS_WIDTH):
        wide = shape.integer("out_hidden_size") or wide
    if shape.text("model_type").startswith("glm_ocr"):
        merger = (shape.integer("out_hidden_size") or wide) * (shape.integer("in_channels") or 3)
    if own := shape.integer("projection_intermediate_size"):
        merger = own
    body = layers * (attention + (3 if gated else 2) * hidden * wide)
    own = body + _embeddings(shape, hidden, patch)
    return Tower(
        reads="pictures",
        parameters=own
        + (
            _projection(config, shape, hidden, text, merge)
            if merger == wide
            else _gated_merger(hidden, shape.integer("out_hidden_size") or wide, merger, merge)
        ),
        hidden_size=hidden,
        layers=layers,
        intermediate_size=wide,
        heads=_first(shape, "num_attention_heads", "num_heads", "vt_num_attention_heads", "heads"),
        patch_size=patch,
        patches_per_token=merge**2,
        max_tokens_per_item=_most_tokens(config, shape, patch, merge),
    )


def _square(shape: Config, name: str) -> int | None:
    """A side that may stand once or for both directions."""
    value = shape.get(name)
    if is_list(value):
        value = value[0] if value else None
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
    return shape.integer(name)


def _merge(config: Config, shape: Config) -> int:
    """Patches that become one token, along one side."""
    nested = shape.section("img_token_compression_config")
    nested.read.update(("image_token_compression_method", "temporal_patch_size"))
    found = (
        shape.integer("spatial_merge_size")
        or _square(shape, "merge_kernel_size")
        or nested.integer("spatial_merge_size")
        or shape.integer("pooling_kernel_size")
        or config.integer("spatial_merge_size")
        or shape.integer("merge_size")
    )
    ratio = config.number("downsample_ratio") or shape.number("pixel_shuffle_ratio")
    return found or (round(1 / ratio) if ratio and ratio < 1 else config.integer("downsample_factor") or 1)


def _embeddings(shape: Config, hidden: int, patch: int | None) -> int:
    """Pixels of a patch to the width, and positions where they are learnt."""
    channels = shape.integer("in_channels", "in_chans", "num_channels") or 3
    pixels = channels * (shape.integer("temporal_patch_size", "patch_temporal") or 1) * (patch or 1) ** 2
    positions = shape.integer("num_position_embeddings") or 2 * (shape.integer("position_embedding_size") or 0)
    height = shape.integer("init_pos_emb_height", "pos_emb_height")
    width = shape.integer("init_pos_emb_width", "pos_emb_width")
    if height and width:
        positions = height * width
    image = _square(shape, "image_size")
    if not positions and image and patch and shape.get("rope_mode") is None and shape.get("rope_theta") is None:
        positions = (image // patch) ** 2
    return hidden * (pixels + positions)


def _projection(config: Config, shape: Config, hidden: int, text: int, merge: int) -> int:
    """From the tower to the text model: two matrices of the merged width (Qwen, Kimi), or one or two of the text's."""
    out = shape.integer("out_hidden_size", "text_hidden_size") or (
        shape.integer("hidden_size") if shape.integer("embed_dim") else None
    )
    name = config.text("model_type")
    if name.startswith("muse_glimmer"):
        config.read.add("out_hidden_size")
    config.read.update(("projector_hidden_size", "multimodal_projector_bias", "projector_hidden_act"))
    aligned, merged = config.integer("alignment_intermediate_size"), hidden * merge**2
    if aligned or out:
        mergers = 1 + len(shape.listed("deepstack_visual_indexes"))
        by_merger = mergers * (merged**2 + merged * (out or 0))
        return (
            merged * aligned + aligned // 2 * text if aligned else by_merger
        )  # Command A Vision: half of it is a gate
    if name.startswith("gemma"):
        return hidden * text
    if name.startswith("muse_glimmer"):  # merged patches through two matrices of a width of their own
        own = config.integer("projector_hidden_size") or text
        return hidden * merge**2 * own + own**2 + own * text
    if name.startswith("step3"):  # two convolutions of 3 x 3 that double the width
        return 9 * (2 * hidden**2 + 8 * hidden**2) + 4 * hidden * text
    if name.startswith(_TWO_STAGE):
        return hidden * text + text**2 + merge**2 * text**2 + text**2
    return hidden * text * (merge**2 if not name.startswith("mistral") else 1) + text**2


def _gated_merger(hidden: int, out: int, wide: int, merge: int) -> int:
    """GLM-4V: patches are joined by a convolution, projected, and run through a gated feed-forward."""
    return hidden * merge**2 * out + out**2 + 3 * out * wide


def _most_tokens(config: Config, shape: Config, patch: int | None, merge: int) -> int | None:
    """The most tokens of one picture: stated, or from the largest side."""
    stated = config.integer("vision_soft_tokens_per_image", "mm_tokens_per_image", "image_seq_length") or shape.integer(
        "default_output_length"
    )
    image = _square(shape, "image_size")
    by_size = (image // (patch * merge)) ** 2 if image and patch and image >= patch * merge else None
    return stated or by_size


def _sound(config: Config, shape: Config, text: int) -> Tower | None:
    hidden = shape.integer("d_model", "hidden_size")
    layers = shape.integer("encoder_layers", "num_hidden_layers", "conf_num_hidden_layers", "num_blocks")
    wide = shape.integer("encoder_ffn_dim", "intermediate_size") or (4 * hidden if hidden else None)
    if not (hidden and layers and wide):
        config.fault(
            shape.prefix.rstrip("."), "does not say how wide and deep the tower is: its weights cannot be counted"
        )
        return None
    squares = next((count for kind, count in _CONFORMERS.items() if shape.text("model_type").startswith(kind)), None)
    each = squares * hidden**2 if squares else 4 * hidden**2 + 2 * hidden * wide
    out = shape.integer("output_proj_dims", "output_dim")
    return Tower(
        reads="sound",
        parameters=layers * each + hidden * (out or text) + (out * text if out else 0),
        hidden_size=hidden,
        layers=layers,
        intermediate_size=wide,
        heads=shape.integer("encoder_attention_heads", "num_attention_heads", "conf_num_attention_heads"),
        max_tokens_per_item=shape.integer("max_source_positions"),
    )
