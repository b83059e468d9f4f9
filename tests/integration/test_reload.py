"""A configuration that is taken while sessions run."""

import os
import signal
import socket
from pathlib import Path

import pytest
from support.net import HOST
from support.pop3 import Pop3
from support.popgate import Popgate, to_toml, with_state
from support.scripted_imap import ScriptedImap
from support.setups import PASSWORD, clear_route


def port_of(record):
    return int(record["address"].rpartition(":")[2])


class Reloaded:
    """A popgate whose file a test writes anew."""

    def __init__(self, server):
        self.config = {"listen": [{"address": f"{HOST}:0", "tls": "none"}], "route": [clear_route(server.port)]}
        self.popgate = Popgate(self.config)

    def __enter__(self):
        self.popgate.start()
        return self

    def __exit__(self, *_):
        self.popgate.stop()

    def take(self, **changes):
        """Writes the file with these sections, has it taken, and gives the log's word on it."""
        self.config.update(changes)
        self.take_text(to_toml(with_state({"log": {"format": "json", "level": "debug"}, **self.config},
                                          Path(self.popgate.configuration_file).parent)))
        return self.popgate.log()

    def take_text(self, text):
        count = {event: len(self.popgate.log(event)) for event in ("reloaded", "reload_refused")}
        Path(self.popgate.configuration_file).write_text(text)
        self.popgate.terminate(signal.SIGHUP)
        self.event = None
        for event, before in count.items():
            if self.event is None:
                try:
                    self.event = self.popgate.wait_for(event, count=before + 1, timeout=5)[-1]
                except TimeoutError:
                    continue
        assert self.event, "neither taken nor refused"
        return self.event


@pytest.fixture
def server():
    with ScriptedImap(messages=[b"Subject: old\r\n\r\nold\r\n"]) as one:
        yield one


@pytest.fixture
def reloaded(server):
    with Reloaded(server) as one:
        yield one


def logged_in(port, user="ann"):
    pop3 = Pop3(port)
    pop3.command(f"USER {user}")
    assert pop3.command(f"PASS {PASSWORD}").startswith("+OK")
    return pop3


def test_new_sessions_get_the_new_route_and_old_ones_keep_theirs(reloaded):
    port = reloaded.popgate.port()
    with ScriptedImap(messages=[b"Subject: new\r\n\r\nnew\r\n"] * 2) as other, logged_in(port) as old:
        reloaded.take(route=[clear_route(other.port)])
        assert reloaded.event["event"] == "reloaded"
        with logged_in(port, "bob") as new:
            assert new.command("STAT").startswith("+OK 2 ")
            assert old.command("STAT").startswith("+OK 1 ")
            assert old.command("RETR 1").startswith("+OK")


def test_listeners_come_and_go(reloaded):
    first = reloaded.popgate.port()
    with logged_in(first) as old:
        reloaded.take(listen=[{"address": f"[::1]:0", "tls": "none"}])
        second = port_of(reloaded.popgate.log("listening")[-1])
        reloaded.popgate.wait_for("no_longer_listening")
        with socket.create_connection(("::1", second)) as one:
            assert one.recv(3) == b"+OK"
        with pytest.raises(OSError):
            # Closed on its own thread, a moment after the log's word.
            for _ in range(1000):
                socket.create_connection((HOST, first)).close()
        assert old.command("NOOP").startswith("+OK")


def test_a_listener_that_stays_keeps_its_port_and_takes_what_is_new(reloaded):
    port = reloaded.popgate.port()
    with Pop3(port) as before:
        reloaded.take(limits={"bad_commands": 1})
        assert before.command("XYZZY").startswith("-ERR")
        assert before.command("QUIT").startswith("+OK"), "three were allowed when it began"
    with Pop3(port) as after:
        assert after.command("XYZZY").startswith("-ERR")
        assert after.rest() == b""


@pytest.mark.parametrize("text, said", [
    ("[[listen]\n", "popgate.toml:1"),
    ('[[listen]]\naddress = "127.0.0.1:0"\ntls = "none"\n[[route]]\nbackend = "gopher:"\n', "popgate.toml:5"),
    ('[limits]\nmax_sesions = 5\n', "max_sesions"),
])
def test_a_bad_file_changes_nothing(text, said, reloaded):
    port = reloaded.popgate.port()
    with logged_in(port) as old:
        event = reloaded.take_text(text)
        assert event["event"] == "reload_refused"
        assert said in event["error"], event
        assert old.command("NOOP").startswith("+OK")
        with logged_in(port, "bob"):
            pass


def test_a_signal_that_comes_meanwhile_is_answered_afterwards(reloaded):
    popgate, file = reloaded.popgate, Path(reloaded.popgate.configuration_file)
    text = file.read_text()
    file.unlink()
    os.mkfifo(file)
    popgate.terminate(signal.SIGHUP)
    with file.open("w") as pipe:  # open when popgate reads it
        popgate.terminate(signal.SIGHUP)
        popgate.wait_for("reload_waits")
        file.unlink()
        file.write_text("[limits]\nnewer = 1\n")
        pipe.write(text)
    assert "newer" in popgate.wait_for("reload_refused")[0]["error"]
    assert len(popgate.log("reloaded")) == 1


def test_a_listener_that_cannot_be_had_changes_nothing(reloaded, server):
    port = reloaded.popgate.port()
    with socket.create_server((HOST, 0)) as taken, ScriptedImap(messages=[]) as other:
        address = f"{HOST}:{taken.getsockname()[1]}"
        reloaded.take(listen=[*reloaded.config["listen"], {"address": address, "tls": "none"}], route=[clear_route(other.port)])
        assert reloaded.event["event"] == "reload_refused"
        assert address in reloaded.event["error"]
        with logged_in(port) as pop3:
            assert pop3.command("STAT").startswith("+OK 1 "), "the old route"


def test_what_only_a_restart_changes_is_said(reloaded):
    reloaded.take(limits={"workers": 7, "blocking_threads": 3})
    assert reloaded.event["event"] == "reloaded"
    remarks = " ".join(record["text"] for record in reloaded.popgate.log("reload_remark"))
    assert "limits.workers" in remarks and "limits.blocking_threads" in remarks


def test_many_reloads_with_a_session_each(reloaded):
    port = reloaded.popgate.port()
    for number in range(20):
        with logged_in(port) as pop3:
            reloaded.take(limits={"max_sessions": 100 + number})
            assert reloaded.event["event"] == "reloaded"
            assert pop3.command("RETR 1").startswith("+OK")
            assert pop3.multiline()
            assert pop3.command("QUIT").startswith("+OK")
