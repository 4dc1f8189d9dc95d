"""LangGraph graphs as sessions.

    app = relive.langgraph.watch(graph.compile())

Every `invoke`, `ainvoke`, `stream` and `astream` of `app` is a session: the graph is drawn, and its nodes, streamed
words, thinking, tool calls, usage and errors are shown as they come. An `interrupt()` becomes a review that is
answered in the dashboard and resumes the graph; pausing and cancelling there reach it too.

Needs `pip install "relive[langgraph]"`.
"""

from ._callbacks import CallbackHandler
from ._reviews import answer_of
from ._watched import watch

__all__ = ["CallbackHandler", "answer_of", "watch"]
