from typing import TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

import relive.langgraph


class State(TypedDict, total=False):
    text: str
    published: bool


def draft(state: State) -> State:
    return {"text": "Less is more."}


def approve(state: State) -> State:
    answer = interrupt({"draft": state["text"]})
    return {"text": answer if isinstance(answer, str) else state["text"], "published": answer is not False}


def publish(state: State) -> State:
    return state


graph = StateGraph(State)
graph.add_node("draft", draft)
graph.add_node("approve", approve)
graph.add_node("publish", publish)
graph.add_edge(START, "draft")
graph.add_edge("draft", "approve")
graph.add_edge("approve", "publish")

app = relive.langgraph.watch(graph.compile(checkpointer=InMemorySaver()), name="Article")
print(app.invoke({}, {"configurable": {"thread_id": "1"}}))
