"""Drives a run with nothing but the client that openapi-python-client makes of the document, and is told of it by a
webhook, whose signatures are checked by the package of Standard Webhooks."""

import os
import queue
import threading
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

from relive_client import Client, models
from relive_client.api.catalog import create_group
from relive_client.api.commands import commands, control, update_node
from relive_client.api.sessions import create_session, events, get_session, list_messages, list_sessions
from relive_client.api.webhooks import create_webhook, list_deliveries
from relive_client.types import UNSET
from standardwebhooks import Webhook

client = Client(base_url=os.environ["RELIVE_URL"], raise_on_unexpected_status=True)


def must(answer):
    assert answer is not None and not isinstance(answer, models.Problem), answer
    return answer


class Receiver(BaseHTTPRequestHandler):
    received = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.put((body.decode(), {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def listen():
    """A webhook for this program; returns it, with its secret."""
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    types = [models.WebhookType.SESSION_CREATED, models.WebhookType.SESSION_COMPLETED]
    request = models.WriteWebhook(url=f"http://127.0.0.1:{server.server_port}/", types=types)
    return must(create_webhook.sync(client=client, body=request))


def check_told(webhook, session_id):
    verifier = Webhook(webhook.secret)
    for expected in ["session.created", "session.completed"]:
        body, headers = Receiver.received.get(timeout=30)
        event = verifier.verify(body, headers)
        assert (event["type"], event["data"]["session"]["id"]) == (expected, str(session_id)), event
        try:
            verifier.verify(body.replace("session", "Session"), headers)
        except Exception as error:
            assert "signature" in str(error).lower(), error
        else:
            raise AssertionError("a forged delivery is accepted")
    sent = must(list_deliveries.sync(webhook.id, client=client)).deliveries
    assert len(sent) == 2, sent


def main():
    webhook = listen()
    group = must(create_group.sync(client=client, body=models.GroupFields(name="Generated", system_prompt="p")))
    graph = models.GraphDefinition.from_dict({
        "name": "loop", "startNodeId": "agent",
        "nodes": {"agent": {"id": "agent", "type": "agent", "name": "Agent", "nextIds": ["agent"]}},
    })
    request = models.CreateSession(graph=graph, group_id=group.id, inputs={"question": 1})
    key = str(uuid.uuid4())
    session = must(create_session.sync(client=client, body=request, idempotency_key=key))
    again = must(create_session.sync(client=client, body=request, idempotency_key=key))
    assert again.id == session.id

    must(control.sync(session.id, client=client, body=models.ControlRequest(action=models.ControlAction.START)))
    work = [
        {"type": "setNodeStatus", "nodeId": "agent", "status": "running", "progress": 0.5},
        {"type": "addMessage", "nodeId": "agent", "content": "hello", "isThinking": True, "tokenCount": 3},
        {"type": "recordUsage", "nodeId": "agent", "model": "m", "inputTokens": 10, "outputTokens": 5},
    ]
    receipt = must(commands.sync(session.id, client=client, body=[command_of(one) for one in work]))
    update = models.NodeUpdate(status=models.NodeStatus.COMPLETED, output={"answer": 42})
    stale = update_node.sync(session.id, "agent", client=client, body=update, if_match=f'"{receipt.revision - 1}"')
    assert isinstance(stale, models.Problem) and stale.code == models.ErrorCode.REVISION_CONFLICT, stale
    must(update_node.sync(session.id, "agent", client=client, body=update))
    must(control.sync(session.id, client=client, body=models.ControlRequest(action=models.ControlAction.COMPLETE)))

    ended = must(get_session.sync(session.id, client=client))
    assert ended.status == models.SessionStatus.COMPLETED and ended.total_tokens == 15, ended
    said = must(list_messages.sync(session.id, client=client, node_id="agent")).messages
    assert [(one.content, one.is_thinking, one.token_count) for one in said] == [("hello", True, 3)], said
    recorded = must(events.sync(session.id, client=client, after=2, limit=1)).events
    assert recorded[0].event.node_id == "agent", recorded
    found = must(list_sessions.sync(client=client, group_id=group.id, status="completed")).sessions
    assert [one.id for one in found] == [session.id] and found[0].error is UNSET
    check_told(webhook, session.id)
    print("openapi-python-client: a run was driven to its end, and told of by a webhook")


def command_of(fields):
    """The generated class whose `type` this is."""
    for name in dir(models):
        kind = getattr(models, name)
        if name.startswith("CommandType") and hasattr(kind, "from_dict"):
            try:
                command = kind.from_dict(dict(fields))
            except (KeyError, ValueError):
                continue
            assert command.to_dict() == fields, f"{name} changes {fields} to {command.to_dict()}"
            return command
    raise AssertionError(f"no class for {fields}")


main()
