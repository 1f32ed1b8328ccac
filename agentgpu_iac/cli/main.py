"""The ``agentgpu`` command. Each command parses, calls one room, and prints; what it needs is imported when it runs."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from agentgpu_iac import __version__
from agentgpu_iac.errors import EXIT_BAD_INPUT, EXIT_GOOD, EXIT_NO, EXIT_OUTSIDE, AgentGpuError, BadInput

if TYPE_CHECKING:
    from agentgpu_iac.catalog.store import Catalog
    from agentgpu_iac.plan import Plan
    from agentgpu_iac.spec.loader import LoadedStack


class _Commands(TyperGroup):
    """A reader who closes the pipe has seen enough: exit code 0, where Typer's own 1 would mean that the answer is no."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _drop_output()
            raise typer.Exit(EXIT_GOOD) from None


app = typer.Typer(
    name="agentgpu",
    cls=_Commands,
    help="GPU infrastructure for AI agents: one agent stack in; a sized, priced plan, manifests and Pulumi out.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
catalog_app = typer.Typer(name="catalog", help="Look at the facts that plans rest on.", no_args_is_help=True)
app.add_typer(catalog_app)


class PlanFormat(StrEnum):
    """How a plan is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    MARKDOWN = "markdown"


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"


class CatalogKind(StrEnum):
    """What the catalog holds."""

    ACCELERATORS = "accelerators"
    MODELS = "models"
    OFFERINGS = "offerings"
    ENGINES = "engines"
    PROVIDERS = "providers"
    EXCLUDED = "excluded"


SpecArgument = Annotated[Path, typer.Argument(help="Agent stack (YAML).", metavar="SPEC")]
OverlayOption = Annotated[
    Path | None, typer.Option("--catalog", help="Your own catalog rows on top of ours (prices, models, accelerators).")
]


class SchemaFormat(StrEnum):
    """How the fields of the stack are printed."""

    JSON = "json"
    MARKDOWN = "markdown"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print the answer.")]


def run() -> None:
    """Entry point: one clear message and an exit code instead of a traceback."""
    try:
        app()
    except AgentGpuError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        _drop_output()
        typer.echo(f"{error.filename or 'standard output'}: {error.strerror or error}", err=True)
        raise SystemExit(EXIT_OUTSIDE) from None


def _drop_output() -> None:
    """Let what is still buffered go nowhere, so that Python does not fail once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=lambda value: _version(wanted=value), is_eager=True
        ),
    ] = False,
) -> None:
    pass


def _load(spec: Path, overlay: Path | None) -> tuple[LoadedStack, Catalog]:
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.spec.loader import load

    return load(spec), load_catalog(overlay, base_directory=spec.parent)


def _plan(spec: Path, overlay: Path | None) -> tuple[Plan, LoadedStack, Catalog]:
    from agentgpu_iac.planning.planner import make_plan

    loaded, catalog = _load(spec, overlay)
    return make_plan(loaded, catalog), loaded, catalog


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("agentstack.yaml"),
    name: Annotated[str, typer.Option(help="Name of the stack.")] = "my-agents",
    model: Annotated[str, typer.Option(help="Model of the first agent.")] = "Qwen/Qwen3-14B",
) -> None:
    """Write a small agent stack to start from."""
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.spec.loader import load_text
    from agentgpu_iac.spec.starter import starter

    load_catalog(base_directory=path.parent).model(model)
    text = starter(name, model)
    load_text(text, str(path))
    if path.exists():
        raise BadInput.one(str(path), "the file exists already", hint="name another one")
    with _writing(path), path.open("x", encoding="utf-8") as file:
        file.write(text)
    typer.echo(f"Wrote {path}. Next: agentgpu plan {shlex.quote(str(path))}")


@app.command()
def validate(spec: SpecArgument, catalog: OverlayOption = None, format: FormatOption = Format.TABLE) -> None:
    """Check an agent stack and report every fault at once."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.planning.references import resolve_models

    try:
        loaded, facts = _load(spec, catalog)
        models = resolve_models(loaded, facts)
    except BadInput as refusal:
        if format is Format.JSON:
            output.write_json({"valid": False, "faults": [asdict(fault) for fault in refusal.faults]})
        raise
    if format is Format.JSON:
        output.write_json({"valid": True, "stack": loaded.stack.metadata.name, "agents": len(models)})
    else:
        count = len(models)
        typer.echo(
            f"{spec}: {loaded.stack.metadata.name} is a valid agent stack of {count} agent{'s' if count > 1 else ''}."
        )


@app.command()
def plan(
    spec: SpecArgument,
    catalog: OverlayOption = None,
    format: Annotated[PlanFormat, typer.Option("--format", "-f", help="How to print the plan.")] = PlanFormat.TABLE,
    output_file: Annotated[Path | None, typer.Option("--output", "-o", help="Write the plan to this file.")] = None,
) -> None:
    """Size, price and place an agent stack."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.planning.planner import NoPlan
    from agentgpu_iac.review.blocks import markdown, plain_text
    from agentgpu_iac.review.plan_view import plan_view

    try:
        made, _, _ = _plan(spec, catalog)
    except NoPlan as refusal:
        rejections = [one.model_dump(mode="json", by_alias=True) for one in refusal.rejections]
        answer = {"feasible": False, "message": str(refusal), "rejections": rejections}
        if format is PlanFormat.JSON:
            output.write_json(answer)
        elif format is PlanFormat.YAML:
            typer.echo(output.yaml_text(answer), nl=False)
        raise
    document = made.model_dump(mode="json", by_alias=True)
    if output_file is not None:
        texts = {
            PlanFormat.JSON: lambda: json.dumps(document, indent=2, ensure_ascii=False) + "\n",
            PlanFormat.YAML: lambda: output.yaml_text(document),
            PlanFormat.MARKDOWN: lambda: markdown(plan_view(made, str(spec))),
            PlanFormat.TABLE: lambda: plain_text(plan_view(made, str(spec))),
        }
        with _writing(output_file):
            output_file.write_text(texts[format](), encoding="utf-8")
    elif format is PlanFormat.JSON:
        output.write_json(document)
    elif format is PlanFormat.YAML:
        typer.echo(output.yaml_text(document), nl=False)
    elif format is PlanFormat.MARKDOWN:
        output.write_markdown(plan_view(made, str(spec)))
    else:
        output.write_blocks(plan_view(made, str(spec)))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A path that cannot be written is a bad option."""
    try:
        yield
    except OSError as error:
        raise BadInput.one(str(error.filename or path), f"cannot be written: {error.strerror}") from None


@app.command()
def explain(
    spec: SpecArgument,
    agent: Annotated[str | None, typer.Argument(help="Agent to explain; all of them when left out.")] = None,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Walk through each number: formula, inputs, result, source; then the runners-up and the rejected."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.review import explain as explaining

    made, loaded, facts = _plan(spec, catalog)
    if format is Format.JSON:
        steps = explaining.explain(made, loaded, facts, agent)
        output.write_json([step.model_dump(mode="json", by_alias=True) for step in steps])
    else:
        output.write_blocks(explaining.explain_view(made, loaded, facts, agent))


@app.command()
def render(
    spec: SpecArgument,
    directory: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write; files in it that are ours are kept up to date.")
    ],
    catalog: OverlayOption = None,
    validate: Annotated[
        bool,
        typer.Option(
            "--validate",
            help="Check the built-in kinds against the Kubernetes schemas; of virtual machines' files, the structure.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files in the folder that are not ours or were edited.")
    ] = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Write the plan's files: a Kustomize tree of manifests, what virtual machines run, or SkyServe's services."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.rendering.helm_values import helm_values
    from agentgpu_iac.rendering.next_step import next_step
    from agentgpu_iac.rendering.render import render as render_plan
    from agentgpu_iac.rendering.write import write

    made, _, _ = _plan(spec, catalog)
    files = render_plan(made)
    if validate:
        from agentgpu_iac.rendering.validate import validation

        checked = validation(files, made.node_pools[0].kubernetes_version)
        if checked.faults:
            raise BadInput(checked.faults)
        for unchecked in checked.not_checked:
            typer.echo(f"no schema to check against: {unchecked}", err=True)
    with _writing(directory):
        report = write((*files, *helm_values(made)), directory, force=force)
    if format is Format.JSON:
        output.write_json(
            {
                "directory": str(directory),
                "written": report.written,
                "unchanged": report.unchanged,
                "deleted": report.deleted,
            }
        )
    else:
        typer.echo(
            f"{directory}: {report.written} written, {report.unchanged} unchanged, {report.deleted} deleted. "
            f"Next: {next_step(made, files, str(directory))}"
        )


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="Agent stack, or a plan printed as JSON or YAML.")],
    after: Annotated[Path, typer.Argument(help="Agent stack, or a plan printed as JSON or YAML.")],
    catalog: OverlayOption = None,
    format: Annotated[
        PlanFormat, typer.Option("--format", "-f", help="How to print the difference.")
    ] = PlanFormat.TABLE,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when the plans differ.")] = False,
) -> None:
    """Compare two stacks or plans: what it costs before what it touches."""
    from agentgpu_iac.cli import output
    from agentgpu_iac.review.diff import diff as compare
    from agentgpu_iac.review.diff import diff_view

    found = compare(_plan_or_spec(before, catalog), _plan_or_spec(after, catalog))
    document = found.model_dump(mode="json", by_alias=True)
    if format is PlanFormat.JSON:
        output.write_json(document)
    elif format is PlanFormat.YAML:
        typer.echo(output.yaml_text(document), nl=False)
    elif format is PlanFormat.MARKDOWN:
        output.write_markdown(diff_view(found))
    else:
        output.write_blocks(diff_view(found))
    if exit_code and not found.is_empty:
        raise typer.Exit(EXIT_NO)


class StatusFormat(StrEnum):
    """How a status is printed."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


@app.command()
def status(
    spec: SpecArgument,
    catalog: OverlayOption = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig of the cluster; $KUBECONFIG or ~/.kube/config when left out.")
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="Context of the kubeconfig; its current one when left out.")
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(
            help="Overlay that was applied, karpenter or node-groups; karpenter where the stack has it when left out."
        ),
    ] = None,
    format: Annotated[
        StatusFormat, typer.Option("--format", "-f", help="How to print the answer.")
    ] = StatusFormat.TABLE,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show the progress of each workload until all is as planned, then answer.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="How long --wait waits: 90s, 30m, 1h30m.")] = "30m",
) -> None:
    """Compare a cluster with the plan: what is missing, changed, unhealthy or pending, and why. Only reads.

    Exit code 0: in line with the plan. 1: not in line, or still not when --wait ended. 2: bad input.
    3: the cluster does not answer, or does not let us read what is planned.
    """
    from agentgpu_iac.cli import output
    from agentgpu_iac.operations.cluster import connect
    from agentgpu_iac.operations.planned import planned_objects
    from agentgpu_iac.operations.status_view import status_view
    from agentgpu_iac.operations.waiting import duration_s, reader
    from agentgpu_iac.operations.waiting import wait as wait_until_serving
    from agentgpu_iac.rendering.render import render as render_plan

    timeout_s = duration_s(timeout)
    made, _, _ = _plan(spec, catalog)
    wanted = planned_objects(render_plan(made), overlay)
    read = reader(connect(kubeconfig, context), made, wanted)
    if wait:
        with output.progress() as show:
            found = wait_until_serving(read, show, timeout_s=timeout_s)
    else:
        found = read()
    if format is StatusFormat.JSON:
        output.write_json(found.model_dump(mode="json", by_alias=True))
    elif format is StatusFormat.MARKDOWN:
        output.write_markdown(status_view(found))
    else:
        output.write_blocks(status_view(found))
    if not found.is_complete:
        raise typer.Exit(EXIT_OUTSIDE)
    if not found.in_line:
        raise typer.Exit(EXIT_NO)


def _plan_or_spec(path: Path, overlay: Path | None) -> Plan:
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.plan.reading import read_plan
    from agentgpu_iac.planning.planner import make_plan
    from agentgpu_iac.spec.loader import load, load_text

    try:
        text = path.read_text(encoding="utf-8")  # once: the path may be a pipe
    except (OSError, UnicodeDecodeError):
        text = ""
    stored = read_plan(text, str(path))
    if stored is not None:
        return stored
    loaded = load_text(text, str(path)) if text else load(path)
    return make_plan(loaded, load_catalog(overlay, base_directory=path.parent))


@catalog_app.command("list")
def catalog_list(
    kind: Annotated[CatalogKind, typer.Argument(help="What to list.")] = CatalogKind.ACCELERATORS,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """List accelerators, models, offerings, engines, providers, or what is excluded and why."""
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.cli import output
    from agentgpu_iac.review.catalog_view import listing

    found = listing(load_catalog(catalog), kind.value)
    if format is Format.JSON:
        output.write_json(found.rows)
    else:
        output.write_blocks((found.table,))


@catalog_app.command("show")
def catalog_show(
    name: Annotated[str, typer.Argument(help="Accelerator, model, instance type or provider.")],
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Show one row with its sources."""
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.cli import output
    from agentgpu_iac.review.catalog_view import entry, entry_view

    found = entry(load_catalog(catalog, base_directory=Path.cwd()), name)
    if format is Format.JSON:
        output.write_json(found)
    else:
        output.write_blocks(entry_view(found))


class LiveProvider(StrEnum):
    """Providers whose prices can be asked for."""

    SPHERON = "spheron"


@catalog_app.command("update")
def catalog_update(
    provider: Annotated[LiveProvider, typer.Option(help="Provider to ask.")],
    output_file: Annotated[
        Path,
        typer.Option("--output", "-o", help="Catalog overlay to write; an earlier one of this command is replaced."),
    ],
    url: Annotated[
        str | None, typer.Option(help="Address of the provider's API, where it is not the usual one.")
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Ask a provider for its prices of today, and write them as a catalog overlay for --catalog.

    Exit code 0: written. 2: the file is someone else's. 3: the provider does not answer, or sells nothing of use; nothing is
    written then.
    """
    from agentgpu_iac.cli import output, update

    made = update.ask(provider.value, url)
    with _writing(output_file):
        update.write(made, output_file)
    if format is Format.JSON:
        output.write_json(update.summary(made, output_file))
    else:
        output.write_blocks(update.view(made, output_file))


@app.command()
def schema(
    format: Annotated[
        SchemaFormat, typer.Option("--format", "-f", help="json: a JSON Schema. markdown: every field as a page.")
    ] = SchemaFormat.JSON,
) -> None:
    """Print the JSON Schema of an agent stack, or its fields as a page."""
    from agentgpu_iac.spec.reference import reference_text
    from agentgpu_iac.spec.schema import schema_text

    typer.echo(schema_text() if format is SchemaFormat.JSON else reference_text(), nl=False)


ModelOption = Annotated[str | None, typer.Option(help="Hugging Face id, or the path of a config.json.")]
AcceleratorOption = Annotated[str | None, typer.Option(help="Accelerator id.")]
FromOption = Annotated[
    Path | None,
    typer.Option("--from", help="JSON Lines: one object a line, keys are the long options; '-' is standard input."),
]
TensorOption = Annotated[int | None, typer.Option(help="Tensor-parallel size.")]
PipelineOption = Annotated[int | None, typer.Option(help="Pipeline-parallel size.")]
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


@app.command()
def size(
    model: ModelOption = None,
    accelerator: AcceleratorOption = None,
    count: Annotated[int | None, typer.Option(help="Accelerators of the replica.")] = None,
    tp: TensorOption = None,
    pp: PipelineOption = None,
    max_model_len: LengthOption = None,
    gpu_memory_utilization: UtilizationOption = None,
    precision: PrecisionOption = None,
    kv_cache_dtype: CacheOption = None,
    engine: EngineOption = None,
    engine_version: VersionOption = None,
    max_num_batched_tokens: BatchOption = None,
    max_num_seqs: SequencesOption = None,
    enforce_eager: EagerOption = None,
    dtype: Annotated[
        str | None, typer.Option(help="The engine's number format; float32 doubles 16-bit figures.")
    ] = None,
    speculative_layers: Annotated[int | None, typer.Option(help="Layers of a draft head (EAGLE, MTP).")] = None,
    speculative_tokens: Annotated[int | None, typer.Option(help="Tokens that a draft proposes in each step.")] = None,
    draft: Annotated[str | None, typer.Option(help="Draft model of its own: its Hugging Face id.")] = None,
    lora_slots: Annotated[int | None, typer.Option(help="LoRA adapters held at once.")] = None,
    lora_rank: Annotated[int | None, typer.Option(help="Rank that a LoRA slot is made for.")] = None,
    from_file: FromOption = None,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Predict what the engine prints about its memory at start."""
    from agentgpu_iac.calculators import calculator

    options = {
        "model": model,
        "accelerator": accelerator,
        "count": count,
        "tp": tp,
        "pp": pp,
        "max-model-len": max_model_len,
        "gpu-memory-utilization": gpu_memory_utilization,
        "precision": precision,
        "kv-cache-dtype": kv_cache_dtype,
        "engine": engine,
        "engine-version": engine_version,
        "max-num-batched-tokens": max_num_batched_tokens,
        "max-num-seqs": max_num_seqs,
        "enforce-eager": enforce_eager,
        "dtype": dtype,
        "speculative-layers": speculative_layers,
        "speculative-tokens": speculative_tokens,
        "draft": draft,
        "lora-slots": lora_slots,
        "lora-rank": lora_rank,
    }
    _calculate(calculator.SIZE, options, from_file, catalog, format)


@app.command()
def predict(
    model: ModelOption = None,
    accelerator: AcceleratorOption = None,
    input_tokens: Annotated[int | None, typer.Option(help="Prompt tokens of a request.")] = None,
    output_tokens: Annotated[int | None, typer.Option(help="Generated tokens of a request.")] = None,
    concurrency: Annotated[
        float | None, typer.Option(help="Requests at once in each attention group (closed loop).")
    ] = None,
    request_rate: Annotated[float | None, typer.Option(help="Requests/s arriving (open loop).")] = None,
    prefix_hit_ratio: Annotated[float | None, typer.Option(help="Share of the prompt in the prefix cache.")] = None,
    tp: TensorOption = None,
    pp: PipelineOption = None,
    ep: Annotated[int | None, typer.Option(help="Expert-parallel size.")] = None,
    attention_dp: Annotated[int | None, typer.Option(help="Data-parallel attention groups.")] = None,
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
    from_file: FromOption = None,
    catalog: OverlayOption = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Predict TTFT, TPOT and tokens/s of one replica at a load."""
    from agentgpu_iac.calculators import calculator

    options = {
        "model": model,
        "accelerator": accelerator,
        "input-tokens": input_tokens,
        "output-tokens": output_tokens,
        "concurrency": concurrency,
        "request-rate": request_rate,
        "prefix-hit-ratio": prefix_hit_ratio,
        "tp": tp,
        "pp": pp,
        "ep": ep,
        "attention-dp": attention_dp,
        "accepted-tokens": accepted_tokens,
        "max-model-len": max_model_len,
        "gpu-memory-utilization": gpu_memory_utilization,
        "precision": precision,
        "kv-cache-dtype": kv_cache_dtype,
        "engine": engine,
        "engine-version": engine_version,
        "max-num-batched-tokens": max_num_batched_tokens,
        "max-num-seqs": max_num_seqs,
        "enforce-eager": enforce_eager,
    }
    _calculate(calculator.PREDICT, options, from_file, catalog, format)


def _calculate(
    calculator: Any, options: dict[str, Any], from_file: Path | None, overlay: Path | None, format: Format
) -> None:
    from agentgpu_iac.catalog.store import load_catalog
    from agentgpu_iac.cli import output
    from agentgpu_iac.review.answer_view import answer_view

    facts = load_catalog(overlay, base_directory=Path.cwd())
    given = {key: value for key, value in options.items() if value is not None}
    if from_file is not None:
        if given:
            raise BadInput.one("--from", f"takes no other options of the question; --{next(iter(given))} is given too")
        faulty = False
        for answer in calculator.answer_lines(_lines(from_file), facts):
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


def _lines(path: Path) -> list[str]:
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return content.decode("utf-8-sig").split("\n")
    except OSError as error:
        raise BadInput.one(str(path), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadInput.one(str(path), f"is not UTF-8 text: {error}") from None


@app.command()
def calibrate(
    file: Annotated[Path, typer.Argument(help="vLLM start-up log, or the JSON result of vllm bench serve.")],
    accelerator: Annotated[str, typer.Option(help="Accelerator id that the run was on.")],
    model: Annotated[str | None, typer.Option(help="Model, where the file does not name it.")] = None,
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

    options = {
        "accelerator": accelerator,
        "model": model,
        "precision": precision,
        "tp": tp,
        "pp": pp,
        "engine-version": engine_version,
        "concurrency": concurrency,
    }
    given = {key: value for key, value in options.items() if value is not None}
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput.one(str(file), f"cannot be read: {error.strerror}") from None
    report = hold_against(text, str(file), given, load_catalog(catalog, base_directory=Path.cwd()))
    if format is Format.JSON:
        output.write_json(
            {
                "compared": [
                    {"name": one.name, "unit": one.unit, "predicted": one.predicted, "measured": one.measured}
                    for one in report.compared
                ],
                "calibration": report.calibration.model_dump(mode="json", by_alias=True, exclude_none=True),
                "warnings": report.warnings,
            }
        )
    else:
        output.write_blocks(measured_view(report))
    if output_file is not None:
        with _writing(output_file), output_file.open("x", encoding="utf-8") as overlay:
            overlay.write(overlay_text(report))
