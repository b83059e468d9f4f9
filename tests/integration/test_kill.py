"""kill -9 at any moment: afterwards each message is there or gone, never both, and no unique-id has changed."""

import os
import random
import threading

import pytest
from support.dovecot import Dovecot
from support.net import PATIENCE
from support.pop3 import Pop3
from support.popgate import SANITIZED, Popgate
from support.setups import PASSWORD, configuration, imaps_route, log_in

ROUNDS = int(os.environ.get("POPGATE_TEST_KILLS", "10" if SANITIZED else "25"))
SEED = int(os.environ.get("POPGATE_TEST_SEED", str(random.SystemRandom().randrange(1 << 32))))


def message(number):
    return b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number) + b"x" * 70 + b"\r\n" * (number % 50)


class Client:
    """One session in a thread of its own, which remembers what it was told until the connection ends."""

    def __init__(self, popgate, user, chance):
        self.ids = {}         # {number: unique-id}, once UIDL was answered
        self.retrieved = []   # numbers
        self.marked = []      # numbers, when QUIT was sent
        self.reply = None     # to QUIT
        self._thread = threading.Thread(target=self._run, args=(popgate.port(), user, chance))
        self._thread.start()

    def _run(self, port, user, chance):
        try:
            with Pop3(port) as pop3:
                if not pop3.login(user, PASSWORD).startswith("+OK"):
                    return
                self.ids = pop3.uidl()
                numbers = list(self.ids)
                for number in chance.sample(numbers, min(10, len(numbers))):
                    pop3.retr(number)
                    self.retrieved.append(number)
                marked = chance.sample(numbers, min(5, len(numbers)))
                for number in marked:
                    assert pop3.command("DELE", number).startswith("+OK")
                self.marked = marked
                self.reply = pop3.command("QUIT")
        except (EOFError, OSError):
            pass

    def join(self):
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@pytest.mark.parametrize("on_delete", ["delete", "keep", "trash"])
def test_killed_at_random(on_delete, certificates, dovecot, user, tmp_path):
    print(f"POPGATE_TEST_SEED={SEED}")
    chance = random.Random(f"{SEED}-{on_delete}")
    route = imaps_route(dovecot, on_delete=on_delete, trash_folder="Trash")
    setup = configuration(certificates, route, state={"url": f"sqlite:{tmp_path}/state.db"})
    delivered = 60
    dovecot.deliver(user, *map(message, range(1, delivered + 1)))
    with Popgate(setup) as popgate, log_in(popgate, user) as pop3:
        ids = {}  # {subject: unique-id}, as it must be for ever
        for number, uid in pop3.uidl().items():
            ids[subject(pop3.top(number, 0))] = uid
    there = set(ids)

    for _ in range(ROUNDS):
        popgate = Popgate(setup).start()
        client = Client(popgate, user, chance)
        client_done = chance.random() < 0.2
        if client_done:
            client.join()
        else:
            # Anywhere in login, RETR, DELE or QUIT; what matters is that all of them are hit over the rounds.
            threading.Event().wait(chance.random() * 0.25)
        popgate.kill()
        client.join()

        by_id = {uid: number for number, uid in ids.items()}
        assert set(client.ids.values()) <= set(by_id), "a unique-id that was never there before"
        marked = {by_id[client.ids[number]] for number in client.marked}
        with Popgate(setup) as popgate, log_in(popgate, user) as pop3:
            now = {subject(pop3.top(number, 0)): uid for number, uid in pop3.uidl().items()}
            pop3.quit()
        assert all(ids[one] == uid for one, uid in now.items())
        assert there - marked <= set(now), "a message is lost that nobody has deleted"
        assert set(now) <= there, "a message that was deleted has come back"
        if client.reply and client.reply.startswith("+OK"):
            assert not marked & set(now)
        in_imap = sorted(subject(raw) for raw in dovecot.messages(user).values())
        if on_delete == "keep":
            assert in_imap == sorted(ids)
        else:
            assert in_imap == sorted(now)
        if on_delete == "trash":
            trash = sorted(subject(raw) for raw in dovecot.messages(user, "Trash").values()) if len(now) < len(ids) else []
            assert sorted(trash + in_imap) == sorted(ids), "neither here nor there, or both"
        there = set(now)
        if len(there) < 20:
            fresh = [message(number) for number in range(delivered + 1, delivered + 41)]
            dovecot.deliver(user, *fresh)
            with Popgate(setup) as popgate, log_in(popgate, user) as pop3:
                for number, uid in pop3.uidl().items():
                    ids[subject(pop3.top(number, 0))] = uid
                there = {subject(pop3.top(number, 0)) for number in pop3.uidl()}
            delivered += 40


def subject(raw):
    return int(raw.split()[1])
