"""How far off the KV cache may be, as it is stated: the errors of the terms, computed by hand, over what they leave.

The terms are what 90 % of published start-up logs stay within: 1 % of the weights (3 % in 4 bit), 15 % of the overhead, 30 %
of that of mixtures of experts, 60 % of that of engines and versions whose logs were not compared, and 0.1 GiB besides.
"""

from __future__ import annotations

import pytest

from agentgpu_iac.sizing import memory
from agentgpu_iac.sizing.engines import SIZING_PORTS
from agentgpu_iac.sizing.weights import weights_spread
from tests.sizing.rows import make_accelerator, make_moe
from tests.sizing.test_memory import config

LARGE_CARD = make_accelerator(memory_gb=192, cuda_memory_gib=178.6)


@pytest.mark.parametrize(
    ("changes", "of_weights", "of_overhead"),
    [
        ({}, 0.01, 0.15),
        ({"precision": "fp8"}, 0.01, 0.15),
        ({"precision": "int4"}, 0.03, 0.15),
        ({"precision": "nvfp4"}, 0.03, 0.15),
        ({"model": make_moe()}, 0.01, 0.3),
        ({"version_is_known": False}, 0.01, 0.6),
        ({"model": make_moe(), "version_is_known": False}, 0.01, 0.6),
    ],
)
def test_the_errors_of_the_terms_over_what_they_leave(changes, of_weights, of_overhead):
    card = make_accelerator(cuda_memory_gib=30.0 if "model" not in changes else 79.19)
    found = memory.engine_memory(config(accelerator=card, **changes))
    taken = found.activation_gib + found.non_torch_gib
    asked = config(**changes)
    of_weights += weights_spread(asked.model, asked.precision)
    uncertain_gib = 0.1 + of_weights * found.weights_gib + of_overhead * taken
    assert found.error_ratio == pytest.approx(uncertain_gib / found.kv_cache_gib, abs=0.0006)
    assert found.error_ratio > 0.02


def test_no_better_is_promised_than_two_parts_in_a_hundred():
    assert memory.engine_memory(config(accelerator=LARGE_CARD, max_num_batched_tokens=256)).error_ratio == 0.02


@pytest.mark.parametrize("engine", ["sglang", "tensorrt-llm", "tgi"])
def test_engines_whose_logs_were_not_compared_state_fifteen(engine):
    share = SIZING_PORTS[engine].default_share(LARGE_CARD, config().release)
    found = memory.engine_memory(config(accelerator=LARGE_CARD, engine=engine, gpu_memory_utilization=share))
    assert found.error_ratio == 0.15


def test_a_cache_that_is_all_uncertainty_is_stated_as_such():
    found = memory.engine_memory(config(accelerator=make_accelerator(cuda_memory_gib=17.0)))
    assert found.error_ratio == 1.0
