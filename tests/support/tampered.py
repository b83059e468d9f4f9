"""A fake of an HTTP mailbox whose answers go out as octets of a test's choice."""

import functools
import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer

from support.gmail_fake import GmailFake
from support.graph_fake import GraphFake
from support.http_fake import Request
from support.jmap_fake import JmapFake
from support.net import HOST, PATIENCE
from support.pop3 import Pop3
from support.rest_fake import WildDuckFake

MESSAGES = [b"Subject: %d\r\n\r\n" % number + b"0123456789 and so on\r\n" * 300 for number in range(1, 5)]
FAKES = {"gmail": GmailFake, "graph": GraphFake, "jmap": JmapFake, "wildduck": WildDuckFake}


def encode(answer, *, status=None, headers=None):
    """A Response as an honest server sends it."""
    lines = {"Content-Type": answer.content_type, **answer.headers, **(headers or {})}
    if answer.status != 204:
        lines.setdefault("Content-Length", len(answer.body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"HTTP/1.1 {status or answer.status} So\r\n{head}\r\n".encode() + answer.body


class Tampered:
    """Serves in place of `fake`, in clear. `tamper(request, ask)` gives the octets of the answer to each request, or an
    iterable of them; None: what the fake says, which ask() gives, too. At HANG_UP the connection is closed. Requests
    know the number of their connection.

    user, password   of a mailbox with MESSAGES in it
    """

    HANG_UP = b""

    def __init__(self, kind):
        self.kind = kind
        self.fake = fake = FAKES[kind]()
        self.tamper = lambda request, ask: None
        self.connections = 0
        outer = self

        class Handler(StreamRequestHandler):
            wbufsize = 0

            def handle(self):
                with outer.fake.lock:
                    outer.connections += 1
                    number = outer.connections
                self.connection.settimeout(PATIENCE)
                try:
                    while outer.serve(self.rfile, self.wfile, number):
                        pass
                except OSError:
                    pass  # the client went away

        class Server(ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server((HOST, 0), Handler)
        # What the fake says of its own address leads here.
        own, fake.port = f":{fake.port}", self._server.server_address[1]
        for name, value in vars(fake).items():
            if isinstance(value, str):
                setattr(fake, name, value.replace(own, f":{fake.port}"))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.user, self.password = self.new_user()

    def serve(self, rfile, wfile, connection):
        line = rfile.readline().decode("latin-1").split()
        if len(line) < 2:
            return False
        headers = {}
        while (header := rfile.readline().decode("latin-1").rstrip("\r\n")):
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = rfile.read(int(headers.get("content-length", 0)))
        request = Request(line[0], line[1], headers, body)
        request.connection = connection
        ask = functools.cache(lambda: self.fake.answer(request))
        octets = self.tamper(request, ask)
        if octets is None:
            octets = encode(ask())
        for piece in [octets] if isinstance(octets, bytes) else octets:
            if piece == self.HANG_UP:
                return False
            wfile.write(piece)
        return True

    def new_user(self):
        user, password = self.fake.new_user()
        for message in MESSAGES:
            self.fake.deliver(user, message)
        return user, password

    def route(self, **keys):
        return self.fake.route(command_timeout="2s", connect_timeout="2s", quarantine_after=0, **keys)

    def login(self, popgate, **more):
        """(Pop3, the reply)"""
        pop3 = Pop3(popgate.port(), **more)
        return pop3, pop3.login(self.user, self.password)

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.fake.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def is_message(request):
    """Whether a message is what it asks for."""
    return request.method == "GET" and any(
        each in request.target for each in ("format=raw", "/$value", "/blob/", "/message.eml"))


def fetch(pop3, number):
    """The message; None where it did not come whole, and the client was told so."""
    try:
        if not pop3.command("RETR", number).startswith("+OK"):
            return None
        return pop3.multiline()
    except (EOFError, BrokenPipeError):
        return None
