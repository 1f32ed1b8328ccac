"""Gates: which repositories a model hub gives only to accounts that accepted a licence."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import ReadOn, Sources
from agentgpu_iac.spec.document import Document

EVERY = "/*"


class Gate(Document):
    """Whether some repositories of Hugging Face are gated, as one source says it."""

    repositories: Annotated[tuple[str, ...], Field(min_length=1)]
    """Ids, in any case; ``publisher/*`` for all of a publisher that no row names by themselves."""
    gated: bool
    """The download needs an account that accepted the licence, and its token; false: nobody is asked for one."""
    date: ReadOn
    """When the sources were read. Publishers open and close gates."""
    sources: Sources
    """Who says so."""
    note: str | None = None
    """What a reader should know about it."""

    def exactness(self, repository: str) -> int:
        """How well the row fits a repository: 2 by name, 1 by publisher, 0 not at all."""
        wanted = repository.casefold()
        names = {name.casefold() for name in self.repositories}
        return 2 if wanted in names else 1 if wanted.partition("/")[0] + EVERY in names else 0
