"""What the fakes of HTTP mailboxes have in common: the server, its log, the faults that it can be told to show, and what
every mailbox server, fake or real, lets a test do to its mailboxes."""

import base64
import gzip
import json
import os
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from support.net import HOST, PATIENCE


class MailboxServer:
    """A server of mailboxes as tests see it from behind. Indices count the messages of the inbox, the oldest is 0.

    backend   the URL for a route of popgate
    options   the other keys that the route needs (ca_file, http_auth, ...)
    """

    backend = ""
    options: dict = {}
    faults = None     # a FaultPlan, of fakes
    has_trash = True  # folder() knows both
    folds_copies = False  # two copies of the same octets are one message
    tells_gone = True     # removing a message tells whether it was there
    gives_removed = False  # what another client has removed can be had all the same
    gives_moved = True    # a message can be had by its id whatever folder it is in by now
    most_changed = 0  # of the awkward messages, so many are served with other octets than were delivered
    most_refused = 0  # and so many are not taken at all: deliver() raises Refused

    class Refused(Exception):
        """The server does not take such a message."""

    def route(self, **keys):
        return {"match": "*", "backend": self.backend, "auth": "passthrough", **self.options, **keys}

    def new_user(self):
        """(user, password) of a new, empty mailbox."""
        raise NotImplementedError

    def deliver(self, user, raw):
        """Delivers a message and gives it back as the mailbox serves it."""
        raise NotImplementedError

    def messages(self, user):
        """The inbox as the server itself has it."""
        raise NotImplementedError

    def remove(self, user, index):
        """Another client removes a message from the inbox."""
        raise NotImplementedError

    def is_seen(self, user, index):
        """Whether a message is marked as read; None where there is no such mark."""
        return None

    def folder(self, user, which):
        """The messages in the folder for "trash" or "archive", in any order."""
        raise NotImplementedError

    def stop(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@dataclass
class Request:
    method: str
    target: str
    headers: dict
    body: bytes
    status: int = 0  # as it was answered; 0: not at all
    faults: list = field(default_factory=list)

    @property
    def path(self):
        return unquote(urlsplit(self.target).path)

    @property
    def query(self):
        """{name: [values]}"""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    def value(self, name, standard=None):
        return self.query.get(name, [standard])[0]

    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return self.headers.get(name.lower(), "")


@dataclass
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict = field(default_factory=dict)
    chunked: bool = False
    pause: float = 0  # seconds between the octets of the body

    @classmethod
    def of(cls, value, status=200, **more):
        return cls(status, json.dumps(value).encode(), **more)

    def json(self):
        return json.loads(self.body)


# Faults of HTTP itself, whatever the API. Others are the single fake's.
HTTP_FAULTS = ("401", "429", "429 later", "503", "503 later", "500", "html 500", "html 200", "cut", "cut chunked",
               "cut gzip", "hang up", "reset", "redirect away", "silence")


class FaultPlan:
    """What goes wrong, and at which requests. A fault is one of HTTP_FAULTS or a word that the fake itself knows."""

    def __init__(self):
        self._lock = threading.Lock()
        self.clear()

    def clear(self):
        """From now on nothing goes wrong; requests are counted from 1 again."""
        with self._lock:
            self.seen = 0
            self._at = {}
            self._from = []          # (number, fault)
            self._always = []
            self.later = "1"         # of "429 later" and "503 later", in seconds
            self.elsewhere = None    # of "redirect away": the URL of another origin
            self.shown = []          # (number, fault)

    def at(self, number, fault):
        with self._lock:
            self._at.setdefault(number, []).append(fault)
        return self

    def from_on(self, number, fault):
        self._from.append((number, fault))
        return self

    def always(self, fault, *, path="", times=None):
        """At each request whose target holds `path`, or at so many of them."""
        with self._lock:
            self._always.append([fault, path, times])
        return self

    def next(self, target):
        """The faults of one request."""
        with self._lock:
            self.seen += 1
            faults = [*self._at.get(self.seen, ()), *(fault for number, fault in self._from if number <= self.seen)]
            for each in self._always:
                if each[1] in target and each[2] != 0:
                    faults.append(each[0])
                    if each[2] is not None:
                        each[2] -= 1
            self.shown += [(self.seen, fault) for fault in faults]
            return faults


class HttpFake(MailboxServer):
    """A fake: respond() answers requests that have come through authentication, under self.lock.

    certificate   of support.certs, for https:; None for http:
    """

    public = ()  # paths that want no credential

    def __init__(self, certificate=None):
        self.lock = threading.RLock()
        self.faults = FaultPlan()
        self.log = []             # every Request
        self.tokens = {}          # of Bearer: token -> user
        self.passwords = {}       # of Basic: user -> password
        self.most_at_once = 0
        self._under_way = 0
        self._users = 0
        fake = self

        class Handler(_Handler):
            server_fake = fake

        self._server = _Server((HOST, 0), Handler)
        self.port = self._server.server_address[1]
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self._server.tls = context
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def origin(self):
        return f"{self.scheme}://{HOST}:{self.port}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # --- for the single fake

    def respond(self, request, user):
        raise NotImplementedError

    def error(self, status, reason="", message=""):
        """An error as this API writes it."""
        return Response.of({"error": message or reason}, status)

    def gzips(self, request):
        return "gzip" in request.header("accept-encoding")

    def new_token(self, user):
        with self.lock:
            token = f"token-{len(self.tokens) + 1}-{user}"
            self.tokens[token] = user
            return token

    def end_tokens(self):
        """Every token that was given is worth nothing any more."""
        with self.lock:
            self.tokens.clear()
            self.passwords.clear()

    def name_user(self):
        with self.lock:
            self._users += 1
            return f"user{self._users}@example.org"

    def user_of(self, request):
        kind, _, text = request.header("authorization").partition(" ")
        if kind == "Bearer":
            return self.tokens.get(text)
        if kind == "Basic":
            user, _, password = base64.b64decode(text).decode().partition(":")
            return user if self.passwords.get(user) == password else None
        return None

    def unauthorized(self):
        answer = self.error(401, "authError", "Invalid Credentials")
        answer.headers["WWW-Authenticate"] = 'Bearer realm="fake"'
        return answer

    def faults_of(self, request):
        return self.faults.next(request.target)

    def answer(self, request):
        """The Response, or None for none at all. Called for each request, from threads of their own."""
        with self.lock:
            self.log.append(request)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            request.faults = self.faults_of(request)
        try:
            for fault in request.faults:
                if fault in _AS_ANSWER:
                    return _AS_ANSWER[fault](self)
            if not {"silence", "hang up", "reset"}.isdisjoint(request.faults):
                return None
            with self.lock:
                user = self.user_of(request)
                if user is None and not any(request.path.startswith(each) for each in self.public):
                    return self.unauthorized()
                return self.respond(request, user)
        finally:
            with self.lock:
                self._under_way -= 1


def _later(fake, status):
    answer = fake.error(status, "rateLimitExceeded", "slow down")
    answer.headers["Retry-After"] = fake.faults.later
    return answer


_HTML = b"<html><head><title>Oops</title></head><body>{\"messages\": []}</body></html>"

_AS_ANSWER = {
    "401": lambda fake: fake.unauthorized(),
    "429": lambda fake: fake.error(429, "rateLimitExceeded", "slow down"),
    "429 later": lambda fake: _later(fake, 429),
    "503": lambda fake: fake.error(503, "backendError", "down"),
    "503 later": lambda fake: _later(fake, 503),
    "500": lambda fake: fake.error(500, "backendError", "an accident"),
    "html 500": lambda _: Response(502, _HTML, "text/html"),
    "html 200": lambda _: Response(200, _HTML, "text/html"),
    "redirect away": lambda fake: Response(302, b"", headers={"Location": fake.faults.elsewhere or "https://127.0.0.1:1/"}),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    tls = None

    def get_request(self):
        connection, peer = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(PATIENCE)
        if self.tls:
            # The handshake is made by the thread that serves it.
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, peer

    def handle_error(self, request, client_address):
        pass  # a client that went away


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server_fake = None

    def log_message(self, *_):
        pass

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        fake = self.server_fake
        answer = fake.answer(request)
        if answer is None:
            if "silence" in request.faults:
                self.connection.settimeout(PATIENCE)
                try:
                    self.connection.recv(1)  # until the client goes away
                except OSError:
                    pass
            if "reset" in request.faults:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())  # before anything is shut down in good order
            self.close_connection = True
            return
        request.status = answer.status
        self._send(request, answer, fake.gzips(request))

    def _send(self, request, answer, gzips):
        body = answer.body
        headers = dict(answer.headers)
        cuts = [fault for fault in request.faults if fault.startswith("cut")]
        if answer.status != 204:
            headers["Content-Type"] = answer.content_type
        if (gzips and len(body) > 200 and answer.status == 200) or "cut gzip" in cuts:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        if "cut gzip" in cuts:
            body = body[:-9]
        chunked = answer.chunked or "cut chunked" in cuts
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif answer.status != 204:
            headers["Content-Length"] = str(len(body))
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if request.method == "HEAD" or answer.status == 204:
            return
        whole = len(body)
        if "cut" in cuts or "cut chunked" in cuts:
            body = body[:whole * 2 // 3]
            self.close_connection = True
        if answer.pause:
            self._drip(body, answer.pause)
        elif not chunked:
            self.wfile.write(body)
        else:
            for begin in range(0, len(body), 8000):
                piece = body[begin:begin + 8000]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if not cuts or cuts == ["cut gzip"]:  # what is cut does not say that it has ended
                self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _drip(self, body, pause):
        # Python's TLS tells only some writes later that the client has gone: this ends by itself or by then.
        for octet in body:
            self.wfile.write(bytes([octet]))
            self.wfile.flush()
            time.sleep(pause)
