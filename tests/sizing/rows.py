"""Small hand-made rows, so that every expected figure can be computed by hand."""

from __future__ import annotations

from typing import Any

from agentgpu_iac.catalog.model import Accelerator, DenseTflops, InstanceType, LayerCounts, Model
from tests.parts import model_of

SOURCES = ("made by hand for tests",)


def make_model(**changes: Any) -> Model:
    """An 8B-class dense model with grouped-query attention (the shape of Llama-3.1-8B)."""
    fields: dict[str, Any] = dict(
        id="test/dense-8b",
        family="test",
        architecture="llama",
        params_total=8_030_000_000,
        params_active=8_030_000_000,
        layers=LayerCounts(full=32),
        hidden_size=4096,
        attention_heads=32,
        kv_heads=8,
        head_dim=128,
        vocab_size=128_256,
        max_context_tokens=131_072,
        intermediate_size=14_336,
        native_precision="bf16",
        sources=SOURCES,
    )
    return model_of({**fields, **changes})


def make_moe(**changes: Any) -> Model:
    """A mixture of 64 experts, 4 of which a token uses."""
    fields: dict[str, Any] = dict(
        id="test/moe",
        params_total=30_000_000_000,
        params_active=3_000_000_000,
        layers=LayerCounts(full=48),
        hidden_size=2048,
        kv_heads=4,
        vocab_size=150_000,
        intermediate_size=0,
        moe_intermediate_size=1408,
        experts=64,
        experts_per_token=4,
    )
    return make_model(**{**fields, **changes})


def make_accelerator(**changes: Any) -> Accelerator:
    """A card of 80 GB with round figures."""
    fields: dict[str, Any] = dict(
        id="test-80",
        name="Test 80",
        memory_gb=80.0,
        cuda_memory_gib=80.0,
        bandwidth_gb_per_s=2000.0,
        vendor_dense_tflops=DenseTflops(bf16=500.0),
        nvlink_gb_per_s=0.0,
        pcie_generation=4,
        compute_capability="9.0",
        sources=SOURCES,
    )
    return Accelerator(**{**fields, **changes})


def make_instance(**changes: Any) -> InstanceType:
    """A machine with one NVMe disk and a fast network."""
    fields: dict[str, Any] = dict(
        provider="aws",
        name="t1.xlarge",
        gpu="Test 80",
        gpu_count=1.0,
        vcpu=16,
        memory_gib=128.0,
        nvme_count=1,
        nvme_total_gb=1000,
        network_baseline_gbps=25.0,
        ebs_baseline_mbps=1000.0,
        ebs_max_mbps=1250.0,
        sources=SOURCES,
    )
    return InstanceType(**{**fields, **changes})
