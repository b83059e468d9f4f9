"""Deadlines and caps."""

import socket
import time

import pytest
from support.net import HOST, wait_until
from support.pop3 import Pop3
from support.popgate import SANITIZED
from support.setups import PASSWORD, imaps_route, log_in


def is_served(popgate):
    """Whether a newcomer is greeted."""
    try:
        with Pop3(popgate.port()) as pop3:
            return pop3.greeting.startswith("+OK")
    except (EOFError, OSError):
        return False


def test_the_login_deadline_is_for_all_of_it(dovecot, serve):
    """Dripping octets, or commands, does not move it."""
    popgate = serve(imaps_route(dovecot), limits={"login_timeout": "1s"})
    began = time.monotonic()
    with Pop3(popgate.port()) as dripping, Pop3(popgate.port()) as chatting:
        chatting.socket.settimeout(0.1)
        for pop3 in (dripping, chatting):
            try:
                while time.monotonic() - began < 10:
                    pop3.send(b"U" if pop3 is dripping else b"CAPA\r\n")
                    time.sleep(0.05)  # the drip itself
            except OSError:
                pass
        assert time.monotonic() - began < 5


def test_a_logged_in_session_outlives_the_login_deadline(dovecot, serve, user):
    popgate = serve(imaps_route(dovecot), limits={"login_timeout": "500ms"})
    with log_in(popgate, user) as pop3, Pop3(popgate.port()) as stranger:
        stranger.rest()  # until its deadline, which is later than ours
        assert pop3.command("NOOP").startswith("+OK")


@pytest.mark.parametrize("timeout", ["500ms", "1500ms"])  # before and after it gave memory back
def test_an_idle_session_ends(timeout, dovecot, serve, user):
    popgate = serve(imaps_route(dovecot, keep_alive="400ms"), limits={"idle_timeout": timeout})
    with log_in(popgate, user) as pop3:
        pop3.rest()
    assert popgate.session(user=user)["reason"] == "idle timeout"


def test_a_session_ends_however_busy_it_is(dovecot, serve, user):
    popgate = serve(imaps_route(dovecot), limits={"session_timeout": "1s"})
    began = time.monotonic()
    with log_in(popgate, user) as pop3:
        try:
            while time.monotonic() - began < 10:
                if not pop3.command("NOOP").startswith("+OK"):
                    break
        except (EOFError, OSError):
            pass
        assert 0.9 < time.monotonic() - began < 5


def test_a_client_that_takes_nothing_is_dropped(dovecot, serve, stored_corpus, user):
    dovecot.deliver_links(user, [stored_corpus.paths[stored_corpus.names.index("huge")]])
    popgate = serve(imaps_route(dovecot), limits={"write_timeout": "500ms"})
    with log_in(popgate, user, receive_buffer=4096) as pop3:
        pop3.send(b"RETR 1\r\n")
        assert popgate.session(user=user)["retrieved"] == 0
        assert b"\r\n.\r\n" not in pop3.rest()
    log_in(popgate, user).quit()


def test_sessions_from_one_address(dovecot, serve, user):
    popgate = serve(imaps_route(dovecot), limits={"max_sessions_per_address": 3})
    sessions = [Pop3(popgate.port()) for _ in range(3)]
    with Pop3(popgate.port(), greet=False) as fourth:
        assert not fourth.rest().startswith(b"+OK")
    assert sessions[0].login(user, PASSWORD).startswith("+OK")
    with socket.socket() as elsewhere:
        elsewhere.settimeout(30)
        elsewhere.bind(("127.0.0.9", 0))
        elsewhere.connect((HOST, popgate.port()))
        assert elsewhere.recv(3) == b"+OK"
    sessions.pop().close()
    wait_until(lambda: is_served(popgate), "a place that became free")
    for session in sessions:
        session.close()


def test_sessions_in_all(dovecot, serve):
    popgate = serve(imaps_route(dovecot), limits={"max_sessions": 3})
    sessions = [Pop3(popgate.port()) for _ in range(3)]
    with Pop3(popgate.port(), greet=False) as fourth:
        assert not fourth.rest().startswith(b"+OK")
    for session in sessions:
        session.reset()
    wait_until(lambda: is_served(popgate), "a place that became free")


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs descriptors of its own and reports that it has none")
def test_without_descriptors_newcomers_wait(dovecot, serve, user):
    popgate = serve(imaps_route(dovecot))
    with log_in(popgate, user) as early:
        popgate.limit_descriptors(3)
        newcomers = [Pop3(popgate.port(), greet=False) for _ in range(10)]
        popgate.wait_for("accept_failed")
        assert early.command("NOOP").startswith("+OK")
        for newcomer in newcomers[1:]:
            newcomer.close()
        assert newcomers[0].line().startswith("+OK")
        newcomers[0].close()
        assert early.quit().startswith("+OK")
    wait_until(lambda: is_served(popgate), "a newcomer being served")
    log_in(popgate, user).quit()
    assert len(popgate.log("accept_failed")) < 100  # it does not spin


def test_strangers_that_never_log_in_leave_nothing_behind(dovecot, serve):
    popgate = serve(imaps_route(dovecot))
    Pop3(popgate.port()).quit()
    before = popgate.descriptors()
    strangers = [Pop3(popgate.port()) for _ in range(90)]
    for number, stranger in enumerate(strangers):
        stranger.send(b"USER x\r\nPA"[:number % 11])
        (stranger.close if number % 2 else stranger.reset)()
    popgate.wait_for_descriptors(before)
