"""A message that cannot be had never blocks the others, and after a few failures it is out of their way."""

import json

import pytest
from support.popgate import run
from support.scripted_imap import CLOSE, ScriptedImap
from support.setups import PASSWORD, clear_route, log_in

USER = "u@x"


def message(number):
    return b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number)


FAULTS = {
    "refused": "<tag> NO [SERVERBUG] cannot be read",
    "connection lost": CLOSE,
    "nothing": "<tag> OK done",
    "broken off": [b"* 2 FETCH (UID 2 BODY[] {1000}\r\nSubject: 2\r\n\r\nhalf of", CLOSE],
}


@pytest.fixture
def server():
    with ScriptedImap(messages=[message(number) for number in range(1, 5)]) as server:
        yield server


def fail_once(popgate):
    """A session as Thunderbird's, which ends at a failed RETR."""
    with log_in(popgate, USER) as pop3:
        count = pop3.stat()[0]
        if count == 4:
            try:
                assert pop3.command("RETR 2").startswith("-ERR")
            except (EOFError, AssertionError):
                pass  # it had begun: the connection is broken then
    return count


@pytest.mark.parametrize("fault", FAULTS)
def test_a_message_that_keeps_failing(fault, server, serve, tmp_path):
    server.add_rule(rb"UID FETCH 2 .*BODY.*", FAULTS[fault])
    popgate = serve(clear_route(server.port), state={"url": f"sqlite:{tmp_path}/state.db"})
    for number in range(1, 4):
        assert fail_once(popgate) == 4
        popgate.wait_for("session", user=USER, count=number)
    [record] = popgate.wait_for("quarantined", user=USER, message="2", failures=3)
    assert sum(session["quarantined"] for session in popgate.log("session")) == 1
    with log_in(popgate, USER) as pop3:
        ids = pop3.uidl()
        assert len(ids) == 3 and record["unique_id"] not in ids.values()
        assert [pop3.retr(number) for number in ids] == [message(1), message(3), message(4)]
        pop3.quit()

    [listed] = mailbox_command(popgate, "quarantine", "list", USER)
    assert (listed["id"], listed["failures"], listed["state"]) == ("2", 3, "quarantined")
    [known] = mailbox_command(popgate, "show", USER)
    assert (known["messages"], known["quarantined"], known["exact_sizes"]) == (4, 1, 3)
    [released] = mailbox_command(popgate, "quarantine", "release", USER, "2")
    assert released["released"] is True
    server.rules.clear()
    with log_in(popgate, USER) as pop3:
        assert list(pop3.uidl().values())[1] == record["unique_id"]
        assert pop3.retr(2) == message(2)


def mailbox_command(popgate, *arguments):
    made = run("mailbox", *arguments, "--config", popgate.configuration_file, "--json")
    assert made.returncode == 0, made.stderr
    return [json.loads(line) for line in made.stdout.splitlines()]


def test_a_server_that_gives_no_message_at_all_makes_none_disappear(server, serve):
    server.add_rule(rb"UID FETCH .*BODY.*", "<tag> NO [UNAVAILABLE] the disks are away")
    popgate = serve(clear_route(server.port, quarantine_after=1))
    for _ in range(3):
        with log_in(popgate, USER) as pop3:
            assert pop3.stat()[0] == 4
            for number in range(1, 5):
                assert pop3.command("RETR", number).startswith("-ERR [SYS/TEMP] ")
            pop3.quit()
    assert not popgate.log("quarantined")


def test_a_vanished_message_is_not_quarantined_for_that(server, serve):
    popgate = serve(clear_route(server.port, quarantine_after=1))
    with log_in(popgate, USER) as pop3:
        del server.messages[2]
        assert pop3.command("RETR 2").startswith("-ERR")
        assert pop3.retr(3) == message(3)
        pop3.quit()
    with log_in(popgate, USER) as pop3:
        assert pop3.stat()[0] == 3
