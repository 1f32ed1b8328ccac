from __future__ import annotations

import pytest

from agentgpu_iac.catalog.store import load_catalog

CATALOG = load_catalog()
ROLES = (
    "running", "waiting", "kv_usage", "ttft", "tpot", "preemptions", "rejections", "prefix_cache_hits",
    "prefix_cache_queries", "generation_tokens", "prompt_tokens", "success",
)  # fmt: skip


@pytest.mark.parametrize(
    ("version", "kv_usage", "tpot", "rejections"),
    [
        ("0.6.0", "vllm:gpu_cache_usage_perc", "vllm:time_per_output_token_seconds", None),
        ("0.9.2", "vllm:gpu_cache_usage_perc", "vllm:time_per_output_token_seconds", None),
        ("0.10.0", "vllm:kv_cache_usage_perc", "vllm:time_per_output_token_seconds", None),
        ("0.31.0", "vllm:kv_cache_usage_perc", "vllm:request_time_per_output_token_seconds", None),
        ("0.33.0", "vllm:kv_cache_usage_perc", "vllm:request_time_per_output_token_seconds", "vllm:admission_rejections_total"),
        ("v0.40", "vllm:kv_cache_usage_perc", "vllm:request_time_per_output_token_seconds", "vllm:admission_rejections_total"),
    ],
)  # fmt: skip
def test_series_are_called_as_in_the_newest_row_that_is_not_newer(version, kv_usage, tpot, rejections):
    found = CATALOG.engine_metrics("vllm", version)
    assert found is not None
    assert (found.kv_usage, found.tpot, found.rejections) == (kv_usage, tpot, rejections)
    assert found.edges_settable == (version in ("0.33.0", "v0.40"))


def test_nothing_is_said_about_versions_before_the_oldest_row():
    assert CATALOG.engine_metrics("vllm", "0.5.3") is None
    assert CATALOG.engine_metrics("ollama", "1.0.0") is None


@pytest.mark.parametrize("row", CATALOG.metrics, ids=lambda row: f"{row.engine}-{row.version}")
def test_rows_are_whole(row):
    names = [name for role in ROLES if (name := getattr(row, role)) is not None]
    assert names
    assert row.running is not None
    assert row.waiting is not None
    for edges in (row.ttft_edges_s, row.tpot_edges_s):
        assert list(edges) == sorted(set(edges))
    for role in ("preemptions", "rejections", "success"):
        if row.engine == "vllm" and getattr(row, role):
            assert getattr(row, role).endswith("_total")
    assert not row.edges_settable or (row.ttft_edges_s and row.tpot_edges_s)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tensorrt-llm", "tgi"])
def test_every_engine_for_clusters_has_a_row(engine):
    assert any(row.engine == engine for row in CATALOG.metrics)
