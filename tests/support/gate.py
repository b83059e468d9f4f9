"""A man in the middle for TCP: passes everything on, and at a chosen place of a stream cuts, stalls or garbles it.

    with Gate(dovecot.imap_port) as gate:
        rule = gate.cut(SERVER, rb"BODY\\[\\] \\{\\d+\\}\\r\\n", skip=1000)   # 1,000 octets into a message
        ...
        assert rule.fired.is_set()

A rule looks at what one side (CLIENT or SERVER) sends from then on, and acts where its pattern ends, `skip` octets
further on; without a pattern it counts from where the stream is. It acts once, on the first connection that comes to
that place, unless `times` says otherwise.
"""

import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from support.net import HOST, PATIENCE

CLIENT, SERVER = "client", "server"

_LONGEST_MATCH = 4096


class _Ended(Exception):
    """The connection is over, by the will of a rule or of a peer."""


@dataclass(eq=False)
class Rule:
    side: str
    pattern: re.Pattern
    skip: int
    act: object  # called with the connection and the octets that follow; returns those to be passed on
    times: int
    changes_what_follows: bool
    fired: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait(self):
        assert self.fired.wait(PATIENCE), f"never seen from the {self.side}: {self.pattern.pattern!r}"

    def release(self):
        """Ends a stall."""
        self.released.set()


class Gate:
    def __init__(self, target_port, *, keeps_transcript=True):
        self._target_port = target_port
        self._keeps_transcript = keeps_transcript
        self._lock = threading.Lock()
        self._rules = []
        self._connections = []
        self._ended = threading.Event()
        self._transcripts = {CLIENT: [], SERVER: []}
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    # --- rules

    def cut(self, side, pattern=b"", skip=0, times=1, reset=False):
        """Closes both connections, with a TCP RST if so told."""
        def act(connection, rest):
            connection.close(reset)
            raise _Ended
        return self._add(side, pattern, skip, times, act)

    def stall(self, side, pattern=b"", skip=0, times=1):
        """Passes nothing more on from this side, until the connection ends or the rule is released."""
        def act(connection, rest):
            while not rule.released.wait(0.05):
                if connection.is_closed():
                    raise _Ended
            return rest
        rule = self._add(side, pattern, skip, times, act)
        return rule

    def inject(self, side, pattern, octets, skip=0, times=1):
        return self._add(side, pattern, skip, times, lambda connection, rest: octets + rest)

    def replace(self, side, pattern, octets, skip=0, times=1):
        """Puts `octets` in place of as many that follow."""
        return self._add(side, pattern, skip, times, lambda connection, rest: octets + rest[len(octets):],
                         changes_what_follows=True)

    def drop(self, side, pattern, count, skip=0, times=1):
        """Leaves out `count` octets that follow (as far as they came in one piece)."""
        return self._add(side, pattern, skip, times, lambda connection, rest: rest[count:],
                         changes_what_follows=True)

    def delay(self, side, pattern, seconds, skip=0, times=1):
        def act(connection, rest):
            time.sleep(seconds)
            return rest
        return self._add(side, pattern, skip, times, act)

    def _add(self, side, pattern, skip, times, act, changes_what_follows=False):
        rule = Rule(side, re.compile(pattern, re.DOTALL), skip, act, times, changes_what_follows)
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule):
        with self._lock:
            self._rules.remove(rule)

    def rules(self, side):
        """Those that may still act."""
        with self._lock:
            return [rule for rule in self._rules if rule.side == side and rule.times > 0]

    def take(self, rule):
        """True for whoever may let the rule act now."""
        with self._lock:
            rule.times -= 1
            return rule.times >= 0

    # --- connections

    def cut_all(self, reset=False):
        """Ends all connections there are."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.close(reset)

    def connection_count(self):
        with self._lock:
            self._connections = [connection for connection in self._connections if not connection.is_closed()]
            return len(self._connections)

    def transcript(self, side):
        """What was passed on from this side, in all connections; of long pieces only the beginning."""
        with self._lock:
            return b"".join(self._transcripts[side])

    def _accept(self):
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._target_port), PATIENCE)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            connection = _Connection(client, server)
            with self._lock:
                self._connections.append(connection)
            for side, source, sink in ((CLIENT, client, server), (SERVER, server, client)):
                threading.Thread(target=self._pump, args=(connection, side, source, sink), daemon=True).start()

    def _pump(self, connection, side, source, sink):
        stream = _Stream(self, connection, side, sink)
        try:
            while octets := source.recv(1 << 16):
                stream.pass_on(octets)
            sink.shutdown(socket.SHUT_WR)
        except (_Ended, OSError):
            connection.close()

    def record(self, side, octets):
        if not self._keeps_transcript:
            return
        with self._lock:
            self._transcripts[side].append(octets[:_LONGEST_MATCH])


class _Connection:
    def __init__(self, client, server):
        self._sockets = (client, server)
        self._closed = threading.Event()

    def is_closed(self):
        return self._closed.is_set()

    def close(self, reset=False):
        self._closed.set()
        for one in self._sockets:
            try:
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # This wakes the pump that reads the socket; the RST goes out when the pump has let go of it too.
                one.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()


class _Stream:
    """One direction of a connection: where the rules apply."""

    def __init__(self, gate, connection, side, sink):
        self._gate = gate
        self._connection = connection
        self._side = side
        self._sink = sink
        self._position = 0   # octets that went by
        self._tail = b""     # the last of them, for matches that began there
        self._searched = {}  # rule: up to where its pattern was found, or where the rule was first met
        self._places = {}    # rule: where it acts next

    def pass_on(self, octets):
        while octets:
            rule, place = self._next_place(octets)
            before = max(0, place - self._position)
            self._send(octets[:before])
            octets = octets[before:]
            if rule:
                self._places[rule] = None
                if self._gate.take(rule):
                    rule.fired.set()
                    octets = rule.act(self._connection, octets)

    def _next_place(self, octets):
        """The rule that acts first within these octets, and its place in the stream; or none, and their end."""
        end = self._position + len(octets)
        first, first_place = None, end
        for rule in self._gate.rules(self._side):
            place = self._place(rule, octets)
            if place is None or place > end or (place == end and rule.changes_what_follows):
                continue
            if first is None or place < first_place:
                first, first_place = rule, place
        return first, first_place

    def _place(self, rule, octets):
        if rule not in self._searched:
            self._searched[rule] = self._position
            if not rule.pattern.pattern:
                self._places[rule] = self._position + rule.skip
        if rule.pattern.pattern and self._places.get(rule) is None:
            start = self._position - len(self._tail)
            match = rule.pattern.search(self._tail + octets, max(0, self._searched[rule] - start))
            if match:
                self._searched[rule] = start + match.end()
                self._places[rule] = self._searched[rule] + rule.skip
        return self._places.get(rule)

    def _send(self, octets):
        if octets:
            self._sink.sendall(octets)
            self._gate.record(self._side, octets)
            self._position += len(octets)
            self._tail = (self._tail + octets[-_LONGEST_MATCH:])[-_LONGEST_MATCH:]
