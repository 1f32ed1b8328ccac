"""No field is passed over in silence: what nobody read is a fault, a sentence, or known to carry no weights and no state.

Readers note what they read. A field beside that which is set is looked up here by its name: names that tell of training,
tokens, numerics or spelling are harmless; names that tell of weights or of state are faults, since a plan without them
would not fit; every other one is said with the model.
"""

from __future__ import annotations

import re
from typing import Final

from agentgpu_iac.catalog.huggingface.architectures import harmless_names
from agentgpu_iac.catalog.huggingface.fields import Config, is_list, is_object
from agentgpu_iac.catalog.huggingface.towers import SECTIONS

_HARMLESS: Final = re.compile(
    "|".join(
        (
            r"_.*|architectures|auto_map|transformers_version|model_type|torch_dtype|dtype|name_or_path|license|kernel_config",
            r".*(token|tokens)(_id|_ids|_index)?|.*_placeholder|tokenizer.*|ignore_index|prefix|bos|eos|.*_token_.*id.*",
            r".*dropout.*|.*_drop|.*pdrop|.*drop_path.*|initializer.*|init_.*|.*_init(_.*)?|.*rescale.*|.*_eps|.*epsilon.*|eps",
            r"(hidden|mlp|mamba|ssm|projector|projection|moe_router)_?(hidden_)?(act|activation).*|.*activation.*|act_fn|.*_act",
            r"(.*_)?(rope|rotary|yarn)_.*|rope|alibi.*|max_window_layers|use_.*rope.*|.*rope.*|position_embedding_type|no_rope.*",
            r"partial_rotary.*|rotary_.*|mscale.*|original_max_position_embeddings|initial_context_length|seq_length|layer_rope",
            r"nope_.*|use_nope|.*qk_?norm.*|.*_norm|norm_.*|.*norm_type|rms_norm.*|use_gemma_norm|residual.*|sandwich.*",
            r"(num_)?(logits|output)_.*|output_.*|return_.*|use_cache|use_bfloat16|torchscript|pretraining_tp|problem_type",
            r".*multiplier.*|.*softcap.*|.*scaling.*|.*_scale|.*scale_.*|scale.*|mup.*|temperature.*|attn_temperature.*|clip_qkv|.*clip.*",
            r"(norm_)?top_?[kp]_?(prob|group|method)?|norm_topk.*|topk_.*|n_group|num_expert_group|use_grouped_topk|top_k|top_p",
            r"scoring_func|score_func.*|router_.*|.*aux_loss.*|.*aux_.*|seq_aux|.*z_loss.*|.*jitter.*|moe_router.*|moe_renormalize|ep_size",
            r"moe_layer_use.*|moe_norm.*|moe_(group|gate)_?.*(score|act).*|route_.*|.*router_bias|use_(moe_)?(router|routing|expert)_bias",
            r"routed_scaling_factor|moe_shared_expert_overlap|latent_moe_use_norm|moe_apply.*|group_limited.*|swiglu_.*",
            r".*_bias|bias|.*_bias_.*|time_step_.*|chunk_size.*|.*_chunk_size|attention_chunk_size|use_mamba_kernels|mamba_.*dtype",
            r"use_(mem_eff|mambapy|associative).*|num_logits_to_keep|mamba_hidden_act|mamba_rms_norm|mamba_norm_.*|mamba_conv_bias",
            r"id2label|label2id|num_labels|classifier.*|finetuning.*|task_.*|tie_.*|is_(en|de)coder.*|is_causal|add_cross.*|cross_.*",
            r"(max|min)_length|num_beams?(_groups)?|num_return.*|(no_)?repeat.*|repetition.*|length_penalty|diversity.*|typical_p",
            r"do_sample|early_stopping|bad_words.*|suppress.*|.*suppress.*|forced_.*|exponential.*|encoder_no.*|remove_invalid.*|sep_.*",
            r"pruned_heads|decoder_start.*|tf_legacy.*|gradient.*|fused.*|kernel_.*|use_flash.*|.*attn_implementation.*|flash.*",
            r"image_.*|video_.*|.*pixels.*|process_image.*|vision_feature.*|use_unified_vision.*|media_.*|patch_.*|.*placeholder.*",
            r"attention_value_scale|add_(swa|full)_attention_sink_bias|attn_logit.*|query_pre_attn.*|use_bidirectional_attention",
            r"activation_situ.*|mla_use_nope|mamba_expand|expand|time_step_rank|beta_.*|layer_norm.*|block_(multiple|auto|ffn).*",
            r"index_(topk|share|skip|block|local).*|indexer_(rope|budget).*|max_batch_size|vision_(start|end).*|audio_.*id|boi|eoi",
            r"quantization_config|compression_config|quant.*|expert_dtype|moe_router_dtype|ple_embedding_dtype|.*_dtype|dtype_.*",
            r"attn_type_list|attn_type|use_mtp|mtp_transformer_layers|use_mla|use_swa.*|attention_type|.*attn_gate_act.*|debug.*",
            r"sparse_(block|disable|init|local|score|topk).*|vision_soft.*|mm_tokens.*|img_token.*|gate_lower_bound",
            r".*_id|.*_ids|.*soft_tokens.*|dynamic_.*|force_image.*|.*_dynamic_patch|interpolate.*|full_attn_mod|cla_share_factor",
            r".*capacity.*|class_num|altup_(active|coef|correct|lr).*|activation_sparsity.*|mask_init.*|(max|min)_.*patch.*",
            r"layer_norm_.*|logit_scale|scale_depth.*|dim_model_base|embedding_(dropout|scale)|qk_layernorm|use_parallel.*",
            r"per_layer_config|.*fp32.*|merged_hidden.*|projection_hidden.*|projector_use_layernorm",
            r"seed|world_size|use_(fp8|deep|te|kernel|liger|triton).*|input_.*(length|len)|training.*|train_.*|version|freeze.*",
        )
    )
)
"""Names of switches, words and shares that carry no weights and no state: matched whole. A count, a list or an object is not
harmless for the sound of its name: it must be listed, name by name (``harmless_fields.json``)."""
_IDS: Final = re.compile(r"(.*_)?token(_id|_ids|_index)?s?|.*_ids?|.*_index")
"""Numbers of tokens, which are no counts."""

_LONGEST_NAME: Final = 100
"""No field has a longer name: what has is not looked up."""
_SIZED: Final = re.compile(r"^num_|_(size|dims?|width|layers?|heads|rank|ranks|experts|slots|channels)$")
"""Names that count something: harmless only if they are listed, whatever else their words tell."""
_HARMLESS_SIZES: Final = frozenset(
    {
        *("chunk_size", "mamba_chunk_size", "attention_chunk_size", "chunk_size_feed_forward", "ep_size", "world_size"),
        *("sparse_block_size", "index_block_size", "max_batch_size", "merged_hidden_size", "projection_hidden_size"),
        *("image_size", "patch_size", "temporal_patch_size", "num_beams", "num_beam_groups", "num_return_sequences"),
        *("num_logits_to_keep", "num_labels", "num_expert_group", "num_reward_heads", "projector_hidden_size"),
        *("max_window_layers", "no_rope_layers", "cross_attention_hidden_size", "pruned_heads", "num_mel_bins"),
        *("org_vocab_size", "dynamic_image_size", "force_image_size", "select_layer"),
        *("rotary_dim", "time_step_rank", "vision_feature_layer", "original_max_position_embeddings"),
    }
)
"""Counts that carry no weights and no state beside what is read."""

_HEAVY: Final = re.compile(
    r"mamba|ssm|_state|^state|ple_|per_layer|n_?gram|tower|sparse|compress|(^|_)(hc|cla|mtp|lora)(_|$)|hyper|conv|draft|adapter"
    r"|memory|recur|kda|loop|latent|index|cross_layer|_kind$|attention_type|attn_type"
)
"""Words of names of switches and words that tell of weights or of state."""

SPECULATION: Final = (
    "num_nextn_predict_layers",
    "mtp_num_hidden_layers",
    "mtp_hybrid_override_pattern",
    "mtp_layers_block_type",
    "mtp_use_dedicated_embeddings",
    "num_mtp_modules",
    "num_mtp_layers",
    "mtp_num_layers",
    "mtp_transformer_layers",
)
"""Fields of the layers for multi-token prediction, which engines load for speculation only."""


def say_unread(config: Config) -> None:
    """Note a fault or a sentence for each field that is set, was not read, and is not harmless."""
    for name, value in sorted(config.fields.items()):
        if name in config.read or name in SPECULATION or not _is_set(value) or _is_harmless(name, value):
            continue
        if _may_carry(name, value):
            _refuse(config, name, value)
        else:
            config.unclear.append(f"{config.prefix}{name} of its config is {value!r}, and not known here")
    for name, section in sorted(config.sections.items()):
        if name not in SECTIONS and name not in ("quantization_config", "rope_parameters", "rope_scaling"):
            say_unread(section)


def _is_harmless(name: str, value: object) -> bool:
    if len(name) > _LONGEST_NAME:
        return False
    if name in harmless_names() or name in _HARMLESS_SIZES:
        return True
    if _SIZED.search(name):
        return False
    if not _is_word_or_share(value):
        return _IDS.fullmatch(name) is not None
    return _HARMLESS.fullmatch(name) is not None and _HEAVY.search(name) is None


def _is_word_or_share(value: object) -> bool:
    """Whether a value can count nothing: a switch, a word, or a number that is no whole one."""
    return isinstance(value, bool | str) or (isinstance(value, float) and not value.is_integer())


def _may_carry(name: str, value: object) -> bool:
    """Whether a field may tell of weights or state: numbers, lists and objects may; words and switches by their name."""
    if isinstance(value, bool | str):
        return _HEAVY.search(name) is not None
    return True


def _is_set(value: object) -> bool:
    return (
        value is not None
        and value is not False
        and value != 0
        and value not in ("", "none", "None")
        and not _empty(value)
    )


def _empty(value: object) -> bool:
    return (is_list(value) or is_object(value)) and not value


def _refuse(config: Config, name: str, value: object) -> None:
    shown = value if isinstance(value, int | float | str | bool) else "set"
    config.fault(
        name,
        f"is {shown}, and what it means for weights and memory is not known for this architecture: a plan would be a guess",
    )
