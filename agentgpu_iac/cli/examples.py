"""Examples at the end of each help text: what stands behind the command's name. A test reads each as the command would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "init": ("", "desk.yaml --name desk --model Qwen/Qwen3-8B", "--compose", "--gitops", "--pulumi agents"),
    "validate": ("", "desk.yaml --json", "- < desk.yaml"),
    "plan": ("", "desk.yaml --all", "desk.yaml -o plan.json", "- --json < desk.yaml"),
    "explain": ("", "desk.yaml support", "desk.yaml support ttftMs", "desk.yaml warnings", "plan.json --all"),
    "report": ("desk.yaml -o desk.html", "plan.json -o desk.html"),
    "render": ("desk.yaml -o build/desk", "plan.json -o build/desk --yes", "desk.yaml --check build/desk"),
    "diff": (
        "before.yaml after.yaml",
        "before.yaml after.yaml support",
        "plan.json desk.yaml --exit-code",
        "main:desk.yaml desk.yaml -f markdown",
    ),
    "check": ("desk.yaml", "desk.yaml -p policies.yaml --against main:desk.yaml", "plan.json --json"),
    "publish": ("", "--no-push", "--refresh --json"),
    "comment": ("12 --text comment.md --project acme/stacks",),
    "levers": ("", "desk.yaml --agent support --json"),
    "frontier": ("--over ttftMs", "desk.yaml --over peak --values 50,100,200 --plot peak.svg"),
    "simulate": ("", "plan.json --traffic flash --seed 7", "desk.yaml --traffic trace.csv --request-rate 20 --json"),
    "endpoints": ("", "desk.yaml -f env --address 10.0.0.5"),
    "pin": ("--dry-run", "desk.yaml"),
    "preview": ("", "plan.json", "desk.yaml --stack production --json"),
    "up": ("", "plan.json --yes", "--project infra --stack production"),
    "destroy": ("--stack trial --yes",),
    "status": ("", "plan.json --context production --wait --timeout 30m"),
    "scale": ("", "--stack burst --dry-run", "--project infra --plan plan.json --json"),
    "schema": ("> agentstack.schema.json", "plan", "levers", "stack -f markdown"),
    "size": ("--model Qwen/Qwen3-14B --accelerator l40s", "--from questions.jsonl"),
    "predict": (
        "--model Qwen/Qwen3-14B --accelerator l40s --input-tokens 600 --output-tokens 150 --concurrency 20",
        "--from - < questions.jsonl",
    ),
    "calibrate": ("bench.json --accelerator l40s -o mine.yaml",),
    "catalog list": ("", "models", "offerings --json"),
    "catalog show": ("l40s", "Qwen/Qwen3-14B", "g6e.xlarge --json"),
    "pulumi eject": ("desk.yaml -o agents", "plan.json -o agents --stack production"),
    "pulumi import": ("preview.json -o import.json", "preview.json --id desk-system=desk:handmade"),
    "pulumi policies": ("", "-o platform/policies"),
    "catalog update": ("--provider aws -o prices.yaml", "--provider spheron -o spheron.yaml"),
}
"""By the words of the command."""
