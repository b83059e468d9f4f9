"""What popgate knows of a mailbox between sessions: opening costs what has changed, and no unique-id ever changes."""

import os
import re
import sqlite3

import pytest
from support.dovecot import Dovecot, capability_without
from support.gate import CLIENT, SERVER, Gate
from support.scripted_imap import ScriptedImap
from support.setups import PASSWORD, clear_route, configuration, imaps_route, log_in
from support.popgate import Popgate

MANY = 100_000


def message(number):
    return b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number)


@pytest.fixture
def state(tmp_path):
    return {"url": f"sqlite:{tmp_path}/deeper/state.db"}


def state_file(state):
    return state["url"].removeprefix("sqlite:")


def uidl(popgate, user):
    with log_in(popgate, user) as pop3:
        ids = pop3.uidl()
        pop3.quit()
    return list(ids.values())


# --- what an opening costs

class Wire:
    """What went over the wire to the IMAP server since the last look."""

    def __init__(self, gate):
        self._gate = gate
        self._seen = {CLIENT: 0, SERVER: 0}

    def news(self, side):
        transcript = self._gate.transcript(side)
        news = transcript[self._seen[side]:]
        self._seen[side] = len(transcript)
        return news


def fetch_commands(octets):
    return re.findall(rb"^\S+ ((?:UID )?(?:FETCH|SEARCH) .*)\r$", octets, re.MULTILINE)


def test_a_large_mailbox_is_listed_once(certificates, serve, state, tmp_path, user):
    """The second login transfers no list, one new message costs one message, one that vanished costs one question."""
    with Dovecot(certificates, password=PASSWORD) as dovecot:
        dovecot.deliver(user)
        sources = [tmp_path / "a", tmp_path / "b"]
        for number, source in enumerate(sources):
            source.write_bytes(message(number))
        dovecot.deliver_links(user, [sources[number % 2] for number in range(MANY)])
        with dovecot.imap(user) as imap:
            assert imap.select()[1] == [b"%d" % MANY]  # its own index is made now
        with Gate(dovecot.imap_port) as gate:
            wire = Wire(gate)
            popgate = serve(clear_route(gate.port), state=state)
            first = uidl(popgate, user)
            assert len(set(first)) == MANY
            wire.news(SERVER), wire.news(CLIENT)

            assert uidl(popgate, user) == first
            received, sent = wire.news(SERVER), wire.news(CLIENT)
            assert fetch_commands(sent) == []
            assert len(received) + len(sent) < 4096

            dovecot.deliver(user, message(MANY))
            after = uidl(popgate, user)
            assert after[:-1] == first
            received, sent = wire.news(SERVER), wire.news(CLIENT)
            assert received.count(b"RFC822.SIZE") == 1
            assert len(received) + len(sent) < 4096

            with dovecot.imap(user) as imap:
                imap.select()
                imap.store("777", "+FLAGS", r"(\Deleted)")
                imap.expunge()
            wire.news(SERVER), wire.news(CLIENT)
            assert uidl(popgate, user) == after[:776] + after[777:]
            received, sent = wire.news(SERVER), wire.news(CLIENT)
            assert b"RFC822.SIZE" not in received
            assert len(received) + len(sent) < 4096

            with log_in(popgate, user) as pop3:
                pop3.command("DELE 500")
                assert pop3.quit().startswith("+OK 1 messages removed")
            wire.news(SERVER), wire.news(CLIENT)
            assert uidl(popgate, user) == after[:499] + after[500:776] + after[777:]
            received, sent = wire.news(SERVER), wire.news(CLIENT)
            assert fetch_commands(sent) == []
            assert len(received) + len(sent) < 4096


@pytest.mark.parametrize("hidden", [(), ("QRESYNC", "CONDSTORE"), ("QRESYNC", "CONDSTORE", "ESEARCH"),
                                    ("QRESYNC", "CONDSTORE", "ESEARCH", "UIDPLUS", "MOVE")], ids=lambda hidden: "-".join(hidden))
def test_what_other_clients_do_is_seen(hidden, certificates, serve, state, user):
    with Dovecot(certificates, password=PASSWORD, capability=capability_without(*hidden) if hidden else None) as dovecot:
        dovecot.deliver(user, *map(message, range(1, 31)))
        popgate = serve(imaps_route(dovecot), state=state)
        ids = uidl(popgate, user)
        for round_number in range(3):
            with dovecot.imap(user) as imap:
                imap.select()
                imap.store("3,5:7", "+FLAGS", r"(\Deleted)")
                imap.store("9", "+FLAGS", r"(\Flagged)")
                imap.expunge()
            dovecot.deliver(user, message(100 + round_number))
            ids = ids[:2] + ids[3:4] + ids[7:]
            now = uidl(popgate, user)
            assert now[:-1] == ids
            assert now[-1] not in ids
            ids = now
        with log_in(popgate, user) as pop3:
            assert pop3.retr(1) == message(1)
            assert pop3.retr(len(ids)) == message(102)


def test_a_changed_uidvalidity_is_a_new_mailbox(serve, state):
    with ScriptedImap(messages=[message(number) for number in range(1, 4)], uidvalidity=7) as server:
        popgate = serve(clear_route(server.port, unique_ids="cyrus-uid"), state=state)
        before = uidl(popgate, "u@x")
        assert before == ["1", "2", "3"]
        server.uidvalidity = 8
        after = uidl(popgate, "u@x")
        assert not set(before) & set(after)  # else a client would take a new message for an old one
        popgate.wait_for("mailbox_replaced", user="u@x", before=3, now=3)
        assert uidl(popgate, "u@x") == after
    with ScriptedImap(messages=[message(1)], uidvalidity=8) as server:
        assert after[0] not in uidl(serve(clear_route(server.port), state=state), "u@x")


# --- unique-ids

def test_unique_ids_never_change(certificates, dovecot, state, user):
    """Over restarts, without the index, on another node, with mail that comes and goes."""
    dovecot.deliver(user, *map(message, range(1, 21)))
    route = configuration(certificates, imaps_route(dovecot), state=state)
    with Popgate(route) as popgate:
        ids = uidl(popgate, user)
    for _ in range(10):
        with Popgate(route) as popgate:
            assert uidl(popgate, user) == ids
            [hashes] = {record["unique_ids"] for record in popgate.wait_for("session", user=user)}
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(state_file(state) + suffix):
            os.unlink(state_file(state) + suffix)
    with Popgate(route) as popgate, Popgate(route) as other_node:
        for node in (popgate, other_node, popgate):
            assert uidl(node, user) == ids
        for record in popgate.wait_for("session", user=user, count=2):
            assert record["unique_ids"] == hashes
        dovecot.deliver(user, message(21))
        with dovecot.imap(user) as imap:
            imap.select()
            imap.store("1:5", "+FLAGS", r"(\Deleted)")
            imap.expunge()
        after = [uidl(node, user) for node in (other_node, popgate)]
        assert after[0] == after[1]
        assert after[0][:-1] == ids[5:]
        assert popgate.wait_for("session", user=user, count=3)[2]["unique_ids"] != hashes


@pytest.mark.parametrize("harm", ["garbage", "truncated", "other application", "newer", "read-only", "directory"])
def test_a_state_file_that_cannot_be_used_costs_no_unique_id(harm, certificates, dovecot, state, user):
    dovecot.deliver(user, *map(message, range(1, 8)))
    route = configuration(certificates, imaps_route(dovecot), state=state)
    with Popgate(route) as popgate:
        ids = uidl(popgate, user)
    do_harm(state_file(state), harm)
    with Popgate(route) as popgate:
        assert uidl(popgate, user) == ids
        dovecot.deliver(user, message(8))
        assert uidl(popgate, user)[:-1] == ids
        complaints = [record for record in popgate.log() if record["event"].startswith("state_")]
        assert complaints, "the operator is told nothing"


def do_harm(path, harm):
    if harm == "garbage":
        with open(path, "r+b") as file:
            file.seek(4096)
            file.write(os.urandom(os.path.getsize(path) - 4096))
    elif harm == "truncated":
        os.truncate(path, os.path.getsize(path) // 2)
    elif harm == "other application":
        os.unlink(path)
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA application_id = 1234")
            database.execute("CREATE TABLE theirs (data)")
    elif harm == "newer":
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 1000")
    elif harm == "read-only":
        os.chmod(path, 0o400)  # root writes all the same, so for root the file is marked
        if os.geteuid() == 0:
            os.unlink(path)
            os.symlink("/proc/version", path)
    elif harm == "directory":
        os.unlink(path)
        os.mkdir(path)


def test_the_state_directory_is_made_for_us_alone(serve, state, dovecot, user):
    dovecot.deliver(user, message(1))
    uidl(serve(imaps_route(dovecot), state=state), user)
    path = state_file(state)
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o750
    assert os.stat(path).st_mode & 0o777 == 0o600


# --- sizes

def lying(octets):
    """An IMAP server that says this size of every message."""
    def distort(command, answer):
        return re.sub(rb"RFC822.SIZE \d+", b"RFC822.SIZE %d" % octets, answer)
    return distort


@pytest.mark.parametrize("told", [1, 100_000])
def test_sizes_are_learned(told, serve, state):
    with ScriptedImap(messages=[message(number) for number in range(1, 4)], distort=lying(told)) as server:
        popgate = serve(clear_route(server.port), state=state)
        with log_in(popgate, "u@x") as pop3:
            assert pop3.list() == {1: told, 2: told, 3: told}
            assert pop3.retr(2) == message(2)
            assert pop3.list()[2] == told  # the snapshot does not change
            pop3.quit()
        assert popgate.session(user="u@x")["sizes_corrected"] == 1
        popgate.wait_for("size_corrected", user="u@x", listed=told, octets=len(message(2)))
        with log_in(popgate, "u@x") as pop3:
            assert pop3.list() == {1: told, 2: len(message(2)), 3: told}
            assert pop3.stat() == (3, 2 * told + len(message(2)))


def test_the_servers_sizes_are_believed(serve, state):
    with ScriptedImap(messages=[message(1)], distort=lying(5)) as server:
        popgate = serve(clear_route(server.port, sizes="backend"), state=state)
        for _ in range(2):
            with log_in(popgate, "u@x") as pop3:
                assert pop3.list() == {1: 5}
                assert pop3.retr(1) == message(1)
                pop3.quit()


def test_exact_sizes_are_measured_before_the_answer_and_once(serve, state):
    messages = [message(1), b"Subject: x\r\n\r\nno last line end", message(3)]
    with ScriptedImap(messages=messages, distort=lying(5)) as server:
        popgate = serve(clear_route(server.port, sizes="exact"), state=state)
        for _ in range(2):
            with log_in(popgate, "u@x") as pop3:
                assert pop3.list() == {1: len(messages[0]), 2: len(messages[1]) + 2, 3: len(messages[2])}
                pop3.quit()
        # The first alone, and then the two behind it at once.
        assert len(server.received(rb"UID FETCH .*BODY.*")) == 2
