"""Two agents in one LangGraph graph: ``desk`` asks a tool for the weather, ``writer`` makes a letter of what it found.

Where the agents are stands in ``models.py``, which agentgpu makes:

    agentgpu endpoints examples/langgraph/spec.yaml --format langgraph > examples/langgraph/models.py
    pip install langgraph langchain-openai
    DESK_BASE_URL=... WRITER_BASE_URL=... python examples/langgraph/app.py "Is it warm in Lisbon?"
"""

from __future__ import annotations

import sys
from typing import Literal
from uuid import uuid4

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from models import desk_model, writer_model


@tool
def weather(city: Literal["Lisbon", "Oslo", "Rome"]) -> str:
    """The weather in a city now."""
    return f"{city}: 24 degrees, sunny"


def graph(session: str, **settings):
    """One conversation: its id goes with every request, so that it stays with the replicas that hold its context."""
    # it looks before anybody answers; strict: the engine holds the arguments to their schema, not only the call to its form
    looking = desk_model(session, **settings).bind_tools(
        [weather], tool_choice="required", strict=True, parallel_tool_calls=False
    )
    writer = writer_model(session, **settings)

    def ask(state: MessagesState) -> dict:
        return {"messages": [looking.invoke(state["messages"])]}

    def write(state: MessagesState) -> dict:
        facts = "\n".join(str(message.content) for message in state["messages"] if message.content)
        order = [SystemMessage("Write one friendly sentence of these notes."), HumanMessage(facts)]
        return {"messages": [AIMessage(writer.invoke(order).content)]}

    made = StateGraph(MessagesState)
    made.add_node("desk", ask)
    made.add_node("tools", ToolNode([weather]))
    made.add_node("writer", write)
    made.add_edge(START, "desk")
    made.add_conditional_edges("desk", tools_condition, {"tools": "tools", "__end__": "writer"})
    made.add_edge("tools", "writer")
    return made.compile()


def main() -> None:
    """Answer one question."""
    question = " ".join(sys.argv[1:]) or "Is it warm in Lisbon?"
    done = graph(uuid4().hex).invoke({"messages": [HumanMessage(question)]})
    for message in done["messages"]:
        print(f"{message.type}: {message.content or message.tool_calls}")


if __name__ == "__main__":
    main()
