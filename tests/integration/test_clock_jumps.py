"""The wall clock jumps by hours and years, forward and back, while popgate runs: what counts time goes on counting it, and
only what is about dates (certificates) notices."""

import time

import pytest
from support.pop3 import Pop3, tls_context
from support.setups import PASSWORD, check_for_secrets, clear_route, configuration, imaps_route, log_in
from support.popgate import Popgate
from support.shifted_clock import DAY, HOUR, YEAR, ShiftedClock

MESSAGES = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(1, 6)]
JUMPS = [HOUR, -HOUR, 13 * HOUR, 10 * YEAR, -10 * YEAR, 0]


@pytest.fixture
def clock(tmp_path):
    return ShiftedClock(tmp_path)


@pytest.fixture
def serve_by(clock, certificates):
    """As serve(), by that clock."""
    started = []

    def start(route, **more):
        with clock.started_here():
            started.append(Popgate(configuration(certificates, route, **more)).start())
        return started[-1]

    yield start
    clock.set(0)
    for popgate in started:
        popgate.stop()
        check_for_secrets(popgate)


def test_the_clock_can_be_moved(clock, dovecot, serve_by):
    """Else the other tests prove nothing."""
    popgate = serve_by(clear_route(dovecot.imap_port))
    clock.set(10 * YEAR)
    Pop3(popgate.port()).quit()
    this_year = time.gmtime().tm_year
    assert popgate.wait_for("session")[-1]["time"].startswith((str(this_year + 9), str(this_year + 10)))


def test_sessions_go_on(clock, dovecot, user, serve_by):
    dovecot.deliver(user, *MESSAGES)
    popgate = serve_by(clear_route(dovecot.imap_port), limits={"idle_timeout": "60s", "session_timeout": "300s"})
    with log_in(popgate, user) as pop3:
        for number, jump in enumerate([*JUMPS], 1):
            clock.set(jump)
            assert pop3.command("NOOP").startswith("+OK")
            assert pop3.retr(1 + number % 5) == MESSAGES[number % 5]
        assert pop3.command("DELE 1").startswith("+OK")
        assert pop3.quit().startswith("+OK")
    assert list(dovecot.messages(user).values()) == MESSAGES[1:]


@pytest.mark.parametrize("jump", [-DAY, YEAR])
def test_timeouts_take_as_long_as_ever(jump, clock, dovecot, user, serve_by):
    popgate = serve_by(clear_route(dovecot.imap_port), limits={"idle_timeout": "1500ms", "login_timeout": "1500ms"})
    began = time.monotonic()
    with log_in(popgate, user) as idle, Pop3(popgate.port()) as stranger:
        clock.set(jump)
        stranger.rest()
        idle.rest()
    assert time.monotonic() - began > 1.4
    assert popgate.session(user=user)["reason"] == "idle timeout"
    assert popgate.session(user="")["reason"] == "login timeout"


@pytest.mark.parametrize("jump", [-YEAR, -HOUR, HOUR, YEAR])
def test_nobody_is_locked_out_and_no_delay_is_forgotten(jump, clock, dovecot, user, serve_by):
    popgate = serve_by(clear_route(dovecot.imap_port, login_delay="600s", login_burst=1))
    log_in(popgate, user).quit()
    with Pop3(popgate.port()) as guessing:
        assert guessing.login("somebody@x", "wrong").startswith("-ERR")
    clock.set(jump)
    with Pop3(popgate.port()) as pop3:
        assert pop3.login(user, PASSWORD).startswith("-ERR [LOGIN-DELAY]")
    log_in(popgate, "somebody@x").quit()  # whose password was guessed at


def test_a_mailbox_stays_what_it_was(clock, dovecot, user, serve_by):
    """What is remembered bears dates: those of a clock that was ahead, or behind, change neither ids nor what is there."""
    dovecot.deliver(user, *MESSAGES)
    popgate = serve_by(clear_route(dovecot.imap_port, on_delete="keep"))
    with log_in(popgate, user) as pop3:
        ids = pop3.uidl()
        pop3.retr(1)
        pop3.command("DELE 5")
        assert pop3.quit().startswith("+OK")
    del ids[5]
    for jump in JUMPS:
        clock.set(jump)
        with log_in(popgate, user) as pop3:
            assert pop3.uidl() == ids
            assert pop3.retr(2) == MESSAGES[1]
            assert pop3.quit().startswith("+OK")
    popgate.stop()
    with clock.started_here():
        popgate.start()
    with log_in(popgate, user) as pop3:
        assert pop3.uidl() == ids


def test_certificates_go_by_the_date(clock, certificates, dovecot, user, serve_by):
    popgate = serve_by(imaps_route(dovecot), listen=[{"address": "127.0.0.1:0", "tls": "implicit"}])
    context = tls_context(certificates.ca)
    log_in(popgate, user, tls=context).quit()
    clock.set(200 * YEAR)
    with Pop3(popgate.port(), tls=context) as pop3:  # the client's own clock is right
        reply = pop3.login(user, PASSWORD)
        assert reply.startswith("-ERR [SYS/"), reply
    assert "expired" in popgate.wait_for("login_failed")[-1]["error"]
    clock.set(0)
    log_in(popgate, user, tls=context).quit()


def test_a_clock_that_jumps_ahead_expires_nothing(clock, dovecot, user, serve_by):
    dovecot.deliver(user, *MESSAGES)
    popgate = serve_by(clear_route(dovecot.imap_port, expire_after="30d"))
    with log_in(popgate, user) as pop3:
        assert [pop3.retr(number) for number in range(1, 6)] == MESSAGES
        assert pop3.quit().startswith("+OK")
    clock.set(YEAR)
    with log_in(popgate, user) as pop3:
        assert pop3.stat()[0] == 5
        assert pop3.quit().startswith("+OK")
    popgate.wait_for("session", user=user, count=2)
    assert list(dovecot.messages(user).values()) == MESSAGES
    assert len(popgate.log("clock_was_set")) == 1
