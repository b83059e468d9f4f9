"""A fake IMAP server that says what a test wants: well-behaved by itself, hostile or odd where a rule tells it to.

    rules = [(rb"SELECT .*", "<tag> NO [UNAVAILABLE] not now")]
    with ScriptedImap(messages=[b"Subject: one\\r\\n\\r\\nbody\\r\\n"], rules=rules) as server:
        ...

A rule is (pattern, answer). The pattern must match a whole command after its tag, case-insensitively; the first rule
that does answers instead of the server. An answer is text or octets with `<tag>` for the command's tag and `<default>`
for what the server would have said; or CLOSE, RESET, SILENCE or StartTls(); or a list of these; or a function of the
match that returns one of these. Lines of text get their CRLF here, octets are sent as they are.
"""

import re
import socket
import ssl
import struct
import threading
from dataclasses import dataclass

from support.net import HOST, PATIENCE


@dataclass(frozen=True)
class _Special:
    name: str


CLOSE, RESET, SILENCE = _Special("close"), _Special("reset"), _Special("silence")


@dataclass(frozen=True)
class StartTls:
    """The server's TLS handshake, after `injected` octets in clear that came too early for it."""
    injected: bytes = b""


CAPABILITY = "IMAP4rev1 SASL-IR AUTH=PLAIN ID UIDPLUS UNSELECT"
EXTENSIONS = "ENABLE ESEARCH CONDSTORE QRESYNC MOVE LIST-EXTENDED SPECIAL-USE"
GREETING = f"* OK [CAPABILITY {CAPABILITY}] ready"


class ScriptedImap:
    """Serves `messages` as UIDs 1, 2, 3… of INBOX to anybody. It knows EXTENSIONS, whether `capability` offers them or not.

    folders      {name: attributes} of the other mailboxes; what is moved or copied there is found in `moved`
    greeting     an answer as in a rule; by default a friendly one that tells the capabilities
    distort      called with each command and the server's own answer to it; returns the answer to be given instead
    certificate  (certs.Certificate) for STARTTLS, which is then offered, or from the beginning when `implicit_tls`
    """

    def __init__(self, *, messages=(), rules=(), greeting=None, capability=CAPABILITY, certificate=None,
                 implicit_tls=False, uidvalidity=1, distort=None, folders=None):
        self.capability = capability + (" STARTTLS" if certificate and not implicit_tls else "")
        self.begin_anew(messages=messages, rules=rules, greeting=greeting)
        self.folders = dict(folders or {})
        self.uidvalidity = uidvalidity
        self.distort = distort
        self.implicit_tls = implicit_tls
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate.certificate, certificate.key)
        self._lock = threading.Lock()
        self._sockets = []
        self._ended = threading.Event()
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]

    def begin_anew(self, *, messages=(), rules=(), greeting=None):
        """Makes it as if it had just been made with these."""
        self.messages = dict(enumerate(messages, 1))
        self.uidnext = len(self.messages) + 1
        self.modseq = 1  # of the mailbox; counts removals
        self.vanished = {}  # {UID: modseq at its removal}
        self.seen = set()  # UIDs
        self.moved = {}  # {folder: messages}
        self.rules = []
        for pattern, answer in rules:
            self.add_rule(pattern, answer)
        self.greeting = greeting or f"* OK [CAPABILITY {self.capability}] ready"
        self.commands = []  # those received, without their tags

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            _shut_down(one)

    def add_rule(self, pattern, answer):
        self.rules.append((re.compile(pattern, re.IGNORECASE | re.DOTALL), answer))

    def received(self, pattern):
        """The commands so far that match."""
        with self._lock:
            return [command for command in self.commands if re.fullmatch(pattern, command, re.IGNORECASE | re.DOTALL)]

    def _accept(self):
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets.append(connection)
            threading.Thread(target=_Session(self, connection).run, daemon=True).start()

    def hang_up(self):
        """Closes every connection, without a word."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            _shut_down(one)

    def deliver(self, raw):
        """Gives the message the next UID, and returns it."""
        uid = self.uidnext
        self.messages[uid] = raw
        self.uidnext += 1
        return uid

    def remove(self, uid):
        del self.messages[uid]
        self.modseq += 1
        self.vanished[uid] = self.modseq

    def record(self, command):
        with self._lock:
            self.commands.append(command)


class _Ended(Exception):
    pass


class _Session:
    def __init__(self, server, connection):
        self.server = server
        self._socket = connection
        self._socket.settimeout(PATIENCE)
        self._input = connection.makefile("rb")
        self._deleted = set()
        self._wants_vanished = False  # ENABLE QRESYNC

    def run(self):
        try:
            if self.server.implicit_tls:
                self._start_tls()
            self._say(self.server.greeting, b"")
            while line := self._input.readline():
                tag, _, command = line.rstrip(b"\r\n").partition(b" ")
                self._answer(tag, self._with_literals(command).rstrip(b" "))
        except (_Ended, OSError, ValueError):
            pass
        finally:
            _shut_down(self._socket)
            self._socket.close()

    def _with_literals(self, command):
        """The whole command: a literal becomes a quoted string, as rules expect to see it."""
        while literal := re.search(rb"\{(\d+)(\+?)\}$", command):
            if not literal[2]:
                self._send(b"+ go on\r\n")
            text = self._input.read(int(literal[1]))
            command = command[:literal.start()] + b'"' + text + b'"' + self._input.readline().rstrip(b"\r\n")
        return command

    def _answer(self, tag, command):
        self.server.record(command)
        for pattern, answer in self.server.rules:
            if match := pattern.fullmatch(command):
                if callable(answer):
                    answer = answer(match)
                return self._say(answer, tag, lambda: self._default(command))
        answer = self._default(command)
        if self.server.distort and isinstance(answer, bytes):
            answer = self.server.distort(command, answer.replace(b"<tag>", tag))
        return self._say(answer, tag)

    def _say(self, answer, tag, default=None):
        for part in answer if isinstance(answer, list) else [answer]:
            if part is CLOSE:
                raise _Ended
            if part is RESET:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._socket.close()
                raise _Ended
            if part is SILENCE:
                while self._input.readline():  # until the other side gives up
                    pass
                raise _Ended
            if isinstance(part, StartTls):
                self._send(part.injected)
                self._start_tls()
                continue
            octets = part if isinstance(part, bytes) else "".join(f"{line}\r\n" for line in part.split("\n")).encode()
            if b"<default>" in octets:
                octets = octets.replace(b"<default>\r\n", b"<default>").replace(b"<default>", default())
            self._send(octets.replace(b"<tag>", tag))

    def _send(self, octets):
        self._socket.sendall(octets)

    def _start_tls(self):
        self._socket = self.server.tls.wrap_socket(self._socket, server_side=True)
        self._input = self._socket.makefile("rb")

    # --- the well-behaved server

    def _default(self, command):
        verb, _, rest = command.partition(b" ")
        verb = verb.upper()
        if verb == b"UID":
            verb, _, rest = rest.partition(b" ")
            verb = b"UID_" + verb.upper()
        handler = getattr(self, "_do_" + verb.decode("ascii", "replace").lower(), None)
        return handler(rest) if handler else b"<tag> BAD unknown command\r\n"

    def _done(self, rest=b""):
        return b"<tag> OK done\r\n"

    _do_noop = _do_check = _do_login = _do_subscribe = _done

    def _do_enable(self, rest):
        self._wants_vanished = self._wants_vanished or b"QRESYNC" in rest.upper().split()
        return b"* ENABLED %s\r\n<tag> OK done\r\n" % rest

    def _do_capability(self, rest):
        return f"* CAPABILITY {self.server.capability}\r\n<tag> OK done\r\n".encode()

    def _do_id(self, rest):
        return b'* ID ("name" "scripted")\r\n<tag> OK done\r\n'

    def _do_authenticate(self, rest):
        if b" " not in rest:  # no initial response
            self._send(b"+ \r\n")
            self.server.record(self._input.readline().rstrip(b"\r\n"))
        return self._done()

    def _do_starttls(self, rest):
        return [b"<tag> OK begin\r\n", StartTls()] if self.server.tls else b"<tag> BAD no TLS here\r\n"

    def _do_logout(self, rest):
        return b"* BYE bye\r\n<tag> OK done\r\n"

    def _do_select(self, rest):
        self._deleted.clear()
        return (b"* FLAGS (\\Seen \\Deleted)\r\n* OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] ok\r\n"
                b"* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %d] ok\r\n* OK [UIDNEXT %d] ok\r\n"
                b"* OK [HIGHESTMODSEQ %d] ok\r\n<tag> OK [READ-WRITE] done\r\n"
                % (len(self.server.messages), self.server.uidvalidity, self._uidnext(), self.server.modseq))

    def _uidnext(self):
        """Tests put messages in by hand, too."""
        return max(self.server.uidnext, max(self.server.messages, default=0) + 1)

    _do_examine = _do_select

    def _do_status(self, rest):
        return (b"* STATUS INBOX (MESSAGES %d UIDVALIDITY %d UIDNEXT %d)\r\n<tag> OK done\r\n"
                % (len(self.server.messages), self.server.uidvalidity, self._uidnext()))

    def _do_list(self, rest):
        asked = re.match(rb"\(SPECIAL-USE\) ", rest, re.IGNORECASE)
        lines = [b'* LIST (%s) "/" "%s"\r\n' % (attributes.encode(), name.encode())
                 for name, attributes in {"INBOX": "", **self.server.folders}.items()
                 if not asked or re.search(r"\\(All|Archive|Drafts|Flagged|Junk|Sent|Trash)", attributes)]
        return b"".join(lines) + self._done()

    def _do_create(self, rest):
        self.server.folders[_unquoted(rest)] = ""
        return self._done()

    def _do_uid_copy(self, rest):
        numbers, _, name = rest.partition(b" ")
        name = _unquoted(name)
        if name not in self.server.folders:
            return b"<tag> NO [TRYCREATE] no such mailbox\r\n"
        copies = [self.server.messages[uid] for _, uid in self._chosen(numbers, by_uid=True)]
        self.server.moved.setdefault(name, []).extend(copies)
        return self._done()

    def _do_uid_move(self, rest):
        answer = self._do_uid_copy(rest)
        if not answer.startswith(b"<tag> OK"):
            return answer
        moved = {uid for _, uid in self._chosen(rest.partition(b" ")[0], by_uid=True)}
        self._deleted |= moved
        return self._expunge(moved)

    def _do_fetch(self, rest):
        return self._fetch(rest, by_uid=False)

    def _do_uid_fetch(self, rest):
        return self._fetch(rest, by_uid=True)

    def _fetch(self, rest, by_uid):
        numbers, _, items = rest.partition(b" ")
        chosen = self._chosen(numbers, by_uid)
        if since := re.search(rb" \(CHANGEDSINCE (\d+) VANISHED\)$", items, re.IGNORECASE):
            if not self._wants_vanished:
                return b"<tag> BAD QRESYNC is not enabled\r\n"
            gone = [uid for uid, modseq in sorted(self.server.vanished.items()) if modseq > int(since[1])]
            return b"* VANISHED (EARLIER) %s\r\n" % b",".join(b"%d" % uid for uid in gone) * bool(gone) + self._done()
        return b"".join(self._fetched(sequence, uid, items.upper(), by_uid) for sequence, uid in chosen) + self._done()

    def _fetched(self, sequence, uid, items, by_uid):
        raw = self.server.messages[uid]
        parts = []
        if by_uid or re.search(rb"\bUID\b", items):
            parts.append(b"UID %d" % uid)
        if b"FLAGS" in items:
            parts.append(b"FLAGS (%s)" % (b"\\Deleted" if uid in self._deleted else b""))
        if b"RFC822.SIZE" in items:
            parts.append(b"RFC822.SIZE %d" % len(raw))
        if b"INTERNALDATE" in items:
            parts.append(b'INTERNALDATE "01-Jan-2024 00:%02d:%02d +0000"' % divmod(uid % 3600, 60))
        if b"X-GM-MSGID" in items:
            parts.append(b"X-GM-MSGID %d" % (1_000_000_000_000_000_000 + uid))
        for section in re.finditer(rb"BODY(?:\.PEEK)?\[([^]]*)\](?:<(\d+)\.(\d+)>)?", items):
            header, separator, text = raw.partition(b"\r\n\r\n")
            octets = {b"": raw, b"HEADER": header + separator, b"TEXT": text}[section[1]]
            origin = b""
            if section[2]:
                start = int(section[2])
                octets, origin = octets[start:start + int(section[3])], b"<%d>" % start
            parts.append(b"BODY[%s]%s {%d}\r\n%s" % (section[1], origin, len(octets), octets))
        return b"* %d FETCH (%s)\r\n" % (sequence, b" ".join(parts))

    def _do_uid_search(self, rest):
        """Knows RETURN (ALL), sequence numbers, DELETED, UNDELETED, UNSEEN and UID."""
        criteria = re.sub(rb"^RETURN \(ALL\) ", b"", rest, flags=re.IGNORECASE)
        is_extended, rest = criteria != rest, criteria
        found = set(self.server.messages)
        if numbers := re.match(rb"[\d:,*]+", rest):
            found &= {uid for _, uid in self._chosen(numbers[0], by_uid=False)}
        if re.search(rb"\bUNSEEN\b", rest.upper()):
            found -= self.server.seen
        if re.search(rb"\bDELETED\b", rest.upper()):
            found &= self._deleted
        if re.search(rb"\bUNDELETED\b", rest.upper()):
            found -= self._deleted
        if numbers := re.search(rb"\bUID ([\d:,*]+)", rest.upper()):
            found &= {uid for _, uid in self._chosen(numbers[1], by_uid=True)}
        if is_extended:
            all_found = b" ALL " + b",".join(b"%d" % uid for uid in sorted(found)) if found else b""
            return b'* ESEARCH (TAG "<tag>") UID%s\r\n' % all_found + self._done()
        return b"* SEARCH %s\r\n" % b" ".join(b"%d" % uid for uid in sorted(found)) + self._done()

    def _do_uid_store(self, rest):
        numbers, _, change = rest.partition(b" ")
        if b"\\DELETED" in change.upper():
            chosen = {uid for _, uid in self._chosen(numbers, by_uid=True)}
            self._deleted = self._deleted - chosen if change.startswith(b"-") else self._deleted | chosen
        if b"\\SEEN" in change.upper():
            self.server.seen |= {uid for _, uid in self._chosen(numbers, by_uid=True)}
        return self._done()

    def _do_uid_expunge(self, rest):
        return self._expunge({uid for _, uid in self._chosen(rest, by_uid=True)})

    def _do_expunge(self, rest):
        return self._expunge(set(self.server.messages))

    def _expunge(self, uids):
        lines = []
        for sequence, uid in reversed(list(enumerate(list(self.server.messages), 1))):
            if uid in uids & self._deleted:
                self.server.remove(uid)
                lines.append(b"* %d EXPUNGE\r\n" % sequence)
        return b"".join(lines) + self._done()

    def _do_close(self, rest):
        self._expunge(set(self.server.messages))
        return self._done()

    def _do_unselect(self, rest):
        return self._done()

    def _chosen(self, numbers, by_uid):
        """(sequence number, UID) of the messages in an IMAP set of numbers."""
        messages = list(enumerate(self.server.messages, 1))
        last = messages[-1][1 if by_uid else 0] if messages else 0
        chosen = []
        for part in numbers.split(b","):
            ends = [last if end == b"*" else int(end) for end in part.split(b":")]
            chosen += [pair for pair in messages if min(ends) <= pair[1 if by_uid else 0] <= max(ends)]
        return chosen


def _unquoted(text):
    return re.sub(r"\\(.)", r"\1", text.decode().removeprefix('"').removesuffix('"'))


def _shut_down(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
