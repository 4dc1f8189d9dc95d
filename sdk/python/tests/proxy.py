"""A proxy that loses connections and answers when told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit


class Proxy:
    """Forwards bytes to a server. `cut` closes what is open; `lose` is asked about every answer that comes back."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.connections = 0
        self.lose: Callable[[bytes], bool] = lambda _answer: False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            for one in self._open:
                _shut(one)

    def close(self) -> None:
        _shut(self._listener)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
                outer = socket.create_connection(self._target)
            except OSError:
                return
            self.connections += 1
            with self._lock:
                self._open |= {inner, outer}
            threading.Thread(target=self._forward, args=(inner, outer, False), daemon=True).start()
            threading.Thread(target=self._forward, args=(outer, inner, True), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        try:
            while data := source.recv(65_536):
                if is_answer and self.lose(data):
                    break
                target.sendall(data)
        except OSError:
            pass
        _shut(source)
        _shut(target)
        with self._lock:
            self._open -= {source, target}


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
