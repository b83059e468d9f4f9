"""Clients that know only USER and PASS before a Dovecot that only tokens open, with a real OpenID Connect provider."""

import concurrent.futures
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from support import signing_in
from support.dovecot import Dovecot, Introspection
from support.net import HOST, PATIENCE, wait_until
from support.oidc import OidcProvider
from support.pop3 import Pop3
from support.popgate import Popgate, binary, to_toml, with_state
from support.setups import configuration

MESSAGES = [b"Subject: %d\r\n\r\nx\r\n" % number for number in range(1, 4)]


@pytest.fixture(scope="module")
def provider(certificates):
    with OidcProvider(certificates, leeway=3600) as server:
        yield server


@pytest.fixture(scope="module")
def dovecot(certificates, provider):
    with Dovecot(certificates, oauth=Introspection.at(provider)) as server:
        yield server


class Site:
    """A configuration with its store, and the popgate that serves it."""

    def __init__(self, certificates, provider, dovecot, directory, *, oauth=None, route=None, **tables):
        self.provider, self.dovecot, self.directory = provider, dovecot, Path(directory)
        self.config = with_state(configuration(
            certificates,
            {"match": "*", "backend": f"imaps://{HOST}:{dovecot.imaps_port}", "ca_file": str(dovecot.ca_file),
             "auth": "app-passwords", "oauth": "id", **(route or {})},
            oauth=[{"name": "id", "issuer": provider.issuer, "client_id": provider.client_id,
                    "ca_file": str(provider.ca_file), "scopes": "mail offline_access", **(oauth or {})}],
            log={"format": "json", "level": "debug"}, **tables), self.directory)
        self.file = self.directory / "popgate.toml"
        self.file.write_text(to_toml(self.config))
        self.popgate = None

    def sign_in(self, user):
        return signing_in.by_device(self.provider, user, "--config", self.file)

    def start(self):
        self.popgate = Popgate(self.config).start()
        return self.popgate

    def curl(self, user, password, what=""):
        return subprocess.run(["curl", "-sS", "--user", f"{user}:{password}", f"pop3://{HOST}:{self.popgate.port()}/{what}"],
                              capture_output=True, timeout=4 * PATIENCE, check=False)

    def replies(self, user, passwords):
        """To as many logins at once."""
        def log_in(password):
            with Pop3(self.popgate.port()) as pop3:
                return pop3.login(user, password)
        with concurrent.futures.ThreadPoolExecutor(len(passwords)) as pool:
            return list(pool.map(log_in, passwords))


@pytest.fixture
def site(certificates, provider, dovecot, tmp_path):
    sites = []

    def make(**more):
        sites.append(Site(certificates, provider, dovecot, tmp_path, **more))
        return sites[-1]

    yield make
    for each in sites:
        if each.popgate and each.popgate.running():
            each.popgate.stop()


def test_user_and_pass_read_mail_that_only_tokens_open(site, dovecot, user):
    dovecot.deliver(user, *MESSAGES)
    place = site()
    password = place.sign_in(user)
    assert re.fullmatch(r"([a-z2-9]{4}-){3}[a-z2-9]{4}", password)
    place.start()
    listed = place.curl(user, password)
    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) == 3
    assert place.curl(user, password, "2").stdout == MESSAGES[1]
    # As people type it.
    assert place.curl(user, password.upper().replace("-", " "), "1").stdout == MESSAGES[0]
    wrong = place.curl(user, "abcd-efgh-ijkm-npqr")
    assert wrong.returncode != 0


def test_after_the_token_has_ended_many_logins_cause_one_refresh(site, provider, dovecot, user):
    dovecot.deliver(user, *MESSAGES)
    place = site(route={"lock": "shared"})
    password = place.sign_in(user)
    place.start()
    provider.end_access_tokens_of(user)
    provider.forget_requests()
    replies = place.replies(user, [password] * 20)
    # A busy machine has no time for so many: Dovecot asks the provider about each token, and popgate lets in one after
    # another while a token is new.
    put_off = [reply for reply in replies if reply.startswith("-ERR [SYS/TEMP]")]
    assert not [reply for reply in replies if not reply.startswith("+OK") and reply not in put_off]
    assert len(put_off) < 10
    assert provider.count("refresh_token") == 1
    assert provider.count("refresh_token", "ok") == 1


def test_a_sign_in_that_has_ended_says_where_and_runs_the_command(site, provider, dovecot, user, tmp_path):
    dovecot.deliver(user, *MESSAGES)
    command = tmp_path / "sign-in-needed"
    command.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    command.chmod(0o755)
    place = site(login={"sign_in_command": str(command)})
    password = place.sign_in(user)
    place.start()
    provider.revoke_everything_of(user)
    provider.forget_requests()
    replies = [place.replies(user, [password])[0] for _ in range(3)]
    assert all(reply.startswith("-ERR [AUTH] ") and "sign in again" in reply for reply in replies), replies
    assert provider.count("refresh_token") == 1, "who was told that a person must act is not asked again"
    wait_until(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text().startswith(user + " "),
               "the command")
    assert (tmp_path / "told").read_text().count("\n") == 1
    # A person acts, while it runs.
    assert place.sign_in(user) is None, "the app password is still there"
    assert place.replies(user, [password])[0].startswith("+OK")


def test_an_outage_is_a_temporary_error_and_costs_nothing(site, provider, dovecot, user, tmp_path):
    dovecot.deliver(user, *MESSAGES)
    place = site(oauth={"issuer": provider.issuer, "timeout": "2s"})
    password = place.sign_in(user)
    place.config["oauth"][0] = {"name": "id", "token_url": f"https://{HOST}:1/token", "client_id": provider.client_id,
                                "ca_file": str(provider.ca_file), "scopes": "mail", "timeout": "2s"}
    place.start()
    assert place.replies(user, [password])[0].startswith("+OK"), "the token is still good"
    provider.end_access_tokens_of(user)
    for _ in range(2):
        reply = place.replies(user, [password])[0]
        assert reply.startswith("-ERR [SYS/TEMP] ") and "retry" in reply, reply
    place.popgate.stop()
    place.file.write_text(to_toml(place.config))
    place.config["oauth"][0] = {"name": "id", "issuer": provider.issuer, "client_id": provider.client_id,
                                "ca_file": str(provider.ca_file), "scopes": "mail offline_access"}
    place.start()
    assert place.replies(user, [password])[0].startswith("+OK")


def test_killed_at_random_while_it_refreshes_nobody_must_sign_in_again(site, provider, dovecot, user):
    users = [f"{number}-{user}" for number in range(4)]
    place = site(route={"lock": "shared"})
    passwords = {}
    for each in users:
        dovecot.deliver(each, MESSAGES[0])
        passwords[each] = place.sign_in(each)
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)
    for _ in range(6):
        popgate = place.start()
        for each in users:
            provider.end_access_tokens_of(each, at_least=0)
        with concurrent.futures.ThreadPoolExecutor(len(users)) as pool:
            logins = [pool.submit(_try_login, popgate.port(), each, passwords[each]) for each in users]
            time.sleep(dice.uniform(0, 0.4))  # the fault is when it comes; nothing is expected of it
            popgate.kill()
            for each in logins:
                each.result()
    place.start()
    for each in users:
        reply = place.replies(each, [passwords[each]])[0]
        assert reply.startswith("+OK"), f"{reply} (seed {seed})\n{place.popgate.log_text()}"


def _try_login(port, user, password):
    try:
        with Pop3(port) as pop3:
            pop3.login(user, password)
    except (EOFError, OSError):
        pass


def test_whoever_has_the_store_but_not_the_key_has_nothing(site, provider, dovecot, user, tmp_path):
    dovecot.deliver(user, *MESSAGES)
    place = site()
    password = place.sign_in(user)
    canary = "canary-upstream-Pa55word"
    done = signing_in.account("add", user, "--upstream-password-file", "-", "--shared-secret-file", "-", config=place.file,
                              stdin=f"{canary}\n{canary}-2\n".encode())
    assert done.returncode == 0, done.stderr
    place.start()
    provider.end_access_tokens_of(user)
    assert place.replies(user, [password])[0].startswith("+OK")
    place.popgate.stop()
    tokens = {each for each in provider.issued(user)} if hasattr(provider, "issued") else set()
    secrets = [canary, password, password.replace("-", ""), "refresh_token", *tokens]
    stored = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.name.startswith("state.db"))
    assert len(stored) > 1000
    for secret in secrets:
        assert secret.encode() not in stored, secret
        assert secret == "refresh_token" or secret not in place.popgate.log_text(), secret
    key = tmp_path / "secrets.key"
    assert key.stat().st_mode & 0o777 == 0o600
    # Without the key the account is named, and nothing else happens.
    key.rename(tmp_path / "away")
    lost = signing_in.account("show", user, config=place.file)
    assert lost.returncode == 1 and user.encode() in lost.stderr and b"secrets.key" in lost.stderr, lost.stderr
    refused = signing_in.account("add", "another@x", "--app-password", "x", config=place.file)
    assert refused.returncode == 1, "a key that has gone is no reason to make another one"
    (tmp_path / "away").rename(key)
    assert signing_in.account("show", user, config=place.file).returncode == 0


def test_a_damaged_record_harms_its_own_account_alone(site, dovecot, user, tmp_path):
    other = "other-" + user
    place = site()
    passwords = {}
    for each in (user, other):
        dovecot.deliver(each, *MESSAGES)
        passwords[each] = place.sign_in(each)
    with sqlite3.connect(tmp_path / "state.db-accounts") as store:
        data, = store.execute("SELECT data FROM records WHERE kind = ? AND name = ?", (b"account", user.encode())).fetchone()
        flipped = bytearray(data)
        flipped[len(flipped) // 2] ^= 1
        store.execute("UPDATE records SET data = ? WHERE kind = ? AND name = ?", (bytes(flipped), b"account", user.encode()))
    store.close()
    place.start()
    assert place.replies(other, [passwords[other]])[0].startswith("+OK")
    reply = place.replies(user, [passwords[user]])[0]
    assert reply.startswith("-ERR [SYS/"), reply
    checked = subprocess.run([binary(), "secrets", "check", "--config", place.file], capture_output=True, timeout=PATIENCE,
                             check=False)
    assert checked.returncode == 1 and user.encode() in checked.stderr, checked


def test_keys_are_rotated_while_it_runs(site, provider, dovecot, user):
    dovecot.deliver(user, *MESSAGES)
    place = site(route={"lock": "shared"})
    password = place.sign_in(user)
    place.start()
    for _ in range(3):
        done = subprocess.run([binary(), "secrets", "rotate", "--config", place.file], capture_output=True,
                              timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        assert place.replies(user, [password])[0].startswith("+OK")
    # It seals with the new one, too.
    provider.end_access_tokens_of(user)
    assert place.replies(user, [password])[0].startswith("+OK")
    keys = [line for line in (place.directory / "secrets.key").read_text().splitlines() if line]
    assert len(keys) == 2


@pytest.mark.parametrize("pasted", [True, False], ids=["elsewhere", "here"])
def test_a_browser_will_do(site, provider, dovecot, user, pasted):
    dovecot.deliver(user, *MESSAGES)
    place = site()
    password = signing_in.by_browser(provider, user, "--config", place.file, pasted=pasted)
    place.start()
    assert place.curl(user, password, "1").stdout == MESSAGES[0]


def test_another_person_is_noticed(site, provider, user):
    place = site()
    login = signing_in.Login(user, "--device", "--config", place.file)
    code = login.read_until(r"enter the code\s+(\S+)")
    provider.approve_device(code, "mallory@x")
    status, output, said = login.finish()
    assert status == 1 and "mallory@x has signed in" in said, output + said
    assert signing_in.account("show", user, config=place.file).returncode == 1, "nothing was kept"


def test_a_sign_in_that_is_declined_ends_well(site, provider, user):
    place = site()
    login = signing_in.Login(user, "--device", "--config", place.file)
    code = login.read_until(r"enter the code\s+(\S+)")
    provider.approve_device(code, user, allow=False)
    status, _, said = login.finish()
    assert status == 1 and "declined" in said, said


def test_the_chain_is_tested_step_by_step(site, provider, dovecot, user):
    dovecot.deliver(user, *MESSAGES)
    place = site()
    done = signing_in.account("test", user, config=place.file)
    assert done.returncode == 1 and b"popgate account login" in done.stdout, done
    place.sign_in(user)
    done = signing_in.account("test", user, config=place.file)
    assert done.returncode == 0, done
    text = done.stdout.decode()
    for step in ("route", "name", "connection", "TLS", "tokens", "access token", "login", "folder: 3 messages", "message"):
        assert step in text, text
    assert "FAIL" not in text and "✗" not in text
    provider.revoke_everything_of(user)
    done = signing_in.account("test", user, config=place.file)
    assert done.returncode == 1 and b"invalid_grant" in done.stdout, done


def test_accounts_are_listed_without_secrets(site, user):
    place = site()
    password = place.sign_in(user)
    listed = signing_in.account("list", config=place.file)
    assert listed.returncode == 0 and user.encode() in listed.stdout and b"good until" in listed.stdout, listed
    shown = signing_in.account("show", user, config=place.file).stdout.decode()
    assert "first device" in shown and password not in shown
    identifier = re.search(r"^(\w{8})\s+first device", shown, re.M).group(1)
    assert signing_in.account("revoke", user, identifier, config=place.file).returncode == 0
    place.start()
    assert place.replies(user, [password])[0].startswith("-ERR [AUTH]")
    assert signing_in.account("remove", user, "--yes", config=place.file).returncode == 0
    assert signing_in.account("show", user, config=place.file).returncode == 1


def test_a_client_brings_its_own_token(site, provider, dovecot, user):
    dovecot.deliver(user, *MESSAGES)
    place = site(route={"auth": "oauth", "upstream_auth": "client", "oauth": ""})
    place.start()
    token = provider.tokens_for(user)["access_token"]
    with Pop3(place.popgate.port()) as pop3:
        assert pop3.capa()["SASL"] == ["OAUTHBEARER", "XOAUTH2"]
    done = subprocess.run(["curl", "-sS", "--user", user, "--oauth2-bearer", token, f"pop3://{HOST}:{place.popgate.port()}/1"],
                          capture_output=True, timeout=4 * PATIENCE, check=False)
    assert done.stdout == MESSAGES[0], done
    done = subprocess.run(["curl", "-sS", "--user", user, "--oauth2-bearer", token[:-4] + "abcd",
                           f"pop3://{HOST}:{place.popgate.port()}/1"], capture_output=True, timeout=4 * PATIENCE, check=False)
    assert done.returncode != 0 and done.stdout == b""


def test_an_application_opens_any_mailbox(certificates, provider, tmp_path, user):
    introspection = Introspection.at(provider, application=provider.application_id)
    with Dovecot(certificates, oauth=introspection) as dovecot:
        dovecot.deliver(user, *MESSAGES)
        secret = tmp_path / "client-secret"
        secret.write_text(provider.client_secret + "\n")
        hashed = subprocess.run([binary(), "hash-password"], input=b"local\n", capture_output=True, check=True).stdout.decode()
        (tmp_path / "users").write_text(f"{user}:{hashed}")
        (tmp_path / "users").chmod(0o600)
        place = Site(certificates, provider, dovecot, tmp_path, route={
            "auth": "password-file", "password_file": str(tmp_path / "users"), "lock": "shared"}, oauth={
            "grant": "client-credentials", "client_id": provider.application_id, "client_secret_file": str(secret),
            "scopes": "mail"})
        with place.start():
            provider.forget_requests()
            replies = place.replies(user, ["local"] * 10)
            assert all(reply.startswith("+OK") for reply in replies), replies
            assert provider.count("client_credentials") == 1
