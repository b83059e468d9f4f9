"""SIGTERM: nobody new, those who are there may finish, and who takes too long is told."""

import signal
import threading
import time

import pytest
from support.gate import SERVER, Gate
from support.net import PATIENCE, wait_until
from support.pop3 import Pop3
from support.scripted_imap import ScriptedImap
from support.setups import clear_route, imaps_route, log_in

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


def is_refused(popgate):
    try:
        with Pop3(popgate.port()) as pop3:
            return not pop3.greeting.startswith("+OK")
    except (EOFError, OSError):
        return True


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_running_sessions_finish_and_newcomers_are_refused(end, dovecot, serve, user):
    dovecot.deliver(user, MESSAGE, MESSAGE)
    popgate = serve(imaps_route(dovecot), limits={"drain_timeout": "30s"})
    with log_in(popgate, user) as pop3:
        popgate.terminate(end)
        wait_until(lambda: is_refused(popgate), "newcomers being refused")
        assert pop3.retr(1) == MESSAGE
        pop3.command("DELE 1")
        assert pop3.quit().startswith("+OK")
    began = time.monotonic()
    popgate.wait()
    assert time.monotonic() - began < 10  # not the whole drain_timeout
    assert len(dovecot.uids(user)) == 1


def test_a_pause_of_the_process_is_no_signal_to_end(dovecot, serve, user):
    dovecot.deliver(user, MESSAGE)
    popgate = serve(imaps_route(dovecot, lock="shared"))
    for _ in range(3):
        popgate.pause()
        with log_in(popgate, user) as pop3:
            assert pop3.retr(1) == MESSAGE
    assert not popgate.log("draining")


def test_without_sessions_it_ends_at_once(dovecot, serve):
    popgate = serve(imaps_route(dovecot), limits={"drain_timeout": "30s"})
    began = time.monotonic()
    popgate.stop()
    assert time.monotonic() - began < 10


def test_who_takes_too_long_is_told_and_nothing_is_deleted(dovecot, serve, user):
    dovecot.deliver(user, MESSAGE)
    popgate = serve(imaps_route(dovecot), limits={"drain_timeout": "500ms"})
    with log_in(popgate, user) as pop3, Pop3(popgate.port()) as stranger:
        pop3.command("DELE 1")
        popgate.terminate()
        assert pop3.rest().startswith(b"-ERR [SYS/TEMP] ")
        stranger.rest()
        popgate.wait()
    assert len(dovecot.uids(user)) == 1


def test_a_message_under_way_is_not_ended_as_if_it_were_whole(dovecot, stored_corpus, serve, user):
    dovecot.deliver_links(user, [stored_corpus.paths[stored_corpus.names.index("huge")]])
    popgate = serve(imaps_route(dovecot), limits={"drain_timeout": "500ms"})
    with log_in(popgate, user, receive_buffer=4096) as pop3:
        pop3.send(b"RETR 1\r\n")
        pop3.line()
        popgate.terminate()
        popgate.wait()
        received = pop3.rest()
        assert b"\r\n.\r\n" not in received and b"-ERR" not in received


def test_an_upstream_that_hangs_does_not_hold_up_the_end(dovecot, serve, user):
    dovecot.deliver(user, MESSAGE)
    with Gate(dovecot.imap_port) as gate:
        popgate = serve(clear_route(gate.port), limits={"drain_timeout": "500ms"})
        with log_in(popgate, user) as pop3:
            stalled = gate.stall(SERVER)
            pop3.send(b"RETR 1\r\n")
            stalled.wait()
            popgate.terminate()
            assert b"\r\n.\r\n" not in pop3.rest()
            popgate.wait()


def test_a_removal_that_has_begun_is_not_cut(serve):
    """What QUIT says at last is what has happened."""
    begun, released = threading.Event(), threading.Event()

    def slowly(match):
        begun.set()
        assert released.wait(PATIENCE)
        return "<default>"

    with ScriptedImap(messages=[MESSAGE] * 3, rules=[(rb"UID EXPUNGE.*", slowly)]) as server:
        popgate = serve(clear_route(server.port), limits={"drain_timeout": "200ms"})
        with log_in(popgate, "u@x") as pop3, Pop3(popgate.port()) as stranger:
            pop3.send(b"DELE 1\r\nDELE 3\r\nQUIT\r\n")
            assert begun.wait(PATIENCE)
            popgate.terminate()
            stranger.rest()  # cut when the time was over
            released.set()
            assert pop3.rest().endswith(b"\r\n+OK 2 messages removed, 1 left\r\n")
        popgate.wait()
        assert list(server.messages) == [2]
        record = popgate.session(user="u@x")
        assert (record["deleted"], record["left"], record["reason"]) == (2, 1, "quit")


def test_a_second_signal_does_no_harm(dovecot, serve, user):
    popgate = serve(imaps_route(dovecot), limits={"drain_timeout": "1s"})
    with log_in(popgate, user):
        popgate.terminate()
        popgate.terminate()
        popgate.wait()
