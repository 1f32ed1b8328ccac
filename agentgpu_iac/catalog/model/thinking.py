"""Whether models reason before they answer, how that is switched, and how long it takes; and what engines can be told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agentgpu_iac.catalog.model.scalars import Count, Sources
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.vocabulary import Engine

Thinks = Literal["always", "by-default", "when-asked", "never"]
Word = bool | int | str
"""What the variable of a switch is set to."""


class Thinking(Document):
    """How the models of one family think: one row for all that are switched alike."""

    id: str
    """Name of the family."""
    models: tuple[str, ...]
    """Ids of its models."""
    thinks: Thinks
    """always: no switch is known. by-default: unless told not to. when-asked: only if told to. never: it has no such mode."""
    switch: Literal["chat-template", "system-prompt"] | None = None
    """chat-template: a variable of its template, which an engine may be given a value for. system-prompt: words in the
    prompt, which only callers can write. Unset: there is none."""
    variable: str | None = None
    """Name of the template's variable."""
    on: Word | None = None
    """Its value, or the words, with which the model thinks."""
    off: Word | None = None
    """The same with which it answers at once."""
    request_field: str | None = None
    """Field of a request that carries the value; unset: ``chat_template_kwargs`` does."""
    typical_tokens: Count | None = None
    """Reasoning tokens of an answer, on average over what people ask; unset for models that never think."""
    tokens_error_factor: Annotated[float, Field(ge=1)] | None = None
    """An agent's own average may be so many times less or more."""
    sources: Sources
    """Where the facts are from."""
    read: str
    """When they were read: YYYY-MM-DD."""
    note: str | None = None
    """What a reader should know about them."""

    @property
    def can_be_switched(self) -> bool:
        """Whether an engine can be told which of the two to do."""
        return self.switch == "chat-template"

    def value(self, *, on: bool) -> Word:
        """What the variable is set to, or the words of the prompt. Only where there is a switch."""
        value = self.on if on else self.off
        return "" if value is None else value

    def request(self, *, on: bool) -> dict[str, Any] | None:
        """What a request says to have it so; nothing where requests cannot."""
        if self.switch != "chat-template" or self.variable is None:
            return None
        value = self.value(on=on)
        return {self.request_field: value} if self.request_field else {"chat_template_kwargs": {self.variable: value}}


Option = Literal[
    "template-variables",
    "request-template-variables",
    "hybrid-prefix-caching",
    "hybrid-prefix-caching-by-default",
    "checkpoint-cache-modelopt",
    "checkpoint-cache-compressed-tensors",
    "checkpoint-cache-compressed-tensors-latent",
    "attention-groups",
    "group-by-request",
]


class EngineOption(Document):
    """What an engine can be told, from a version on."""

    engine: Engine
    """Which engine."""
    option: Option
    """template-variables: values for the variables of the chat template, which requests may override.
    request-template-variables: that requests may give them.
    hybrid-prefix-caching: to keep prefixes of models with recurrent layers. ...-by-default: it does so unasked.
    checkpoint-cache-...: to keep the KV cache as a checkpoint of that method asks, where nothing else is said; ...-latent:
    also for compressed attention.
    attention-groups: to run attention data parallelism whose groups share dealt-out experts, behind one port, with an
    exchange that every card of a machine can run. group-by-request: a request names its group in the header
    X-data-parallel-rank."""
    since: str
    """First release that was read with it."""
    before: str | None = None
    """The release read last without it; unset: none was read."""
    architectures: tuple[str, ...] = ()
    """Of models that it holds for; empty: all."""
    sources: Sources
    """Where the fact is from."""
    read: str
    """When it was read: YYYY-MM-DD."""
    note: str | None = None
    """What a reader should know about it."""
