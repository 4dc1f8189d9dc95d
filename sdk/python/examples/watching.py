import sys

import relive

with relive.Client() as client:
    session_id = sys.argv[1]
    for state in client.watch(session_id):
        running = [state["nodes"][node_id].get("name", node_id) for node_id in state["activeNodeIds"]]
        print(state["revision"], state["status"], *running)
    for message in client.messages(session_id):
        print(message["nodeId"], message["content"])
