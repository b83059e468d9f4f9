"""All that is remembered moves from one store to another: what clients see stays what it was, byte for byte."""

import json

import pytest
from support import signing_in
from support.net import wait_until
from support.pop3 import Pop3
from support.popgate import Popgate, run
from support.redis import Redis
from support.setups import PASSWORD, clear_route, configuration, make_maildir, maildir_route

MESSAGES = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(5)]


@pytest.fixture
def redis():
    with Redis(unix_socket=True) as server:
        yield server


def copied(source, target, *, config, good=0):
    """What the command counted."""
    made = run("state", "copy", source, target, "--config", config, "--json")
    assert made.returncode == good, made
    return json.loads(made.stdout)


def logged_in(popgate, user, password):
    """A new Redis locks nothing at first."""
    def attempt():
        pop3 = Pop3(popgate.port())
        reply = pop3.login(user, password)
        if reply.startswith("+OK"):
            return pop3
        assert reply.startswith("-ERR [SYS/TEMP]"), reply
        pop3.close()
        return None
    return wait_until(attempt, "a login")


def seen_by(popgate, user, password):
    with logged_in(popgate, user, password) as pop3:
        seen = pop3.uidl(), pop3.list()
        pop3.quit()
    return seen


def test_everything_is_copied_there_and_back(certificates, dovecot, redis, tmp_path):
    make_maildir(tmp_path / "mail", "ann", *MESSAGES)
    user = dovecot_user = "copied@x"
    for raw in MESSAGES:
        dovecot.deliver(dovecot_user, raw)
    routes = [{**maildir_route(tmp_path / "mail", auth="app-passwords"), "match": "ann"},
              {**clear_route(dovecot.imap_port), "match": "*@x", "on_delete": "keep"}]
    secrets = {"key_file": f"{tmp_path}/secrets.key"}

    def setup(url):
        return configuration(certificates, routes, state={"url": url, "lock_expiry": "2s"}, secrets=secrets,
                             log={"format": "json"})

    here, there, back = (f"sqlite:{tmp_path}/here.db", redis.url("redis+unix"), f"sqlite:{tmp_path}/back.db")
    with Popgate(setup(here)) as popgate:
        config = popgate.configuration_file
        assert run("secrets", "create", "--config", config).returncode == 0
        made = signing_in.account("add", "ann", "--app-password", "scanner", "--json", config=config)
        assert made.returncode == 0, made
        app_password = json.loads(made.stdout.decode().splitlines()[-1])["app_password"]
        with logged_in(popgate, user, PASSWORD) as pop3:
            pop3.retr(1)
            pop3.command("DELE", 1)
            assert pop3.quit().startswith("+OK")
        expected = seen_by(popgate, user, PASSWORD), seen_by(popgate, "ann", app_password)
        assert len(expected[0][0]) == len(MESSAGES) - 1, "one was hidden"
        first = copied(here, there, config=config)
        assert first["mailboxes"] == {"copied": 2, "same": 0, "failed": 0}
        assert first["records"] == {"copied": 1, "same": 0, "failed": 0}
        with logged_in(popgate, user, PASSWORD) as pop3:  # it goes on while it is copied
            pop3.command("DELE", 1)
            pop3.quit()
        expected = seen_by(popgate, user, PASSWORD), expected[1]
    again = copied(here, there, config=config)
    assert again["mailboxes"] == {"copied": 1, "same": 1, "failed": 0}
    assert again["records"] == {"copied": 0, "same": 1, "failed": 0}
    for url in (there, back):
        if url == back:
            assert copied(there, back, config=config)["mailboxes"]["copied"] == 2
            assert copied(there, back, config=config)["mailboxes"]["same"] == 2
        with Popgate(setup(url)) as popgate:
            assert (seen_by(popgate, user, PASSWORD), seen_by(popgate, "ann", app_password)) == expected, url


def test_stores_that_cannot_be_had(redis, tmp_path, certificates):
    config = tmp_path / "popgate.toml"
    config.write_text("[[route]]\nmatch = \"*\"\nbackend = \"imap://127.0.0.1:1\"\nstarttls = \"none\"\n")
    good = redis.url("redis+unix")
    for source, target, words in ((f"sqlite:{tmp_path}/a.db", "redis://127.0.0.1:1", "cannot be reached"),
                                  ("nosuch:x", good, "no kind of state store"),
                                  (good, "redis://127.0.0.1/x", "database")):
        made = run("state", "copy", source, target, "--config", config)
        assert made.returncode in (1, 2) and words in made.stderr.decode(), made
