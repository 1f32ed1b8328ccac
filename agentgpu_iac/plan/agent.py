"""One agent: how it is served, whether by a deployment of its own or by one that serves others too."""

from __future__ import annotations

from agentgpu_iac.plan.open_hours import WorkPlan
from agentgpu_iac.spec.document import Document, Money
from agentgpu_iac.spec.model import Conversation, FanOut, Traffic
from agentgpu_iac.spec.vocabulary import LatencyClass


class TalkPlan(Document):
    """How an agent's sessions ask, as it was sized for: the spec's, with what the model's thinking adds."""

    conversation: Conversation
    """Turns, tokens, pauses and tools of a session."""
    traffic: Traffic
    """Volume over the day, and how suddenly it comes."""
    fan_out: tuple[FanOut, ...] = ()
    """Sub-agents that it starts in its turns."""


class AgentPlan(Document):
    """What the plan says of one agent, whoever else its deployment serves."""

    name: str
    """Agent of the spec."""
    deployment: str
    """Deployment that serves it: the ``agent`` of its workloads. Its own name where it has one for itself."""
    role: str | None
    """As in the spec."""
    latency_class: LatencyClass
    """As in the spec."""
    user_facing: bool
    """The class is not ``background``."""
    served_model_name: str
    """Model name under which requests ask for it."""
    adapters: tuple[str, ...] = ()
    """Model names under which requests ask for its LoRA adapters."""
    sessions_concurrent: int
    """Its sessions at normal load."""
    sessions_peak: int
    """Its sessions at the peak."""
    context_tokens: int
    """Context of one of its sessions for which memory is reserved."""
    requests_per_session: float
    """Requests to the engine in one of its conversations."""
    budget_ttft_ms: float | None
    """Its TTFT budget; the strictest of its deployment holds for all."""
    budget_tpot_ms: float | None
    """Its TPOT budget."""
    budget_e2e_ms: float | None
    """Its budget for a complete answer."""
    ttft_at_percentile_ms: float | None
    """Planned TTFT of its longest prompt, at the percentile of ``latency`` and with its whole deployment's load."""
    tpot_at_percentile_ms: float | None
    """Planned TPOT, likewise."""
    e2e_ms: float | None
    """Planned time of its complete answer."""
    work: WorkPlan | None = None
    """What it has to do in each window; null: it has no work with a deadline."""
    fallback: str | None
    """Agent that callers should turn to when this one cannot answer."""
    talk: TalkPlan | None = None
    """How its sessions ask, by which it is simulated; null where it holds none, and in plans of before."""
    load_ratio: float
    """Its part of its deployment's load: of the KV cache that all sessions of the peak hold, or of the requests where nobody
    holds any."""


class SharingPlan(Document):
    """Agents of one model, and whether they have their replicas in common."""

    model: str
    """The model."""
    agents: tuple[str, ...]
    """Those whose engine would be started alike, or one of each kind where ``differIn`` says what keeps them apart."""
    deployments: tuple[str, ...]
    """What was chosen for them."""
    differ_in: tuple[str, ...] = ()
    """Fields of the spec in which these agents of one model differ, so that no deployment could serve them together: one agent
    of each kind. Empty: their engine would be started alike."""
    together_usd_per_month: Money | None
    """All of them on one deployment, on nodes of its own; null: they differ, nothing on offer serves them together, or two
    must be apart."""
    apart_usd_per_month: Money
    """Each on a deployment of its own, on nodes of its own."""
    reason: str
    """One sentence: why so."""
