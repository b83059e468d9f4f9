"""Three nodes behind HAProxy on one Redis, clients that fetch and delete, and everything that may go wrong with nodes and
with the Redis, at random. support/fleet_checker.py reads what all clients have written down, and the mailboxes.

POPGATE_TEST_SEED repeats the order of the faults, as far as threads and sockets allow. POPGATE_TEST_SESSIONS says how many
sessions are to be let in; without it, it takes POPGATE_TEST_SECONDS (10) for each kind of Redis. By hand:

    POPGATE_TEST_SESSIONS=2000 POPGATE_BINARY=… /usr/bin/python3 -m pytest -s tests/integration/test_fleet_chaos.py
"""

import os
import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.corpus import as_pop3
from support.fleet import Fleet
from support.fleet_checker import History, faults_of
from support.fleet_clients import Client
from support.net import PATIENCE, wait_until
from support.redis import Redis, RedisWithSentinels
from support.setups import imaps_route

SEED = os.environ.get("POPGATE_TEST_SEED") or str(random.SystemRandom().randrange(10**9))
SESSIONS = int(os.environ.get("POPGATE_TEST_SESSIONS", "0"))
SECONDS = float(os.environ.get("POPGATE_TEST_SECONDS", "10"))
MAILBOXES, DISPUTED = 200, 12  # half of the sessions want one of the few
THREADS = 12
BETWEEN = 2 * THREADS if SESSIONS else THREADS // 2  # sessions that are let in before the next fault
LOCK_EXPIRY = 2
OF_ALL = "abc"


class Mailboxes:
    """What was delivered, by whom it is read, and what becomes of it."""

    def __init__(self, dovecot, kind):
        self._dovecot = dovecot
        self._numbers = random.Random(f"{SEED} {kind} mail")
        self.names = [f"{kind}-{SEED}-{number}@x" for number in range(MAILBOXES)]
        self.delivered = {name: {} for name in self.names}
        self.clients = [Client(mailbox, client, random.Random(f"{SEED} {mailbox} {client}"), PATIENCE)
                        for mailbox in self.names for client in ("desk", "phone")]
        self._idle = list(self.clients)
        self._disputed = set(self.names[:DISPUTED])
        self._lock = threading.Lock()
        for name in self.names:
            self.deliver(name, 4)

    def deliver(self, name, count=1):
        for _ in range(count):
            number = len(self.delivered[name]) + 1
            raw = b"Subject: %s %d\r\n\r\n%s\r\n" % (name.encode(), number, b"x" * self._numbers.choice([0, 70, 5000]))
            self._dovecot.deliver(name, raw)
            self.delivered[name][number] = (time.monotonic(), raw)

    def deliver_more(self):
        with self._lock:
            used = [client.mailbox for client in self.clients if client.sessions]
        for name in self._numbers.sample(used, min(3, len(used))):
            self.deliver(name)

    def take_client(self, numbers):
        """One that holds no session now."""
        with self._lock:
            disputed = [each for each in self._idle if each.mailbox in self._disputed]
            client = numbers.choice(disputed if disputed and numbers.random() < 0.5 else self._idle)
            self._idle.remove(client)
            return client

    def give_back(self, client):
        with self._lock:
            self._idle.append(client)

    def sessions(self, mailbox):
        return [log for client in self.clients if client.mailbox == mailbox for log in client.sessions]

    def used(self):
        return [name for name in self.names if self.sessions(name)]

    def history(self, mailbox, excuse):
        left = [as_pop3(raw) for raw in self._dovecot.messages(mailbox).values()]
        return History(self.delivered[mailbox], left, self.sessions(mailbox), excuse)


class Faults:
    """What goes wrong, one after another, and from when on until when."""

    def __init__(self, fleet, redis, kind):
        self._fleet, self._redis = fleet, redis
        self._numbers = random.Random(f"{SEED} {kind} faults")
        self._weak = []  # (node or OF_ALL, from, until): nobody can renew a lock then
        self.counts = Counter()
        self._kinds = [self._kill, self._stop, self._stop_for_long]
        if isinstance(redis, RedisWithSentinels):
            self._kinds += [self._fail_over, self._hand_over]
            if SESSIONS:  # the Sentinels take ten seconds for each
                self._kinds += [self._restart_master, self._pause_master]
        else:
            self._kinds += [self._cut_off, self._cut_off_silently, self._restart_redis, self._pause_redis, self._empty_redis]
        self._left = []

    def happen(self):
        """Each kind once, in random order, before one comes again."""
        if not self._left:
            self._left = self._numbers.sample(self._kinds, len(self._kinds))
        fault = self._left.pop()
        began = time.monotonic()
        who = fault()
        self.counts[fault.__name__.strip("_")] += 1
        if who:
            self._weak.append((who, began, time.monotonic()))

    def excuse(self, session):
        """See fleet_checker.History."""
        node = self._fleet.node_of(session.address)
        starts = [max(began, session.opened) for who, began, ended in self._weak
                  if (node is None or node in who) and began < session.end and session.opened < ended + LOCK_EXPIRY]
        return min(starts, default=None)

    def _node(self):
        return self._numbers.choice(self._fleet.nodes)

    def _wait(self, *locks):
        """So many lives of a lock, roughly."""
        time.sleep(self._numbers.uniform(*locks) * LOCK_EXPIRY)

    def _kill(self):
        node = self._node()
        node.kill()
        self._wait(0, 1)
        node.restart()

    def _stop(self):
        return self._stop_node(0.1, 0.8)

    def _stop_for_long(self):
        return self._stop_node(1.1, 2)

    def _stop_node(self, *locks):
        node = self._node()
        node.stop()
        self._wait(*locks)
        node.go_on()
        return node.name

    def _cut_off(self):
        return self._cut_off_node(silently=False)

    def _cut_off_silently(self):
        return self._cut_off_node(silently=True)

    def _cut_off_node(self, silently):
        node = self._node()
        node.cut_off(silently)
        self._wait(0.2, 1.6)
        node.reconnect()
        return node.name

    def _restart_redis(self):
        self._redis.kill()
        self._wait(0, 0.2)
        self._redis.start()
        return OF_ALL

    def _pause_redis(self):
        self._redis.pause()
        self._wait(0.2, 1.5)
        self._redis.resume()
        return OF_ALL

    def _empty_redis(self):
        self._redis.flush()
        return None  # whoever is there keeps his lock

    def _fail_over(self):
        self._redis.fail_over()
        self._redis.heal()
        return OF_ALL

    def _hand_over(self):
        self._redis.hand_over()
        self._redis.heal()
        return OF_ALL

    def _restart_master(self):
        """It comes back before the Sentinels have noticed, or after; as a master, until they tell it what it is."""
        master = self._redis.master()
        master.kill()
        self._wait(0, 1)
        master.start()
        self._redis.heal()
        return OF_ALL

    def _pause_master(self):
        """There may be another one when it goes on, of which it does not know yet."""
        master = self._redis.master()
        master.pause()
        self._wait(0.2, 2)
        master.resume()
        self._redis.heal()
        return OF_ALL


class Workers:
    """Threads that hold sessions, one after another, with whichever client is free."""

    def __init__(self, port, mailboxes, kind):
        self._port, self._mailboxes = port, mailboxes
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(THREADS)
        self._done = [self._pool.submit(self._work, random.Random(f"{SEED} {kind} worker {number}"))
                      for number in range(THREADS)]

    def _work(self, numbers):
        while not self._ending.is_set():
            client = self._mailboxes.take_client(numbers)
            was_let_in = client.hold_session(self._port)
            self._mailboxes.give_back(client)
            if not was_let_in:
                self._ending.wait(numbers.uniform(0.05, 0.3))

    def check(self):
        for each in self._done:
            if each.done():
                each.result()

    def end(self):
        self._ending.set()
        self._pool.shutdown()
        self.check()


def let_in(mailboxes):
    return sum(log.opened is not None for client in mailboxes.clients for log in client.sessions)


def write_down(mailboxes, mailbox, directory):
    path = directory / f"{re.sub('[^a-z0-9]+', '-', mailbox)}.jsonl"
    path.write_text("".join(log.to_json() + "\n" for log in mailboxes.sessions(mailbox)))
    return path


def check_at_rest(fleet, mailboxes):
    """When all is well again everybody is let in, and each node shows the same octets."""
    for mailbox in mailboxes.names[:DISPUTED // 2]:
        shown = set()
        for node in fleet.nodes:
            with node.open(mailbox) as pop3:
                shown.add(tuple(pop3.command(word) + pop3.multiline().decode() for word in ("UIDL", "LIST")))
                pop3.quit()
        assert len(shown) == 1, f"POPGATE_TEST_SEED={SEED}, {mailbox}: {shown}"


@pytest.mark.parametrize("kind", ["single", "sentinel"])
def test_whatever_happens_clients_get_all_their_mail_once(kind, certificates, dovecot, tmp_path):
    print(f"POPGATE_TEST_SEED={SEED}")
    mailboxes = Mailboxes(dovecot, kind)
    state = {"lock_expiry": f"{LOCK_EXPIRY}s"}
    redis = Redis() if kind == "single" else RedisWithSentinels()
    with redis:
        where = {"redis": redis} if kind == "single" else {"url": redis.url()}
        if kind == "sentinel":
            state["replicas"] = 1
        with Fleet(certificates, imaps_route(dovecot), state=state, **where) as fleet:
            faults = Faults(fleet, redis, kind)
            workers = Workers(fleet.port, mailboxes, kind)
            try:
                end = time.monotonic() + SECONDS
                while let_in(mailboxes) < SESSIONS / 2 if SESSIONS else time.monotonic() < end:
                    before = let_in(mailboxes)
                    wait_until(lambda: let_in(mailboxes) > before + BETWEEN, "sessions between two faults", interval=0.05)
                    mailboxes.deliver_more()
                    faults.happen()
                    workers.check()
            finally:
                workers.end()
            check_at_rest(fleet, mailboxes)
            for node in fleet.nodes:  # its sessions' lines are written when it has ended
                node.popgate.stop()
            wrong = []
            for mailbox in mailboxes.used():
                found = faults_of(mailboxes.history(mailbox, faults.excuse))
                if found:
                    wrong += [f"{mailbox}, see {write_down(mailboxes, mailbox, tmp_path)}", *found]
    counts = Counter("let in" if log.opened else log.refusal[:16] or "cut" for client in mailboxes.clients
                     for log in client.sessions)
    print(f"measured: fleet, {kind}: {dict(counts)}, {dict(faults.counts)}")
    assert not wrong, f"POPGATE_TEST_SEED={SEED}, {dict(faults.counts)}\n" + "\n".join(wrong)
