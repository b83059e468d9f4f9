"""Thousands of random POP3 sessions on Maildirs, each reply compared with what a small model says (support/model.py).

Users with different policies work at the same time, each in a thread of its own, while another program delivers, reads
and removes. All that happens to a user follows from the seed, which is printed: POPGATE_TEST_SEED repeats it.
POPGATE_TEST_SESSIONS is how many sessions there are in all.
"""

import os
import random
import subprocess
import threading
import time

import pytest
from support.model import DAY, ERR, Mailbox, Message, Policy, Reply
from support.net import PATIENCE, wait_until
from support.pop3 import Pop3
from support.setups import PASSWORD

SEED = os.environ.get("POPGATE_TEST_SEED") or str(random.SystemRandom().randrange(10**9))
SESSIONS = int(os.environ.get("POPGATE_TEST_SESSIONS", "3000"))
SECONDS = 150  # after which no new session begins: a slow machine sees fewer of them

POLICIES = {
    "delete": Policy(),
    "newest": Policy(order="newest-first"),
    "keep": Policy(on_delete="keep"),
    "mark": Policy(on_delete="mark-read", order="newest-first"),
    "trash": Policy(on_delete="trash"),
    "archive": Policy(on_delete="archive", view="unread"),
    "unread": Policy(view="unread"),
    "marked": Policy(on_delete="mark-read", view="unread"),
    "days": Policy(view="last 30 days", on_delete="keep"),
    "last": Policy(view="last 5 messages"),
    "latest": Policy(view="last 5 messages", on_delete="keep", order="newest-first"),
    "careful": Policy(delete_only_if_retrieved=True),
    "strict": Policy(delete_only_if_retrieved=True, on_delete="trash", view="last 5 messages"),
}

BODIES = [b"", b"text\n", b".\n", b"..\n.x\n\n", b"no end", b"crlf\r\n.\r\nmore\r\n", b"gr\xc3\xbc\xc3\x9fe\n" * 40,
          b"\n\n\n", b"line of some length\n" * 1500]

COMMANDS = ["STAT", "LIST", "UIDL", "NOOP", "RSET", "LIST {}", "UIDL {}", "RETR {}", "RETR {}", "RETR {}", "TOP {} 0",
            "TOP {} 1", "TOP {} 40", "DELE {}", "DELE {}", "DELE {}", "XYZ", "RETR", "DELE", "TOP {}", "LIST {} 1",
            "STAT 1", "RETR x", "DELE -1", "RETR 1 2", "NOOP x", "TOP {} x"]
# What leaves no doubt about what was received when the client goes away without reading the replies.
HARMLESS = ["STAT", "LIST", "UIDL", "NOOP", "DELE {}", "TOP {} 3", "RSET"]


class Maildir:
    """What another program sees of a Maildir, and does to it."""

    def __init__(self, root):
        self._root = root
        for name in ("cur", "new", "tmp"):
            (root / name).mkdir(parents=True)

    def deliver(self, base, raw):
        (self._root / "tmp" / base).write_bytes(raw)
        (self._root / "tmp" / base).rename(self._root / "new" / base)

    def remove(self, base):
        self._change(base, lambda path: path.unlink())

    def mark_read(self, base):
        def add_flag(path):
            flags = path.name.partition(":2,")[2]
            path.rename(self._root / "cur" / f"{base}:2,{''.join(sorted(set(flags + 'S')))}")

        self._change(base, add_flag)

    def inbox(self):
        """{base name: (octets, is it read)}"""
        found = {}
        for path in self._files(""):
            base, _, flags = path.name.partition(":2,")
            try:
                found[base] = (path.read_bytes(), path.parent.name == "cur" and "S" in flags)
            except FileNotFoundError:
                pass  # popgate has just renamed it: it is missing from this look
        return found

    def folder(self, name):
        return sorted(path.read_bytes() for path in self._files(f".{name}"))

    def _files(self, folder):
        return [path for part in ("new", "cur") if (self._root / folder / part).exists()
                for path in (self._root / folder / part).iterdir()]

    def _change(self, base, action):
        """Also while popgate renames the same file."""
        def tried():
            for path in self._files(""):
                if path.name.partition(":")[0] == base:
                    try:
                        action(path)
                        return True
                    except FileNotFoundError:
                        pass
            return False

        wait_until(tried, f"{base} to be found")


class User:
    """One account: its Maildir, the model of it, and one client at a time."""

    def __init__(self, name, policy, root):
        self.name = name
        self.sessions = 0
        self.problem = None
        self._numbers = random.Random(f"{SEED} {name}")
        self._maildir = Maildir(root / name)
        self._model = Mailbox(policy)
        self._delivered = 0
        self._transcript = []

    def run(self, popgate, sessions, deadline):
        """Sessions until there were so many; what went wrong is kept for check()."""
        try:
            for _ in range(sessions):
                if time.monotonic() > deadline:
                    break
                self._transcript = []
                for _ in range(self._numbers.randrange(4)):
                    self._act_as_another_program()
                self._hold_session(popgate)
                self._compare_stores()
                self.sessions += 1
        except BaseException as problem:  # pylint: disable=broad-except
            self.problem = problem

    def check(self):
        if self.problem:
            transcript = "\n".join(self._transcript)
            raise AssertionError(f"POPGATE_TEST_SEED={SEED}, user {self.name}, session {self.sessions}: "
                                 f"{self.problem!r}\n{transcript}") from self.problem

    # --- another program

    def _act_as_another_program(self):
        numbers = self._numbers
        inbox = self._model.inbox()
        action = numbers.random()
        if action < 0.7 or not inbox:
            if len(inbox) < 25:
                self._deliver()
        elif action < 0.85:
            message = numbers.choice(inbox)
            self._note(f"* removes {message.unique_id}")
            self._maildir.remove(message.unique_id)
            message.folder = None
        else:
            message = numbers.choice(inbox)
            self._note(f"* reads {message.unique_id}")
            self._maildir.mark_read(message.unique_id)
            message.seen = True

    def _deliver(self):
        self._delivered += 1
        numbers = self._numbers
        # Now and then mail that was moved here from elsewhere, and is older than the rest.
        arrival = int(time.time()) - (40 * DAY if numbers.random() < 0.25 else 0)
        base = f"{arrival}.M{self._delivered}P1.model"
        raw = b"Subject: %d for %s\n" % (self._delivered, self.name.encode())
        if numbers.random() < 0.95:
            raw += b"\n" + numbers.choice(BODIES)
        self._note(f"* delivers {base}, {len(raw)} octets")
        self._maildir.deliver(base, raw)
        self._model.messages.append(Message(base, raw, (arrival, self._delivered)))

    # --- the client

    def _hold_session(self, popgate):
        with self._log_in(popgate) as pop3:
            self._learn_marks()
            session = self._model.open()
            self._expect(pop3, "PASS", Reply(True, session.summary()))
            while not session.is_over:
                if self._numbers.random() < 0.3:
                    self._act_as_another_program()
                if self._numbers.random() < 0.05:
                    self._try_to_log_in_twice(popgate)
                self._say_something(pop3, session)
                if not session.is_over and self._numbers.random() < 0.1:
                    self._go_away(pop3, session)

    def _log_in(self, popgate):
        """Up to the reply to PASS, which is still to be read."""
        deadline = time.monotonic() + PATIENCE
        while True:
            pop3 = Pop3(popgate.port())
            if self._numbers.random() < 0.1:
                self._converse(pop3, [("STAT", ERR)])
            self._note(f"C: USER {self.name}, PASS")
            pop3.send(f"USER {self.name}\r\nPASS {PASSWORD}\r\n".encode())
            assert pop3.line().startswith("+OK")
            reply = pop3.line()
            # A client that went away without a word is missed a moment later.
            if not reply.startswith("-ERR [IN-USE]") or time.monotonic() > deadline:
                self._reply_to_pass = reply
                return pop3
            pop3.close()

    def _try_to_log_in_twice(self, popgate):
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(self.name, PASSWORD).startswith("-ERR [IN-USE]")

    def _say_something(self, pop3, session):
        """Some commands, one by one or all at once, perhaps with QUIT as the last."""
        numbers = self._numbers
        lines = [numbers.choice(COMMANDS).format(numbers.randrange(len(session) + 2))
                 for _ in range(numbers.randrange(1, 8))]
        if numbers.random() < 0.3:
            lines.append("QUIT")
        if numbers.random() < 0.5:
            self._converse(pop3, [(line, session.answer(line)) for line in lines])
            return
        for line in lines:
            self._converse(pop3, [(line, session.answer(line))])

    def _go_away(self, pop3, session):
        lines = [self._numbers.choice(HARMLESS).format(self._numbers.randrange(len(session) + 2))
                 for _ in range(self._numbers.randrange(4))]
        self._note(f"C: {lines}, and goes away")
        for line in lines:
            session.answer(line)
        pop3.send("".join(line + "\r\n" for line in lines).encode())
        session.drop()
        if self._numbers.random() < 0.5:
            pop3.reset()

    def _converse(self, pop3, exchanges):
        pop3.send("".join(line + "\r\n" for line, _ in exchanges).encode())
        for line, expected in exchanges:
            self._expect(pop3, line, expected)

    def _expect(self, pop3, line, expected):
        first = self._reply_to_pass if line == "PASS" else pop3.line()
        self._note(f"C: {line}\nS: {first}")
        status, _, words = first.partition(" ")
        wanted = f"{line}: {first}; expected: {expected}"
        assert status == ("+OK" if expected.is_ok else "-ERR"), wanted
        if expected.is_ok and expected.words:
            assert words == expected.words, wanted
        if expected.body is not None:
            body = pop3.multiline()
            assert body == expected.body, f"{wanted}, with {body[:2000]!r}"

    # --- what is left behind

    def _compare_stores(self):
        # After a client has gone away, marks are set a moment later.
        wait_until(lambda: not self._differences(), f"the Maildir of the model, not: {self._differences()}")

    def _learn_marks(self):
        """Of those messages for which either will do; the session before is over for popgate too, at the latest now."""
        inbox = self._maildir.inbox()
        for message in self._model.inbox():
            if message.seen is None:
                message.seen = inbox[message.unique_id][1]

    def _differences(self):
        differences = []
        inbox = self._maildir.inbox()
        expected = {message.unique_id: message for message in self._model.inbox()}
        for base in sorted(inbox.keys() ^ expected.keys()):
            differences.append(f"{base} is {'there' if base in inbox else 'missing'}")
        for base in inbox.keys() & expected.keys():
            raw, seen = inbox[base]
            if raw != expected[base].raw:
                differences.append(f"{base} has other contents")
            if expected[base].seen not in (None, seen):
                differences.append(f"{base} is {'marked' if seen else 'not marked'} as read")
        for folder in ("trash", "archive"):
            if self._maildir.folder(folder.title()) != sorted(m.raw for m in self._model.in_folder(folder)):
                differences.append(f"the {folder} folder has other contents")
        return differences

    def _note(self, text):
        self._transcript.append(text)


@pytest.fixture
def password_file(tmp_path):
    # Cheap on purpose: it is not the hash that is tested here.
    hashed = subprocess.run(["openssl", "passwd", "-6", "-salt", "rounds=1000$model", "-stdin"], input=PASSWORD.encode(),
                            check=True, capture_output=True).stdout.decode().strip()
    path = tmp_path / "passwords"
    path.write_text("".join(f"{name}{copy}:{hashed}\n" for name in POLICIES for copy in (1, 2)))
    path.chmod(0o600)
    return path


def routes(policies, root, password_file):
    return [{"match": f"{name}?", "backend": f"maildir:{root}/%u", "auth": "password-file",
             "password_file": str(password_file), **policy.keys()} for name, policy in policies.items()]


def run_all(users, popgate, sessions):
    """So many sessions in all, with a thread for each user."""
    deadline = time.monotonic() + SECONDS
    each = max(1, sessions // len(users))
    threads = [threading.Thread(target=user.run, args=(popgate, each, deadline)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for user in users:
        user.check()
    print(f"seed {SEED}: {sum(user.sessions for user in users)} sessions so far")


def test_the_plain_policy(serve, tmp_path, password_file):
    policies = {"delete": POLICIES["delete"]}
    popgate = serve(routes(policies, tmp_path / "mail", password_file))
    users = [User(f"delete{copy}", policies["delete"], tmp_path / "mail") for copy in (1, 2)]
    run_all(users, popgate, SESSIONS // 5)


def test_every_policy_and_a_restart(serve, tmp_path, password_file):
    """What is remembered must be the same when popgate has been started anew."""
    state = {"url": f"sqlite:{tmp_path}/state.db"}
    users = [User(f"{name}{copy}", policy, tmp_path / "mail") for name, policy in POLICIES.items() for copy in (1, 2)]
    for _ in range(2):
        popgate = serve(routes(POLICIES, tmp_path / "mail", password_file), state=state)
        run_all(users, popgate, SESSIONS * 2 // 5)
        popgate.stop()
