"""What is said about a cluster that is not as planned."""

from __future__ import annotations

from typing import Literal

from agentgpu_iac.spec.document import Document

FindingKind = Literal["missing", "changed", "foreign", "orphan", "not-installed", "unhealthy", "pending", "forbidden"]

KIND_ORDER: tuple[FindingKind, ...] = (
    "forbidden",
    "foreign",
    "not-installed",
    "missing",
    "changed",
    "pending",
    "unhealthy",
    "orphan",
)
"""What explains other findings stands before them."""


PERMANENT: frozenset[FindingKind] = frozenset({"foreign", "orphan", "not-installed"})
"""What time alone does not mend."""


class Finding(Document):
    """One thing that is not as planned, and what to do about it."""

    kind: FindingKind
    object: str
    """Kind, namespace and name."""
    reason: str | None
    """One word for programs: quota, capacity, taint, selector, volume, image, weights, crash-loop ..."""
    pods: tuple[str, ...]
    """Pods that the finding is about."""
    path: str | None
    """Field that differs."""
    planned: str | None
    live: str | None
    message: str
    detail: str | None
    """What the cluster says, in its own words."""
    hint: str
    """What to do."""


def readable(text: str) -> str:
    """Text from the cluster without terminal control sequences: containers can write anything into it."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text)


def finding(  # noqa: PLR0913 - one word for each field that is not always there
    kind: FindingKind,
    subject: object,
    message: str,
    hint: str,
    *,
    reason: str | None = None,
    pods: tuple[str, ...] = (),
    detail: str | None = None,
    path: str | None = None,
    planned: str | None = None,
    live: str | None = None,
) -> Finding:
    """A finding; arguments left out do not apply."""
    return Finding(
        kind=kind,
        object=str(subject),
        reason=reason,
        pods=pods,
        path=path,
        planned=planned,
        live=None if live is None else readable(live),
        message=readable(message),
        detail=None if detail is None else readable(detail),
        hint=hint,
    )
