"""``size``, ``predict`` and ``calibrate``: questions without a stack.

An option of a question is a key of its answer, under the option's own name: what stands here is only how it is spelt.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer

from agentgpu_iac.cli import completing
from agentgpu_iac.cli.app import Format, FormatOption, OverlayOption
from agentgpu_iac.cli.files import write_new
from agentgpu_iac.errors import EXIT_BAD_INPUT, EXIT_NO, BadInput
from agentgpu_iac.inputs import MOST_TEXT_BYTES, lines_in, opened, read_file, source_of

ModelOption = Annotated[
    str | None, typer.Option(help="Hugging Face id, or the path of a config.json.", autocompletion=completing.models)
]
AcceleratorOption = Annotated[
    str | None, typer.Option(help="Accelerator: id or name.", autocompletion=completing.accelerators)
]
FromOption = Annotated[
    Path | None,
    typer.Option("--from", help="JSON Lines: one object a line, keys are the long options; '-' is standard input."),
]
TensorOption = Annotated[int | None, typer.Option(help="Tensor-parallel size.")]
PipelineOption = Annotated[int | None, typer.Option(help="Pipeline-parallel size.")]
CountOption = Annotated[int | None, typer.Option(help="Accelerators of the replica.")]
ExpertOption = Annotated[int | None, typer.Option(help="Expert-parallel size.")]
GroupsOption = Annotated[int | None, typer.Option(help="Data-parallel attention groups.")]
LengthOption = Annotated[int | None, typer.Option(help="Most tokens of one sequence.")]
UtilizationOption = Annotated[float | None, typer.Option(help="Share of the memory that the engine takes.")]
PrecisionOption = Annotated[
    str | None, typer.Option(help="Precision of the weights; the checkpoint's own when left out.")
]
CacheOption = Annotated[str | None, typer.Option(help="Number format of the KV cache.")]
EngineOption = Annotated[str | None, typer.Option(help="Serving engine: vllm when left out.")]
VersionOption = Annotated[str | None, typer.Option(help="Version of the engine; the newest known when left out.")]
BatchOption = Annotated[int | None, typer.Option(help="Most tokens in a step.")]
SequencesOption = Annotated[int | None, typer.Option(help="Most sequences at once.")]
EagerOption = Annotated[bool | None, typer.Option("--enforce-eager", help="No CUDA graphs.")]
TextOption = Annotated[
    bool | None, typer.Option("--text-only", help="No pictures, video and sound: no towers that read them.")
]
_NOT_OF_THE_QUESTION: Final = frozenset({"file", "from_file", "output_file", "catalog", "format", "as_json"})
"""Parameters that say where a question comes from and its answer goes."""


def given_of(context: typer.Context) -> dict[str, Any]:
    """The options of the question that were given, by their names on the command line."""
    return {
        parameter.opts[0].removeprefix("--"): context.params[parameter.name]
        for parameter in context.command.params
        if parameter.name not in _NOT_OF_THE_QUESTION and context.params.get(parameter.name or "") is not None
    }


def size(
    context: typer.Context,
    model: ModelOption = None,
    accelerator: AcceleratorOption = None,
    count: CountOption = None,
    tp: TensorOption = None,
    pp: PipelineOption = None,
    ep: ExpertOption = None,
    attention_dp: GroupsOption = None,
    max_model_len: LengthOption = None,
    gpu_memory_utilization: UtilizationOption = None,
    precision: PrecisionOption = None,
    kv_cache_dtype: CacheOption = None,
    engine: EngineOption = None,
    engine_version: VersionOption = None,
    max_num_batched_tokens: BatchOption = None,
    max_num_seqs: SequencesOption = None,
    enforce_eager: EagerOption = None,
    text_only: TextOption = None,
    dtype: Annotated[
        str | None, typer.Option(help="The engine's number format; float32 doubles 16-bit figures.")
    ] = None,
    speculative_layers: Annotated[int | None, typer.Option(help="Layers of a draft head (EAGLE, MTP).")] = None,
    speculative_tokens: Annotated[int | None, typer.Option(help="Tokens that a draft proposes in each step.")] = None,
    draft: Annotated[str | None, typer.Option(help="Draft model of its own: its Hugging Face id.")] = None,
    lora_slots: Annotated[int | None, typer.Option(help="LoRA adapters held at once.")] = None,
    lora_rank: Annotated[int | None, typer.Option(help="Rank that a LoRA slot is made for.")] = None,
    compile_cache: Annotated[
        str | None,
        typer.Option(help="Compile cache at start: cold (the first start of a node, counted by default) or warm."),
    ] = None,
    prefix_caching: Annotated[
        str | None, typer.Option(help="Whether prefixes are kept: auto (as a plan starts the engine), on or off.")
    ] = None,
    from_file: FromOption = None,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Predict what the engine prints about its memory at start."""
    from agentgpu_iac.calculators.calculator import SIZE

    _calculate(SIZE, given_of(context), from_file, catalog, format)


def predict(
    context: typer.Context,
    model: ModelOption = None,
    accelerator: AcceleratorOption = None,
    input_tokens: Annotated[int | None, typer.Option(help="Prompt tokens of a request.")] = None,
    output_tokens: Annotated[
        int | None, typer.Option(help="Generated tokens of a request; none of embedding models.")
    ] = None,
    concurrency: Annotated[
        float | None, typer.Option(help="Requests at once in each attention group (closed loop).")
    ] = None,
    request_rate: Annotated[float | None, typer.Option(help="Requests/s arriving (open loop).")] = None,
    arrivals: Annotated[
        str | None,
        typer.Option(help="How requests come: closed (loop), poisson, burst; the steady state when left out."),
    ] = None,
    start_together: Annotated[
        bool | None,
        typer.Option(
            "--start-together/--start-apart",
            help="Slots of --arrivals closed start at once, as benchmarks' do, or have run.",
        ),
    ] = None,
    requests: Annotated[int | None, typer.Option(help="Requests in all: 10 a slot, 400 at a rate, one burst.")] = None,
    length_spread: Annotated[
        float | None, typer.Option(help="Lengths are spread evenly from this share of those given to the whole.")
    ] = None,
    percentile: Annotated[float | None, typer.Option(help="Percentile answered beside mean, median and 95th.")] = None,
    prefix_hit_ratio: Annotated[float | None, typer.Option(help="Share of the prompt in the prefix cache.")] = None,
    count: CountOption = None,
    tp: TensorOption = None,
    pp: PipelineOption = None,
    ep: ExpertOption = None,
    attention_dp: GroupsOption = None,
    accepted_tokens: Annotated[
        float | None, typer.Option(help="Tokens that a step yields with speculative decoding; 1 without.")
    ] = None,
    max_model_len: LengthOption = None,
    gpu_memory_utilization: UtilizationOption = None,
    precision: PrecisionOption = None,
    kv_cache_dtype: CacheOption = None,
    engine: EngineOption = None,
    engine_version: VersionOption = None,
    max_num_batched_tokens: BatchOption = None,
    max_num_seqs: SequencesOption = None,
    enforce_eager: EagerOption = None,
    text_only: TextOption = None,
    from_file: FromOption = None,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Predict TTFT, TPOT and tokens/s of one replica at a load."""
    from agentgpu_iac.calculators.calculator import PREDICT

    _calculate(PREDICT, given_of(context), from_file, catalog, format)


def _calculate(
    calculator: Any, given: dict[str, Any], from_file: Path | None, overlay: Path | None, format: Format
) -> None:
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.cli import output
    from agentgpu_iac.review.answer_view import answer_view

    facts = load_catalog(overlay, base_directory=Path.cwd())
    if from_file is not None:
        if given:
            raise BadInput.one("--from", f"takes no other options of the question; --{next(iter(given))} is given too")
        faulty = False
        with _questions(from_file) as file:
            for answer in calculator.answer_lines(lines_in(file, source_of(from_file)), facts):
                faulty = faulty or "error" in answer
                output.write_json_line(answer)
        if faulty:
            raise typer.Exit(EXIT_BAD_INPUT)
        return
    answer = calculator.answer(given, facts)
    if format is Format.JSON:
        output.write_json(answer)
    else:
        output.write_blocks(answer_view(answer))
    if "rejection" in answer:
        raise typer.Exit(EXIT_NO)


def _questions(path: Path) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if str(path) == "-" else opened(path)


def calibrate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="vLLM start-up log, or the JSON result of vllm bench serve.")],
    accelerator: Annotated[
        str, typer.Option(help="Accelerator that the run was on: id or name.", autocompletion=completing.accelerators)
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Model, where the file does not name it.", autocompletion=completing.models),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Precision of the weights, if not the checkpoint's own.")
    ] = None,
    tp: Annotated[int | None, typer.Option(help="Tensor-parallel size, where the file does not say.")] = None,
    pp: Annotated[int | None, typer.Option(help="Pipeline-parallel size, where the file does not say.")] = None,
    engine_version: Annotated[str | None, typer.Option(help="Engine version, where the file does not say.")] = None,
    concurrency: Annotated[float | None, typer.Option(help="Requests at once, where a benchmark does not say.")] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the calibration as a catalog overlay to this new file.")
    ] = None,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Hold a run of your own against the prediction, and let the planner use the difference."""
    from agentgpu_iac.calculators.measured_runs import calibrate as hold_against
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.cli import output
    from agentgpu_iac.review.measured_view import measured_view, overlay_text

    given = given_of(context)
    text = read_file(file, MOST_TEXT_BYTES, of="a log or a result").decode("utf-8", errors="replace")
    report = hold_against(text, str(file), given, load_catalog(catalog, base_directory=Path.cwd()))
    if format is Format.JSON:
        output.write_json(
            {
                "compared": [
                    {
                        "name": figure.name,
                        "unit": figure.unit,
                        "predicted": figure.predicted,
                        "measured": figure.measured,
                    }
                    for figure in report.compared
                ],
                "calibration": report.calibration.model_dump(mode="json", by_alias=True, exclude_none=True),
                "warnings": report.warnings,
            }
        )
    else:
        output.write_blocks(measured_view(report))
    if output_file is not None:
        write_new(output_file, overlay_text(report))
