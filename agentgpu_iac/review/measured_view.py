"""A measured run beside its prediction, and the overlay that makes the planner use it."""

from __future__ import annotations

import json

from agentgpu_iac.calculators.measured_runs import CalibrationReport
from agentgpu_iac.review.blocks import Block, Listing, Paragraph, Table

_OVERLAY = """\
apiVersion: agentgpu.dev/v1alpha1
kind: CatalogOverlay
calibrations:
"""


def measured_view(report: CalibrationReport) -> tuple[Block, ...]:
    """Predicted against measured, figure by figure."""
    rows = tuple(
        (
            figures.name,
            f"{figures.predicted:,.2f}",
            f"{figures.measured:,.2f}",
            figures.unit,
            f"{figures.error_ratio:+.1%}",
        )
        for figures in report.compared
    )
    table = Table(columns=("figure", "predicted", "measured", "unit", "error"), rows=rows, right=frozenset({1, 2, 4}))
    row = report.calibration
    said = Paragraph(text=f"Calibration of {row.accelerator} for {row.model} from {row.source}.")
    return (table, *((Listing(items=report.warnings),) if report.warnings else ()), said)


def overlay_text(report: CalibrationReport) -> str:
    """A catalog overlay with the calibration row, for ``--catalog``. JSON strings are YAML strings, safely quoted."""
    fields = report.calibration.model_dump(mode="json", by_alias=True, exclude_none=True)
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    return _OVERLAY + "".join(f"  {'- ' if number == 0 else '  '}{line}\n" for number, line in enumerate(lines))
