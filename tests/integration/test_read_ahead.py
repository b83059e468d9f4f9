"""A client that reads in order finds the next messages under way; nobody else sees a difference."""

import pytest
from support.net import wait_until
from support.scripted_imap import CLOSE, RESET, ScriptedImap
from support.setups import clear_route, log_in

USER = "u@x"
MESSAGES = [b"Subject: %d\r\n\r\n" % number + b"body of %d\r\n" % number * (number % 7 * 40) for number in range(1, 41)]


@pytest.fixture
def server():
    with ScriptedImap(messages=MESSAGES) as server:
        yield server


def asked_for(server):
    """The UIDs of whole messages, in the order in which they were asked for."""
    uids = []
    for command in server.received(rb"UID FETCH [\d:,]+ \(UID BODY.PEEK\[\]\)"):
        for part in command.split()[2].decode().split(","):
            first, _, last = part.partition(":")
            uids += range(int(first), int(last or first) + 1)
    return uids


def test_the_next_messages_are_asked_for_before_the_client_does(server, serve):
    popgate = serve(clear_route(server.port))
    with log_in(popgate, USER) as pop3:
        assert pop3.retr(1) == MESSAGES[0]
        assert asked_for(server) == [1], "one message is no order"
        assert pop3.retr(2) == MESSAGES[1]
        wait_until(lambda: asked_for(server) == [*range(1, 19)], "sixteen more")
        for number in range(3, 17):
            assert pop3.retr(number) == MESSAGES[number - 1]
        wait_until(lambda: asked_for(server)[-1] > 20, "many more")
        for number in range(17, 41):
            assert pop3.retr(number) == MESSAGES[number - 1]
        pop3.quit()
    assert asked_for(server) == list(range(1, 41)), "each of them once"
    assert len(server.received(rb"UID FETCH .*BODY.*")) < 12, "in few commands"


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
    assert sorted(asked_for(server)) == list(range(11, 41)) or min(asked_for(server)) < 11, "each of them once"
    assert len(server.received(rb"UID FETCH .*BODY.*")) < 12, "in few commands"


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
        wait_until(lambda: asked_for(server) == [1, 2, 3, 4], "the fourth, without the fifth, which is too large")
        for number in range(4, 9):
            pop3.retr(number)
        pop3.quit()
    assert asked_for(server) == list(range(1, 9))
    none = serve(clear_route(server.port, read_ahead=0))
    server.commands.clear()
    with log_in(none, USER) as pop3:
        for number in range(1, 5):
            pop3.retr(number)
            assert asked_for(server) == list(range(1, number + 1))


def test_a_fault_is_told_with_the_message_that_has_it(server, serve):
    def answer(match):
        """Of many messages, or of one, as a server that cannot read the fourth, and no longer has the sixth."""
        uids = range(int(match[1]), int(match[2] or match[1]) + 1)
        literals = [b"* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" % (uid, uid, len(server.messages[uid]), server.messages[uid])
                    for uid in uids if uid not in (4, 6)]
        return b"".join(literals) + (b"<tag> NO [SERVERBUG] some cannot be read\r\n" if 4 in uids else b"<tag> OK done\r\n")

    server.add_rule(rb"UID FETCH (\d+)(?::(\d+))? .*BODY.*", answer)
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


@pytest.mark.parametrize("answer", ids=["closed", "reset", "silent", "cut", "another", "refused", "nothing", "too much"], argvalues=[
    CLOSE, RESET, b"* 3 FETCH (UID 3 BODY[] {5}\r\nabc", [b"* 3 FETCH (UID 3 BODY[] {5}\r\nabc", CLOSE],
    b"* 3 FETCH (UID 99 BODY[] {3}\r\nabc)\r\n<tag> OK done\r\n", b"<tag> BAD one at a time\r\n", b"<tag> OK nothing\r\n",
    b"* 3 FETCH (UID 3 BODY[] {1000000}\r\n" + b"x" * 1_000_000 + b")\r\n<tag> OK done\r\n",
])
def test_a_server_that_cannot_give_many(answer, server, serve):
    """It is not asked in that way again, and nobody else notices."""
    server.add_rule(rb"UID FETCH \d+[:,].*BODY.*", answer)
    popgate = serve(clear_route(server.port, command_timeout="2s"))
    with log_in(popgate, USER) as pop3:
        for number in (1, 2):
            assert pop3.retr(number) == MESSAGES[number - 1]
        reply = pop3.command("RETR 3")
        if reply.startswith("+OK"):
            assert pop3.multiline() == MESSAGES[2]
        else:
            assert isinstance(answer, bytes) and answer.endswith(b"abc"), "one that was silent is not asked twice"
            assert reply.startswith("-ERR [SYS/TEMP]")
        for number in range(4, 11):
            assert pop3.retr(number) == MESSAGES[number - 1]
        pop3.quit()
    if answer not in (b"<tag> OK nothing\r\n", b"<tag> BAD one at a time\r\n"):
        assert len(server.received(rb"UID FETCH \d+[:,].*BODY.*")) == 1


def test_a_message_that_is_cut_is_no_message(server, serve):
    server.add_rule(rb"UID FETCH (4|3:18) .*BODY.*",
                    [b"* 4 FETCH (UID 4 BODY[] {100000}\r\nSubject: 4\r\n\r\n" + b"x" * 40_000, CLOSE])
    popgate = serve(clear_route(server.port))
    with log_in(popgate, USER) as pop3:
        for number in (1, 2, 3):
            assert pop3.retr(number) == MESSAGES[number - 1]
        pop3.send(b"RETR 4\r\n")
        with pytest.raises(EOFError):
            pop3.multiline()
    popgate.wait_for("session", user=USER, reason="broken off")
