"""Every kind of upstream, cut, stalled, garbled and slow at random, while clients work; an oracle (support/oracle.py) knows
the truth of each mailbox and holds every client's view against it.

What happens in a mailbox follows from the seed, which is printed: POPGATE_TEST_SEED repeats it, as far as threads and sockets
allow. POPGATE_TEST_SECONDS says for how long (20; 3600 by hand). In the end, with nothing wrong, everything must be had.
"""

import os
import random
import re
import subprocess
import threading
import time
from contextlib import ExitStack

import pytest
from support.gate import CLIENT, SERVER, Gate
from support.http_fake import HTTP_FAULTS
from support.http_kinds import FAKES, open_kind
from support.net import PATIENCE, wait_until
from support.oracle import Truth, Visit, demand
from support.pop3 import Pop3
from support.popgate import Popgate
from support.setups import PASSWORD, check_for_secrets, clear_route, configuration, maildir_route

SEED = os.environ.get("POPGATE_TEST_SEED") or str(random.SystemRandom().randrange(10**9))
SECONDS = float(os.environ.get("POPGATE_TEST_SECONDS", "20"))
PATIENT = {"command_timeout": "800ms", "connect_timeout": "800ms"}


def message(name, numbers):
    lines = b"".join(numbers.choice([b".", b"..", b"a line", b"", b"x" * 300]) + b"\r\n"
                     for _ in range(numbers.choice([0, 1, 20, 3000])))
    return b"Subject: %s\r\n\r\n%s" % (name.encode(), lines)


def name_of(octets):
    found = re.match(rb"Subject: (m\d+)\r\n", octets)
    return found[1].decode() if found else f"no subject in {octets[:60]!r}"


class Imap:
    """Dovecot behind a gate of the mailbox's own."""

    def __init__(self, dovecot, name, stack):
        self.user, self.password = f"chaos-{name}-{SEED}@x", PASSWORD
        self._dovecot = dovecot
        self._gate = stack.enter_context(Gate(dovecot.imap_port, keeps_transcript=False))
        self.route = {**clear_route(self._gate.port, **PATIENT), "match": self.user}
        self._rules = []

    def deliver(self, raw):
        self._dovecot.deliver(self.user, raw)

    def messages(self):
        return list(self._dovecot.messages(self.user).values())

    def go_wrong(self, numbers):
        gate = self._gate
        somewhere = numbers.choice([100, 700, 2_000, 20_000, 200_000])
        skip = numbers.randrange(somewhere + 1)
        # Not within a message: nobody could see that.
        structure = numbers.choice([rb"\* \d+ FETCH \(", rb"\* \d+ EXISTS", rb"BODY\[\] ", rb"\r\n[A-Za-z0-9]+ OK "])
        self._rules = [numbers.choice([
            lambda: gate.cut(SERVER, skip=skip),
            lambda: gate.cut(SERVER, skip=skip, reset=True),
            lambda: gate.cut(CLIENT, skip=skip % 300),
            lambda: gate.cut(CLIENT, numbers.choice([rb"EXPUNGE [\d:,]+\r\n", rb"STORE .*\r\n"])),
            lambda: gate.cut(SERVER, rb"BODY\[\] \{\d+\}\r\n", skip=skip),
            lambda: gate.stall(SERVER, skip=skip),
            lambda: gate.stall(CLIENT, skip=skip % 300),
            lambda: gate.delay(SERVER, b"", numbers.random() * 0.3, skip=skip, times=3),
            lambda: gate.replace(SERVER, structure, numbers.choice([b"\0", b"(", b"{9}", b"\r\n", b'"'])),
            lambda: gate.drop(SERVER, structure, numbers.randrange(1, 4)),
            lambda: gate.inject(SERVER, rb"\r\n[A-Za-z0-9]+ OK ", numbers.choice([b"{3}", b"\r\n* BYE x\r\n"])),
        ])() for _ in range(numbers.choice([0, 1, 1, 2, 3]))]

    def describe(self):
        return [f"{rule.side} {rule.pattern.pattern!r} {rule.skip} {rule.fired.is_set()}" for rule in self._rules]

    def be_well(self):
        for rule in self._rules:
            rule.release()
            self._gate.remove(rule)
        self._rules = []
        self._gate.cut_all()
        wait_until(lambda: self._gate.connection_count() == 0, "the end of the connections")

    def vanish(self, name):
        return False


class Http:
    """A fake of its own for each mailbox."""

    def __init__(self, kind, certificates, stack, number):
        self._fake = stack.enter_context(open_kind(kind, certificates))
        for _ in range(number):  # each has its own name at popgate
            self._fake.name_user()
        self.user, self.password = self._fake.new_user()
        self.route = {**self._fake.route(**PATIENT), "match": self.user}

    def deliver(self, raw):
        self._fake.deliver(self.user, raw)

    def messages(self):
        return self._fake.messages(self.user)

    def go_wrong(self, numbers):
        faults = self._fake.faults
        faults.clear()
        for _ in range(numbers.choice([0, 1, 1, 2, 3])):
            # A password that was refused once stays so for a while.
            fault = numbers.choice([each for each in HTTP_FAULTS if each != "401"])
            if fault.startswith(("429", "503")) and numbers.random() < 0.7:
                continue  # the pause after it is felt by many sessions
            number = numbers.randrange(1, 15)
            if numbers.random() < 0.2:
                faults.from_on(number, fault)
            else:
                faults.at(number, fault)

    def describe(self):
        return self._fake.faults.shown

    def be_well(self):
        self._fake.faults.clear()
        self._fake.log.clear()  # an hour's worth of it would fill the memory of the test

    def vanish(self, name):
        return False


class Maildir:
    """Files that another program removes."""

    def __init__(self, root, password_file):
        self.user, self.password = "maildir", PASSWORD
        self._root = root / self.user
        for folder in ("cur", "new", "tmp"):
            (self._root / folder).mkdir(parents=True)
        self.route = maildir_route(root, match=self.user, auth="password-file", password_file=str(password_file))
        self._delivered = 0

    def deliver(self, raw):
        self._delivered += 1
        path = self._root / "tmp" / f"{1_600_000_000 + self._delivered}.M{self._delivered}P1.chaos"
        path.write_bytes(raw)
        path.rename(self._root / "new" / path.name)

    def messages(self):
        return [path.read_bytes() for path in self._paths()]

    def go_wrong(self, numbers):
        pass

    def be_well(self):
        pass

    def vanish(self, name):
        for path in self._paths():
            if name_of(path.read_bytes()) == name:
                path.unlink()
                return True
        return False

    def _paths(self):
        return [path for folder in ("new", "cur") for path in (self._root / folder).iterdir()]

    def describe(self):
        return "files that vanish"


class Worker:
    """One mailbox, one client at a time, in a thread of its own."""

    def __init__(self, kind, upstream):
        self.kind = kind
        self.outcomes = {"quit": 0, "left": 0, "refused": 0, "broken off": 0}
        self.problem = None
        self._upstream = upstream
        self._numbers = random.Random(f"{SEED} {kind}")
        self._truth = Truth(name_of)
        self._transcript = []
        self._delivered = 0

    def run(self, popgate, deadline):
        sessions = 0
        try:
            while sessions < 3 or time.monotonic() < deadline:
                self._one_session(popgate)
                sessions += 1
        except BaseException as problem:  # pylint: disable=broad-except
            self.problem = problem

    def check(self):
        if self.problem:
            raise AssertionError(f"POPGATE_TEST_SEED={SEED}, {self.kind}, after {self.outcomes}: {self.problem!r}\n"
                                 f"{self._upstream.describe()}\n" + "\n".join(self._transcript)) from self.problem

    def _one_session(self, popgate):
        numbers = self._numbers
        for _ in range(numbers.randrange(4) if len(self._truth.messages) < 15 else 0):
            self._delivered += 1
            name = f"m{self._delivered}"
            raw = message(name, numbers)
            self._upstream.deliver(raw)
            self._truth.deliver(name, raw)
        self._upstream.go_wrong(numbers)
        visit = Visit(self._truth, numbers, self._upstream.vanish)
        self._transcript = visit.transcript
        before = self._sessions_ended(popgate)
        visit.hold(popgate.port(), self._upstream.user, self._upstream.password)
        # What it has begun is done when its log line is written, which names the user once PASS was heard.
        wait_until(lambda: self._sessions_ended(popgate) > before, "the end of the session", timeout=2 * PATIENCE)
        self._upstream.be_well()
        self.outcomes[visit.outcome] += 1
        self._truth.settle(self._there(), visit.marked, visit.said_quit, visit.reply, visit.vanished)

    def _sessions_ended(self, popgate):
        return sum(record["user"] == self._upstream.user for record in popgate.log("session"))

    def _there(self):
        return {name_of(raw) for raw in self._upstream.messages()}

    def check_at_rest(self, popgate):
        """With nothing wrong, and patience, everything can be had: nothing is lost for good."""
        got = wait_until(lambda: self._all_messages(popgate), "a login when all is well again", interval=0.5)
        demand(got == self._truth.messages, f"of {list(self._truth.messages)} only {list(got)} can be had")

    def _all_messages(self, popgate):
        """None while an upstream's pause lasts."""
        with Pop3(popgate.port()) as pop3:
            if not pop3.login(self._upstream.user, self._upstream.password).startswith("+OK"):
                return None
            got = {}
            for number, unique_id in pop3.uidl().items():
                octets = pop3.retr(number)
                name, _ = self._truth.identify(octets)
                self._truth.learn_id(unique_id, name)
                got[name] = octets
            pop3.quit()
            return got


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "passwords"
    hashed = subprocess.run(["openssl", "passwd", "-6", "-salt", "rounds=1000$chaos", "-stdin"], input=PASSWORD.encode(),
                            check=True, capture_output=True).stdout.decode().strip()
    path.write_text(f"maildir:{hashed}\n")
    path.chmod(0o600)
    return path


def test_whatever_goes_wrong_upstream_clients_hear_the_truth(certificates, dovecot, password_file, tmp_path):
    print(f"POPGATE_TEST_SEED={SEED}")
    with ExitStack() as stack:
        upstreams = {f"imap-{number}": Imap(dovecot, number, stack) for number in (1, 2, 3)}
        upstreams |= {kind: Http(kind, certificates, stack, number) for number, kind in enumerate(FAKES)}
        upstreams["maildir"] = Maildir(tmp_path / "mail", password_file)
        workers = [Worker(kind, upstream) for kind, upstream in upstreams.items()]
        # What fails for three sessions in a row would be hidden, and it is no wonder when that happens here.
        routes = [{**each.route, "quarantine_after": 0} for each in upstreams.values()]
        setup = configuration(certificates, routes, log={"format": "json", "level": "info"},
                              state={"url": f"sqlite:{tmp_path}/state.db"})
        end = time.monotonic() + SECONDS
        while True:  # with a new process each minute, on the same state
            with Popgate(setup) as popgate:
                before = popgate.descriptors()
                deadline = min(end, time.monotonic() + 60)
                threads = [threading.Thread(target=worker.run, args=(popgate, deadline)) for worker in workers]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                for worker in workers:
                    worker.check()
                assert popgate.descriptors() <= before + 40, "connections or files are left behind"
            check_for_secrets(popgate)
            if time.monotonic() > end:
                break
        patient = [{**each, "command_timeout": "30s", "connect_timeout": "30s"} for each in routes]
        with Popgate({**setup, "route": patient}) as popgate:
            for worker in workers:
                worker.check_at_rest(popgate)
    print({worker.kind: worker.outcomes for worker in workers})
