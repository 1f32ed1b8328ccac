"""A Python module that gives LangGraph a chat model for each agent."""

from __future__ import annotations

from collections.abc import Sequence

from agentgpu_iac.plan.endpoints import Endpoint

_HEAD = '''"""Chat models of the agent stack {stack}: made by agentgpu endpoints, which makes it again after a change.

pip install langchain-openai. Pass one conversation's own id as the session, so that it stays with the replica that knows it.
"""

import os
from uuid import uuid4

from langchain_openai import ChatOpenAI
'''

_AGENT = '''

def {function}(session: str | None = None, **settings) -> ChatOpenAI:
    """{about}"""
    return ChatOpenAI(
        base_url=os.environ.get("{prefix}_BASE_URL", {url!r}),
        model={model!r},
        api_key={key},
        default_headers={headers},
        **settings,
    )
'''


def module(stack: str, endpoints: Sequence[Endpoint]) -> str:
    """The text of the module; addresses may be set by the variables that ``endpoints -f env`` prints."""
    return _HEAD.format(stack=stack) + "".join(_agent(endpoint) for endpoint in endpoints)


def _agent(endpoint: Endpoint) -> str:
    return _AGENT.format(
        function=endpoint.agent.replace("-", "_") + "_model",
        about=f"{endpoint.agent}: {endpoint.context_tokens:,} tokens of context at most."
        + (f" Where it refuses, ask {endpoint.fallback}." if endpoint.fallback else ""),
        prefix=endpoint.agent.upper().replace("-", "_"),
        url=endpoint.base_url,
        model=endpoint.model,
        key=f'os.environ["{endpoint.api_key_variable}"]' if endpoint.api_key_variable else '"none"',
        headers=f"{{{endpoint.session_header!r}: session or uuid4().hex}}" if endpoint.session_header else "{}",
    )
