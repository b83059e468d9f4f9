"""What POP3 (RFC 1939) and a removal policy make of a mailbox: small, slow, and not derived from popgate.

A Mailbox is what is in the store; open() gives a Session, whose answer() says what the reply to a command must be and
does what the command does. Other programs work on the Mailbox itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from support.corpus import as_pop3

DAY = 86_400


@dataclass(frozen=True)
class Policy:
    """As in a route, by the names of its keys."""

    on_delete: str = "delete"
    view: str = "all"
    order: str = "oldest-first"
    delete_only_if_retrieved: bool = False

    def keys(self):
        """Those that are not as they are without being said."""
        return {name: value for name, value in vars(self).items() if value != getattr(Policy(), name)}


@dataclass
class Message:
    unique_id: str
    raw: bytes
    place: tuple            # in the order of the mailbox; begins with the seconds of its arrival
    folder: str | None = "inbox"  # or "trash", "archive"; None: removed
    seen: bool | None = False     # None: either will do
    hidden: bool = False
    retrieved: bool = False
    sight: int = 0          # counts messages as POP3 first saw them

    @property
    def octets(self):
        return as_pop3(self.raw)


@dataclass
class Reply:
    """`words` follow +OK, where they matter; `body` is a multi-line reply's, dot-stuffing undone."""

    is_ok: bool
    words: str = ""
    body: bytes | None = None

    def __str__(self):
        return f"{'+OK' if self.is_ok else '-ERR'} {self.words} {'' if self.body is None else self.body[:200]!r}"


ERR = Reply(False)


@dataclass
class Mailbox:
    policy: Policy
    messages: list = field(default_factory=list)
    sights: int = 0
    floor: int = 0  # messages that were seen before have left "last N messages" for good

    def inbox(self):
        return sorted((message for message in self.messages if message.folder == "inbox"), key=lambda m: m.place)

    def in_folder(self, folder):
        return [message for message in self.messages if message.folder == folder]

    def open(self):
        for message in self.inbox():
            if not message.sight:
                self.sights += 1
                message.sight = self.sights
        shown = [message for message in self.inbox() if not message.hidden and self._in_view(message)]
        if self.policy.view.endswith(" messages"):
            count = int(self.policy.view.split()[1])
            sights = sorted(message.sight for message in shown if message.sight >= self.floor)
            if len(sights) > count:
                self.floor = sights[-count]
            shown = [message for message in shown if message.sight >= self.floor]
        return Session(self, shown[::-1] if self.policy.order == "newest-first" else shown)

    def _in_view(self, message):
        if self.policy.view == "unread":
            assert message.seen is not None
            return not message.seen
        if self.policy.view.endswith(" days"):
            return message.place[0] >= time.time() - int(self.policy.view.split()[1]) * DAY
        return True


class Session:
    """From a login that succeeded to QUIT or drop()."""

    def __init__(self, mailbox, messages):
        self._mailbox = mailbox
        self._messages = messages
        self._marked = set()     # numbers
        self._retrieved = set()  # likewise
        self.is_over = False

    def __len__(self):
        return len(self._messages)

    def _left(self):
        return [(number, message) for number, message in enumerate(self._messages, 1) if number not in self._marked]

    def summary(self):
        return f"{len(self._left())} messages ({sum(len(message.octets) for _, message in self._left())} octets)"

    def answer(self, line):
        """The Reply to a command line."""
        verb, *arguments = line.split(" ")
        handler = getattr(self, "_" + verb.lower(), None)
        return handler(arguments) if handler else ERR

    def drop(self):
        """The client is gone without QUIT: nothing is removed."""
        self.is_over = True
        self._keep_marks(removes=False)

    def _find(self, arguments):
        """(number, message), or nothing for what is no message now."""
        if not arguments or not arguments[0].isdigit() or arguments[0].startswith("0"):
            return None
        number = int(arguments[0])
        if number > len(self._messages) or number in self._marked:
            return None
        return number, self._messages[number - 1]

    def _noop(self, arguments):
        return ERR if arguments else Reply(True)

    def _stat(self, arguments):
        left = self._left()
        return ERR if arguments else Reply(True, f"{len(left)} {sum(len(message.octets) for _, message in left)}")

    def _scan(self, arguments, words, what):
        if not arguments:
            return Reply(True, words, "".join(f"{n} {what(m)}\r\n" for n, m in self._left()).encode())
        found = self._find(arguments) if len(arguments) == 1 else None
        return Reply(True, f"{found[0]} {what(found[1])}") if found else ERR

    def _list(self, arguments):
        return self._scan(arguments, self.summary(), lambda message: len(message.octets))

    def _uidl(self, arguments):
        return self._scan(arguments, "", lambda message: message.unique_id)

    def _retr(self, arguments):
        found = self._find(arguments) if len(arguments) == 1 else None
        if not found or found[1].folder != "inbox":
            return ERR
        number, message = found
        self._retrieved.add(number)
        message.retrieved = True
        return Reply(True, f"{len(message.octets)} octets", message.octets)

    def _top(self, arguments):
        found = self._find(arguments) if len(arguments) == 2 and arguments[1].isdigit() else None
        if not found or found[1].folder != "inbox":
            return ERR
        lines = found[1].octets.splitlines(keepends=True)
        header = lines.index(b"\r\n") + 1 if b"\r\n" in lines else len(lines)
        return Reply(True, "", b"".join(lines[:header + int(arguments[1])]))

    def _dele(self, arguments):
        found = self._find(arguments) if len(arguments) == 1 else None
        if not found or (self._mailbox.policy.delete_only_if_retrieved and not found[1].retrieved):
            return ERR
        self._marked.add(found[0])
        return Reply(True)

    def _rset(self, arguments):
        if arguments:
            return ERR
        self._marked.clear()
        return Reply(True, self.summary())

    def _quit(self, arguments):
        if arguments:
            return ERR
        self.is_over = True
        self._keep_marks(removes=True)
        words = f"{len(self._marked)} messages removed, {len(self._left())} left" if self._marked else ""
        for number in self._marked:
            self._remove(self._messages[number - 1])
        return Reply(True, words)

    def _keep_marks(self, removes):
        for number in self._retrieved:
            message = self._messages[number - 1]
            if number not in self._marked:
                message.seen = True
            elif not message.seen:
                message.seen = None  # it was read, and it was to be removed: either mark will do

    def _remove(self, message):
        on_delete = self._mailbox.policy.on_delete
        if message.folder != "inbox":
            return
        if on_delete == "delete":
            message.folder = None
        elif on_delete in ("trash", "archive"):
            message.folder = on_delete
        else:
            message.hidden = True
            if on_delete == "mark-read":
                message.seen = True
