"""Whether agents answer once Pulumi has made them: each is asked once, from here or by the cluster's own probes.

A new machine reads weights for minutes, so "not yet" is no failure: what is waited for is told as ``status`` tells it.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from agentgpu_iac.clusters.port import connect
from agentgpu_iac.operations.planned import planned_objects
from agentgpu_iac.operations.report import Report
from agentgpu_iac.operations.waiting import reader
from agentgpu_iac.plan import Plan
from agentgpu_iac.rendering.render import render
from agentgpu_iac.review.blocks import Block, Heading, Paragraph, Table
from agentgpu_iac.units import counted

PATIENCE_S: Final = 10.0
"""How long all agents together may take to answer; one that serves says which models it has in milliseconds."""
_INSIDE: Final = (".svc", ".svc.cluster.local")
_KEY_WANTED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of asking an agent at an address."""

    agent: str
    url: str
    answers: bool | None
    """None: it could not be asked."""
    says: str

    @property
    def is_inside(self) -> bool:
        """Whether its address is known in its cluster alone."""
        return (urlsplit(self.url).hostname or "").endswith(_INSIDE)


def addresses(outputs: Mapping[str, object]) -> tuple[Asked, ...]:
    """The agents that a stack's output ``agentUrls`` names, nobody asked yet; what is no address of HTTP is left out."""
    named = outputs.get("agentUrls")
    return tuple(
        Asked(agent=str(agent), url=url, answers=None, says="known in its cluster alone")
        for agent, given in (named.items() if isinstance(named, Mapping) else ())
        for url in ([given] if isinstance(given, str) else given if isinstance(given, list) else [])
        if isinstance(url, str) and urlsplit(url).scheme in ("http", "https")
    )


def ask(
    agents: Sequence[Asked], *, certificate: str | None = None, server_name: str = "", patience_s: float = PATIENCE_S
) -> tuple[Asked, ...]:
    """Ask each for its models, all at once; those whose address is known inside a cluster alone stay unasked.

    ``certificate`` is the one that machines of ours show, for ``server_name``; without one the usual authorities count.
    """
    found: dict[int, Asked] = {}
    try:
        trusting = ssl.create_default_context(cadata=certificate)
    except (ssl.SSLError, ValueError) as error:
        return tuple(agent if agent.is_inside else replace(agent, says=f"its certificate: {error}") for agent in agents)

    def answered(number: int, agent: Asked) -> None:
        found[number] = _answer(agent, trusting, server_name if certificate else None, patience_s)

    threads = [
        threading.Thread(target=answered, args=(number, agent), daemon=True)  # a name server may hang for longer
        for number, agent in enumerate(agents)
        if not agent.is_inside
    ]
    until = time.monotonic() + patience_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = f"no answer within {patience_s:.0f} s"
    return tuple(
        agent if agent.is_inside else found.get(number, replace(agent, says=late))
        for number, agent in enumerate(agents)
    )


def _answer(agent: Asked, trusting: ssl.SSLContext, server_name: str | None, patience_s: float) -> Asked:
    name = {"sni_hostname": server_name} if server_name else {}
    headers = {"Host": server_name} if server_name else {}
    try:
        with (
            httpx.Client(verify=trusting, timeout=patience_s, trust_env=False) as client,
            client.stream("GET", f"{agent.url.rstrip('/')}/models", headers=headers, extensions=name) as answer,
        ):
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        listens = "refused" in reason.lower()
        return replace(agent, answers=False if listens else None, says=f"not reached from here: {reason}")
    if status < HTTPStatus.BAD_REQUEST:
        return replace(agent, answers=True, says="answers")
    if status in _KEY_WANTED:
        return replace(agent, answers=True, says="answers, and wants a key")
    return replace(agent, answers=False, says=f"answers {status}{_phrase(status)}")


def _phrase(status: int) -> str:
    return f" {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else ""


def look(plan: Plan, kubeconfig: Path | None, context: str | None, overlay: str | None) -> Report:
    """The cluster beside the plan, as ``status`` reads it.

    Raises:
        AgentGpuError: it is not to be read.
    """
    wanted = planned_objects(render(plan), overlay)
    return reader(connect(kubeconfig, context, what="looking at the cluster"), plan, wanted)()


def probed(agents: Sequence[Asked], report: Report) -> tuple[Asked, ...]:
    """Those that cannot be asked from here, by what the probes of their replicas say."""
    return tuple(_probed(agent, report) if agent.is_inside else agent for agent in agents)


def _probed(agent: Asked, report: Report) -> Asked:
    serving = [each for each in report.workloads if agent.agent in each.agents]
    if not serving:
        return agent
    ready, wanted = sum(each.ready for each in serving), sum(each.wanted for each in serving)
    waiting = next((each.waiting_for for each in serving if each.waiting_for), None)
    why = f": {waiting}" if waiting and not ready else ""
    passing = "passes its" if wanted == 1 else "pass their"
    return replace(agent, answers=ready > 0, says=f"{ready} of {counted(wanted, 'replica')} {passing} probes{why}")


_WORDS: Final[Mapping[bool | None, str]] = {True: "yes", False: "not yet", None: "not asked"}


def answers_blocks(agents: Sequence[Asked], follow: str) -> Iterator[Block]:
    """Which agents answer; ``follow`` is the command that goes on looking."""
    if not agents:
        return
    yield Heading(text="Agents")
    yield Table(
        columns=("agent", "answers", "what was seen", "address"),
        rows=tuple((each.agent, _WORDS[each.answers], each.says, each.url) for each in agents),
        exact=frozenset({3}),
    )
    if any(each.answers is False for each in agents):
        yield Paragraph(text=f"A new node reads its weights for minutes. {follow}")
