"""reuse_upstream: an upstream connection that outlives its session and serves the same account's next login.

One worker, so that the next login comes to the thread that has the connection. A session's line in the log is written
when its connection has been kept or closed.
"""

import json
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from support.dovecot import Dovecot
from support.net import wait_until
from support.pop3 import Pop3
from support.popgate import Popgate, binary, to_toml, with_state
from support.scripted_imap import CLOSE, EXTENSIONS, RESET, SILENCE, ScriptedImap
from support.setups import PASSWORD, clear_route, configuration, imaps_route

USER = "u@x"
OTHER_PASSWORD = "canary-0ther-Pa55phrase"
MESSAGES = [b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number) for number in range(1, 6)]
LOGIN, LOGOUT, SELECT = rb"LOGIN .*", rb"LOGOUT", rb"SELECT .*"
ONE_WORKER = {"workers": 1}


class Server(ScriptedImap):
    """One that takes the passwords in `good`, all of them from everybody."""

    def __init__(self, **more):
        self.good = {PASSWORD}
        super().__init__(messages=MESSAGES, **more)
        self.add_rule(LOGIN, self._judge)

    def _judge(self, match):
        is_good = any(password.encode() in match[0] for password in self.good)
        return "<tag> OK done" if is_good else "<tag> NO [AUTHENTICATIONFAILED] wrong"

    def logins(self):
        return len(self.received(LOGIN))

    def logouts(self):
        return len(self.received(LOGOUT))

    def wait_for_logouts(self, count):
        wait_until(lambda: self.logouts() == count, f"{count} LOGOUT")


@pytest.fixture
def server():
    with Server() as one:
        yield one


def route(server, reuse="1m", **keys):
    return clear_route(server.port, reuse_upstream=reuse, **keys)


class Visits:
    """Sessions, one after another."""

    def __init__(self, popgate, user=USER):
        self.popgate, self.user, self.count = popgate, user, 0

    def __call__(self, password=PASSWORD, *, user=None, leaving="QUIT"):
        """STAT of a session, after which its connection has been kept or closed; or the reply to a refused login."""
        with Pop3(self.popgate.port()) as pop3:
            reply = pop3.login(user or self.user, password)
            outcome = pop3.stat() if reply.startswith("+OK") else reply
            if leaving:
                pop3.command(leaving)
        self.ended()
        return outcome

    def ended(self, count=1):
        self.count += count
        self.popgate.wait_for("session", count=self.count)


def stat(messages):
    return len(messages), sum(len(raw) for raw in messages)


def test_the_same_password_serves_the_same_connection(server, serve):
    visit = Visits(serve(route(server), limits=ONE_WORKER))
    for _ in range(5):
        assert visit() == stat(MESSAGES)
    assert (server.logins(), server.logouts()) == (1, 0)
    assert len(server.received(SELECT)) == 5, "each session looks for itself"
    assert not server.received(rb"CLOSE|EXPUNGE"), "which remove what is marked"
    visit(leaving=None)
    visit()
    assert server.logins() == 1, "a client that just goes is like one that says QUIT"


def test_not_unless_it_is_asked_for(server, serve):
    for more in ({}, {"reuse_upstream": 0}):
        visit = Visits(serve(clear_route(server.port, **more), limits=ONE_WORKER))
        logins = server.logins()
        for number in (1, 2):
            assert visit() == stat(MESSAGES)
            server.wait_for_logouts(logins + number)
    assert server.logins() == 4


@pytest.mark.parametrize("capability", ["IMAP4rev1 ID UNSELECT UIDPLUS", f"IMAP4rev1 {EXTENSIONS}",
                                        "IMAP4rev1 ENABLE CONDSTORE QRESYNC"])
def test_a_session_sees_what_has_come_and_gone(capability, serve):
    with Server(capability=capability) as server:
        visit = Visits(serve(route(server), limits=ONE_WORKER))
        assert visit() == stat(MESSAGES)
        server.deliver(b"Subject: six\r\n\r\nsix\r\n")
        assert visit() == stat(list(server.messages.values()))
        server.remove(2)
        assert visit() == stat(list(server.messages.values()))
        server.deliver(b"Subject: seven\r\n\r\nseven\r\n")
        server.remove(4)
        with Pop3(visit.popgate.port()) as pop3:
            pop3.login(USER, PASSWORD)
            assert [pop3.retr(number) for number in range(1, 6)] == list(server.messages.values())
            assert pop3.command("DELE 1").startswith("+OK")
            pop3.quit()
        visit.ended()
        assert sorted(server.messages) == [3, 5, 6, 7]
        assert visit() == stat(list(server.messages.values()))
        assert server.logins() == 1
        commands = server.received(rb"SELECT .*|ENABLE .*")
        assert commands[1:] == [command for command in commands[1:] if not command.startswith(b"ENABLE")], \
            "nothing can be enabled once a mailbox is selected"


def test_a_wrong_password_finds_nothing(server, serve):
    visit = Visits(serve(route(server), limits=ONE_WORKER))
    visit()
    assert visit(OTHER_PASSWORD).startswith("-ERR [AUTH]")
    assert server.logins() == 2, "the upstream was asked"
    assert visit() == stat(MESSAGES)
    assert server.logins() == 2, "who guesses cannot take the connection away"


def test_another_user_finds_nothing(server, serve):
    """Not even with the same password, nor in other letters, which a server may tell apart."""
    visit = Visits(serve(route(server), limits=ONE_WORKER))
    visit()
    visit(user="v@x")
    assert server.logins() == 2
    visit()
    visit(user="v@x")
    assert server.logins() == 2, "each has one"
    visit(user="U@x")
    assert server.logins() == 3


def test_a_changed_password(server, serve):
    visit = Visits(serve(route(server), limits=ONE_WORKER))
    visit()
    server.good = {OTHER_PASSWORD}
    assert visit(OTHER_PASSWORD) == stat(MESSAGES), "the new one is good at once"
    server.wait_for_logouts(1)
    assert visit(PASSWORD).startswith("-ERR [AUTH]"), "and the old one no longer"
    assert server.logins() == 3
    assert visit(OTHER_PASSWORD) == stat(MESSAGES)
    assert server.logins() == 3


def test_an_old_password_is_good_no_longer_than_that(server, serve):
    """From the login on that the server has seen, however often it was used since."""
    visit = Visits(serve(route(server, "5s"), limits=ONE_WORKER))
    visit()
    latest = time.monotonic() + 5
    server.good = {OTHER_PASSWORD}
    begun, replies = [], []
    while server.logins() == 1:
        begun.append(time.monotonic())
        replies.append(visit())
    assert len(replies) > 1 and all(reply == stat(MESSAGES) for reply in replies[:-1])
    assert replies[-1].startswith("-ERR [AUTH]")
    assert begun[-2] < latest


def test_its_time_ends_with_logout(server, serve):
    visit = Visits(serve(route(server, "300ms"), limits=ONE_WORKER))
    visit()
    server.wait_for_logouts(1)
    visit()
    assert server.logins() == 2


@pytest.mark.parametrize("select", ids=["closed", "reset", "silent", "garbage", "bye", "half", "no", "bad"], argvalues=[
    CLOSE, RESET, SILENCE, b"what?\r\n", "* BYE autologout", [b"* 5 EXI", CLOSE],
    "<tag> NO [UNAVAILABLE] this session has expired", "<tag> BAD not now"])
def test_a_connection_that_is_of_no_use_is_not_noticed(select, server, serve):
    """However it shows that before it has answered once."""
    seen = []

    def answer(_):
        seen.append(1)
        return select if len(seen) == 2 else "<default>"

    server.add_rule(SELECT, answer)
    visit = Visits(serve(route(server, command_timeout="1s"), limits=ONE_WORKER))
    for _ in range(3):
        assert visit() == stat(MESSAGES)
    assert server.logins() == 2, "the new connection is kept in its turn"


def test_a_server_that_has_hung_up_is_asked_anew(server, serve):
    visit = Visits(serve(route(server), limits=ONE_WORKER))
    visit()
    descriptors = visit.popgate.descriptors()
    server.hang_up()
    visit.popgate.wait_for_descriptors(descriptors - 1)
    assert visit() == stat(MESSAGES)
    server.hang_up()
    assert visit() == stat(MESSAGES)
    server.hang_up()
    server.good = set()
    assert visit().startswith("-ERR [AUTH]")


def test_two_at_once_have_one_each(server, serve):
    visit = Visits(serve(route(server, lock="shared"), limits=ONE_WORKER))
    visit()
    with Pop3(visit.popgate.port()) as one, Pop3(visit.popgate.port()) as other:
        assert one.login(USER, PASSWORD).startswith("+OK")
        assert other.login(USER, PASSWORD).startswith("+OK")
        assert server.logins() == 2
        assert one.stat() == other.stat() == stat(MESSAGES)
        one.quit()
        other.quit()
    visit.ended(2)
    server.wait_for_logouts(1)
    visit()
    assert server.logins() == 2, "one of them was kept"


def test_what_is_under_way_is_not_kept(server, serve):
    """A body that is read ahead, or that nobody took to the end."""
    visit = Visits(serve(route(server), limits=ONE_WORKER))
    with Pop3(visit.popgate.port()) as pop3:
        pop3.login(USER, PASSWORD)
        for number in (1, 2):
            pop3.retr(number)
        wait_until(lambda: len(server.received(rb"UID FETCH .*BODY.*")) > 2, "more asked for")
    visit.ended()
    assert visit() == stat(MESSAGES)
    with Pop3(visit.popgate.port()) as pop3:
        pop3.login(USER, PASSWORD)
        assert pop3.retr(3) == MESSAGES[2]
        pop3.quit()
    visit.ended()
    assert visit() == stat(MESSAGES)


def test_its_slot_is_its_own(server, serve):
    """As much as the account may have; whoever needs it has it, on whatever thread. Otherwise he would be refused."""
    server.good = {PASSWORD, OTHER_PASSWORD}
    visit = Visits(serve(route(server, upstream_connections=1), limits=ONE_WORKER))
    for password in (PASSWORD, OTHER_PASSWORD, PASSWORD, PASSWORD, OTHER_PASSWORD):
        assert visit(password) == stat(MESSAGES)
    assert server.logins() == 4
    threads = Visits(serve(route(server, upstream_connections=1), limits={"workers": 4}), user="v@x")
    for _ in range(30):
        assert threads() == stat(MESSAGES)


def test_a_new_configuration_and_the_end_close_it(server, certificates):
    config = configuration(certificates, route(server), limits=ONE_WORKER)
    popgate = Popgate(config)
    with popgate:
        visit = Visits(popgate)
        visit()
        config["route"][0]["command_timeout"] = "50s"
        Path(popgate.configuration_file).write_text(
            to_toml(with_state({"log": {"format": "json", "level": "debug"}, **config},
                               Path(popgate.configuration_file).parent)))
        popgate.terminate(signal.SIGHUP)
        server.wait_for_logouts(1)
        visit()
        assert server.logins() == 2
        visit()
        assert server.logins() == 2
        began = time.monotonic()
    assert time.monotonic() - began < 30, "the end waits for no minute"
    assert server.logouts() == 2


def test_a_trace_says_so(server, certificates):
    with tempfile.TemporaryDirectory(prefix="popgate-") as short, Popgate(configuration(
            certificates, route(server), limits=ONE_WORKER, admin={"listen": f"unix:{short}/admin"})) as popgate:
        visit = Visits(popgate)
        visit()
        trace = subprocess.Popen([binary(), "trace", USER, "--json", "--config", popgate.configuration_file],
                                 stdout=subprocess.PIPE, text=True)
        try:
            popgate.wait_for("trace_on", user=USER)
            visit()
            said = ""
            while "an earlier session" not in said:
                said = json.loads(trace.stdout.readline())["text"]
        finally:
            trace.send_signal(signal.SIGINT)
            trace.wait()
            trace.stdout.close()


def logins_at(dovecot, user):
    return dovecot.log().count(f"Login: user=<{user}>")


def test_dovecot_over_tls(dovecot, serve, user):
    dovecot.deliver(user, *MESSAGES[:3])
    visit = Visits(serve(imaps_route(dovecot, reuse_upstream="1m"), limits=ONE_WORKER), user)
    assert visit(dovecot.password)[0] == 3
    dovecot.deliver(user, MESSAGES[3])
    assert visit(dovecot.password)[0] == 4
    uids = dovecot.uids(user)
    with dovecot.imap(user) as imap:
        imap.select()
        imap.uid("STORE", str(uids[0]), "+FLAGS.SILENT", r"(\Deleted)")
        imap.uid("STORE", str(uids[1]), "+FLAGS.SILENT", r"(\Deleted)")
        imap.uid("EXPUNGE", str(uids[1]))
    for _ in range(2):
        assert visit(dovecot.password)[0] == 3
    assert dovecot.uids(user) == [uids[0], *uids[2:]], "what another client has marked stays"
    with Pop3(visit.popgate.port()) as pop3:
        pop3.login(user, dovecot.password)
        pop3.command("DELE 2")
        pop3.quit()
    visit.ended()
    assert visit(dovecot.password)[0] == 2
    assert dovecot.uids(user) == [uids[0], uids[3]]
    own = 4  # of this test: uids() and imap()
    assert logins_at(dovecot, user) == own + 1


def test_dovecot_that_is_started_anew(certificates, serve):
    """With another password: nothing is left that the old one could open."""
    with Dovecot(certificates) as dovecot:
        dovecot.deliver("u", *MESSAGES)
        visit = Visits(serve(imaps_route(dovecot, reuse_upstream="1m"), limits=ONE_WORKER), "u")
        assert visit(dovecot.password)[0] == 5
        assert visit(dovecot.password)[0] == 5
        assert logins_at(dovecot, "u") == 1
        old = dovecot.password
        dovecot.password = "another " + old
        descriptors = visit.popgate.descriptors()
        dovecot.restart()
        visit.popgate.wait_for_descriptors(descriptors - 1)  # its processes outlive it for a moment
        assert visit(old).startswith("-ERR [AUTH]")
        for _ in range(2):
            assert visit(dovecot.password)[0] == 5
        assert logins_at(dovecot, "u") == 2
