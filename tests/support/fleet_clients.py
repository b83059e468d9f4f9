"""POP3 clients that keep unique-ids, and write down all that they say and hear, with times, for fleet_checker."""

import json
import re
import time
from dataclasses import asdict, dataclass, field

from support.pop3 import Pop3
from support.setups import PASSWORD


@dataclass
class SessionLog:
    """One session as its client saw it. Times are of time.monotonic(); None: that has not happened."""

    mailbox: str
    client: str                       # one of those that the mailbox has
    address: str = ""                 # of the client, "HOST:PORT"
    asked: float | None = None        # PASS was sent
    refusal: str = ""                 # what PASS was answered instead of +OK
    opened: float | None = None       # the +OK of PASS was read
    shown: dict | None = None         # {unique-id: octets}, by UIDL and LIST, in their order
    listed: float | None = None       # they were read
    got: list = field(default_factory=list)   # (time, unique-id, octets) of messages that came whole
    marked: list = field(default_factory=list)  # unique-ids whose DELE was answered +OK
    quit_sent: float | None = None
    answer: str | None = None         # to QUIT
    answered: float | None = None
    last_heard: float | None = None   # the last reply of any kind
    left: float | None = None         # the client closed the connection, having said no QUIT
    said: list = field(default_factory=list)    # (time, line) of everything

    @property
    def end(self):
        """Until when it surely lasted."""
        return next(time for time in (self.quit_sent, self.left, self.last_heard) if time is not None)

    def to_json(self):
        fields = asdict(self)
        fields["got"] = [(time, unique_id, len(octets)) for time, unique_id, octets in self.got]
        return json.dumps(fields)


class Trouble(AssertionError):
    """The client was told what no server may tell."""


# What may be heard at login while nodes and their Redis come and go.
_PUT_OFF = re.compile(r"-ERR \[(SYS/TEMP|IN-USE)\] ")
# What ends a session at a node that was stopped or cut off for too long.
_LOST = "-ERR [SYS/TEMP] the lock of the mailbox was lost"


class Client:
    """One program or device of a mailbox. It holds one session at a time."""

    def __init__(self, mailbox, name, numbers, patience):
        self.mailbox = mailbox
        self.name = name
        self.known = {}     # unique-ids of the messages that it has, with their octets: what a client keeps on its disk
        self.sessions = []  # SessionLog
        self._numbers = numbers
        self._patience = patience
        self._log = None
        self._pop3 = None

    def hold_session(self, port):
        """One session, of which it fetches what it does not know, and deletes some of what it has. Whether it was let in."""
        self._log = log = SessionLog(self.mailbox, self.name)
        self.sessions.append(log)
        try:
            with Pop3(port, timeout=self._patience) as self._pop3:
                log.address = "%s:%d" % self._pop3.socket.getsockname()
                if self._log_in():
                    self._look()
                    self._fetch()
                    self._delete()
                    self._leave()
        except (EOFError, OSError) as problem:  # a node has died, or HAProxy has none
            log.said.append((time.monotonic(), repr(problem)))
        return log.opened is not None

    def _log_in(self):
        log = self._log
        if not self._ask(f"USER {self.mailbox}").startswith("+OK"):
            raise Trouble(f"USER: {log.said}")
        log.asked = time.monotonic()
        reply = self._ask(f"PASS {PASSWORD}")
        if reply.startswith("+OK"):
            log.opened = time.monotonic()
            return True
        if not _PUT_OFF.match(reply):
            raise Trouble(f"{self.mailbox}: {reply}")
        log.refusal = reply
        return False

    def _look(self):
        ids = dict(line.split(" ") for line in self._ask_lines("UIDL"))
        octets = dict(line.split(" ") for line in self._ask_lines("LIST"))
        if list(ids) != list(octets) or list(ids) != [str(number + 1) for number in range(len(ids))]:
            raise Trouble(f"{self.mailbox}: UIDL {ids}, LIST {octets}")
        self._log.shown = {unique_id: int(octets[number]) for number, unique_id in ids.items()}
        self._log.listed = time.monotonic()

    def _fetch(self):
        for number, unique_id in enumerate(self._log.shown, 1):
            if unique_id in self.known or self._numbers.random() < 0.1:
                continue
            if not self._ask(f"RETR {number}").startswith("+OK"):
                continue  # another session's node had it removed before its client knew
            octets = self._pop3.multiline()
            self._log.last_heard = time.monotonic()
            self._log.got.append((self._log.last_heard, unique_id, octets))
            self.known[unique_id] = octets

    def _delete(self):
        for number, unique_id in enumerate(self._log.shown, 1):
            if unique_id in self.known and self._numbers.random() < 0.3:
                if self._ask(f"DELE {number}").startswith("+OK"):
                    self._log.marked.append(unique_id)

    def _leave(self):
        log, chance = self._log, self._numbers.random()
        # Most hurry; some think for longer than a lock lasts, and ask for nothing meanwhile.
        time.sleep(self._numbers.choice([0, 0, 0, 0, 0, 0, 0.1, 0.3, 1, 3]))
        if chance < 0.2:
            log.left = time.monotonic()
            log.said.append((log.left, "leaves"))
            if chance < 0.1:
                self._pop3.reset()
            return
        log.quit_sent = time.monotonic()
        if chance < 0.3:
            self._pop3.send(b"QUIT\r\n")
            log.said.append((log.quit_sent, "QUIT, and does not wait"))
            return
        log.answer = self._ask("QUIT")
        log.answered = log.last_heard

    def _ask(self, command):
        log = self._log
        log.said.append((time.monotonic(), command if not command.startswith("PASS") else "PASS …"))
        reply = self._pop3.command(command)
        log.last_heard = time.monotonic()
        log.said.append((log.last_heard, reply))
        if reply.startswith(_LOST) and command != "QUIT":
            raise EOFError(reply)  # nothing follows it
        return reply

    def _ask_lines(self, command):
        reply = self._ask(command)
        if not reply.startswith("+OK"):
            raise Trouble(f"{self.mailbox}: {command}: {reply}")
        lines = self._pop3.lines()
        self._log.last_heard = time.monotonic()
        return lines
