"""A Python module that gives LangGraph a chat model for each agent."""

from __future__ import annotations

from collections.abc import Sequence

from agentgpu_iac.plan.endpoints import Endpoint
from agentgpu_iac.units import counted

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


_EMBEDDINGS = '''

def {function}(**settings) -> OpenAIEmbeddings:
    """{about}"""
    return OpenAIEmbeddings(
        base_url=os.environ.get("{prefix}_BASE_URL", {url!r}),
        model={model!r},
        api_key={key},
        check_embedding_ctx_length=False,  # else texts are sent as tokens of another model
        **settings,
    )
'''

_RANKER = '''

{name}_RERANK_URL = os.environ.get("{name}_RERANK_URL", {url!r})
"""{about}"""
'''


def module(stack: str, endpoints: Sequence[Endpoint]) -> str:
    """The text of the module; addresses may be set by the variables that ``endpoints -f env`` prints."""
    head = _HEAD.format(stack=stack)
    if any(endpoint.kind == "embedding" for endpoint in endpoints):
        head = head.replace("import ChatOpenAI\n", "import ChatOpenAI, OpenAIEmbeddings\n")
    return head + "".join(_part(endpoint) for endpoint in endpoints)


def _part(endpoint: Endpoint) -> str:
    if endpoint.kind == "embedding":
        return _embeddings(endpoint)
    return _agent(endpoint) if endpoint.kind is None else _ranker(endpoint)


def _embeddings(endpoint: Endpoint) -> str:
    return _EMBEDDINGS.format(
        function=endpoint.agent.replace("-", "_") + "_model",
        about=f"{endpoint.agent}: {counted(endpoint.context_tokens, 'token')} of one text at most.",
        prefix=endpoint.agent.upper().replace("-", "_"),
        url=endpoint.base_url,
        model=endpoint.model,
        key=_key(endpoint),
    )


def _ranker(endpoint: Endpoint) -> str:
    """LangChain has no class for it that speaks to an address of one's own: a POST does."""
    return _RANKER.format(
        name=endpoint.agent.upper().replace("-", "_"),
        url=endpoint.base_url + endpoint.routes[0],
        about=f"{endpoint.agent}: POST the model {endpoint.model}, a query and documents; "
        f"{counted(endpoint.context_tokens, 'token')} of "
        "query and document at most.",
    )


def _key(endpoint: Endpoint) -> str:
    return f'os.environ["{endpoint.api_key_variable}"]' if endpoint.api_key_variable else '"none"'


def _agent(endpoint: Endpoint) -> str:
    return _AGENT.format(
        function=endpoint.agent.replace("-", "_") + "_model",
        about=f"{endpoint.agent}: {counted(endpoint.context_tokens, 'token')} of context at most."
        + (f" Where it refuses, ask {endpoint.fallback}." if endpoint.fallback else ""),
        prefix=endpoint.agent.upper().replace("-", "_"),
        url=endpoint.base_url,
        model=endpoint.model,
        key=_key(endpoint),
        headers=f"{{{endpoint.session_header!r}: session or uuid4().hex}}" if endpoint.session_header else "{}",
    )
