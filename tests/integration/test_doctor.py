"""popgate doctor: a healthy set-up has no failure, and each thing that is broken gives its finding."""

import json
import os
import re
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.auth_hook import AuthHook
from support.net import HOST, PATIENCE, free_port
from support.popgate import binary, run, to_toml, with_state
from support.scripted_imap import CAPABILITY, SILENCE, ScriptedImap
from support.setups import PASSWORD, clear_route, configuration, imaps_route, log_in, maildir_route

AN_HOUR = 3600


class Report:
    """What doctor found in a configuration; `findings` are its JSON documents."""

    def __init__(self, config, directory, **more):
        self.file = Path(directory) / "popgate.toml"
        self.file.write_text(to_toml(with_state(config, directory)))
        self.file.chmod(0o644)
        begun = time.monotonic()
        self._ran = subprocess.run([binary(), "doctor", "--config", self.file, "--json"], capture_output=True,
                                   timeout=4 * PATIENCE, check=False, **more)
        self.seconds = time.monotonic() - begun
        assert self._ran.returncode in (0, 1), self._ran
        assert PASSWORD.encode() not in self._ran.stdout + self._ran.stderr
        self.findings = [json.loads(line) for line in self._ran.stdout.splitlines()]
        assert self.findings, self._ran
        for each in self.findings:
            assert list(each) == ["check", "subject", "verdict", "text", "advice"], each
            assert (each["verdict"] == "ok") == (each["advice"] == ""), each
        assert self._ran.returncode == (1 if self.of("failure") else 0), self._ran

    def of(self, verdict, check=None):
        return [each for each in self.findings if each["verdict"] == verdict and check in (None, each["check"])]

    def the(self, verdict, check, words, subject=""):
        """The one finding of this kind whose text has these words."""
        found = [each for each in self.of(verdict, check) if words in each["text"] and subject in each["subject"]]
        assert len(found) == 1, self.findings
        return found[0]


class WebServer:
    """Answers GET with `documents` {path: text}, else with 404; its clock is `ahead` seconds ahead of ours."""

    def __init__(self, ahead=0):
        self.documents = {}
        documents = self.documents

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def date_time_string(self, timestamp=None):
                return super().date_time_string((timestamp or time.time()) + ahead)

            def do_GET(self):
                text = documents.get(self.path, "nothing").encode()
                self.send_response(200 if self.path in documents else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://{HOST}:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def rest_route(self):
        return {"match": "*", "backend": f"rest:{self.origin}", "rest_api": "mailpit"}


@pytest.fixture
def examine(certificates, tmp_path):
    """examine(route, …): a Report on a configuration as the other tests have it."""
    def report(route, **more):
        return Report(configuration(certificates, route, **more), tmp_path)
    return report


@pytest.fixture
def imap_route(dovecot):
    return imaps_route(dovecot)


# --- as it should be

def test_a_healthy_set_up_has_no_failure(dovecot, serve, certificates, tmp_path, user):
    port = free_port()
    listen = [{"address": f"{HOST}:{port}", "tls": "starttls"}, {"address": f"{HOST}:0", "tls": "none"}]
    popgate = serve(imaps_route(dovecot), listen=listen)
    log_in(popgate, user, listener="none").quit()
    text = run("doctor", "--config", popgate.configuration_file)
    assert text.returncode == 0, text.stdout.decode()
    said = text.stdout.decode()
    lines = said.splitlines()
    for line in lines[:-1]:
        assert re.match(r"(ok  |warn) [a-z]+.*: .|     (->|→) .", line), line
    assert re.fullmatch(r"\d+ checks: \d+ ok, \d+ warnings?, 0 failures", lines[-1]), lines[-1]
    assert re.search(rf"^ok   listener {HOST}:{port}: a running popgate serves it \(process \d+\)$", said, re.MULTILINE)
    assert re.search(r"^ok   upstream imaps://\S+: answers \(\d+ ms\), TLSv1\.\d \S+, the certificate is good$", said,
                     re.MULTILINE)
    assert re.search(r"^ok   imap imaps://\S+: takes passwords$", said, re.MULTILINE)
    assert len(re.findall(r"^ok   state /\S+: is whole and can be written$", said, re.MULTILINE)) >= 1
    assert re.search(r"^ok   certificate \S+: valid until ", said, re.MULTILINE)
    log_in(popgate, user, listener="none").quit()  # and it is as well as before


def test_nothing_is_made_and_nobody_logs_in(examine, tmp_path, certificates):
    with ScriptedImap(certificate=certificates.server) as imap:
        route = {"match": "*", "backend": f"imap://{HOST}:{imap.port}", "ca_file": str(certificates.ca)}
        report = examine(route, state={"url": f"sqlite:{tmp_path}/new/state.db"})
        assert imap.commands == [b"CAPABILITY", b"STARTTLS", b"CAPABILITY", b"LOGOUT"]
    report.the("ok", "state", "the first start makes it")
    assert os.listdir(tmp_path) == [report.file.name] and not report.of("failure")


def test_advice_has_an_arrow_where_the_locale_has_one(certificates, tmp_path):
    file = tmp_path / "popgate.toml"
    file.write_text("[nonsense]\n")
    said = subprocess.run([binary(), "doctor", "--config", file], capture_output=True, timeout=PATIENCE, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert said.returncode == 1 and "\n     → See [nonsense]" in said.stdout.decode()


def test_usage():
    assert run("doctor", "--no-such-option").returncode == 2


# --- the configuration

def test_a_bad_configuration_ends_it(examine, tmp_path):
    report = examine({"match": "*", "backend": "imaps://"}, limits={"max_sesions": 1})
    assert {each["check"] for each in report.findings} == {"configuration"}
    report.the("failure", "configuration", "max_sesions", subject=":")
    assert "popgate config-reference" in report.the("failure", "configuration", "route[0].backend")["advice"]


def test_a_configuration_that_is_not_there(tmp_path):
    said = run("doctor", "--config", tmp_path / "none.toml")
    assert said.returncode == 1 and b"cannot be read: No such file" in said.stdout


def test_a_missing_password_file(examine, tmp_path):
    missing = tmp_path / "users"
    report = examine(maildir_route(tmp_path, auth="password-file", password_file=str(missing)))
    assert "route[0].password_file" in report.the("failure", "configuration", f"{missing} cannot be read")["text"]


# --- listeners

def test_a_port_that_another_program_has(examine, imap_route):
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        report = examine(imap_route, listen=[{"address": f"{HOST}:{port}", "tls": "none"}])
        assert f"(process {os.getpid()})" in report.the("failure", "listener", "which is not popgate")["text"]
        wildcard = examine(imap_route, listen=[{"address": f"0.0.0.0:{port}", "tls": "starttls"}])
        wildcard.the("failure", "listener", f"{HOST}:{port} is taken by ")


def test_an_address_that_this_machine_does_not_have(examine, imap_route):
    report = examine(imap_route, listen=[{"address": "192.0.2.1:110", "tls": "starttls"}])
    report.the("failure", "listener", "no interface of this machine has the address", subject="192.0.2.1:110")


# --- certificates

def with_certificate(shown, key=None, **more):
    return {"tls": {"certificate": str(shown), "key": str(key)}, **more}


def test_an_expired_certificate(examine, imap_route, certificates):
    shown = certificates.expired
    report = examine(imap_route, **with_certificate(shown.certificate, shown.key))
    assert "Renew it" in report.the("failure", "certificate", "has expired on 2020-02-01")["advice"]
    assert not report.of("failure", "configuration") and not report.of("warning", "configuration")


def test_a_certificate_that_ends_soon(examine, imap_route, certificates):
    for days, verdict in ((20, "warning"), (22, "ok")):
        shown = certificates.ending(f"ending-{days}", days)
        report = examine(imap_route, **with_certificate(shown.certificate, shown.key))
        report.the(verdict, "certificate", f"{days - 1} days more")


def test_the_key_of_another_certificate(examine, imap_route, certificates):
    report = examine(imap_route, **with_certificate(certificates.server.certificate, certificates.expired.key),
                     listen=[{"address": f"{HOST}:0", "tls": "starttls"}])
    report.the("failure", "configuration", "does not belong to the certificate")


def test_a_key_that_everybody_can_read(examine, imap_route, certificates, tmp_path):
    key = tmp_path / "open.key"
    key.write_bytes(certificates.server.key.read_bytes())
    key.chmod(0o644)
    report = examine(imap_route, **with_certificate(certificates.server.certificate, key))
    assert "chmod 600" in report.the("warning", "certificate", "everybody on this machine", subject=str(key))["advice"]


def test_a_chain_out_of_order_and_one_without_its_authority(examine, imap_route, certificates, tmp_path):
    chain = tmp_path / "chain.pem"
    server, authority = certificates.server.certificate.read_text(), certificates.ca.read_text()
    for text, words in ((server, "its authority, popgate test ca, is not in the file"),
                        (server + authority, "its authority, popgate test ca, is not trusted by this machine"),
                        (server + certificates.other_host.certificate.read_text(), "which it has not signed")):
        chain.write_text(text)
        examine(imap_route, **with_certificate(chain, certificates.server.key)).the("warning", "certificate", words)


def test_names_that_the_certificate_does_not_have(examine, imap_route, certificates):
    enrolment = {"listen": f"{HOST}:0", "url": "https://localhost:8443", "pop3_host": "pop.popgate.invalid",
                 "domains": "x"}
    report = examine(imap_route, enrolment=enrolment)
    report.the("failure", "certificate", "is for localhost, not for pop.popgate.invalid")
    report.the("ok", "certificate", "covers localhost")
    report.the("warning", "dns", "has no address", subject="pop.popgate.invalid")


# --- upstreams

def test_a_name_that_does_not_resolve(examine):
    report = examine({"match": "*", "backend": "imaps://imap.popgate.invalid"})
    report.the("failure", "dns", "has no address", subject="imap.popgate.invalid")
    assert not [each for each in report.findings if each["check"] == "upstream"]


def test_a_dead_upstream(examine):
    report = examine(clear_route(free_port()))
    report.the("failure", "upstream", "refused")


def test_silent_upstreams_are_given_ten_seconds(examine):
    with ScriptedImap(greeting=SILENCE) as one, ScriptedImap(rules=[(b"CAPABILITY", SILENCE)]) as two:
        report = examine([clear_route(one.port, match="a@*"), clear_route(two.port, match="b@*"),
                          clear_route(one.port, match="c@*", auth="oauth")])
    assert len(report.of("failure", "upstream")) == 3 and report.seconds > 9


@pytest.mark.parametrize("which, words", [("other_host", "certificate"), ("expired", "certificate"),
                                          ("self_signed", "certificate")])
def test_an_upstream_with_a_wrong_certificate(examine, certificates, which, words):
    with ScriptedImap(certificate=getattr(certificates, which), implicit_tls=True) as imap:
        report = examine({"match": "*", "backend": f"imaps://{HOST}:{imap.port}", "ca_file": str(certificates.ca)})
    assert "ca_file" in report.the("failure", "upstream", words)["advice"]


def test_an_upstream_without_starttls(examine):
    with ScriptedImap() as imap:
        report = examine({"match": "*", "backend": f"imap://{HOST}:{imap.port}"})
    report.the("failure", "upstream", "no STARTTLS")


def test_what_is_no_imap_server(examine):
    with ScriptedImap(greeting="+OK POP3 ready") as pop3:
        report = examine(clear_route(pop3.port))
    report.the("failure", "upstream", "does not greet as IMAP servers do")


def test_capabilities_that_do_not_fit(examine, tmp_path):
    secret = tmp_path / "master"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    plain = CAPABILITY.replace(" AUTH=PLAIN", "")
    with ScriptedImap(capability=plain + " LOGINDISABLED") as closed, \
            ScriptedImap(capability=plain.replace(" UIDPLUS", "")) as old:
        report = examine([clear_route(closed.port, match="a@*"),
                          clear_route(old.port, match="b@*"),
                          clear_route(old.port, match="c@*", auth="oauth"),
                          clear_route(old.port, match="d@*", auth="app-passwords", upstream_auth="master",
                                      master_user="m", master_password_file=str(secret))])
    report.the("failure", "imap", "LOGINDISABLED", subject=str(closed.port))
    report.the("ok", "imap", "takes passwords", subject=str(old.port))
    report.the("failure", "imap", "takes no OAuth2 tokens", subject=str(old.port))
    report.the("failure", "imap", "no AUTH=PLAIN", subject=str(old.port))
    assert "no UIDPLUS" in report.of("warning", "imap")[0]["text"]


def test_an_http_upstream_and_the_clock(examine):
    with WebServer() as right, WebServer(ahead=AN_HOUR) as wrong:
        alone = examine(wrong.rest_route())
        report = examine(right.rest_route())
    alone.the("ok", "upstream", "HTTP status 404")
    late = alone.the("warning", "clock", "s behind", subject=HOST)
    assert abs(int(re.search(r"(\d+) s behind", late["text"])[1]) - AN_HOUR) < 60 and "Set the clock" in late["advice"]
    report.the("ok", "clock", "this machine's clock is ", subject=HOST)


def test_a_dead_http_upstream(examine):
    report = examine({"match": "*", "backend": f"rest:http://{HOST}:{free_port()}", "rest_api": "mailpit"})
    assert report.of("failure", "upstream")


def test_a_web_hook(examine, dovecot):
    with AuthHook() as hook:
        route = imaps_route(dovecot, auth="http", auth_url=hook.url)
        there = examine(route)
        assert hook.asked == []
    there.the("ok", "hook", "can be reached")
    examine(route).the("failure", "hook", "", subject=hook.url)


def test_a_providers_discovery_document(examine, dovecot):
    route = imaps_route(dovecot, auth="app-passwords", oauth="id")
    with WebServer() as server:
        def provider():
            return examine(route, oauth=[{"name": "id", "issuer": server.origin, "client_id": "c", "scopes": "mail"}])

        provider().the("failure", "oauth", "HTTP status 404")
        document = {"issuer": server.origin, "authorization_endpoint": f"{server.origin}/a",
                    "token_endpoint": f"{server.origin}/t"}
        server.documents["/.well-known/openid-configuration"] = json.dumps(document)
        provider().the("ok", "oauth", "gives its discovery document")
        server.documents["/.well-known/openid-configuration"] = json.dumps({**document, "issuer": "https://x.example"})
        assert "to the letter" in provider().the("failure", "oauth", "")["advice"]
    provider().the("failure", "oauth", "", subject=server.origin)


# --- files

def test_files_of_secrets(examine, dovecot, tmp_path):
    master = tmp_path / "master"

    def report():
        return examine(imaps_route(dovecot, auth="app-passwords", upstream_auth="master", master_user="m",
                                   master_password_file=str(master)))

    assert "Make it" in report().the("failure", "file", "No such file", subject=str(master))["advice"]
    master.write_text(PASSWORD)
    master.chmod(0o644)
    report().the("warning", "file", "everybody on this machine can read it", subject=str(master))
    master.chmod(0o600)
    report().the("ok", "file", "can be read", subject=str(master))


def test_the_folder_of_token_files(examine, tmp_path):
    with WebServer() as server:
        route = {**server.rest_route(), "token_file": f"{tmp_path}/tokens/%u", "auth": "app-passwords"}
        examine(route).the("failure", "file", "No such file")
        (tmp_path / "tokens").mkdir()
        examine(route).the("ok", "file", "can be entered")


def test_the_folder_of_local_mailboxes(examine, tmp_path):
    users = tmp_path / "users"
    users.write_text("eva:x\n")
    users.chmod(0o600)
    route = maildir_route(tmp_path / "mail", auth="password-file", password_file=str(users))
    assert "mounted" in examine(route).the("failure", "mailbox", "No such file")["advice"]
    (tmp_path / "mail").mkdir()
    examine(route).the("ok", "mailbox", "can be entered")


# --- the store

def test_a_state_file_that_is_none(examine, imap_route, tmp_path):
    (tmp_path / "state.db").write_text("no database " * 100)
    report = examine(imap_route)
    report.the("failure", "state", "not a database", subject=str(tmp_path / "state.db"))
    assert (tmp_path / "state.db").read_text().startswith("no database"), "it is left as it is"


def test_a_damaged_state_file(serve, imap_route, examine, tmp_path, user):
    popgate = serve(imap_route, state={"url": f"sqlite:{tmp_path}/state.db"})
    log_in(popgate, user).quit()
    popgate.stop()
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    content = bytearray((tmp_path / "state.db").read_bytes())
    content[4096:8192] = b"\xff" * 4096
    (tmp_path / "state.db").write_bytes(content)
    report = examine(imap_route)
    failure = report.of("failure", "state")
    assert len(failure) == 1 and failure[0]["subject"] == str(tmp_path / "state.db"), report.findings
    assert (tmp_path / "state.db").read_bytes()[4096:8192] == b"\xff" * 4096, "it is left as it is"


def test_a_store_that_another_user_has(imap_route, certificates):
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user")
    with tempfile.TemporaryDirectory(prefix="popgate-") as directory:
        os.chmod(directory, 0o755)
        folder = Path(directory) / "state"
        folder.mkdir(mode=0o700)
        for name in ("ca", "certificate"):  # what the other user must read for the rest to be good
            (Path(directory) / name).write_bytes(certificates.ca.read_bytes())
        config = {"listen": [{"address": f"{HOST}:0", "tls": "none"}],
                  "route": [{**imap_route, "ca_file": f"{directory}/ca"}],
                  "state": {"url": f"sqlite:{folder}/state.db"}}
        try:
            report = Report(config, directory, user="nobody")
        except PermissionError:
            pytest.skip("the program lies where no other user comes")
        report.the("failure", "state", "it is root's", subject=str(folder))


def test_keys_of_secrets(examine, imap_route, dovecot, tmp_path, user):
    route = imaps_route(dovecot, auth="app-passwords", upstream_auth="stored")
    examine(route).the("ok", "secrets", "the first account makes it")
    config = tmp_path / "popgate.toml"
    assert run("account", "add", user, "--upstream-password-file", "-", "--config", config,
               stdin=PASSWORD.encode()).returncode == 0
    examine(route).the("ok", "secrets", "opens all of 1 accounts")
    key = tmp_path / "secrets.key"
    key.rename(tmp_path / "kept")
    examine(route).the("failure", "secrets", "No such file", subject=str(key))
    assert run("secrets", "create", "--config", config).returncode == 0
    examine(route).the("failure", "secrets", "1 of 1 accounts cannot be read")


# --- the machine

def test_more_sessions_than_the_kernel_allows(examine, imap_route):
    report = examine(imap_route, limits={"max_sessions": 9_000_000})
    assert "LimitNOFILE" in report.the("warning", "limits", "9000000 sessions need", subject="descriptors")["advice"]
    report.the("warning", "limits", "9000000 sessions need", subject="vm.max_map_count")


def test_whether_the_kernels_clock_is_kept(examine, imap_route):
    report = examine(imap_route)
    assert len([each for each in report.findings if (each["check"], each["subject"]) == ("clock", "kernel")]) == 1
