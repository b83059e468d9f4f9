"""The commands about accounts and secrets as people use them: at a terminal, in scripts, and wrongly."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from support import signing_in
from support.net import HOST, free_port
from support.oidc import OidcProvider
from support.pop3 import Pop3
from support.popgate import Popgate, run, to_toml, with_state
from support.setups import configuration
from support.terminal import Terminal

EXAMPLES = Path(__file__).parent / "email_proxy"


@pytest.fixture(scope="module")
def provider(certificates):
    with OidcProvider(certificates) as server:
        yield server


@pytest.fixture
def config(certificates, tmp_path):
    """A configuration file whose upstream is not there: none of this needs it."""
    route = {"match": "*@x", "backend": f"imaps://{HOST}:1", "auth": "app-passwords", "upstream_auth": "stored"}
    file = tmp_path / "popgate.toml"
    file.write_text(to_toml(with_state(configuration(certificates, route), tmp_path)))
    return file


@pytest.fixture
def login_config(certificates, provider, tmp_path):
    file = tmp_path / "popgate.toml"
    route = {"match": "*@x", "backend": f"imaps://{HOST}:1", "auth": "app-passwords", "oauth": "id"}
    oauth = [{"name": "id", "issuer": provider.issuer, "client_id": provider.client_id,
              "ca_file": str(provider.ca_file), "scopes": "mail offline_access"}]
    file.write_text(to_toml(with_state(configuration(certificates, route, oauth=oauth), tmp_path)))
    return file


def says(made, code, *words):
    """It failed with this code and one line that holds these words, beside the log; nothing on standard output."""
    text = re.sub(r"^\d{4}-\d\d-\d\dT.*\n", "", made.stderr.decode(), flags=re.MULTILINE)
    assert made.returncode == code, made
    assert made.stdout == b"" and text.count("\n") == 1 and text.startswith("popgate: "), made
    for word in words:
        assert word in text, text


# --- at a terminal

def test_a_password_is_asked_for_without_echo(config, user):
    with Terminal("account", "add", user, "--upstream-password", "--config", config) as terminal:
        terminal.read_until("at the upstream: ")
        assert not terminal.echoes()
        terminal.type("canary-secret\n")
        assert terminal.finish() == 0, terminal.said
        assert terminal.echoes() and "canary" not in terminal.said
        assert f"Made the account {user}." in terminal.screen()
    assert b"upstream password: stored" in signing_in.account("show", user, config=config).stdout


def test_ctrl_c_at_a_password_gives_the_echo_back_and_makes_nothing(config, user):
    with Terminal("account", "add", user, "--upstream-password", "--config", config) as terminal:
        terminal.read_until("at the upstream: ")
        terminal.type("half\x03")
        assert terminal.finish() == 130, terminal.said
        assert terminal.echoes() and "half" not in terminal.said
    assert signing_in.account("show", user, config=config).returncode == 1


def test_no_password_is_no_answer(config, user):
    for answer in ("\n", "\x04"):
        with Terminal("account", "add", user, "--upstream-password", "--config", config) as terminal:
            terminal.read_until("at the upstream: ")
            terminal.type(answer)
            assert terminal.finish() == 2, terminal.said
            assert "no password" in terminal.said
    assert signing_in.account("show", user, config=config).returncode == 1


def test_remove_asks_first(config, user):
    assert signing_in.account("add", user, config=config).returncode == 0
    for answer, code, words in (("n\n", 1, "nothing was removed"), ("\x04", 1, "nothing was removed"),
                                ("y\n", 0, f"Removed the account {user}")):
        with Terminal("account", "remove", user, "--config", config) as terminal:
            terminal.read_until(r"\[y/N\] ")
            terminal.type(answer)
            assert terminal.finish() == code and words in terminal.said, terminal.said
    says(signing_in.account("remove", user, config=config), 2, "--yes")


@pytest.mark.parametrize("columns", [80, 40])
def test_a_sign_in_waits_with_a_sign_that_goes_away(login_config, provider, user, columns):
    with Terminal("account", "login", user, "--device", "--config", login_config, columns=columns) as terminal:
        code = terminal.read_until(r"enter the code\s+(\S+)\s")
        assert f" {provider.issuer}/device\r\n" in terminal.said, "in one piece, as it is copied"
        terminal.read_until(r"Waiting for the sign-in")
        provider.approve_device(code, user)
        assert terminal.finish() == 0, terminal.said
        assert "Waiting" not in "\n".join(terminal.screen())
        assert signing_in.APP_PASSWORD.search(terminal.said)


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_ctrl_c_in_a_sign_in_leaves_one_line_and_a_clean_terminal(login_config, user, columns):
    with Terminal("account", "login", user, "--device", "--config", login_config, columns=columns) as terminal:
        terminal.read_until("Waiting for")
        terminal.type("\x03")
        assert terminal.finish() == 130, terminal.said
        assert terminal.echoes()
        screen = "\n".join(terminal.screen())
        assert "Waiting" not in screen and screen.endswith("popgate: interrupted\n"), screen
    assert signing_in.account("show", user, config=login_config).returncode == 1


def test_what_a_script_reads_has_no_drawing_in_it(login_config, provider, user, tmp_path):
    with open(tmp_path / "out", "wb") as out, \
            Terminal("account", "login", user, "--device", "--config", login_config, stdout=out) as terminal:
        provider.approve_device(terminal.read_until(r"enter the code\s+(\S+)\s"), user)
        assert terminal.finish() == 0
    assert re.fullmatch(r"Connected: [^\r\x1b]*", (tmp_path / "out").read_text())
    login = signing_in.Login(user, "--device", "--config", login_config)
    provider.approve_device(login.read_until(r"enter the code\s+(\S+)"), user)
    status, output, said = login.finish()
    assert status == 0 and "\r" not in output + said and "Waiting" not in said


# --- in scripts

def test_an_account_from_its_making_to_its_end(config, user):
    made = signing_in.account("add", user, "--app-password", "office scanner", "--json", config=config)
    password = json.loads(made.stdout)
    assert password["new"] and password["user"] == user
    assert b"Changed" in signing_in.account("add", user, "--upstream-user", "other", config=config).stdout
    listed = signing_in.account("list", config=config).stdout.decode().splitlines()
    assert listed[0].startswith("USER") and len(listed) == 2 and listed[1].startswith(user), listed
    shown = json.loads(signing_in.account("show", user, "--json", config=config).stdout)
    assert shown["upstream_user"] == "other" and shown["app_passwords"][0]["label"] == "office scanner"
    assert password["app_password"] not in json.dumps(shown)
    says(signing_in.account("revoke", user, "xxxxxxxx", config=config), 1, "xxxxxxxx")
    revoked = signing_in.account("revoke", user, password["app_password_id"], "--json", config=config)
    assert json.loads(revoked.stdout) == {"user": user, "id": password["app_password_id"], "revoked": True}
    assert signing_in.account("remove", user, "--yes", config=config).returncode == 0
    for command in (("show",), ("remove", "--yes")):
        says(signing_in.account(command[0], user, *command[1:], config=config), 1, "no account", user)


def test_an_app_password_that_nothing_asks_for_is_noticed(certificates, tmp_path):
    file = tmp_path / "popgate.toml"
    route = {"match": "*@x", "backend": f"imaps://{HOST}:1"}
    file.write_text(to_toml(with_state(configuration(certificates, route), tmp_path)))
    for user, words in (("a@x", b"does not let clients in by app passwords"), ("a@elsewhere", b"no route is for")):
        made = signing_in.account("add", user, "--app-password", "scanner", config=file)
        assert made.returncode == 0 and words in made.stderr, made


@pytest.mark.parametrize("arguments", [
    [], ["frob"], ["show"], ["revoke", "x@x"], ["add", "x@x", "--frob"], ["login", "x@x", "--device", "--browser"],
    ["add", "x@x", "--backend", "imaps://x", "--config", "y"], ["list", "extra"], ["import"]], ids=" ".join)
def test_a_wrong_command_line_is_told_and_does_nothing(arguments):
    made = run("account", *arguments)
    assert made.returncode == 2 and made.stdout == b"", made
    assert 1 <= made.stderr.count(b"\n") <= 2, made.stderr  # the second says where help is


def test_what_cannot_be_done_is_one_line(config, user, tmp_path):
    missing = tmp_path / "missing"
    says(signing_in.account("list", config=missing), 2, str(missing), "No such file")
    says(signing_in.account("add", user, "--upstream-password-file", missing, config=config), 2, str(missing))
    says(signing_in.account("add", user, "--upstream-password", config=config), 2, "no password on standard input")
    says(signing_in.account("login", user, config=config), 2, user, "oauth")
    says(signing_in.account("login", "somebody@elsewhere", config=config), 2, "no route", "somebody@elsewhere")
    says(signing_in.account("test", "somebody@elsewhere", config=config), 2, "no route", "somebody@elsewhere")


def test_a_store_that_cannot_be_written_is_one_line(certificates, user, tmp_path):
    (tmp_path / "file").write_text("")
    route = {"match": "*", "backend": f"imaps://{HOST}:1", "auth": "app-passwords", "upstream_auth": "stored"}
    config = tmp_path / "popgate.toml"
    config.write_text(to_toml(configuration(certificates, route, state={"url": f"sqlite:{tmp_path}/file/state.db"})))
    for command in (["account", "add", user, "--app-password", "x"], ["account", "list"], ["secrets", "create"]):
        says(run(*command, "--config", config), 1, str(tmp_path / "file"))


def test_keys_are_made_once_and_missed_when_they_have_gone(config, user, tmp_path):
    made = run("secrets", "create", "--config", config)
    assert made.returncode == 0 and str(tmp_path / "secrets.key").encode() in made.stdout
    key = (tmp_path / "secrets.key").read_bytes()
    says(run("secrets", "create", "--config", config), 1, "secrets.key", "already")
    assert (tmp_path / "secrets.key").read_bytes() == key
    assert signing_in.account("add", user, "--app-password", "x", config=config).returncode == 0
    assert run("secrets", "rotate", "--config", config).returncode == 0
    assert b"All of 1 accounts" in run("secrets", "check", "--config", config).stdout
    os.rename(tmp_path / "secrets.key", tmp_path / "away")
    for command in (["secrets", "check"], ["secrets", "rotate"], ["account", "show", user]):
        says(run(*command, "--config", config), 1, "secrets.key")
    assert not (tmp_path / "secrets.key").exists(), "another key would hide that it has gone"


# --- from email-oauth2-proxy

@pytest.mark.parametrize("name, user", [("microsoft", "alice@example.com"), ("google", "carol@gmail.com"),
                                        ("catch_all", "boss@example.com"), ("catch_all", "anybody@example.org")])
def test_an_imported_configuration_serves_and_asks_to_sign_in(name, user, tmp_path):
    made = run("account", "import", EXAMPLES / f"{name}.config")
    assert made.returncode == 0, made
    text = re.sub(r'address = ".*"', f'address = "{HOST}:{free_port()}"', made.stdout.decode())
    file = tmp_path / "popgate.toml"
    file.write_bytes(made.stdout)
    checked = run("check", "--config", file)
    assert checked.returncode == 0 and checked.stdout.decode() == f"{file}: ok\n", checked
    file.write_text(text + f'\n[state]\nurl = "sqlite:{tmp_path}/state.db"\n[log]\nformat = "json"\n')
    added = signing_in.account("add", user, "--app-password", "x", "--json", config=file)
    with Popgate(arguments=["--config", file]) as popgate, Pop3(popgate.port()) as pop3:
        reply = pop3.login(user, json.loads(added.stdout)["app_password"])
    assert reply.startswith("-ERR [AUTH] ") and "sign in" in reply, reply


def test_an_import_sends_no_token_to_another_providers_server():
    made = run("account", "import", EXAMPLES / "google.config")
    route = made.stdout.decode().split('match = "dave@shop.example"\n')[1].split("[[route]]")[0]
    assert 'backend = "imap://mail.shop.example:143"' in route
    said = made.stderr.decode()
    assert "SMTP on port 2465" in said and "popgate account login carol@gmail.com" in said, said


def test_an_import_of_what_is_broken_is_one_line(tmp_path):
    for name, content, words in [
            ("empty", b"", "no account"), ("none", b"[emailproxy]\nx = 1\n", "no account"),
            ("plain", b"hello\n", "line 1"), ("binary", bytes(range(256)) * 20, "no text"),
            ("big", b"[a@x]\n" + b"k = v\n" * 1_800_000, "longer"), ("key", b"[a@x]\nk = 1\nk = 2\n", "line 3"),
            ("section", b"[a@x]\nk = 1\n[a@x]\n", "line 3"), ("open", b"[a@x\n", "line 1")]:
        file = tmp_path / name
        file.write_bytes(content)
        says(run("account", "import", file), 1, str(file), words)
    says(run("account", "import", tmp_path), 2, str(tmp_path), "Is a directory")
    says(run("account", "import", tmp_path / "missing"), 2, "missing", "No such file")
