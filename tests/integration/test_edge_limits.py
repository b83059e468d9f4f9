"""What bounds accounts and strangers at the edge: stress, LOGIN-DELAY, sessions of an account, upstreams that want a pause."""

import time

from support.net import wait_until
from support.pop3 import Pop3
from support.scripted_imap import ScriptedImap
from support.setups import PASSWORD, clear_route, imaps_route, log_in

MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


def try_login(popgate, user, password=PASSWORD):
    """What PASS is answered, and the connection's end."""
    with Pop3(popgate.port()) as pop3:
        pop3.command(f"USER {user}")
        reply = pop3.command(f"PASS {password}")
        pop3.command("QUIT")
        return reply


# --- stress


def test_near_the_cap_strangers_have_less_time(dovecot, serve, user):
    popgate = serve(imaps_route(dovecot),
                    limits={"max_sessions": 5, "stress_at": 60, "login_timeout": "60s", "stress_login_timeout": "1s"})
    with log_in(popgate, user) as logged_in, Pop3(popgate.port()) as early:
        assert early.greeting.startswith("+OK")
        assert not popgate.log("stress_begins")
        with Pop3(popgate.port()) as late:
            popgate.wait_for("stress_begins")
            # Both are strangers, whenever they came.
            early.rest()
            late.rest()
        popgate.wait_for("stress_ends")
        assert [record["reason"] for record in popgate.wait_for("session", count=2)] == ["login timeout"] * 2
        assert logged_in.command("NOOP").startswith("+OK")
        assert logged_in.command("XYZZY").startswith("-ERR"), "who has logged in is not troubled"
        assert logged_in.command("NOOP").startswith("+OK")


def test_under_stress_one_bad_command_is_enough(dovecot, serve):
    popgate = serve(imaps_route(dovecot), limits={"max_sessions": 4, "stress_at": 50, "bad_commands": 3})
    with Pop3(popgate.port()) as first:
        assert first.command("XYZZY").startswith("-ERR")
        assert first.command("NOOP").startswith("-ERR")
        with Pop3(popgate.port()) as second:
            assert second.command("XYZZY").startswith("-ERR")
            assert second.rest() == b""
    assert popgate.session()["reason"] in ("refused", "disconnect")


# --- LOGIN-DELAY


def test_login_delay_lets_a_burst_pass(serve):
    with ScriptedImap(messages=[MESSAGE]) as server:
        popgate = serve(clear_route(server.port, login_delay="1h", login_burst=2))
        with Pop3(popgate.port()) as pop3:
            assert pop3.command("CAPA").startswith("+OK")
            assert b"LOGIN-DELAY 3600" in pop3.multiline()
        for _ in range(2):
            assert try_login(popgate, "ann").startswith("+OK")
        logins = len(server.received(rb"(LOGIN|AUTHENTICATE) .*"))
        reply = try_login(popgate, "ann")
        assert reply.startswith("-ERR [LOGIN-DELAY]"), reply
        assert len(server.received(rb"(LOGIN|AUTHENTICATE) .*")) == logins, "the upstream was asked"
        assert try_login(popgate, "bob").startswith("+OK"), "another account"


def test_login_delay_tells_a_stranger_nothing(serve):
    wrong = (rb"(LOGIN|AUTHENTICATE) .*d3Jvbmc.*|LOGIN .*wrong.*", "<tag> NO [AUTHENTICATIONFAILED] no")
    with ScriptedImap(messages=[MESSAGE], rules=[wrong]) as server:
        popgate = serve(clear_route(server.port, login_delay="1h", login_burst=1))
        assert try_login(popgate, "ann").startswith("+OK")
        assert try_login(popgate, "ann", "wrong").startswith("-ERR [AUTH]")


def test_login_delay_is_over_in_time(serve):
    with ScriptedImap(messages=[MESSAGE]) as server:
        popgate = serve(clear_route(server.port, login_delay="500ms", login_burst=1))
        assert try_login(popgate, "ann").startswith("+OK")
        wait_until(lambda: try_login(popgate, "ann").startswith("+OK"), "a login after the delay")


# --- sessions of one account


def test_sessions_of_an_account(dovecot, serve, user):
    popgate = serve(imaps_route(dovecot, lock="shared", sessions_per_account=2))
    with log_in(popgate, user), log_in(popgate, user):
        assert try_login(popgate, user).startswith("-ERR [IN-USE]")
        log_in(popgate, "other-" + user).quit()
    wait_until(lambda: try_login(popgate, user).startswith("+OK"), "a login after one has ended")


def test_connections_to_an_upstream_account(serve):
    with ScriptedImap(messages=[MESSAGE]) as server:
        popgate = serve(clear_route(server.port, lock="shared", upstream_connections=1, upstream_user="shared"))
        first = log_in(popgate, "ann")
        with Pop3(popgate.port()) as second:
            second.command("USER bob")
            second.send(f"PASS {PASSWORD}\r\n".encode())
            # It waits for the first one to end, and is served then.
            first.quit()
            assert second.line().startswith("+OK")


def test_a_wait_for_an_upstream_account_ends(serve):
    with ScriptedImap(messages=[MESSAGE]) as server:
        popgate = serve(clear_route(server.port, lock="shared", upstream_connections=1, upstream_user="shared"))
        with log_in(popgate, "ann"):
            reply = try_login(popgate, "bob")
            assert reply.startswith("-ERR [SYS/TEMP]"), reply


# --- upstreams that want to be left alone


def test_exchange_is_given_the_time_that_it_wants(serve):
    pause = "<tag> BAD Request is throttled. Suggested Backoff Time: 3600000 milliseconds"
    with ScriptedImap(messages=[MESSAGE]) as server:
        popgate = serve(clear_route(server.port))
        assert try_login(popgate, "ann").startswith("+OK")
        server.add_rule(rb"SELECT .*", pause)
        assert try_login(popgate, "ann").startswith("-ERR [SYS/TEMP]")
        server.rules.clear()
        asked = len(server.commands)
        began = time.monotonic()
        reply = try_login(popgate, "ANN")
        assert reply.startswith("-ERR [SYS/TEMP]"), reply
        assert time.monotonic() - began < 8, "a pause of an hour is refused at once"
        assert len(server.commands) == asked, "the upstream was asked"
        assert try_login(popgate, "bob").startswith("+OK"), "another account"


def test_a_short_pause_is_waited_for(serve):
    with ScriptedImap(messages=[MESSAGE]) as server:
        popgate = serve(clear_route(server.port))
        server.add_rule(rb"SELECT .*", "<tag> NO [LIMIT] slow down. Suggested Backoff Time: 1500 milliseconds")
        assert try_login(popgate, "ann").startswith("-ERR [SYS/TEMP]")
        server.rules.clear()
        began = time.monotonic()
        assert try_login(popgate, "ann").startswith("+OK")
        assert time.monotonic() - began > 0.5


def test_a_session_waits_too(serve):
    with ScriptedImap(messages=[MESSAGE]) as server:
        popgate = serve(clear_route(server.port))
        with log_in(popgate, "ann") as pop3:
            server.add_rule(rb"UID FETCH .*BODY.*", "<tag> NO [THROTTLED] Suggested Backoff Time: 1000 milliseconds")
            assert pop3.command("RETR 1").startswith("-ERR [SYS/TEMP]")
            server.rules.clear()
            assert pop3.command("RETR 1").startswith("+OK")
