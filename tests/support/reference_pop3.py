"""The plainest POP3 server that is right, holding everything in memory.

fetchmail and mpop change what they deliver: line ends, some header lines. What they make of a message that came from
here is what they must make of the same message when it came through popgate.
"""

import socket
import threading

from support.net import HOST


class ReferencePop3:
    """Serves `messages` (octets as a POP3 client must get them) to anybody, for the time of a `with` block."""

    def __init__(self, messages):
        self._messages = list(messages)
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as commands:
            connection.sendall(b"+OK ready\r\n")
            for line in commands:
                verb, *arguments = line.decode().split()
                connection.sendall(self._reply(verb.upper(), arguments))
                if verb.upper() == "QUIT":
                    return

    def _reply(self, verb, arguments):
        if verb in ("USER", "PASS", "NOOP", "DELE", "QUIT"):
            return b"+OK\r\n"
        if verb == "STAT":
            return b"+OK %d %d\r\n" % (len(self._messages), sum(map(len, self._messages)))
        if verb == "CAPA":
            return b"+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.\r\n"
        if verb == "RETR":
            return _multiline(self._messages[int(arguments[0]) - 1])
        if verb == "TOP":
            return _multiline(top(self._messages[int(arguments[0]) - 1], int(arguments[1])))
        if verb in ("LIST", "UIDL"):
            column = [b"%d" % (len(message) if verb == "LIST" else 1000 + number)
                      for number, message in enumerate(self._messages, 1)]
            if arguments:
                return b"+OK %s %s\r\n" % (arguments[0].encode(), column[int(arguments[0]) - 1])
            return b"+OK\r\n" + b"".join(b"%d %s\r\n" % pair for pair in enumerate(column, 1)) + b".\r\n"
        return b"-ERR\r\n"


def top(message, line_count):
    """What TOP must give: the header, the empty line after it, and so many lines of the body."""
    header, separator, body = message.partition(b"\r\n\r\n")
    if message.startswith(b"\r\n"):
        header, separator, body = b"", b"\r\n", message[2:]
    lines = body.split(b"\r\n")[:-1]  # not splitlines(): a CR alone ends no line
    return header + separator + b"".join(line + b"\r\n" for line in lines[:line_count])


def _multiline(octets):
    return b"+OK\r\n" + (b"\r\n" + octets).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
