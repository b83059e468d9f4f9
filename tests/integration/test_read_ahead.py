"""A client that reads in order finds the next messages under way; nobody else sees a difference."""

import re

import pytest
from support.net import wait_until
from support.scripted_imap import CLOSE, ScriptedImap
from support.setups import clear_route, log_in

USER = "u@x"
MESSAGES = [b"Subject: %d\r\n\r\n" % number + b"body of %d\r\n" % number * (number % 7 * 40) for number in range(1, 41)]


@pytest.fixture
def server():
    with ScriptedImap(messages=MESSAGES) as server:
        yield server


def asked_for(server):
    """The UIDs of whole messages, in the order in which they were asked for."""
    return [int(re.match(rb"UID FETCH (\d+)", command, re.IGNORECASE)[1])
            for command in server.received(rb"UID FETCH \d+ \(UID BODY.PEEK\[\]\)")]


def test_the_next_messages_are_asked_for_before_the_client_does(server, serve):
    popgate = serve(clear_route(server.port))
    with log_in(popgate, USER) as pop3:
        assert pop3.retr(1) == MESSAGES[0]
        assert asked_for(server) == [1], "one message is no order"
        assert pop3.retr(2) == MESSAGES[1]
        wait_until(lambda: asked_for(server) == [1, 2, 3, 4], "two more")
        for number in range(3, 9):
            assert pop3.retr(number) == MESSAGES[number - 1]
        wait_until(lambda: asked_for(server)[-1] > 20, "many more")
        for number in range(9, 41):
            assert pop3.retr(number) == MESSAGES[number - 1]
        pop3.quit()
    assert asked_for(server) == list(range(1, 41)), "each of them once"


def test_downwards_with_deletes_and_all_in_one_breath(server, serve):
    popgate = serve(clear_route(server.port))
    with log_in(popgate, USER) as pop3:
        pop3.send(b"".join(b"RETR %d\r\nDELE %d\r\n" % (number, number) for number in range(40, 10, -1)))
        for number in range(40, 10, -1):
            assert pop3.line().startswith("+OK")
            assert pop3.multiline() == MESSAGES[number - 1]
            assert pop3.line().startswith("+OK")
        pop3.quit()
    assert sorted(server.messages) == list(range(1, 11))
    assert asked_for(server)[:30] == list(range(40, 10, -1))


def test_a_client_that_goes_elsewhere_gets_what_it_asks_for(server, serve):
    popgate = serve(clear_route(server.port))
    order = [1, 2, 3, 30, 31, 32, 33, 5, 5, 6, 7, 40, 39, 38, 1, 2, 4, 3, 2]
    with log_in(popgate, USER) as pop3:
        for number in order:
            assert pop3.retr(number) == MESSAGES[number - 1]
            if number == 32:
                assert pop3.top(20, 0) == b"Subject: 20\r\n\r\n"
            if number == 7:
                assert pop3.command("NOOP").startswith("+OK")
        assert pop3.command("DELE 2").startswith("+OK")
        pop3.quit()
    assert sorted(server.messages) == [1, *range(3, 41)], "whatever was still under way, the right one is removed"


def test_only_what_was_retrieved_is_marked_as_read(server, serve):
    popgate = serve(clear_route(server.port))
    with log_in(popgate, USER) as pop3:
        for number in range(1, 6):
            pop3.retr(number)
        wait_until(lambda: asked_for(server)[-1] > 10, "more under way")
        pop3.quit()
    popgate.wait_for("session", user=USER, retrieved=5)
    wait_until(lambda: server.seen, "the marks")
    assert server.seen == {1, 2, 3, 4, 5}


def test_how_much(server, serve):
    server.begin_anew(messages=[b"x\r\n" * 10_000 if number == 5 else b"x\r\n" * 1000 for number in range(1, 9)])
    popgate = serve(clear_route(server.port, read_ahead=10_000))
    with log_in(popgate, USER) as pop3:
        for number in range(1, 4):
            pop3.retr(number)
        assert asked_for(server) == [1, 2, 3, 4], "the fifth is too large"
        for number in range(4, 9):
            pop3.retr(number)
    assert asked_for(server) == list(range(1, 9))
    none = serve(clear_route(server.port, read_ahead=0))
    server.commands.clear()
    with log_in(none, USER) as pop3:
        for number in range(1, 5):
            pop3.retr(number)
            assert asked_for(server) == list(range(1, number + 1))


def test_a_fault_is_told_with_the_message_that_has_it(server, serve):
    server.add_rule(rb"UID FETCH 4 .*BODY.*", "<tag> NO [SERVERBUG] cannot be read")
    server.add_rule(rb"UID FETCH 6 .*BODY.*", "<tag> OK gone")
    popgate = serve(clear_route(server.port))
    with log_in(popgate, USER) as pop3:
        for number in (1, 2, 3):
            assert pop3.retr(number) == MESSAGES[number - 1]
        assert pop3.command("RETR 4").startswith("-ERR [SYS/TEMP]")
        assert pop3.retr(5) == MESSAGES[4]
        assert pop3.command("RETR 6").startswith("-ERR")
        assert pop3.retr(7) == MESSAGES[6]
        pop3.quit()
    assert popgate.log("message_failed")[0]["message"] == "4"


def test_a_server_that_loses_what_comes_too_early(server, serve):
    """Its connection ends at the second command of one breath: it is not asked in that way again."""
    seen = []

    def drop(match):
        seen.append(match[0])
        return CLOSE if len(seen) == 3 else "<default>"

    server.add_rule(rb"UID FETCH \d+ .*BODY.*", drop)
    popgate = serve(clear_route(server.port))
    with log_in(popgate, USER) as pop3:
        for number in range(1, 11):
            assert pop3.retr(number) == MESSAGES[number - 1]
        pop3.quit()
    assert asked_for(server)[3:] == list(range(3, 11)), "one by one"


def test_a_message_that_is_cut_is_no_message(server, serve):
    server.add_rule(rb"UID FETCH 4 .*BODY.*", [b"* 4 FETCH (UID 4 BODY[] {100000}\r\nSubject: 4\r\n\r\n" + b"x" * 40_000, CLOSE])
    popgate = serve(clear_route(server.port))
    with log_in(popgate, USER) as pop3:
        for number in (1, 2, 3):
            assert pop3.retr(number) == MESSAGES[number - 1]
        pop3.send(b"RETR 4\r\n")
        assert not pop3.rest().endswith(b"\r\n.\r\n")
    popgate.wait_for("session", user=USER, reason="broken off")
