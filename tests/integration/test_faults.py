"""A man in the middle cuts, stalls and garbles the IMAP stream at every stage of a session.

Whatever happens: a truncated message never ends in ".", an unreachable mailbox is never an empty one, what QUIT says
is true, and the next session finds everything in order.
"""

import random
import time

import pytest
from support.gate import CLIENT, SERVER, Gate
from support.net import wait_until
from support.pop3 import Pop3
from support.setups import PASSWORD, clear_route, log_in

MESSAGES = [b"Subject: %d\r\n\r\n" % number + b"0123456789 and so on\r\n" * 5000 for number in range(1, 6)]
SIZE = len(MESSAGES[0])

# Where to act: (the side that speaks, what it says, so many octets further on).
STAGES = {
    "before the greeting": (SERVER, rb"", 0),
    "in the greeting": (SERVER, rb"", 4),
    "after the greeting": (SERVER, rb"\* OK [^\r]*\r\n", 0),
    "login": (CLIENT, rb"(LOGIN|AUTHENTICATE)[^\r]*\r\n", 0),
    "login answered in part": (SERVER, rb"\* OK [^\r]*\r\n.*OK \[", 0),
    "select": (CLIENT, rb"(SELECT|EXAMINE)[^\r]*\r\n", 0),
    "select answered in part": (SERVER, rb"EXISTS\r\n", 0),
    "list": (CLIENT, rb"FETCH [^\r]*RFC822.SIZE[^\r]*\r\n", 0),
    "list answered in part": (SERVER, rb"\* 3 FETCH \(", 3),
    "list all but its end": (SERVER, rb"\* 5 FETCH \([^\r]*\)\r\n", 0),
    "fetch": (CLIENT, rb"FETCH [^\r]*BODY[^\r]*\r\n", 0),
    "before the literal": (SERVER, rb"\* \d+ FETCH [^\r]*BODY\[", 0),
    "literal begun": (SERVER, rb"BODY\[\](<0>)? \{\d+\}\r\n", 1),
    "literal in the middle": (SERVER, rb"BODY\[\](<0>)? \{\d+\}\r\n", SIZE // 2),
    "literal but one octet": (SERVER, rb"BODY\[\](<0>)? \{\d+\}\r\n", SIZE - 1),
    "after the literal": (SERVER, rb"BODY\[\](<0>)? \{\d+\}\r\n", SIZE),
    "store": (CLIENT, rb"STORE [^\r]*Deleted[^\r]*\r\n", 0),
    "expunge": (CLIENT, rb"EXPUNGE[^\r]*\r\n", 0),
}

FAULTS = {
    "cut": lambda gate, place: gate.cut(*place),
    "reset": lambda gate, place: gate.cut(*place, reset=True),
    "stall": lambda gate, place: gate.stall(*place),
}

# Garbled at these places, the stream can no longer be taken for a right one.
GARBLED = {
    "greeting": (SERVER, rb"", 0, b"\xff\xfe\0\0\r\n"),
    "greeting of another protocol": (SERVER, rb"", 0, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "login": (SERVER, rb"\* OK [^\r]*\r\n", 0, b"\0\0\0\r\n)))\r\n"),
    "select": (SERVER, rb"\* FLAGS ", 0, b"((((((((((\r\n"),
    "list": (SERVER, rb"\* 3 FETCH ", 0, b"%%%%%%%%"),
    "number in the list": (SERVER, rb"\* 3 FETCH \(UID ", 0, b"x"),
    "size in the list": (SERVER, rb"\* 3 FETCH [^\r]*RFC822.SIZE ", 0, b"-"),
    "size of the literal": (SERVER, rb"BODY\[\](<0>)? \{", 0, b"x"),
    "end of the literal": (SERVER, rb"BODY\[\](<0>)? \{\d+\}\r\n", SIZE, b"]]]"),
}


@pytest.fixture
def gate(dovecot):
    with Gate(dovecot.imap_port) as gate:
        yield gate


@pytest.fixture
def popgate(serve, gate):
    return serve(clear_route(gate.port, connect_timeout="4s", command_timeout="4s"), limits={"workers": 1})


@pytest.fixture
def mailbox(dovecot, user):
    dovecot.deliver(user, *MESSAGES)
    return user


def one_session(popgate, user, delete=True):
    """Reads all, deletes the first or not, and checks that no promise is broken on the way. Returns what QUIT, or the reply
    that ended it, said; None when the connection was closed instead."""
    with Pop3(popgate.port()) as pop3:
        reply = pop3.login(user, PASSWORD)
        if not reply.startswith("+OK"):
            return reply
        assert pop3.stat()[0] == len(MESSAGES)
        assert len(pop3.list()) == len(pop3.uidl()) == len(MESSAGES)
        try:
            for number, message in enumerate(MESSAGES, 1):
                reply = pop3.command("RETR", number)
                if not reply.startswith("+OK"):
                    return reply
                assert pop3.multiline() == message
            if delete:
                assert pop3.command("DELE 1").startswith("+OK")
            return pop3.quit()
        except EOFError:
            return None


def assert_all_is_well_again(popgate, dovecot, user, reply):
    popgate.session(user=user)
    left = len(dovecot.uids(user))
    assert left == len(MESSAGES) or left == len(MESSAGES) - 1
    if reply is not None and reply.startswith("+OK"):
        assert left == len(MESSAGES) - 1
    expected = MESSAGES[len(MESSAGES) - left:]
    pop3 = log_in(popgate, user)  # the lock is free
    assert [pop3.retr(number) for number in range(1, left + 1)] == expected
    assert pop3.quit().startswith("+OK")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_fault_is_told_and_overcome(stage, fault, gate, popgate, dovecot, mailbox):
    rule = FAULTS[fault](gate, STAGES[stage])
    reply = one_session(popgate, mailbox)
    rule.wait()
    assert reply is None or reply.startswith(("+OK", "-ERR [SYS/TEMP] ")), reply
    if stage not in ("store", "expunge"):
        assert not (reply or "").startswith("+OK 0 0")
    assert_all_is_well_again(popgate, dovecot, mailbox, reply)


@pytest.mark.parametrize("stage", GARBLED)
def test_a_garbled_stream_is_told_and_overcome(stage, gate, popgate, dovecot, mailbox):
    side, pattern, skip, garbage = GARBLED[stage]
    rule = gate.replace(side, pattern, garbage, skip=skip)
    reply = one_session(popgate, mailbox)
    rule.wait()
    assert reply is None or reply.startswith(("+OK", "-ERR [SYS/TEMP] ")), reply
    assert_all_is_well_again(popgate, dovecot, mailbox, reply)


def test_random_garbage_harms_nothing_but_its_session(gate, dovecot, mailbox, serve):
    """No outcome of these sessions is wrong in itself; popgate must end them, live on, and serve the next one."""
    popgate = serve(clear_route(gate.port, connect_timeout="1s", command_timeout="300ms"))
    for seed in range(60):
        random_numbers = random.Random(seed)
        garbage = random_numbers.choice([b"\r\n", b"(", b")", b"{", b"}", b'"', b"\0", b"*", b" ", b"{99}\r\n",
                                         random_numbers.randbytes(5)])
        place = random_numbers.randrange(random_numbers.choice([100, 1500, 3000, 5 * SIZE]))
        change = random_numbers.choice([lambda: gate.inject(SERVER, rb"", garbage, skip=place),
                                        lambda: gate.replace(SERVER, rb"", garbage, skip=place),
                                        lambda: gate.drop(SERVER, rb"", 3, skip=place)])
        rule = change()
        with Pop3(popgate.port()) as pop3:
            pop3.send(f"USER {mailbox}\r\nPASS {PASSWORD}\r\nLIST\r\nRETR 1\r\nTOP 2 9\r\nRETR 3\r\nQUIT\r\n".encode())
            pop3.rest()
        popgate.wait_for("session", count=seed + 1)
        gate.remove(rule)
    pop3 = log_in(popgate, mailbox)
    assert [pop3.retr(number) for number in range(1, 6)] == MESSAGES
    pop3.quit()


@pytest.mark.parametrize("fault", FAULTS)
def test_top_of_a_cut_message_has_no_end_either(fault, gate, popgate, mailbox):
    rule = FAULTS[fault](gate, (SERVER, rb"BODY\[\](<0>)? \{\d+\}\r\n", 2000))
    with log_in(popgate, mailbox) as pop3:
        pop3.send(b"TOP 1 4000\r\nQUIT\r\n")
        received = pop3.rest()
        assert received.startswith(b"-ERR [SYS/TEMP] ") or b"\r\n.\r\n" not in received
    rule.wait()


@pytest.mark.parametrize("fault", FAULTS)
def test_top_that_has_its_lines_is_whole_whatever_comes_then(fault, gate, popgate, mailbox):
    rule = FAULTS[fault](gate, (SERVER, rb"BODY\[\](<0>)? \{\d+\}\r\n", 2000))
    with log_in(popgate, mailbox) as pop3:
        assert pop3.top(1, 10) == MESSAGES[0][:len(b"Subject: 1\r\n\r\n") + 10 * len(b"0123456789 and so on\r\n")]
        rule.wait()
        assert pop3.retr(2) == MESSAGES[1]
        assert pop3.quit().startswith("+OK")


def test_a_message_that_breaks_off_is_not_marked_as_read_and_nothing_is_deleted(gate, popgate, dovecot, mailbox):
    gate.cut(SERVER, rb"BODY\[\](<0>)? \{\d+\}\r\n", SIZE // 2)
    with log_in(popgate, mailbox) as pop3:
        pop3.send(b"DELE 2\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
        assert b"\r\n.\r\n" not in pop3.rest()
        popgate.session(user=mailbox)
    assert len(dovecot.uids(mailbox)) == len(MESSAGES)
    assert dovecot.uids(mailbox, criterion="SEEN") == []


def test_a_removal_that_breaks_off_is_told(gate, popgate, dovecot, mailbox):
    """Nobody knows what became of it: then QUIT must not say that it is done."""
    gate.cut(CLIENT, rb"(?=)STORE ", 0, times=100)
    with log_in(popgate, mailbox) as pop3:
        pop3.command("DELE 1")
        pop3.command("DELE 2")
        reply = pop3.quit()
    assert reply.startswith("-ERR [SYS/TEMP] ") and "2" in reply
    assert len(dovecot.uids(mailbox)) == len(MESSAGES)


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
def test_a_connection_lost_between_two_commands_is_opened_again(reset, gate, popgate, dovecot, mailbox):
    with log_in(popgate, mailbox) as pop3:
        uidl = pop3.uidl()
        gate.cut_all(reset)
        assert pop3.retr(2) == MESSAGES[1]
        gate.cut_all(reset)
        assert pop3.top(3, 0) == b"Subject: 3\r\n\r\n"
        assert pop3.uidl() == uidl
        pop3.command("DELE 1")
        gate.cut_all(reset)
        assert pop3.quit().startswith("+OK")
    assert len(dovecot.uids(mailbox)) == len(MESSAGES) - 1


def test_a_lost_connection_is_not_opened_again_to_another_mailbox(gate, popgate, dovecot, mailbox):
    """When UIDVALIDITY has changed, the UIDs may name other messages."""
    with log_in(popgate, mailbox) as pop3:
        gate.replace(SERVER, rb"UIDVALIDITY ", b"1234567890", times=100)
        gate.cut_all()
        pop3.command("DELE 1")
        assert pop3.command("RETR 2").startswith("-ERR [SYS/TEMP] ")
        assert pop3.quit().startswith("-ERR [SYS/TEMP] ")
    assert len(dovecot.uids(mailbox)) == len(MESSAGES)


def test_a_lost_connection_that_cannot_be_opened_again(gate, popgate, dovecot, mailbox):
    with log_in(popgate, mailbox) as pop3:
        pop3.command("DELE 1")
        gate.cut(SERVER, times=100)
        gate.cut_all()
        assert pop3.command("RETR 2").startswith("-ERR [SYS/TEMP] ")
        assert pop3.quit().startswith("-ERR [SYS/TEMP] ")
    assert len(dovecot.uids(mailbox)) == len(MESSAGES)


def test_a_silent_client_keeps_the_upstream_awake(gate, dovecot, mailbox, serve):
    popgate = serve(clear_route(gate.port, keep_alive="200ms"))
    with log_in(popgate, mailbox) as pop3:
        wait_until(lambda: gate.transcript(CLIENT).count(b" NOOP") >= 3, "three NOOPs upstream")
        assert pop3.retr(1) == MESSAGES[0]
        pop3.quit()


@pytest.fixture
def tls_gate(dovecot):
    with Gate(dovecot.imaps_port) as gate:
        yield gate


def tls_route(gate, dovecot, **keys):
    return {"match": "*", "backend": f"imaps://127.0.0.1:{gate.port}", "ca_file": str(dovecot.ca_file), **keys}


@pytest.mark.parametrize("octets", [0, 3, 100, 600])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_tls_handshake_upstream_that_stops_is_given_up_in_time(fault, octets, tls_gate, dovecot, mailbox, serve):
    popgate = serve(tls_route(tls_gate, dovecot, connect_timeout="1s", command_timeout="10s"))
    rule = FAULTS[fault](tls_gate, (SERVER, rb"", octets))
    with Pop3(popgate.port()) as pop3:
        began = time.monotonic()
        assert pop3.login(mailbox, PASSWORD).startswith("-ERR [SYS/TEMP] ")
        assert time.monotonic() - began < 5  # connect_timeout and some patience, but not command_timeout
        rule.wait()
        assert pop3.login(mailbox, PASSWORD).startswith("+OK 5 ")


@pytest.mark.parametrize("octets", [3, 7, 20_000])
@pytest.mark.parametrize("fault", FAULTS)
def test_tls_upstream_that_stops_within_a_record(fault, octets, tls_gate, dovecot, mailbox, serve):
    popgate = serve(tls_route(tls_gate, dovecot, connect_timeout="3s", command_timeout="3s"))
    with log_in(popgate, mailbox) as pop3:
        pop3.command("DELE 2")
        rule = FAULTS[fault](tls_gate, (SERVER, rb"", octets))
        pop3.send(b"RETR 1\r\n")
        try:
            reply = pop3.line()
            if reply.startswith("+OK"):
                assert pop3.multiline() == MESSAGES[0]  # from a second connection: nothing was given yet
            else:
                assert reply.startswith("-ERR [SYS/TEMP] ")
        except EOFError:
            pass
        rule.wait()
        pop3.close()
        popgate.session(user=mailbox)
    with log_in(popgate, mailbox) as pop3:
        assert [pop3.retr(number) for number in range(1, 6)] == MESSAGES
        pop3.quit()


def test_an_upstream_that_refuses_connections(serve, gate):
    popgate = serve(clear_route(1))  # nobody listens on port 1
    with Pop3(popgate.port()) as pop3:
        assert pop3.login("u@x", PASSWORD).startswith("-ERR [SYS/TEMP] ")


def test_no_descriptor_is_left_behind(gate, popgate, mailbox):
    log_in(popgate, mailbox).quit()
    before = popgate.descriptors()
    for _ in range(5):
        for pattern, skip in ((rb"", 4), (rb"\* 3 FETCH \(", 3), (rb"BODY\[\](<0>)? \{\d+\}\r\n", 100)):
            gate.cut(SERVER, pattern, skip)
            one_session(popgate, mailbox, delete=False)
    popgate.wait_for_descriptors(before)
