"""The command lines that are tried: each command in each format, and its usual refusals.

Words in braces are files and addresses that the test lays out: ``world``.
"""

from __future__ import annotations

from dataclasses import dataclass

CUSTOMER_SERVICE = "{stacks}/customer-service.yaml"
FIVE = "{stacks}/examples/five-agents.yaml"
"""Its agents share machines, so that the solver runs. Planned once: it takes ten times as long as the small stack."""
SMALL = "{small}"
"""One agent: for all forms of an answer whose content is tried elsewhere."""

KUBECONFIG = "--kubeconfig {kubeconfig}"
MODEL = "--model Qwen/Qwen3-14B --accelerator h100-pcie"
LOAD = "--input-tokens 600 --output-tokens 50 --concurrency 50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A command line, and what must come of it."""

    line: str
    form: str = "text"
    """Of standard output: json, lines (of JSON), yaml, text, or nothing at all."""
    code: int = 0
    extra: str | None = None
    """Without this extra it says what to install."""
    says: str = ""
    """What standard error must hold; it is empty where this is."""
    stdin: str = ""

    @property
    def command(self) -> str:
        """The command, with its group."""
        words = self.line.split()
        return " ".join(words[:2] if words[0] in {"catalog", "pulumi"} else words[:1])

    @property
    def format(self) -> str | None:
        """What --format says."""
        words = self.line.split()
        return words[words.index("-f") + 1] if "-f" in words else None


def _formats(
    line: str, *formats: str, code: int = 0, extra: str | None = None, says: str = "", form: str = ""
) -> tuple[Case, ...]:
    forms = {"json": "json", "yaml": "yaml", "html": "html"}
    return tuple(
        Case(line=f"{line} -f {each}", form=form or forms.get(each, "text"), code=code, extra=extra, says=says)
        for each in formats
    )


_ALL = ("table", "json", "yaml", "markdown")
_BOTH = ("table", "json")

CASES = (
    Case(line="--version"),
    Case(line="--help"),
    Case(line="--show-completion bash"),
    Case(line="init {new}"),
    Case(line="init {faulty}", form="nothing", code=2, says="exists already"),
    Case(line="init --pulumi {folder}/repository --target kubernetes"),
    Case(line=f"pulumi eject {CUSTOMER_SERVICE} -o {{folder}}/ejected --stack live"),
    Case(line="pulumi import {faulty}", form="nothing", code=2, says="faulty.yaml"),
    Case(line="pulumi policies -o {folder}/policies"),
    *_formats(f"validate {SMALL}", *_BOTH),
    Case(line="validate {faulty} -f table", form="nothing", code=2, says="faulty.yaml:"),
    *_formats("validate {faulty}", "json", code=2, says="faulty.yaml:"),
    Case(line="validate {deep}", form="nothing", code=2, says="nested more than 32 levels deep"),
    *_formats(f"plan {FIVE}", "json"),
    *_formats(f"plan {SMALL}", *_ALL),
    *_formats(f"plan {CUSTOMER_SERVICE}", "json"),
    *_formats(f"plan {CUSTOMER_SERVICE}", "html", extra="report"),
    *_formats("plan {too_large}", "json", "yaml", code=1, says="fits nothing on offer"),
    *_formats("plan {too_large}", "html", code=1, extra="report", says="fits nothing on offer", form="nothing"),
    Case(line=f"report {CUSTOMER_SERVICE}", form="html", extra="report"),
    Case(line=f"report {CUSTOMER_SERVICE} -o {{folder}}/report.html", form="nothing", extra="report"),
    Case(line="report {faulty} -o {folder}/report.html", form="nothing", code=2, extra="report", says="faulty.yaml:"),
    Case(line=f"plan {SMALL} -f json -o {{folder}}/plan.json", form="nothing"),
    *_formats(f"explain {SMALL}", *_BOTH),
    *_formats(f"render {CUSTOMER_SERVICE} -o {{folder}}/tree", *_BOTH),
    *_formats("render {stacks}/examples/orchestrator.yaml -o {folder}/tree", "json"),
    *_formats("render {stacks}/examples/one-machine.yaml -o {folder}/tree", "json"),
    *_formats("render {stacks}/examples/qa.yaml -o {folder}/tree", "json"),
    *_formats("render {sky} -o {folder}/tree", "json"),
    *_formats(
        f"render {CUSTOMER_SERVICE} -o {{folder}}/tree --validate", "json", extra="validate", says="no schema to check"
    ),
    *_formats(f"levers {SMALL}", *_BOTH),
    *_formats(f"simulate {CUSTOMER_SERVICE} --hours 0.05", *_BOTH),
    *_formats(f"simulate {CUSTOMER_SERVICE} --hours 0.05", "html", extra="report"),
    *_formats(f"frontier {SMALL} --over percentile --values 90,95", *_BOTH),
    *_formats(f"diff {CUSTOMER_SERVICE} {SMALL}", *_ALL),
    *_formats(f"diff {CUSTOMER_SERVICE} {SMALL} --exit-code", "json", code=1),
    *_formats(f"endpoints {SMALL}", "env", "json", "langgraph"),
    Case(
        line=f"pin {CUSTOMER_SERVICE} --dry-run --hub {{marketplace}}/none --registry docker.io={{marketplace}}/none",
        form="nothing", code=3, says="nothing was pinned",
    ),
    *_formats(f"status {CUSTOMER_SERVICE} {KUBECONFIG}", "table", "json", "markdown", code=1, extra="cluster"),
    Case(
        line=f"status {CUSTOMER_SERVICE} --kubeconfig {{folder}}/none",
        form="nothing", code=2, extra="cluster", says="there is no such file",
    ),
    *_formats("preview --project {folder}", *_BOTH, code=2, form="nothing", extra="pulumi", says="holds no Pulumi.yaml"),
    *_formats("up --yes --project {folder}", *_BOTH, code=2, form="nothing", extra="pulumi", says="holds no Pulumi.yaml"),
    *_formats("destroy --yes --project {folder}", *_BOTH, code=2, form="nothing", extra="pulumi", says="holds no Pulumi.yaml"),
    *_formats("scale --project {folder}", *_BOTH, code=2, form="nothing", extra="pulumi", says="holds no Pulumi.yaml"),
    *_formats("catalog list accelerators", *_BOTH),
    *_formats("catalog list models", "json"),
    *_formats("catalog list offerings", "json"),
    *_formats("catalog list engines", "json"),
    *_formats("catalog list providers", "json"),
    *_formats("catalog list excluded", "json"),
    *_formats("catalog show h100-sxm", *_BOTH),
    *_formats("catalog update --provider spheron --url {marketplace} -o {folder}/prices.yaml", *_BOTH, extra="spheron"),
    Case(
        line="catalog update --provider spheron --url {marketplace}/nothing-here -o {folder}/prices.yaml",
        form="nothing", code=3, extra="spheron", says="Spheron",
    ),
    *_formats("schema", "json", "markdown"),
    *_formats(f"size {MODEL} --max-model-len 8192", *_BOTH),
    *_formats(f"predict {MODEL} {LOAD}", *_BOTH),
    Case(
        line="predict --from -", form="lines",
        stdin='{"model": "Qwen/Qwen3-14B", "accelerator": "l40s", "input-tokens": 9, "output-tokens": 9, "concurrency": 1}\n',
    ),
    *_formats("calibrate {benchmark} --accelerator l40s", *_BOTH),
    *_formats(f"check {SMALL} -p {{policies}}", "table", "json", "markdown", code=1),
    Case(line="check {faulty} -p {policies}", form="nothing", code=2, says="faulty.yaml:"),
    *_formats("publish --no-push", *_BOTH, code=2, form="nothing", says="agentgpu-publish.yaml: is not here, and no FILE"),
    Case(
        line="comment 1 --text {policies} --project acme/stacks --token-variable NO_SUCH_TOKEN",
        form="nothing", code=2, says="$NO_SUCH_TOKEN: is not set",
    ),
    Case(line="plan", form="nothing", code=2, says="agentstack.yaml: is not here, and no SPEC is given"),
    Case(line="nope", form="nothing", code=2, says="Usage: agentgpu "),
    Case(line=f"plan {CUSTOMER_SERVICE} -f xml", form="nothing", code=2, says="Usage: agentgpu plan"),
)  # fmt: skip
