import os

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

import relive.langgraph


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


model = ChatOpenAI(model=os.environ.get("MODEL", "gpt-4o-mini"), stream_usage=True)
app = relive.langgraph.watch(create_agent(model, [get_weather]), name="Weather", stream_models=True)
result = app.invoke({"messages": [{"role": "user", "content": "What is the weather in Paris?"}]})
print(result["messages"][-1].text)
