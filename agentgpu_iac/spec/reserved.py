"""Names that no stack and no agent may have, because something else is called so.

An agent's name is the name of its Service and its Deployment, and others are made from it: its burst tier, the Service of its
engines, its endpoint picker. Where names may hold a character that an agent's may not, such as the underscore of NGINX's
zones, what is derived holds one. Kubernetes leaves no such character, so there the derived endings belong to us: whoever
may choose them for an agent could name one like a part of another. ``plan/names.py`` makes names of nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

BURST_ENDING: Final = "-burst"
ENGINES_ENDING: Final = "-engines"
PICKER_ENDING: Final = "-picker"
PAID_ENDING: Final = "-paid"

ROUTER_NAME: Final = "traffic-router"
"""Name of every object that makes up the stack's NGINX."""

PROXY_NAME: Final = "model-proxy"
"""Name of every object that makes up the LiteLLM in front of the agents."""

RESERVED_ENDINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        BURST_ENDING: "the burst tier of an agent",
        ENGINES_ENDING: "the Service of an agent's engines",
        PICKER_ENDING: "the endpoint picker of an agent",
        PAID_ENDING: "the paid fallback of an agent",
    }
)
"""How the names end that are derived from an agent's, and what bears them."""

RESERVED_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {ROUTER_NAME: "the NGINX in front of the agents", PROXY_NAME: "the LiteLLM in front of the agents"}
)
"""Names of parts that a stack has once, beside the bare names of its agents."""

NAMESPACE_PREFIX: Final = "kube-"
"""Kubernetes keeps these namespaces for itself."""
NAMESPACES_OF_OTHERS: Final = ("default",)
"""Namespaces that are there before the stack, and hold what others put there."""


def reserved(agent: str) -> str:
    """What is called so, or ends so, where an agent may not be; empty where it may."""
    if agent in RESERVED_NAMES:
        return f"is the name of {RESERVED_NAMES[agent]}"
    for ending, bearer in RESERVED_ENDINGS.items():
        if agent.endswith(ending):
            return f"ends in {ending}, as does the name of {bearer}"
    return ""


def is_namespace_of_others(stack: str) -> bool:
    """Whether a stack of this name would put its policies and quota into a namespace that is not its own."""
    return stack in NAMESPACES_OF_OTHERS or stack.startswith(NAMESPACE_PREFIX)
