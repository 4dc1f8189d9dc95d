"""A language model of our own, which speaks the protocol of OpenAI's chat completions and responses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4},
}


class ModelServer:
    """What it answers is decided by what is asked: see `_answer`."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        #: Until it is set, an answer to `slow` stands still after its first word.
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append(request)
                if "fail" in _asked(request):
                    self._reply(json.dumps({"error": {"message": "the model is broken"}}).encode(), 500)
                elif self.path.endswith("/responses"):
                    self._stream(_responses_events())
                elif request.get("stream"):
                    self._stream(_chunks(outer, request))
                else:
                    self._reply(json.dumps(_completion(request)).encode(), 200)

            def _reply(self, body: bytes, status: int) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _stream(self, events: Iterator[str]) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                try:
                    for event in events:
                        self.wfile.write(event.encode())
                        self.wfile.flush()
                except OSError:
                    # The client has left.
                    pass
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> ModelServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def _asked(request: dict[str, Any]) -> str:
    """The last thing that a person said."""
    messages = request.get("messages") or request.get("input") or []
    said = [one for one in messages if one.get("role") == "user"]
    content = said[-1]["content"] if said else ""
    return content if isinstance(content, str) else " ".join(str(part.get("text", "")) for part in content)


def _answer(request: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Words, and calls of tools."""
    asked = _asked(request)
    has_result = any(one.get("role") == "tool" for one in request.get("messages", []))
    if "weather" in asked and request.get("tools") and not has_result:
        function = {"name": "get_weather", "arguments": json.dumps({"city": "Paris"})}
        return "", [{"index": 0, "id": "call_1", "type": "function", "function": function}]
    if has_result:
        return "It is sunny in Paris.", []
    if "slow" in asked:
        return "Wait for it.", []
    return "Hello from the model.", []


def _completion(request: dict[str, Any]) -> dict[str, Any]:
    text, calls = _answer(request)
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = calls
    reason = "tool_calls" if calls else "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "tiny-1",
        "choices": [choice],
        "usage": USAGE,
    }


def _chunks(server: ModelServer, request: dict[str, Any]) -> Iterator[str]:
    text, calls = _answer(request)

    def chunk(delta: dict[str, Any], reason: str | None = None, usage: Any = None) -> str:
        choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": reason}]
        body = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "tiny-1", "choices": choices}
        if usage:
            body["usage"] = usage
        return f"data: {json.dumps(body)}\n\n"

    yield chunk({"role": "assistant", "content": ""})
    words = text.split(" ") if text else []
    for index, word in enumerate(words):
        yield chunk({"content": word if index == 0 else f" {word}"})
        if index == 0 and "slow" in _asked(request):
            server.released.wait(30)
    for call in calls:
        yield chunk({"tool_calls": [call]})
    yield chunk({}, "tool_calls" if calls else "stop")
    if (request.get("stream_options") or {}).get("include_usage"):
        yield chunk({}, usage=USAGE)
    yield "data: [DONE]\n\n"


def _responses_events() -> Iterator[str]:
    """An answer of a model that thinks first."""
    reasoning: dict[str, Any] = {"id": "rs_1", "type": "reasoning", "summary": [], "status": None}
    thought = {"type": "summary_text", "text": "First I think."}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "Then I speak.", "annotations": []}
    usage = {
        "input_tokens": 9,
        "output_tokens": 7,
        "total_tokens": 16,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 3},
    }
    response: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "model": "thinker-1",
        "status": "in_progress",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    done = [{**reasoning, "summary": [thought]}, {**message, "status": "completed", "content": [part]}]
    at = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    said = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": reasoning},
        {"type": "response.reasoning_summary_part.added", **at, "part": {"type": "summary_text", "text": ""}},
        *({"type": "response.reasoning_summary_text.delta", **at, "delta": word} for word in ("First ", "I think.")),
        {"type": "response.output_item.done", "output_index": 0, "item": done[0]},
        {"type": "response.output_item.added", "output_index": 1, "item": message},
        {"type": "response.content_part.added", **said, "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", **said, "delta": word, "logprobs": []}
            for word in ("Then ", "I speak.")
        ),
        {"type": "response.output_item.done", "output_index": 1, "item": done[1]},
        {"type": "response.completed", "response": {**response, "status": "completed", "output": done, "usage": usage}},
    ]
    for number, event in enumerate(events):
        yield f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
