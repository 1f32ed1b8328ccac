"""Where a real vLLM refuses requests of one moment: with 503, or in streams that it has begun with 200.

    python -m bench.engine_moment [--apart MS ...]

So many requests as the engine lets in five times over are written onto connections that are open already, one right after the
other or so many milliseconds apart. Those of one moment are simulated too: what becomes of them depends on no step's time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from bench.engine import SEATS, STACK, WAITING, one_engine, pod_on_one_core
from bench.engine_client import Caller, Turn, simulated
from tests.e2e.engine.pods import engine_pods
from tests.e2e.engine.serving import Engine
from tests.e2e.engine.tiny import tiny_plan
from tests.e2e.ports import HOST
from tools.install import path as tool

LIMIT = SEATS + WAITING
SENT = 5 * LIMIT
PROMPT, OUTPUT = 100, 40


async def asked(engine: Engine, apart_s: float) -> tuple[int, int, int]:
    """(answered, refused with 503, refused in a stream)."""
    body = json.dumps(
        {"model": engine.model, "prompt": [10] * PROMPT, "max_tokens": OUTPUT, "ignore_eos": True, "stream": True}
    )
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    ways = [await asyncio.open_connection(HOST, engine.port) for _ in range(SENT)]
    for _, writer in ways:
        writer.write(request)
        if apart_s:
            await asyncio.sleep(apart_s)
    texts = await asyncio.gather(*(reader.read() for reader, _ in ways))
    for _, writer in ways:
        writer.close()
    refused = sum(text.startswith(b"HTTP/1.1 503") for text in texts)
    late = sum(text.startswith(b"HTTP/1.1 200") and b'"code": 503' in text for text in texts)
    return SENT - refused - late, refused, late


def main() -> None:
    """Start the engine, and ask it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apart", type=float, nargs="*", default=[0.0, 2.0, 10.0], metavar="MS")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        plan, models = tiny_plan(folder, STACK, {"tiny": (8, 4)})
        (pod,) = engine_pods(plan)
        engine = Engine(pod_on_one_core(pod), models, folder / "pod", tool("vllm").parent)
        try:
            while not engine.is_ready():
                time.sleep(0.2)
            asyncio.run(asked(engine, 0.0))  # its first requests take longer
            for apart_ms in arguments.apart:
                answered, refused, late = asyncio.run(asked(engine, apart_ms / 1000))
                sent = f"{SENT} requests {apart_ms:g} ms apart, limit {LIMIT}"
                print(f"{sent}: answered {answered}, 503 {refused}, in a stream {late}", flush=True)
        finally:
            engine.terminate()
            engine.stop()
        callers = [Caller(begins_s=0.0, turns=(Turn(prompt_tokens=PROMPT, output_tokens=OUTPUT),))] * SENT
        found = simulated(one_engine(plan, has_router=False), callers)
        refused = found.refusals - found.late_refusals
        print(f"simulated, 0 ms apart: answered {found.answered}, 503 {refused}, in a stream {found.late_refusals}")


if __name__ == "__main__":
    main()
