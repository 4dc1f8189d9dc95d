from langgraph.graph import START, StateGraph

import relive.langgraph

graph = StateGraph(dict)
graph.add_node("greet", lambda state: {"text": f"Hello, {state['name']}!"})
graph.add_edge(START, "greet")

app = relive.langgraph.watch(graph.compile(), name="Greeting")
print(app.invoke({"name": "Ada"}))
