"""Throw files at everything that reads one, and see that it says yes or no: no traceback, no waiting, no injection.

``make fuzz`` runs it for two minutes (``FUZZ_SECONDS=3600`` for an hour by hand). By hand the seed is the clock's, so that each
run looks elsewhere; in CI (``CI=true``) it is 1 and the tries are counted, so that the same tree has the same answer.

It starts from files as people have them and breaks
them by their structure: keys and values go, come twice, change their kind, become what is hostile to YAML, a shell, NGINX,
PromQL, Jinja, Markdown, HTML or a terminal; or by their bytes. Every try has a number: ``--seed 7 --only 1234`` repeats one.

What is found is printed with its number, and kept in ``build/fuzz``; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agentgpu_iac.calculators.calculator import SIZE  # noqa: E402
from agentgpu_iac.calculators.measured_runs import calibrate  # noqa: E402
from agentgpu_iac.catalog.huggingface import model_from_config  # noqa: E402
from agentgpu_iac.catalog.overlay import with_overlay  # noqa: E402
from agentgpu_iac.catalog.packaged import packaged_rows  # noqa: E402
from agentgpu_iac.catalog.store import load_catalog  # noqa: E402
from agentgpu_iac.characters import hidden_character  # noqa: E402
from agentgpu_iac.cli.main import run as command  # noqa: E402
from agentgpu_iac.errors import AgentGpuError  # noqa: E402
from agentgpu_iac.inputs import lines_in, read_file  # noqa: E402
from agentgpu_iac.operations.publishing.settings import load_settings  # noqa: E402
from agentgpu_iac.plan import Plan  # noqa: E402
from agentgpu_iac.plan.reading import plan_in  # noqa: E402
from agentgpu_iac.plan.writing import plan_text  # noqa: E402
from agentgpu_iac.rendering.inventory import INVENTORY, read_inventory  # noqa: E402
from agentgpu_iac.rendering.render import render  # noqa: E402
from agentgpu_iac.rendering.validate import validation  # noqa: E402
from agentgpu_iac.review.diff import diff  # noqa: E402
from agentgpu_iac.review.policy_file import load_policies  # noqa: E402
from agentgpu_iac.spec.loader import load_bytes  # noqa: E402

SLOWEST_S: Final = 10
MOST_BYTES: Final = 2**30
FOUND: Final = ROOT / "build" / "fuzz"
MARK: Final = "aPwned7"
"""What hostile texts carry: where it comes out as more than text, something was injected."""
TEXTS: Final = (
    *(
        MARK,
        f"{MARK}\n- {MARK}: 1",
        f"'; touch {MARK}; '",
        f"$(touch {MARK})",
        f"`{MARK}`",
        f"{{{{ {MARK} }}}}",
        f"{{% {MARK} %}}",
    ),
    *(
        f'"}} or vector({MARK}) or up{{a="',
        f"; return 200 {MARK};",
        f"<script>{MARK}</script>",
        f"](javascript:{MARK})",
        f"@{MARK}",
    ),
    *(
        f"\x1b]0;{MARK}\x07",
        "\x1b[2J",
        "\u202e",
        "\x00",
        "\ufeff",
        "\r",
        "\x85",
        "\u2028",
        "*a",
        "&a",
        "!!python/object:a",
        "<<",
        "|",
        ">-",
    ),
    *(
        "yes",
        "no",
        "null",
        "~",
        "1e3",
        "0x10",
        "0o7",
        "1:30",
        "2026-01-01",
        ".inf",
        ".nan",
        "-0",
        "5e-05",
        "1_000",
        "=",
        "010",
    ),
    *(
        "../../etc/passwd",
        "/dev/zero",
        "-oProxyCommand=x",
        "https://u:p@h/x",
        "ssh://-oProxyCommand=x/a",
        "kube-system",
        ".git/config",
    ),
    *("", " ", "x" * 300, "é", "\u0000", "\U0001f600", "a" * 70_000),
)
VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2**31,
        2**63,
        10**40,
        -(10**40),
        0.0,
        -0.0,
        5e-324,
        1.7e308,
        1e-5,
        0.5,
        [],
        {},
        [[]],
        [None],
        {"a": {}},
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Something that reads a file."""

    name: str
    seeds: tuple[str, ...]
    enter: Callable[[bytes, Path], object]


class InjectionError(Exception):
    """A text of a file came out as more than a text."""


class TooSlowError(BaseException):
    """A try took longer than anybody waits."""


def doors() -> tuple[Door, ...]:
    """Everything that reads a file, each with files as people have them."""
    from tests.catalog import test_huggingface as shapes  # noqa: PLC0415
    from tests.plans import make_machines_plan, make_plan  # noqa: PLC0415

    specs = tuple(path.read_text(encoding="utf-8") for path in sorted((ROOT / "stacks").rglob("*.yaml"))[:8])
    plans = (plan_text(make_plan()), plan_text(make_machines_plan()))
    configs = tuple(
        json.dumps(shape)
        for name, shape in vars(shapes).items()
        if isinstance(shape, dict) and "num_hidden_layers" in shape
    )
    wheel = ROOT / "tests" / "wheel"
    rows, catalog, first = packaged_rows(), load_catalog(), make_plan()
    options = {"accelerator": "l40s", "model": "Qwen/Qwen3-8B"}
    question = json.dumps({"model": "Qwen/Qwen3-8B", "accelerator": "l40s", "max-model-len": 4096})
    policies = "apiVersion: agentgpu.dev/v1alpha1\nkind: Policies\nbudget: {usdPerMonth: 100}\nregions: [us-east-1]\n"
    published = (
        "apiVersion: agentgpu.dev/v1alpha1\nkind: Publishing\nstacks: [stacks]\ninto: rendered\n"
        "environments: [{name: a}]\n"
    )
    log = (
        "Model loading took 14.25 GiB and 3.1 seconds\nAvailable KV cache memory: 20.5 GiB\nGPU KV cache size: 149,000 tokens\n"
        "non-default args: {'model': 'Qwen/Qwen3-8B', 'max_model_len': 4096, 'tensor_parallel_size': 1}\n"
    )
    return (
        Door(name="spec", seeds=specs, enter=lambda raw, _: load_bytes(raw, "stack.yaml")),
        Door(name="plan", seeds=plans, enter=lambda raw, _: _plan(raw, first)),
        Door(
            name="overlay",
            seeds=((wheel / "prices.yaml").read_text(encoding="utf-8"),),
            enter=lambda raw, at: with_overlay(rows, _put(at, raw)),
        ),
        Door(name="config", seeds=configs, enter=lambda raw, _: model_from_config(raw, "config.json")),
        Door(
            name="log",
            seeds=(log, (wheel / "bench.json").read_text(encoding="utf-8")),
            enter=lambda raw, at: _calibrate(raw, at, options, catalog),
        ),
        Door(name="questions", seeds=(question,), enter=lambda raw, _: _lines(raw, catalog)),
        Door(name="inventory", seeds=('{"files": {"base/a.yaml": "00"}, "pending": {}}',), enter=_inventory),
        Door(name="policies", seeds=(policies,), enter=lambda raw, at: load_policies(_put(at, raw))),
        Door(name="publishing", seeds=(published,), enter=lambda raw, at: load_settings(_put(at, raw))),
        Door(name="command", seeds=specs[:1] + plans[:1], enter=_command),
    )


def _put(folder: Path, raw: bytes) -> Path:
    path = folder / "given"
    path.write_bytes(raw)
    return path


def _plan(raw: bytes, first: Plan) -> None:
    """A plan that is read can be compared and rendered, what is rendered is sound, and its texts stay texts."""
    found = plan_in(raw, "plan.yaml")
    if found is None:
        return
    diff(first, found)
    files = render(found)
    if faults := [
        fault for fault in validation(files, found.node_pools[0].kubernetes_version).faults if MARK in str(fault)
    ]:
        raise InjectionError(str(faults[0]))
    for file in files:
        if file.path.endswith((".yaml", ".yml")):
            for document in yaml.load_all(file.content, Loader=yaml.CSafeLoader):
                _no_key(document, file.path)


def _no_key(value: object, path: str) -> None:
    if isinstance(value, dict):
        for key, below in value.items():
            if key == MARK:
                raise InjectionError(f"{path}: a text became a key")
            _no_key(below, path)
    elif isinstance(value, list):
        for below in value:
            _no_key(below, path)


def _calibrate(raw: bytes, folder: Path, options: dict[str, Any], catalog: Any) -> None:
    calibrate(read_file(_put(folder, raw), 2**26).decode("utf-8", errors="replace"), "run.log", options, catalog)


def _lines(raw: bytes, catalog: Any) -> None:
    for answer in SIZE.answer_lines(lines_in(io.BytesIO(raw), "questions"), catalog):
        json.dumps(answer, allow_nan=False)


def _inventory(raw: bytes, folder: Path) -> None:
    (folder / INVENTORY).write_bytes(raw)
    read_inventory(folder)


def _command(raw: bytes, folder: Path) -> None:
    """The command line on the file: an exit code that it promises, and nothing for the terminal to obey."""
    words = ["agentgpu", "validate" if b"kind: AgentStack" in raw else "explain", str(_put(folder, raw))]
    out, err = io.StringIO(), io.StringIO()
    try:
        with patch.object(sys, "argv", words), redirect_stdout(out), redirect_stderr(err):
            command()
    except SystemExit as end:
        if end.code not in (0, 1, 2, 3):
            raise InjectionError(f"ended with {end.code}") from None
    for text in (out.getvalue(), err.getvalue()):
        if hidden := hidden_character(text):
            raise InjectionError(f"printed {hidden!r}")


def broken(seed: str, chance: random.Random) -> bytes:
    """The file, broken somewhere."""
    if chance.random() < 0.25:
        return _bytes_broken(seed.encode(), chance)
    try:
        data = yaml.load(seed, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return _bytes_broken(seed.encode(), chance)
    if not isinstance(data, dict | list):
        return _bytes_broken(seed.encode(), chance)
    data = copy.deepcopy(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        places = list(_places(data))
        if places:
            _break(*chance.choice(places), chance)
    if chance.random() < 0.5:
        return json.dumps(data, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return yaml.dump(data, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False).encode(
        "utf-8", "surrogatepass"
    )


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document: what holds it, and its key or position."""
    for key, below in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(below, dict | list):
            yield from _places(below)


def _break(holder: Any, key: Any, chance: random.Random) -> None:
    how = chance.randrange(9)
    value = holder[key]
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[chance.choice(TEXTS)] = value
    elif how == 2 and isinstance(value, list) and value:
        value.extend(copy.deepcopy(value) * chance.choice((1, 3)))
    elif how == 3 and isinstance(value, str):
        holder[key] = value + chance.choice(TEXTS)
    elif how == 4 and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = chance.choice((-value, value * 10**6, value / 3, str(value), value + 1, [value]))
    elif how == 5:
        holder[key] = [value]
    elif how == 6:
        holder[key] = {"a": value}
    else:
        holder[key] = copy.deepcopy(chance.choice(TEXTS if how == 7 else VALUES))


def _bytes_broken(raw: bytes, chance: random.Random) -> bytes:
    at, to = sorted(chance.randrange(len(raw) + 1) for _ in range(2))
    how = chance.randrange(6)
    piece = chance.choice(TEXTS).encode("utf-8", "surrogatepass")
    if how == 0:
        return raw[:at]
    if how == 1:
        return raw[:at] + piece + raw[at:]
    if how == 2:
        return raw[:at] + bytes(chance.randrange(256) for _ in range(4)) + raw[at + 4 :]
    if how == 3:
        return raw[:at] + raw[to:]
    if how == 4:
        return (
            raw[:at]
            + chance.choice((b"[", b"{", b'{"a":', b"- ", b"*a ", b"&a ")) * chance.choice((3, 100, 100_000))
            + raw[at:]
        )
    return raw[:to] + raw[at:to] * chance.choice((1, 5)) + raw[to:]


def trial(number: int, seed: int, given: tuple[Door, ...], folder: Path) -> tuple[Door, bytes, str]:
    """One try: what was entered, with what, and what was wrong; empty where nothing was."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - to be repeated, not to be secret
    door = given[number % len(given)]
    raw = broken(chance.choice(door.seeds), chance)
    signal.setitimer(signal.ITIMER_PROF, SLOWEST_S)
    try:
        door.enter(raw, folder)
    except AgentGpuError as refusal:
        return door, raw, f"a message is hidden: {refusal!r}" if hidden_character(str(refusal)) else ""
    except TooSlowError:
        return door, raw, f"took more than {SLOWEST_S} s"
    except Exception:
        return door, raw, traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return door, raw, ""


def main() -> int:
    """Try until the time or the tries are over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--tries", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", type=int, help="number of the one try to repeat")
    asked = parser.parse_args()

    def late(*_: object) -> None:
        raise TooSlowError

    signal.signal(signal.SIGPROF, late)
    resource.setrlimit(resource.RLIMIT_AS, (4 * MOST_BYTES, 4 * MOST_BYTES))
    given, tried, found = doors(), Counter[str](), 0
    until = time.monotonic() + asked.seconds
    numbers = range(asked.tries) if asked.only is None else (asked.only,)
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        for number in numbers:
            if time.monotonic() > until:
                break
            door, raw, wrong = trial(number, asked.seed, given, Path(name))
            tried[door.name] += 1
            if (Path(name) / MARK).exists():
                wrong = "a shell ran it"
            if wrong:
                found += 1
                FOUND.mkdir(parents=True, exist_ok=True)
                (FOUND / f"{door.name}-{asked.seed}-{number}").write_bytes(raw)
                print(f"{door.name} (--seed {asked.seed} --only {number}): {wrong}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if peak > MOST_BYTES:
        found += 1
        print(f"it took {peak / 2**20:.0f} MiB at its peak; {MOST_BYTES / 2**20:.0f} are allowed")
    print(
        f"{sum(tried.values()):,} tries with seed {asked.seed}, {found} findings, {peak / 2**20:.0f} MiB at the peak: "
        f"{dict(tried)}"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
