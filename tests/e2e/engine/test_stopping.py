"""A pod that is told to go finishes what it has begun, takes nothing new, and is gone before it would be killed.

The kubelet runs the hook before the stop, which waits so that the endpoints can forget the pod; then it sends SIGTERM to
the container's process; and SIGKILL once the grace period, which counts both, is over. The wait is left out here: it is
the kubelet's own, and the engine knows nothing of it.
"""

from __future__ import annotations

import time

from tests.e2e.engine.conftest import TinyStack
from tests.e2e.engine.pods import flags
from tests.e2e.engine.serving import Engine, Stream
from tests.e2e.processes import PATIENCE_S

ENGINE_CORE = "VLLM::EngineCor"
"""Name of the process that computes, as the kernel keeps it."""
PROMPT_TOKENS = 100
"""More than the prompt of a test has."""


def left_after_sigterm_s(engine: Engine) -> int:
    """Seconds that the pod's manifest leaves the engine between SIGTERM and SIGKILL."""
    return engine.pod.grace_period_s - engine.pod.pre_stop_s


def test_the_manifest_leaves_time_to_stop(stack: TinyStack) -> None:
    for one in stack.plan.workloads:
        pod = stack.pods[one.name]
        assert flags(pod.args)["--shutdown-timeout"] == (str(one.drain.shutdown_timeout_s),)
        assert pod.pre_stop_s + one.drain.shutdown_timeout_s < pod.grace_period_s


def test_a_long_answer_that_was_begun_is_finished_and_no_other_is_begun(engines: dict[str, Engine]) -> None:
    """So long that it takes a third of the planned time as fast as this machine is now, which leaves room for a busier one."""
    engine = engines["mha"]
    planned_s = int(flags(engine.pod.args)["--shutdown-timeout"][0])
    most_tokens = int(flags(engine.pod.args)["--max-model-len"][0]) - PROMPT_TOKENS
    answer_tokens = min(most_tokens, int(tokens_per_s(engine) * planned_s / 3))
    stream = Stream(engine, answer_tokens)
    assert stream.begun.wait(PATIENCE_S)
    engine.terminate()
    told = time.monotonic()
    late = []
    while stream.is_alive():
        late.append(engine.status_of_completion())
        time.sleep(0.2)
    took_s = time.monotonic() - told
    assert (stream.status, stream.tokens, stream.finish, stream.is_whole) == (200, answer_tokens, "length", True)
    assert planned_s / 20 < took_s < planned_s
    assert len(late) > 1
    assert 200 not in late[1:]
    assert engine.exit_code_within(told + left_after_sigterm_s(engine) - time.monotonic()) == 0


def tokens_per_s(engine: Engine) -> float:
    """Of one stream now, beginning and end included."""
    begun, tokens = time.monotonic(), 300
    stream = Stream(engine, tokens)
    stream.join(PATIENCE_S)
    assert stream.tokens == tokens
    return tokens / (time.monotonic() - begun)


def test_an_answer_that_takes_too_long_is_cut(engines: dict[str, Engine]) -> None:
    """Longer than planned. What computes is gone in time; the server may stay until it is killed: it waits for its clients."""
    engine = engines["mqa"]
    timeout_s = int(flags(engine.pod.args)["--shutdown-timeout"][0])
    streams = [Stream(engine, 60_000) for _ in range(2)]
    assert streams[0].begun.wait(PATIENCE_S)
    assert ENGINE_CORE in engine.children()
    engine.terminate()
    told = time.monotonic()
    while ENGINE_CORE in engine.children():
        assert time.monotonic() < told + left_after_sigterm_s(engine)
        time.sleep(0.2)
    assert time.monotonic() - told > timeout_s - 1
    engine.kill()
    for stream in streams:
        stream.join(PATIENCE_S)
    assert {(stream.finish, stream.tokens or 0) for stream in streams} == {(None, 0)}
