"""A fake of an HTTP mailbox whose answers go out as octets of a test's choice."""

import functools
import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer

from support.http_fake import Request
from support.net import HOST, PATIENCE


def encode(answer, *, status=None, headers=None):
    """A Response as an honest server sends it."""
    lines = {"Content-Type": answer.content_type, **answer.headers, **(headers or {})}
    if answer.status != 204:
        lines.setdefault("Content-Length", len(answer.body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"HTTP/1.1 {status or answer.status} So\r\n{head}\r\n".encode() + answer.body


class Tampered:
    """Serves in place of `fake`, in clear. `tamper(request, ask)` gives the octets of the answer to each request, or an
    iterable of them; None: what the fake says, which ask() gives, too. At HANG_UP the connection is closed."""

    HANG_UP = b""

    def __init__(self, fake):
        self.fake = fake
        self.tamper = lambda request, ask: None
        self.connections = 0
        outer = self

        class Handler(StreamRequestHandler):
            wbufsize = 0

            def handle(self):
                outer.connections += 1
                self.connection.settimeout(PATIENCE)
                try:
                    while outer.serve(self.rfile, self.wfile):
                        pass
                except OSError:
                    pass  # the client went away

        class Server(ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server((HOST, 0), Handler)
        # What the fake says of its own address leads here.
        self.own_port, fake.port = fake.port, self._server.server_address[1]
        self.backend = fake.backend.replace(str(self.own_port), str(fake.port))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def serve(self, rfile, wfile):
        line = rfile.readline().decode("latin-1").split()
        if len(line) < 2:
            return False
        headers = {}
        while (header := rfile.readline().decode("latin-1").rstrip("\r\n")):
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = rfile.read(int(headers.get("content-length", 0)))
        request = Request(line[0], line[1], headers, body)
        ask = functools.cache(lambda: self.fake.answer(request))
        octets = self.tamper(request, ask)
        if octets is None:
            octets = encode(ask())
        for piece in [octets] if isinstance(octets, bytes) else octets:
            if piece == self.HANG_UP:
                return False
            wfile.write(piece)
        return True

    def route(self, **keys):
        return {**self.fake.route(**keys), "backend": self.backend}

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.fake.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
