"""What the running server answers an administrator: over its Unix socket, over TCP, by commands, in a browser."""

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.browser import Browser
from support.net import HOST, PATIENCE, wait_until
from support.popgate import Popgate, binary, run, to_toml, with_state
from support.setups import PASSWORD, configuration, imaps_route, log_in, maildir_route, make_maildir
from support.terminal import Terminal

MESSAGE = b"Subject: for the admin\r\n\r\n" + 200 * b"All is well.\r\n"


class OverUnix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("whatever.example", timeout=PATIENCE)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def connection_to(address):
    return OverUnix(address) if address.startswith("/") else http.client.HTTPConnection(address, timeout=PATIENCE)


def ask(address, method, path, body=None, **headers):
    """One request; the answer, with its text."""
    connection = connection_to(address)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    answer.text = answer.read().decode()
    connection.close()
    return answer


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="popgate-admin-") as made:  # short: a socket's path has 107 octets at most
        yield Path(made)


@contextmanager
def served(certificates, dovecot, path):
    """popgate with all ways in for an administrator: `unix`, `loopback` and `network`."""
    listen = f"unix:{path} {HOST}:0 0.0.0.0:0"
    with Popgate(configuration(certificates, imaps_route(dovecot), admin={"listen": listen},
                               limits={"drain_timeout": f"{PATIENCE:g}s"})) as popgate:
        told = [record["address"] for record in popgate.wait_for("web_listening", count=3, **{"for": "admin"})]
        assert told[0] == f"unix:{path}"
        yield SimpleNamespace(popgate=popgate, unix=str(path), loopback=told[1],
                              network=f"{HOST}:{told[2].rpartition(':')[2]}", config=popgate.configuration_file)


@pytest.fixture(scope="module")
def place(certificates, dovecot, folder):
    with served(certificates, dovecot, folder / "admin.sock") as made:
        yield made


@pytest.fixture
def own_place(certificates, dovecot, folder):
    """For a test that ends the server."""
    with served(certificates, dovecot, folder / "own.sock") as made:
        yield made


def own_session(place, user):
    """As the server has it; others may be on their way out."""
    [session] = [each for each in json.loads(ask(place.unix, "GET", "/sessions").text) if each["user"] == user]
    return session


def command(place, *arguments, status=0):
    made = run(*arguments, "--config", place.config)
    assert made.returncode == status, (made.stdout + made.stderr).decode()
    return (made.stdout if status == 0 else made.stderr).decode()


# --- HTTP


def test_each_way_in_gives_its_own(place):
    gives = {"/healthz": "unl", "/readyz": "unl", "/metrics": "unl", "/": "ul", "/style.css": "ul",
             "/status.json": "ul", "/sessions": "u"}
    for path, where in gives.items():
        for key, address in {"u": place.unix, "l": place.loopback, "n": place.network}.items():
            assert ask(address, "GET", path).status == (200 if key in where else 403), (path, address)
    for address in (place.loopback, place.network):
        for path in ("/kick", "/drain", "/reload", "/trace"):
            assert ask(address, "POST", path, "user=x").status == 403
    assert place.popgate.log("draining") == [] and place.popgate.log("reloaded") == []
    assert ask(place.unix, "GET", "/nothing").status == 404
    refused = ask(place.unix, "POST", "/metrics", "")
    assert refused.status == 405 and refused.headers["Allow"] == "GET, HEAD"


def test_a_browser_that_was_sent_here_by_a_name_gets_nothing(place):
    for host in ("evil.example", f"evil.example:{place.loopback.rpartition(':')[2]}"):
        answer = ask(place.loopback, "GET", "/status.json", Host=host)
        assert answer.status == 421 and "version" not in answer.text
    for host in ("localhost", "[::1]:9110", place.loopback):
        assert ask(place.loopback, "GET", "/status.json", Host=host).status == 200


def test_the_socket_is_for_owner_and_group_and_goes_with_the_server(own_place):
    status = os.stat(own_place.unix)
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o660
    own_place.popgate.stop()
    assert not os.path.exists(own_place.unix)
    assert "no server is running there" in command(own_place, "status", status=1)


def test_a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not(own_place, certificates, dovecot, tmp_path):
    file = tmp_path / "popgate.toml"
    file.write_text(to_toml(with_state(configuration(certificates, imaps_route(dovecot),
                                                     admin={"listen": f"unix:{own_place.unix}"}), tmp_path)))
    second = run("serve", "--config", file)
    assert second.returncode == 1 and own_place.unix in second.stderr.decode() and b"in use" in second.stderr
    assert command(own_place, "health") == "ready\n"
    own_place.popgate.kill()
    assert os.path.exists(own_place.unix)
    own_place.popgate.start()
    assert command(own_place, "health") == "ready\n"


def test_the_session_list_tells_what_a_session_does(place, dovecot, user):
    dovecot.deliver(user, MESSAGE)
    with log_in(place.popgate, user) as pop3:
        pop3.retr(1)
        session = own_session(place, user)
        assert session["user"] == user and session["state"] == "transaction" and session["command"] == "RETR"
        assert session["messages"] == 1 and session["retrieved"] == 1 and session["octets_sent"] > len(MESSAGE)
        assert session["from"].startswith(f"{HOST}:") and session["backend"].startswith("imaps://")
        assert session["tls"] == "none" and session["age_ms"] >= session["idle_ms"] >= 0
    # The list is documented: nothing is in it that is not.
    documented = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    assert all(f"`{name}`" in documented for name in session)
    status = json.loads(ask(place.unix, "GET", "/status.json").text)
    assert all(f"`{name}`" in documented for name in [*status, *status["history"][0]])


# --- commands


def test_status_and_sessions(place, user):
    said = command(place, "status")
    assert said.startswith("popgate ") and ", ready\n" in said and "imaps://" in said
    assert json.loads(command(place, "status", "--json"))["ready"] is True
    wait_until(lambda: command(place, "sessions", "--json") == "", "the end of the sessions before")
    assert len(command(place, "sessions").splitlines()) == 1
    with log_in(place.popgate, user):
        assert user in command(place, "sessions")
        assert json.loads(command(place, "sessions", "--json").splitlines()[-1])["user"] == user


def test_kick_by_user_and_by_id(place, dovecot, user):
    dovecot.deliver(user, MESSAGE)
    with log_in(place.popgate, user) as pop3:
        pop3.command("DELE 1")
        assert command(place, "kick", user.upper()) == "Ended 1 session.\n"
        assert pop3.rest().startswith((b"-ERR", b""))
    assert place.popgate.session(user=user)["deleted"] == 0
    with log_in(place.popgate, user) as pop3:
        assert pop3.stat()[0] == 1  # nothing was removed
        session = own_session(place, user)
        assert json.loads(command(place, "kick", "--id", session["id"], "--json")) == {"kicked": 1}
        pop3.rest()
    assert "there is no such session" in command(place, "kick", "--id", 999_999, status=1)
    for arguments in ((), (user, "--id", 1)):
        assert run("kick", *arguments, "--config", place.config).returncode == 2


def test_drain(own_place, user):
    with log_in(own_place.popgate, user) as pop3:
        assert "no new sessions" in command(own_place, "drain")
        own_place.popgate.wait_for("draining")
        # Whoever balances the load must see it while the open sessions go on.
        ready = ask(own_place.unix, "GET", "/readyz")
        assert ready.status == 503 and ready.text.startswith("draining")
        assert "draining" in command(own_place, "health", status=1)
        assert command(own_place, "health", "--live") == "alive\n"
        assert ", draining\n" in command(own_place, "status")
        assert pop3.quit().startswith("+OK")
    own_place.popgate.wait()


def test_reload_takes_a_good_file_and_no_bad_one(place):
    assert "has been taken" in command(place, "reload")
    before = Path(place.config).read_text()
    Path(place.config).write_text(before + '[limits2]\nx = 1\n')
    said = command(place, "reload", status=2)
    assert "limits2" in said and "nothing was changed" in said
    # The server can be found by the file that it would not take.
    assert command(place, "health") == "ready\n"
    Path(place.config).write_text(before)
    assert "has been taken" in command(place, "reload")


def test_health_of_a_server_that_is_not_there_or_does_not_answer(place, folder):
    made = run("health", "--socket", folder / "nothing.sock")
    assert made.returncode == 1 and made.stderr.decode() == \
        f"popgate: unix:{folder}/nothing.sock: no server is running there\n"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder / "silent.sock"))
        silent.listen()
        made = run("health", "--socket", folder / "silent.sock")
    assert made.returncode == 1 and b"does not answer" in made.stderr
    assert run("health", "--socket", place.unix).stdout == b"ready\n"


def test_a_file_without_a_socket_is_told(tmp_path, certificates, dovecot):
    file = tmp_path / "popgate.toml"
    file.write_text(to_toml(with_state(configuration(certificates, imaps_route(dovecot)), tmp_path)))
    made = run("status", "--config", file)
    assert made.returncode == 2 and b"names no Unix socket" in made.stderr and made.stderr.count(b"\n") == 1
    assert run("status", "--config", tmp_path / "none.toml").returncode == 2


def test_health_over_tcp_where_there_is_no_socket(place, tmp_path, certificates, dovecot):
    file = tmp_path / "popgate.toml"
    file.write_text(to_toml(with_state(configuration(certificates, imaps_route(dovecot),
                                                     admin={"listen": place.network.replace(HOST, "0.0.0.0")}),
                                       tmp_path)))
    assert run("health", "--config", file).stdout == b"ready\n"
    assert run("sessions", "--config", file).returncode == 2


def test_trace_shows_both_sides_until_it_is_interrupted(place, dovecot, user):
    dovecot.deliver(user, MESSAGE)
    with Terminal("trace", user, "--config", place.config, columns=200) as terminal:
        place.popgate.wait_for("trace_on", user=user)
        with log_in(place.popgate, user) as pop3:
            pop3.retr(1)
            pop3.quit()
        terminal.read_until(r"client > RETR 1")
        terminal.read_until(r"client > QUIT")
        terminal.read_until(r"upstream [<>]")
        terminal.type("\x03")
        assert terminal.finish() == 0
        assert PASSWORD not in terminal.said and "All is well" not in terminal.said
    place.popgate.wait_for("trace_off", user=user)


def test_trace_as_json(place, user):
    with subprocess.Popen([binary(), "trace", user, "--json", "--config", place.config], stdout=subprocess.PIPE,
                          text=True) as tracing:
        place.popgate.wait_for("trace_on", user=user)
        log_in(place.popgate, user).quit()
        line = json.loads(tracing.stdout.readline())
        assert set(line) == {"number", "time", "session", "side", "text"}
        tracing.send_signal(signal.SIGTERM)
        tracing.communicate(timeout=PATIENCE)
        assert tracing.returncode == 0


# --- popgate top


def last_screen(terminal):
    """The lines of the last picture that is whole."""
    pictures = terminal.said.split("\x1b[H")
    text = next(each for each in reversed(pictures) if "\x1b[J" in each)
    return [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line) for line in text.split("\x1b[J")[0].split("\r\n")]


def test_top_is_live_and_leaves_the_terminal_as_it_was(place, dovecot, user):
    dovecot.deliver(user, MESSAGE)
    with Terminal("top", "--config", place.config, columns=120) as terminal:
        terminal.read_until(r"\d+ of \d+ sessions  ready")
        assert not terminal.echoes()
        with log_in(place.popgate, user) as pop3:
            pop3.retr(1)
            terminal.read_until(re.escape(user))
            assert any("USER" in line and "OCTETS/S" in line for line in last_screen(terminal))
            terminal.type("o")
            terminal.read_until("by octets")
            terminal.type("u")
            terminal.read_until("by user")
            before = len(terminal.said)
            terminal.resize(rows=5, columns=30)
            wait_until(lambda: terminal.read_some() and "\x1b[5;1H" in terminal.said[before:], "a smaller picture")
            assert len([line for line in last_screen(terminal) if line]) <= 5
            assert all(len(line) < 30 for line in last_screen(terminal))
        terminal.type("q")
        assert terminal.finish() == 0
        assert terminal.said.endswith("\x1b[?25h\x1b[?1049l") and terminal.echoes()


@pytest.mark.parametrize("end", ["ctrl-c", "term"])
def test_top_ends_cleanly(place, end):
    with Terminal("top", "--config", place.config) as terminal:
        terminal.read_until(r"sessions  ready")
        if end == "ctrl-c":
            terminal.type("\x03")
        else:
            terminal.signal(signal.SIGTERM)
        assert terminal.finish() == 0
        assert terminal.said.endswith("\x1b[?25h\x1b[?1049l") and terminal.echoes()


def test_top_outlives_a_restart_of_the_server(own_place):
    with Terminal("top", "--config", own_place.config) as terminal:
        terminal.read_until(r"sessions  ready")
        own_place.popgate.stop()
        terminal.read_until(r"no server is running there")
        before = len(terminal.said)
        own_place.popgate.start()
        wait_until(lambda: terminal.read_some() and "q quit" in terminal.said[before:], "the server's return")
        terminal.type("q")
        assert terminal.finish() == 0


def test_top_is_one_table_where_there_is_no_terminal(place, user):
    with log_in(place.popgate, user):
        said = command(place, "top")
    assert "\x1b" not in said and "sessions  ready" in said and user in said
    made = run("top", "--socket", place.unix + ".none")
    assert made.returncode == 1 and b"no server is running there" in made.stderr


# --- the status page


@pytest.fixture(scope="module")
def browser():
    with Browser() as running:
        yield running


@pytest.mark.parametrize("look", [{"viewport": {"width": 1280, "height": 900}},
                                  {"viewport": {"width": 360, "height": 740}, "colorScheme": "dark"}],
                         ids=["desk", "dark phone"])
def test_the_status_page(place, browser, dovecot, user, look):
    dovecot.deliver(user, MESSAGE)
    with log_in(place.popgate, user) as pop3:
        pop3.retr(1)
        with browser.visitor(**look) as visitor:
            answer = visitor.goto(url=f"http://{place.loopback}/")
            assert answer["status"] == 200 and "default-src 'none'" in answer["headers"]["content-security-policy"]
            assert visitor.text(selector="h1").startswith("Running")
            assert int(visitor.text(selector=".facts.now dd b")) >= 1
            assert visitor.text(selector="#sessions b") == "Sessions a minute"
            listed = visitor.texts(selector=".lines li")
            assert any("imaps://" in line for line in listed) and any(HOST in line for line in listed)
            assert visitor.overflow() <= 0 and visitor.axe() == [] and visitor.complaints() == []
            visitor.click(role="link", name="refresh by itself")
            assert visitor.url().endswith("/?refresh")


def test_the_status_page_says_what_is_wrong_first(certificates, browser, folder, tmp_path):
    """A store that cannot be used is the first thing that is seen."""
    make_maildir(tmp_path, "bob", MESSAGE)
    state = tmp_path / "state.db"
    state.write_bytes(b"no database at all" * 100)
    users = tmp_path / "users"
    users.write_bytes(b"bob:" + run("hash-password", stdin=PASSWORD.encode()).stdout)
    users.chmod(0o600)
    route = maildir_route(tmp_path, auth="password-file", password_file=str(users))
    with Popgate(configuration(certificates, route, state={"url": f"sqlite:{state}"},
                               admin={"listen": f"unix:{folder}/wrong.sock {HOST}:0"})) as popgate:
        address = popgate.wait_for("web_listening", count=2)[1]["address"]
        status = json.loads(ask(address, "GET", "/status.json").text)
        assert status["troubles"], status
        with browser.visitor() as visitor:
            visitor.goto(url=f"http://{address}/")
            assert visitor.text(selector=".troubles li b") == sorted(
                status["troubles"], key=lambda trouble: not trouble["stops_service"])[0]["what"]
            assert visitor.axe() == [] and visitor.complaints() == []
