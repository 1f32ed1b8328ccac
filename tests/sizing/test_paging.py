"""The KV pool as vLLM's allocator divides it: pages, groups, states, and what a request of a length wants of them."""

from __future__ import annotations

from typing import Any

import pytest

from agentgpu_iac.catalog.model import LayerCounts, RecurrentShape
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import paging
from agentgpu_iac.sizing.draft import Draft
from agentgpu_iac.sizing.kv_cache import kv_bytes_per_session, state_bytes
from agentgpu_iac.sizing.paging import PoolRequest
from agentgpu_iac.sizing.replica import Replica, memory_terms
from agentgpu_iac.units import GIB
from tests.sizing.rows import make_accelerator, make_model

CATALOG = load_catalog()
STATE = RecurrentShape(state_elements=32 * 128 * 128, convolution_elements=3 * 8192)
HYBRID = make_model(
    id="test/hybrid",
    architecture="qwen3_5",
    layers=LayerCounts(full=8, recurrent=24),
    kv_heads=4,
    head_dim=256,
    recurrent=STATE,
)
WINDOWED = make_model(id="test/windowed", layers=LayerCounts(full=8, sliding=24), sliding_window=1024)


def request(model: Any = HYBRID, **changes: Any) -> PoolRequest:
    fields: dict[str, Any] = dict(
        model=model,
        version="0.19.0",
        kv_dtype="fp8",
        dtype_bytes=2,
        tensor_parallel=1,
        pipeline_parallel=1,
        max_model_len=65_536,
        max_num_batched_tokens=8192,
    )
    return PoolRequest(**{**fields, **changes})


def states(**changes: Any) -> int:
    return paging.pool(request(**changes), 20.0).state_pages


class TestStates:
    def test_qwen3_5_9b_on_l40s(self) -> None:
        """A log of 0.18.0: 20.27 GiB, 1,258 pages of 1,056 tokens, 331,584 tokens; 63 + 3 x 2 pages a request."""
        found = paging.pool(request(CATALOG.model("Qwen/Qwen3.5-9B"), version="0.18.0"), 20.271)
        assert (found.pages, found.tokens, found.state_pages) == (1258, 331_584, 6)
        assert found.max_concurrency == pytest.approx(1258 / 69)

    def test_a_request_holds_two_where_prefixes_are_kept(self) -> None:
        assert (states(), states(prefix_cached=False)) == (6, 3)

    def test_each_proposed_token_has_one(self) -> None:
        assert (states(proposed_tokens=3), states(proposed_tokens=3, prefix_cached=False)) == (15, 12)

    def test_a_prefill_leaves_one_where_its_kernel_can(self) -> None:
        newest = dict(version="0.33.0")
        assert states(**newest, compute_capability="9.0") == 9
        assert states(**newest, compute_capability="8.0") == 6
        assert states(**newest, compute_capability="9.0", prefix_cached=False) == 3

    def test_before_the_flag_every_page_keeps_one(self) -> None:
        mamba = HYBRID.model_copy(update={"architecture": "nemotron_h"})
        old = paging.pool(request(mamba, version="0.12.0"), 20.0)
        assert old.state_pages == 3 * -(-65_536 // 1280)
        assert paging.pool(request(mamba, version="0.17.0"), 20.0).state_pages == 6

    def test_as_many_requests_as_states_fit(self) -> None:
        found = paging.pool(request(), 20.0)
        assert found.most_states == found.pages // 6
        assert paging.pool(request(WINDOWED), 20.0).most_states is None

    def test_who_must_be_told_to_align(self) -> None:
        mamba = HYBRID.model_copy(update={"architecture": "nemotron_h"})
        told = [paging.must_be_told_to_align(version, mamba) for version in ("0.12.0", "0.17.0", "0.27.1", "0.28.0")]
        assert told == [False, True, True, False]
        assert not paging.must_be_told_to_align("0.17.0", HYBRID)


class TestNumberFormatOfStates:
    """What logs print beside each other: tokens a page, and the share of a page that is padding."""

    @pytest.mark.parametrize(
        ("name", "tensor", "tokens", "padding"),
        [("Qwen/Qwen3-Next-80B-A3B-Instruct", 1, 544, 0.0149), ("Qwen/Qwen3-Next-80B-A3B-Instruct", 2, 544, 0.0149)],
    )
    def test_as_the_model_s_own(self, name: str, tensor: int, tokens: int, padding: float) -> None:
        model = CATALOG.model(name)
        made = request(model, kv_dtype="auto", tensor_parallel=tensor, version="0.11.0", prefix_cached=False)
        one = paging.page_bytes(made) / 12
        assert one == tokens * 2 * 256 * 2 * 2 / tensor
        assert one / state_bytes(model, tensor, number_bytes=2) - 1 == pytest.approx(padding, abs=5e-5)

    def test_granite_s(self) -> None:
        tiny = RecurrentShape(state_elements=48 * 64 * 128, convolution_elements=3 * (48 * 64 + 2 * 128))
        fields = dict(layers=LayerCounts(full=4, recurrent=36), kv_heads=4, head_dim=128, recurrent=tiny)
        model = make_model(architecture="granitemoehybrid", **fields)
        one = paging.page_bytes(request(model, kv_dtype="auto", prefix_cached=False)) / 4
        assert one == 400 * 2048
        assert one / state_bytes(model, 1, number_bytes=2) - 1 == pytest.approx(0.0159, abs=5e-5)

    def test_others_keep_32_bit(self) -> None:
        granite = HYBRID.model_copy(update={"architecture": "granitemoehybrid"})
        wide, narrow = paging.page_bytes(request()), paging.page_bytes(request(granite))
        assert narrow < 0.6 * wide
        assert paging.page_bytes(request(granite, engine="sglang")) == wide
        assert paging.page_bytes(request(granite, dtype_bytes=4)) == wide


class TestGroups:
    @pytest.mark.parametrize(
        ("version", "full", "sliding", "groups"),
        [
            ("0.11.0", 12, 13, 3),
            ("0.17.0", 12, 13, 2),
            ("0.17.0", 10, 13, 3),
            ("0.18.0", 10, 13, 2),
            ("0.33.0", 10, 15, 3),
        ],
    )
    def test_counts_that_nearly_agree_share_a_size(self, version: str, full: int, sliding: int, groups: int) -> None:
        model = make_model(layers=LayerCounts(full=full, sliding=sliding), sliding_window=1024)
        found = paging.pool(request(model, version=version), 20.0)
        assert found.tokens == found.pages // groups * 16 or found.tokens == int(found.max_concurrency * 65_536)
        layers = max(full, sliding) if groups == 2 else min(full, sliding)
        assert paging.page_bytes(request(model, version=version)) == layers * 16 * 2048

    def test_windows_hold_the_batches_in_flight(self) -> None:
        def wanted(version: str, **changes: Any) -> float:
            made = request(WINDOWED, version=version, **changes)
            return paging.start_bytes(made, 65_536) / paging.page_bytes(made)

        def with_windows(batched: int) -> int:
            return 65_536 // 16 + 3 * (-(-(1023 + batched) // 16) + 1)

        assert wanted("0.25.0") == with_windows(8192)
        assert wanted("0.26.0") == with_windows(2 * 8192)
        assert wanted("0.26.0", pipeline_parallel=2) == with_windows(3 * 8192)

    def test_a_session_holds_its_window_once_it_runs(self) -> None:
        made = request(WINDOWED)
        assert paging.session_bytes(made, 65_536) / paging.page_bytes(made) == 65_536 // 16 + 3 * (1024 // 16 + 1)

    @pytest.mark.parametrize(
        "name", ["Qwen/Qwen3.5-9B", "google/gemma-3-27b-it", "openai/gpt-oss-20b", "Qwen/Qwen3-8B"]
    )
    @pytest.mark.parametrize("tokens", [100, 5000, 40_000])
    def test_pages_are_never_less_than_what_they_hold(self, name: str, tokens: int) -> None:
        model = CATALOG.model(name)
        held = kv_bytes_per_session(model, "auto", 1, 1, tokens)
        assert paging.session_bytes(request(model, kv_dtype="auto", prefix_cached=False), tokens) >= held


class TestTheLongest:
    def terms(self, **changes: Any) -> Any:
        fields: dict[str, Any] = dict(
            model=WINDOWED,
            accelerator=make_accelerator(),
            accounted_as="0.19.0",
            precision="bf16",
            kv_dtype="auto",
            tensor_parallel=1,
            pipeline_parallel=1,
            max_num_batched_tokens=8192,
        )
        return memory_terms(Replica(**{**fields, **changes}), 4096)

    @pytest.mark.parametrize(
        "changes", [{}, {"model": HYBRID}, {"draft": Draft(tokens=2, layers=1)}, {"model": make_model()}]
    )
    def test_it_fits_and_one_block_more_does_not(self, changes: dict[str, Any]) -> None:
        terms = self.terms(**changes)
        for kv_gib in (0.6, 2.0, 3.1):
            longest = terms.longest_model_len(kv_gib, 262_144)
            assert terms.start_kv_gib(longest) <= kv_gib
            assert longest == 262_144 or terms.start_kv_gib(longest + 16) > kv_gib

    def test_nothing_fits_nothing(self) -> None:
        assert self.terms().longest_model_len(0.0, 1000) == 0
        assert self.terms().longest_model_len(-1.0, 1000) == 0

    def test_the_first_request_is_counted_before_its_window_is_cut(self) -> None:
        terms = self.terms(model=WINDOWED, kv_dtype="auto")
        assert terms.kv_gib(1) == terms.start_kv_gib(4096) > terms.kv_per_session_gib
        assert terms.kv_gib(1000) == pytest.approx(1000 * terms.kv_per_session_gib)
        assert terms.kv_gib(0) == 0.0

    def test_a_draft_head_proposes_one_token_at_least(self) -> None:
        asked = [self.terms(model=HYBRID, draft=Draft(tokens=tokens, layers=1)).replica for tokens in (0, 1, 3)]
        assert [one.pool_request(4096).proposed_tokens for one in asked] == [1, 1, 3]

    def test_a_draft_head_stands_in_the_model_s_pages(self) -> None:
        """9 full layers and 24 recurrent: groups of 9, so that the states are padded too."""
        plain = self.terms(model=HYBRID)
        drafted = self.terms(model=HYBRID, draft=Draft(tokens=1, layers=1))
        pages = paging.session_bytes(drafted.replica.pool_request(4096), 4096)
        assert drafted.kv_per_session_gib == pytest.approx(pages / GIB)
        assert drafted.page_gib == pytest.approx(plain.page_gib * 9 / 8)
