"""A raw POP3 client: sends exactly what it is told, and is strict about what it gets."""

import socket
import ssl
import struct

from support.net import HOST, PATIENCE


def tls_context(ca_file, *, version=None, alpn=None):
    """A client's TLS; `version` (ssl.TLSVersion) allows that one alone, however old."""
    context = ssl.create_default_context(cafile=str(ca_file))
    if version:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = version
        context.minimum_version = version
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


class Pop3:
    """One connection, from the address `source` if one is given. A `tls` context means implicit TLS; the greeting is read
    unless `greet` is False. What is to be sent `first` is in one segment with the beginning of
    TLS."""

    def __init__(self, port, *, host=HOST, tls=None, greet=True, timeout=PATIENCE, receive_buffer=None, source=None,
                 first=b""):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if source:
            self.socket.bind((source, 0))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((host, port))
        self._buffer = bytearray()
        if first:
            self.socket.sendall(first, socket.MSG_MORE if tls else 0)
        if tls:
            self.start_tls(tls)
        self.greeting = self.line() if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with a TCP RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets)

    def command(self, text, *arguments):
        """Sends a line and returns the first line of the reply."""
        self.send(b" ".join(part if isinstance(part, bytes) else str(part).encode() for part in (text, *arguments))
                  + b"\r\n")
        return self.line()

    def line(self):
        """The next line without its CRLF. EOFError when the server has closed, or reset, the connection instead."""
        while (end := self._buffer.find(b"\n")) < 0:
            self._receive()
        line = bytes(self._buffer[:end + 1])
        del self._buffer[:end + 1]
        assert line.endswith(b"\r\n"), f"a line without CRLF: {line!r}"
        return line[:-2].decode("utf-8")

    def multiline(self):
        """A multi-line reply after its first line, dot-stuffing undone, without the terminator."""
        searched = 0
        while not self._buffer.startswith(b".\r\n"):
            end = self._buffer.find(b"\r\n.\r\n", max(0, searched - 5))
            if end >= 0:
                break
            searched = len(self._buffer)
            self._receive()
        else:
            end = -2
        body = bytes(self._buffer[:end + 2])
        del self._buffer[:end + 5]
        assert body.count(b"\n") == body.count(b"\r\n"), "a bare LF"
        lines = b"\r\n" + body
        assert lines.count(b"\n.") == lines.count(b"\n.."), "a line with a dot that was not stuffed"
        return lines.replace(b"\r\n..", b"\r\n.")[2:]

    def lines(self):
        return self.multiline().decode("utf-8").splitlines()

    def rest(self):
        """Everything until the server closes."""
        while True:
            try:
                self._receive()
            except EOFError:
                rest, self._buffer = bytes(self._buffer), bytearray()
                return rest

    def login(self, user, password):
        """USER and PASS; returns the reply to PASS."""
        reply = self.command("USER", user)
        assert reply.startswith("+OK"), reply
        return self.command("PASS", password)

    def stls(self, context):
        reply = self.command("STLS")
        assert reply.startswith("+OK"), reply
        self.start_tls(context)
        return self

    def retr(self, number):
        self._expect_ok("RETR", number)
        return self.multiline()

    def top(self, number, lines):
        self._expect_ok("TOP", number, lines)
        return self.multiline()

    def stat(self):
        """(messages, octets)"""
        return tuple(int(word) for word in self._expect_ok("STAT").split()[1:3])

    def list(self):
        """{number: octets}"""
        self._expect_ok("LIST")
        return {int(number): int(octets) for number, octets in map(str.split, self.lines())}

    def uidl(self):
        """{number: unique id}"""
        self._expect_ok("UIDL")
        return {int(number): uid for number, uid in map(str.split, self.lines())}

    def capa(self):
        """{capability: its words}"""
        self._expect_ok("CAPA")
        return {line.split()[0]: line.split()[1:] for line in self.lines()}

    def quit(self):
        """The reply to QUIT, after which the server must close."""
        reply = self.command("QUIT")
        assert self.rest() == b""
        self.close()
        return reply

    def _expect_ok(self, *command):
        reply = self.command(*command)
        assert reply.startswith("+OK"), f"{command}: {reply}"
        return reply

    def _receive(self):
        try:
            octets = self.socket.recv(1 << 18)
        except ConnectionResetError:
            octets = b""
        if not octets:
            raise EOFError(f"closed by the server; read so far: {bytes(self._buffer[-200:])!r}")
        self._buffer += octets

    def start_tls(self, context):
        assert not self._buffer, "octets in clear before the handshake"
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
