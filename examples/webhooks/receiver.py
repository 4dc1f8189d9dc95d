"""Receives webhooks: python3 receiver.py PORT, with the secret in WEBHOOK_SECRET."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
TOLERANCE_SECONDS = 300
seen = set()  # In production: where all processes see it, for as long as deliveries are retried.


def is_authentic(headers, body):
    message_id, sent_at = headers["webhook-id"], headers["webhook-timestamp"]
    if not sent_at.isdigit() or abs(time.time() - int(sent_at)) > TOLERANCE_SECONDS:
        return False
    signed = f"{message_id}.{sent_at}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    signatures = headers["webhook-signature"].split(" ")
    return any(hmac.compare_digest(signature, f"v1,{expected}") for signature in signatures)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if not is_authentic(self.headers, body):
            return self.answer(401)
        message_id = self.headers["webhook-id"]
        if message_id not in seen:
            event = json.loads(body)
            session = event["data"].get("session", {})
            print(event["type"], session.get("id"), session.get("status"), flush=True)
            seen.add(message_id)
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
print("ready", server.server_port, flush=True)
server.serve_forever()
