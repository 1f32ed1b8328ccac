"""A saved plan against the plan of the same stack now: what a newer catalog or another version of the tool would change."""

from __future__ import annotations

from agentgpu_iac.plan import Plan, Provenance
from agentgpu_iac.review.blocks import Block, Paragraph
from agentgpu_iac.review.change_page import diff_page
from agentgpu_iac.review.diff import PlanDiff, diff
from agentgpu_iac.spec.document import Document


class Since(Document):
    """What has changed since a plan was saved."""

    saved: Provenance
    """What the saved plan was made from."""
    now: Provenance
    """What it would be made from now."""
    difference: PlanDiff

    @property
    def is_empty(self) -> bool:
        """Planning again gives the saved plan: nothing else is bought or made, and nothing else is warned of."""
        return self.difference.is_empty and not (self.difference.new_warnings or self.difference.gone_warnings)


def since(saved: Plan, now: Plan) -> Since:
    """Hold a saved plan against the plan of the same stack now."""
    return Since(saved=saved.provenance, now=now.provenance, difference=diff(saved, now))


def locked_view(found: Since, saved: str, spec: str) -> tuple[Block, ...]:
    """What changed for which reason, and then a page of what that changes."""
    return (Paragraph(text=_reason(found)), *diff_page(found.difference, saved, spec))


def _reason(found: Since) -> str:
    parts = (
        ("spec", found.saved.spec_sha256[:12], found.now.spec_sha256[:12]),
        ("catalog", found.saved.catalog_version, found.now.catalog_version),
        ("agentgpu", found.saved.tool_version, found.now.tool_version),
    )
    changed = [f"{name} {before} -> {after}" for name, before, after in parts if before != after]
    return f"Since the plan was saved: {', '.join(changed) or 'the same spec, catalog and agentgpu'}."
