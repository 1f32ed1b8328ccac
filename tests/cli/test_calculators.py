"""``agentgpu size`` and ``agentgpu predict``: one question on the command line, or one a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.main import get_command

from agentgpu_iac.calculators import calculator
from agentgpu_iac.cli.main import app
from tests.cli.running import agentgpu

MODEL = ("--model", "Qwen/Qwen3-14B", "--accelerator", "l40s")
SIZE = ("size", *MODEL, "--max-model-len", 4096, "--engine-version", "0.33.0")
PREDICT = ("predict", *MODEL, "--input-tokens", 100, "--output-tokens", 50, "--engine-version", "0.33.0")

SIZE_FIELDS = [
    "weightsGib",
    "activationGib",
    "nonTorchGib",
    "cudaGraphGib",
    "kvCacheGib",
    "kvCacheTokens",
    "maxConcurrency",
    "errorRatio",
]
PREDICT_FIELDS = ["ttftMs", "tpotMs", "outputTokensPerS", "ttftErrorRatio", "tpotErrorRatio"]


@pytest.mark.parametrize(("calculator", "name"), [(calculator.SIZE, "size"), (calculator.PREDICT, "predict")])
def test_options_and_keys_of_a_line_are_the_same(calculator: object, name: str) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    options = {parameter.opts[0].removeprefix("--") for parameter in command.params} - {
        "from",
        "catalog",
        "format",
        "json",
    }
    keys = {field.replace("_", "-") for field in calculator.question.model_fields}  # type: ignore[attr-defined]
    assert options == keys
    helped = agentgpu(name, "--help").out
    assert all(parameter.help for parameter in command.params)
    assert all(f"--{key} " in helped for key in keys)


def test_size_answers_with_the_fields_of_the_contract() -> None:
    answer = agentgpu(*SIZE, "--format", "json")
    assert (answer.code, answer.err) == (0, "")
    assert list(answer.data)[:8] == SIZE_FIELDS
    assert all(isinstance(answer.data[field], (int, float)) for field in SIZE_FIELDS)
    assert answer.data["warnings"] == []
    table = agentgpu(*SIZE).out
    for field in SIZE_FIELDS:
        assert f"{answer.data[field]:,}" in table


def test_predict_answers_with_the_fields_of_the_contract() -> None:
    answer = agentgpu(*PREDICT, "--concurrency", 4, "--format", "json")
    assert (answer.code, answer.err) == (0, "")
    assert list(answer.data)[:5] == PREDICT_FIELDS
    assert all(isinstance(answer.data[field], (int, float)) for field in PREDICT_FIELDS)
    assert answer.data["concurrency"] == 4.0


def test_every_option_of_size_counts() -> None:
    plain = agentgpu(*SIZE, "-f", "json").data
    for options, field in {
        ("--enforce-eager",): "cudaGraphGib",
        ("--tp", 2): "weightsGib",
        ("--count", 2): "weightsGib",
        ("--pp", 2): "weightsGib",
        ("--precision", "fp8"): "weightsGib",
        ("--kv-cache-dtype", "fp8"): "kvCacheTokens",
        ("--gpu-memory-utilization", 0.95): "kvCacheGib",
        ("--max-num-seqs", 2048): "activationGib",
        ("--max-num-batched-tokens", 32768): "activationGib",
        ("--max-model-len", 8192): "maxConcurrency",
        ("--engine", "sglang"): "warnings",
        ("--speculative-layers", 1): "weightsGib",
        ("--lora-slots", 2): "weightsGib",
    }.items():
        assert agentgpu(*SIZE, *options, "-f", "json").data[field] != plain[field], options
    wider = agentgpu(*SIZE, "--precision", "fp8", "--dtype", "float32", "-f", "json").data
    assert wider["kvBytesPerToken"] == 2 * plain["kvBytesPerToken"]
    slots = (*SIZE, "--lora-slots", 2)
    thin, wide = (agentgpu(*slots, "--lora-rank", rank, "-f", "json").data["weightsGib"] for rank in (16, 64))
    assert wide - plain["weightsGib"] == pytest.approx(4 * (thin - plain["weightsGib"]), rel=1e-3)


def test_every_option_of_predict_counts() -> None:
    question = (*PREDICT, "--concurrency", 100)
    plain = agentgpu(*question, "-f", "json").data
    for options, field in {
        ("--tp", 2): "tpotMs",
        ("--pp", 2): "tpotMs",
        ("--count", 2): "tpotMs",
        ("--attention-dp", 2): "outputTokensPerS",
        ("--precision", "fp8"): "tpotMs",
        ("--prefix-hit-ratio", 0.9): "ttftMs",
        ("--accepted-tokens", 2): "tpotMs",
        ("--max-num-seqs", 2): "concurrency",
        ("--gpu-memory-utilization", 0.68): "concurrency",
        ("--input-tokens", 3000): "ttftMs",
        ("--output-tokens", 500): "tpotMs",
    }.items():
        assert agentgpu(*question, *options, "-f", "json").data[field] != plain[field], options
    open_loop = agentgpu(*PREDICT, "--request-rate", 2, "-f", "json").data
    assert open_loop["concurrency"] > 1


def test_experts_and_attention_groups_count() -> None:
    mixture = ("--model", "Qwen/Qwen3-30B-A3B-Instruct-2507", "--accelerator", "h100-sxm", "--tp", 2)
    asked = ("--input-tokens", 1000, "--output-tokens", 200, "--concurrency", 8)
    for question in (("size", *mixture, "--max-model-len", 8192), ("predict", *mixture, *asked)):
        plain, *others = (
            agentgpu(*question, *more, "-f", "json").data
            for more in (
                (),
                ("--ep", 2),
                ("--ep", 2, "--attention-dp", 2),
                ("--ep", 4, "--attention-dp", 2, "--count", 4),
            )
        )
        assert len({str(answer) for answer in (plain, *others)}) == 4


def test_names_are_matched_without_regard_to_case() -> None:
    other = ("size", "--model", "qwen/qwen3-14b", "--accelerator", "L40S", *SIZE[5:])
    assert agentgpu(*other, "-f", "json").data == agentgpu(*SIZE, "-f", "json").data


def test_a_case_that_does_not_fit_is_a_no() -> None:
    question = ("size", "--model", "Qwen/Qwen3-14B", "--accelerator", "a10g")
    answer = agentgpu(*question, "-f", "json")
    assert (answer.code, answer.err) == (1, "")
    assert list(answer.data) == ["rejection"]
    rejection = answer.data["rejection"]
    assert (rejection["constraint"], rejection["unit"]) == ("memory", "GiB")
    assert rejection["need"] > rejection["limit"]
    table = agentgpu(*question)
    assert table.code == 1
    assert table.out == f"Does not fit (memory): {rejection['message']}\n"
    assert agentgpu(*SIZE, "--tp", 3).code == 1
    assert agentgpu(*SIZE, "--tp", 2, "--pp", 2, "--count", 3).code == 1


def test_no_engine_version_means_the_newest_with_a_warning() -> None:
    warning = "engine version (none given): accounted for as 0.33.0, the newest known"
    questions = {
        ("size", *MODEL, "--max-model-len", 4096): warning,
        (*PREDICT[:9], "--concurrency", 1): f"{warning}; latency as vllm-0.18",
    }
    for question, said in questions.items():
        assert agentgpu(*question, "-f", "json").data["warnings"] == [said]
        assert f"- {said}\n" in agentgpu(*question).out


@pytest.mark.parametrize("version", ["9.9.9", "0.33.7"])
def test_an_unknown_engine_version_warns(version: str) -> None:
    answer = agentgpu(*SIZE[:-1], version, "-f", "json")
    assert any(version in warning for warning in answer.data["warnings"])


@pytest.mark.parametrize("version", ["latest", "nightly"])
def test_a_version_that_is_no_number_warns(version: str) -> None:
    answer = agentgpu(*SIZE[:-1], version, "-f", "json")
    assert answer.code == 0
    assert any(version in warning for warning in answer.data["warnings"])


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (("size",), ["size: accelerator: is required", "size: model: is required"]),
        (("size", "--model", "x"), ["size: accelerator: is required"]),
        ((*SIZE, "--tp", 0), ["size: tp: must be greater than or equal to 1"]),
        ((*SIZE, "--gpu-memory-utilization", 90), ["size: gpu-memory-utilization: must be less than or equal to 1"]),
        ((*SIZE, "--precision", "fp32"), ["size: precision: must be 'bf16', 'fp16', 'fp8', 'int8', 'int4', 'mxfp4' or 'nvfp4'"]),
        ((*SIZE, "--accelerator", "l4o"), ["catalog: there is no accelerator 'l4o' (did you mean 'l4'?)"]),
        (PREDICT, ["predict: give a concurrency (closed loop) or a request-rate (open loop)"]),
        ((*PREDICT, "--concurrency", "nan"), ["predict: concurrency: must be a finite number"]),
    ],
)  # fmt: skip
def test_bad_options(arguments: tuple[object, ...], messages: list[str]) -> None:
    answer = agentgpu(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines() == messages


# ---- one a line

GOOD = {"model": "Qwen/Qwen3-14B", "accelerator": "l40s", "max-model-len": 4096, "engine-version": "0.33.0"}
LINES = [
    (json.dumps(GOOD), "weightsGib", ""),
    ('{"model": "Qwen/Qwen3-14B"', "error", "line 2: not JSON"),
    ("[1]", "error", "line 3: is not a JSON object"),
    (json.dumps({**GOOD, "accelerator": "a10g"}), "rejection", ""),
    (json.dumps({**GOOD, "max-modellen": 1}), "error", "line 5: max-modellen: no such option (did you mean 'max-model-len'?)"),
    (json.dumps({**GOOD, "max_model_len": 1}), "error", "line 6: max_model_len: no such option (did you mean 'max-model-len'?)"),
    (json.dumps({**GOOD, "max-model-len": "4096"}), "error", "line 7: max-model-len: must be a valid integer"),
    (json.dumps({**GOOD, "model": "Qwen/Nope"}), "error", "there is no model 'Qwen/Nope'"),
    (json.dumps({"model": "x"}), "error", "line 9: accelerator: is required"),
    (json.dumps({**GOOD, "enforce-eager": True}), "weightsGib", ""),
    (json.dumps({**GOOD, "engine-version": "", "tp": None}), "weightsGib", ""),
]  # fmt: skip


def test_faulty_lines_stop_nothing(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(f"{line}\n" for line, *_ in LINES))
    answer = agentgpu("size", "--from", path)
    assert (answer.code, answer.err) == (2, "")
    assert len(answer.lines) == len(LINES)
    for given, (_, key, message) in zip(answer.lines, LINES, strict=True):
        assert key in given
        assert message in given.get("error", "")
    assert answer.lines[0] == agentgpu(*SIZE, "-f", "json").data
    assert answer.lines[9]["cudaGraphGib"] == 0
    assert answer.lines[10]["warnings"] == ["engine version (none given): accounted for as 0.33.0, the newest known"]


def test_standard_input_is_read_like_a_file(tmp_path: Path) -> None:
    text = "".join(f"{line}\n" for line, *_ in LINES)
    path = tmp_path / "questions.jsonl"
    path.write_text(text)
    assert agentgpu("size", "--from", "-", stdin=text) == agentgpu("size", "--from", path)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"\n\n{json.dumps(GOOD)}\r\n  \n",
        "\ufeff" + json.dumps(GOOD) + "\n",
        json.dumps({**GOOD, "engine-version": "0.33.0"}, indent=None, separators=(" ,", " : ")),
    ],
)
def test_blank_lines_and_odd_spaces_are_no_questions(text: str) -> None:
    answer = agentgpu("size", "--from", "-", stdin=text)
    assert answer.code == 0
    assert [list(line)[:8] for line in answer.lines] == [SIZE_FIELDS]


def test_a_line_ends_where_jsonl_says_so() -> None:
    odd = json.dumps({**GOOD, "model": "a\u2028b\x85c"}, ensure_ascii=False)
    answer = agentgpu("size", "--from", "-", stdin=f"{odd}\n{json.dumps(GOOD)}\n")
    answers = [json.loads(line) for line in answer.out.split("\n") if line]
    assert [next(iter(one)) for one in answers] == ["error", "weightsGib"]


def test_only_rejections_are_no_fault() -> None:
    answer = agentgpu("size", "--from", "-", stdin=json.dumps({**GOOD, "accelerator": "a10g"}))
    assert answer.code == 0
    assert "rejection" in answer.lines[0]


def test_predict_reads_lines_too() -> None:
    question = {"model": "Qwen/Qwen3-14B", "accelerator": "l40s", "input-tokens": 100, "output-tokens": 50}
    lines = [{**question, "concurrency": 4}, question, {**question, "request-rate": 2.5}]
    answer = agentgpu("predict", "--from", "-", stdin="\n".join(map(json.dumps, lines)))
    assert answer.code == 2
    assert [next(iter(line)) for line in answer.lines] == ["ttftMs", "error", "ttftMs"]


def test_no_lines_give_no_answers() -> None:
    answer = agentgpu("size", "--from", "-")
    assert (answer.code, answer.out, answer.err) == (0, "", "")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    answer = agentgpu("size", "--from", tmp_path / "nope.jsonl")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"{tmp_path}/nope.jsonl: cannot be read: No such file or directory\n"
    answer = agentgpu("size", "--from", "-", stdin=b"\xff\xfe")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("standard input: is not UTF-8 text: ")


def test_a_file_of_questions_and_a_question_exclude_each_other(tmp_path: Path) -> None:
    answer = agentgpu("size", "--from", "-", "--tp", 2)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "--from: takes no other options of the question; --tp is given too\n"
