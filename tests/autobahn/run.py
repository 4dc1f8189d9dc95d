"""Runs the Autobahn test suite's fuzzing client against an echo server, and fails if any case does.

    python run.py <ws url> <directory for reports> [case pattern ...]
"""

import json
import sys
from pathlib import Path

from autobahn.websocket import protocol
from twisted.internet import reactor
from twisted.python import log

import suite

AGENT = "relive"
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}
# 12 and 13 are about compression (permessage-deflate), which the server never agrees to.
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
# As many as the suite has of them. Fewer means that something was not run.
COUNT = 301


class Masker:
    """Masks a payload as one number, for the library's own in Python takes minutes for 16 MiB."""

    def __init__(self, mask, length=None):
        self.mask = mask
        self.position = 0

    def pointer(self):
        return self.position

    def reset(self):
        self.position = 0

    def process(self, data):
        begin = self.position % 4
        self.position += len(data)
        mask = (self.mask * (len(data) // 4 + 2))[begin : begin + len(data)]
        number = int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")
        return number.to_bytes(len(data), "little")


def encoded(text):
    return text.encode("latin-1") if isinstance(text, str) else text


def client_of(fuzzing):
    class Client(fuzzing.FuzzingClientProtocol):
        """Between the suite, whose texts are bytes in Latin-1, and the library."""

        debug = False

        # What a case does after its time; the library has given it another name.
        def failConnection(self):
            self._fail_connection()

        def sendFrame(self, opcode, payload=b"", **options):
            super().sendFrame(opcode, encoded(payload), **options)

        def sendMessage(self, payload, isBinary=False, **options):
            super().sendMessage(encoded(payload), isBinary, **options)

        def sendMessageFrameData(self, payload, sync=False):
            return super().sendMessageFrameData(encoded(payload), sync)

        def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
            super().sendCloseFrame(code, encoded(reasonUtf8), isReply)

        def onMessage(self, payload, isBinary):
            super().onMessage(payload.decode("latin-1"), isBinary)

        def onPong(self, payload):
            super().onPong(payload.decode("latin-1"))

        def logRxFrame(self, header, payload):
            super().logRxFrame(header, [part.decode("latin-1") for part in payload])

        def logTxFrame(self, header, payload, *options):
            super().logTxFrame(header, payload.decode("latin-1"), *options)

        def connectionLost(self, reason):
            # What is put into the report.
            for field in ["localCloseReason", "http_request_data", "http_response_data"]:
                if isinstance(value := getattr(self, field, None), bytes):
                    setattr(self, field, value.decode("latin-1"))
            super().connectionLost(reason)

    return Client


def factory_of(fuzzing):
    class Factory(fuzzing.FuzzingClientFactory):
        def createReports(self, produceHtml=False, produceJson=True):
            super().createReports(produceHtml, produceJson)

    return Factory


def judge(reports, wanted):
    index = reports / "index.json"
    results = json.loads(index.read_text()).get(AGENT, {}) if index.exists() else {}
    failed = [f"{case}: not run" for case in wanted if case not in results]
    counts = {}
    for case, result in results.items():
        behavior, close = result["behavior"], result["behaviorClose"]
        counts.setdefault(behavior, []).append(case)
        if behavior not in PASSED or close not in PASSED:
            failed.append(f"{case}: {behavior}, close {close}; see {reports / result['reportfile']}")
    for behavior, cases in sorted(counts.items()):
        of_note = "" if behavior == "OK" else ": " + ", ".join(cases)
        print(f"{len(cases)} {behavior}{of_note}")
    return failed


def main():
    url, reports, cases = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    protocol.create_xor_masker = Masker
    fuzzing = suite.load()
    fuzzing.FuzzingClientProtocol = client_of(fuzzing)
    troubles = []

    def observe(event):
        if event["isError"]:
            # The suite or this script is at fault; what would come after might never come.
            troubles.append(log.textFromEventDict(event))
            reactor.callLater(0, reactor.crash)

    log.addObserver(observe)
    spec = {"outdir": str(reports), "servers": [{"agent": AGENT, "url": url}], "cases": cases or CASES}
    factory = factory_of(fuzzing)(spec)
    if not cases and len(factory.specCases) != COUNT:
        sys.exit(f"the suite has {len(factory.specCases)} such cases and not {COUNT}")
    (reports / "index.json").unlink(missing_ok=True)
    reactor.run()
    failed = judge(reports, factory.specCases) + troubles
    print("\n".join(failed) or f"{len(factory.specCases)} cases, none failed")
    sys.exit(1 if failed else 0)


main()
