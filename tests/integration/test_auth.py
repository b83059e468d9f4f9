"""How clients prove who they are: APOP, CRAM-MD5, RPOP, certificates, tokens; and what guessing costs."""

import hashlib
import json
import ssl
import subprocess
from base64 import b64encode

import pytest
from support.auth_hook import AuthHook
from support.clients import Fetchmail
from support.dovecot import Dovecot, Introspection
from support.net import HOST, PATIENCE, wait_until
from support.oidc import OidcProvider
from support.pop3 import Pop3, tls_context
from support.popgate import run
from support.scripted_imap import ScriptedImap
from support.setups import PASSWORD, clear_route, imaps_route, log_in, maildir_route, make_maildir, try_to_log_in

MESSAGE = b"Subject: hello\r\n\r\ntext\r\n"


def listener(tls="none", **keys):
    return {"address": f"{HOST}:0", "tls": tls, **keys}


def curl(popgate, *options, scheme="pop3", tls=None, good=True):
    """What `curl … /1` printed; its exit code where it must fail."""
    made = subprocess.run(["curl", "--silent", "--show-error", *map(str, options),
                           f"{scheme}://localhost:{popgate.port(tls)}/1"], capture_output=True, timeout=PATIENCE, check=False)
    assert (made.returncode == 0) == good, made.stderr
    return made.stdout if good else made.returncode


def set_account(popgate, user, *options, stdin=b""):
    made = run("account", "add", user, *options, "--config", popgate.configuration_file, stdin=stdin)
    assert made.returncode == 0, made.stderr
    return made.stdout.decode()


@pytest.fixture
def mail(tmp_path):
    for user in ("ann", "bob", "ann@example.com"):
        make_maildir(tmp_path, user, MESSAGE)
    return tmp_path


# --- shared secrets


@pytest.fixture
def with_secrets(mail, serve):
    """ann has a secret for APOP and CRAM-MD5, bob has an account without."""
    popgate = serve(maildir_route(mail, auth="app-passwords"), listen=[listener(apop=True, cram_md5=True)])
    set_account(popgate, "ann", "--shared-secret-file", "-", stdin=PASSWORD.encode() + b"\n")
    set_account(popgate, "bob", "--app-password", "phone")
    return popgate


@pytest.mark.parametrize("mechanism", ["AUTH=+APOP", "AUTH=CRAM-MD5"])
def test_curl_with_a_shared_secret(mechanism, with_secrets):
    options = ["--login-options", mechanism, "--user"]
    assert curl(with_secrets, *options, f"ann:{PASSWORD}") == MESSAGE
    assert curl(with_secrets, *options, "ann:wrong", good=False) == 67
    assert curl(with_secrets, *options, f"bob:{PASSWORD}", good=False) == 67


class FetchmailApop(Fetchmail):
    def _prepare(self):
        super()._prepare()
        self._configuration.write_text(self._configuration.read_text().replace("protocol POP3", "protocol APOP"))


def test_fetchmail_by_apop(with_secrets, tmp_path):
    client = FetchmailApop(tmp_path / "client", with_secrets.port(), user="ann", password=PASSWORD)
    assert sum(client.fetch().values()) == 1


def test_mpop_by_cram_md5_and_apop(with_secrets, tmp_path):
    for method in ("cram-md5", "apop"):
        made = subprocess.run(["mpop", f"--host={HOST}", f"--port={with_secrets.port()}", f"--auth={method}", "--user=ann",
                               f"--passwordeval=echo {PASSWORD}", "--tls=off", "--keep=on", f"--uidls-file={tmp_path}/{method}",
                               f"--delivery=mbox,{tmp_path}/{method}.mbox"], capture_output=True, timeout=PATIENCE, check=False)
        assert made.returncode == 0, made.stderr
        assert b"Subject: hello" in (tmp_path / f"{method}.mbox").read_bytes()


def test_each_connection_has_a_challenge_of_its_own(with_secrets):
    timestamps = set()
    for _ in range(5):
        with Pop3(with_secrets.port()) as pop3:
            timestamp = pop3.greeting.split()[-1]
            assert timestamp.startswith("<") and timestamp.endswith(">") and timestamp.count("@") == 1
            timestamps.add(timestamp)
    assert len(timestamps) == 5
    stale = hashlib.md5((timestamps.pop() + PASSWORD).encode()).hexdigest()
    with Pop3(with_secrets.port()) as pop3:
        assert pop3.command("APOP ann", stale).startswith("-ERR [AUTH] ")
        fresh = hashlib.md5((pop3.greeting.split()[-1] + PASSWORD).encode()).hexdigest()
        assert pop3.command("APOP ann", fresh).startswith("+OK 1 ")


def test_apop_goes_on_after_stls(mail, serve, certificates):
    popgate = serve(maildir_route(mail, auth="app-passwords"), listen=[listener("starttls", apop=True)])
    set_account(popgate, "ann", "--shared-secret-file", "-", stdin=PASSWORD.encode() + b"\n")
    with Pop3(popgate.port()) as pop3:
        digest = hashlib.md5((pop3.greeting.split()[-1] + PASSWORD).encode()).hexdigest()
        assert pop3.command("APOP ann", digest).startswith("-ERR"), "not in clear where TLS is required"
        pop3.stls(tls_context(certificates.ca))
        assert pop3.command("APOP ann", digest).startswith("+OK 1 ")


def test_nothing_of_it_unless_it_is_switched_on(mail, serve):
    with Pop3(serve(maildir_route(mail, auth="app-passwords")).port()) as pop3:
        assert "<" not in pop3.greeting
        assert pop3.capa()["SASL"] == ["PLAIN", "LOGIN"]
        assert pop3.command("APOP ann", "0" * 32).startswith("-ERR")
        assert pop3.command("AUTH CRAM-MD5").startswith("-ERR")


# --- trusted addresses


def test_rpop_from_trusted_addresses_alone(mail, serve):
    popgate = serve(maildir_route(mail, auth="app-passwords"), listen=[listener(rpop_from="127.0.0.2/32 2001:db8::/32")])
    with Pop3(popgate.port(), source="127.0.0.2") as pop3:
        pop3.command("USER ann")
        assert pop3.command("RPOP root").startswith("+OK 1 ")
    with Pop3(popgate.port()) as pop3:
        pop3.command("USER ann")
        assert pop3.command("RPOP root").startswith("-ERR")
        assert pop3.command("STAT").startswith("-ERR")


def test_rpop_opens_no_upstream_that_wants_a_password(serve):
    with ScriptedImap() as server:
        popgate = serve(clear_route(server.port), listen=[listener(rpop_from="127.0.0.0/8")])
        with Pop3(popgate.port()) as pop3:
            pop3.command("USER ann")
            assert pop3.command("RPOP root").startswith("-ERR [AUTH] ")
        assert not any(b"LOGIN" in command.upper() for command in server.commands)


# --- certificates


def client_context(certificates, certificate=None):
    context = tls_context(certificates.ca)
    if certificate:
        context.load_cert_chain(certificate.certificate, certificate.key)
    return context


@pytest.fixture(scope="session")
def clients(certificates):
    return {"ann": certificates.client("client_ann", "ann", addresses=["ann@example.com"]),
            "stranger": certificates.client("client_stranger", "ann", authority="other_ca"),
            "server": certificates.client("client_server", "ann", usage="serverAuth"),
            "bob": certificates.client("client_bob", "bob")}


@pytest.fixture
def with_certificates(mail, serve, certificates):
    def start(wanted):
        keys = {"client_certificates": wanted, "client_ca_file": str(certificates.ca)}
        return serve(maildir_route(mail, auth="certificate"), listen=[listener("implicit", **keys), listener("starttls", **keys)])
    return start


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("name", ["ann", "ann@example.com"])
def test_curl_with_a_certificate(name, tls, with_certificates, certificates, clients):
    popgate = with_certificates("optional")
    options = ["--cacert", certificates.ca, "--cert", clients["ann"].certificate, "--key", clients["ann"].key]
    options += [] if tls == "implicit" else ["--ssl-reqd"]
    scheme = "pop3s" if tls == "implicit" else "pop3"
    assert curl(popgate, *options, "--user", f"{name}:any", scheme=scheme, tls=tls) == MESSAGE
    assert curl(popgate, *options, "--user", f"{name}:", "--login-options", "AUTH=EXTERNAL", scheme=scheme, tls=tls) == MESSAGE
    assert curl(popgate, *options, "--user", "bob:any", scheme=scheme, tls=tls, good=False) == 67


def test_external_without_a_name_is_who_the_certificate_names_first(with_certificates, certificates, clients):
    popgate = with_certificates("optional")
    with Pop3(popgate.port(), tls=client_context(certificates, clients["ann"])) as pop3:
        assert "EXTERNAL" in pop3.capa()["SASL"]
        assert pop3.command("AUTH EXTERNAL =").startswith("+OK 1 ")
        pop3.quit()
    assert popgate.session(user="ann@example.com")


def test_external_is_not_for_others_names(with_certificates, certificates, clients):
    with Pop3(with_certificates("optional").port(), tls=client_context(certificates, clients["bob"])) as pop3:
        assert pop3.command("AUTH EXTERNAL", b64encode(b"ann")).startswith("-ERR [AUTH] ")
        assert pop3.command("AUTH EXTERNAL", b64encode(b"bob")).startswith("+OK 1 ")


def test_without_a_certificate_where_it_is_optional(with_certificates, certificates):
    with Pop3(with_certificates("optional").port(), tls=client_context(certificates)) as pop3:
        assert "EXTERNAL" not in pop3.capa()["SASL"]
        assert pop3.login("ann", "any").startswith("-ERR [AUTH] ")
        assert pop3.command("AUTH EXTERNAL", b64encode(b"ann")).startswith("-ERR")


def test_without_a_certificate_where_it_is_required(with_certificates, certificates, clients):
    popgate = with_certificates("required")
    # TLS 1.3 lets the client believe for a moment that all is well.
    with pytest.raises((ssl.SSLError, EOFError, ConnectionError)):
        Pop3(popgate.port(), tls=client_context(certificates))
    with Pop3(popgate.port(), tls=client_context(certificates, clients["ann"])) as pop3:
        assert pop3.login("ann", "any").startswith("+OK 1 ")


@pytest.mark.parametrize("who", ["stranger", "server"])
@pytest.mark.parametrize("wanted", ["optional", "required"])
def test_a_certificate_that_does_not_verify_gets_no_session(wanted, who, with_certificates, certificates, clients):
    popgate = with_certificates(wanted)
    with pytest.raises((ssl.SSLError, EOFError, ConnectionError)):
        Pop3(popgate.port(), tls=client_context(certificates, clients[who]))
    with Pop3(popgate.port(), tls=client_context(certificates, clients["ann"])) as pop3:
        assert pop3.login("ann", "any").startswith("+OK 1 ")


def test_a_certificate_that_was_forgotten_spoils_no_password(with_certificates, certificates, clients):
    popgate = with_certificates("optional")
    with Pop3(popgate.port(), tls=client_context(certificates)) as pop3:
        assert pop3.login("ann", "any").startswith("-ERR [AUTH] ")
    with Pop3(popgate.port(), tls=client_context(certificates, clients["ann"])) as pop3:
        assert pop3.login("ann", "any").startswith("+OK 1 ")


# --- tokens


@pytest.fixture(scope="module")
def provider(certificates):
    with OidcProvider(certificates) as server:
        yield server


@pytest.fixture(scope="module")
def token_dovecot(certificates, provider):
    with Dovecot(certificates, oauth=Introspection.at(provider)) as server:
        yield server


@pytest.fixture
def with_tokens(token_dovecot, serve):
    return serve(imaps_route(token_dovecot, auth="oauth"))


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_curl_with_a_token(mechanism, provider, token_dovecot, with_tokens):
    user = f"{mechanism.lower()}@example.org"
    token_dovecot.deliver(user, MESSAGE)
    token = provider.tokens_for(user)["access_token"]
    options = ["--user", f"{user}:", "--login-options", f"AUTH={mechanism}", "--oauth2-bearer"]
    assert curl(with_tokens, *options, token) == MESSAGE
    assert curl(with_tokens, *options, "no-token-of-hers", good=False) == 67
    assert curl(with_tokens, "--user", "other@example.org:", "--login-options", f"AUTH={mechanism}", "--oauth2-bearer", token,
                good=False) == 67
    assert token not in with_tokens.log_text() and b64encode(token.encode()).decode()[4:-4] not in with_tokens.log_text()


def test_where_only_tokens_are_taken_nothing_else_is_offered(with_tokens):
    with Pop3(with_tokens.port()) as pop3:
        capa = pop3.capa()
        assert "USER" not in capa and set(capa["SASL"]) == {"OAUTHBEARER", "XOAUTH2"}
        assert pop3.command("AUTH PLAIN", b64encode(b"\0ann\0any")).startswith("-ERR")


@pytest.mark.parametrize("answer", ["", "AQ=="])
def test_a_token_that_is_refused(answer, with_tokens):
    with Pop3(with_tokens.port()) as pop3:
        challenge = pop3.command("AUTH OAUTHBEARER", b64encode(b"n,a=ann@example.org,\x01auth=Bearer none\x01\x01"))
        assert challenge.startswith("+ ")
        assert pop3.command(answer).startswith("-ERR [AUTH] ")
        assert pop3.capa()


@pytest.mark.parametrize("initial", [True, False])
def test_tokens_of_sixteen_kilobytes(initial, serve):
    token = "t" * (16 * 1024 * 3 // 4 - 30)
    response = b64encode(f"user=u@x\x01auth=Bearer {token}\x01\x01".encode())
    assert 16 * 1024 - 40 < len(response) <= 16 * 1024
    with ScriptedImap(capability="IMAP4rev1 SASL-IR AUTH=XOAUTH2", rules=[(rb"AUTHENTICATE XOAUTH2 .*", "<tag> OK come in")]
                      ) as server, Pop3(serve(clear_route(server.port, auth="oauth")).port()) as pop3:
        if initial:
            reply = pop3.command("AUTH XOAUTH2", response)
        else:
            assert pop3.command("AUTH XOAUTH2") == "+ "
            reply = pop3.command(response)
        assert reply.startswith("+OK 0 ")
        assert b"AUTHENTICATE XOAUTH2 " + response in server.commands


# --- what guessing costs


def test_an_unknown_user_and_a_wrong_password_are_told_alike(mail, serve, dovecot, tmp_path):
    passwords = tmp_path / "passwords"
    passwords.write_bytes(b"ann:" + run("hash-password", stdin=PASSWORD.encode() + b"\n").stdout)
    with AuthHook() as hook:
        hook.passwords["ann@hook"] = PASSWORD
        popgate = serve([maildir_route(mail, auth="app-passwords", match="*@app"),
                         maildir_route(mail, auth="http", auth_url=hook.url, match="*@hook"),
                         imaps_route(dovecot, match="*@imap"),
                         maildir_route(mail, auth="password-file", password_file=str(passwords), match="ann"),
                         maildir_route(mail, auth="password-file", password_file=str(passwords), match="nobody")])
        set_account(popgate, "ann@app", "--app-password", "phone")
        replies = try_to_log_in(popgate, [(user, "wrong") for user in (
            "ann@app", "nobody@app", "ann@hook", "nobody@hook", "ann@imap", "ann", "nobody", "nobody-at@nowhere")])
    assert len(set(replies)) == 1 and replies[0].startswith("-ERR [AUTH] "), replies


def test_fifty_wrong_passwords_do_not_keep_the_owner_out(mail, serve):
    """Each guess waits twice as long as the one before, up to 30 s; the owner, from elsewhere, comes in meanwhile."""
    popgate = serve(maildir_route(mail, auth="app-passwords"))
    password = _app_password(popgate)
    guesses = [Pop3(popgate.port()) for _ in range(50)]
    for number, pop3 in enumerate(guesses):
        pop3.send(f"USER ann\r\nPASS guess {number}\r\n".encode())
        assert pop3.line().startswith("+OK")
    with Pop3(popgate.port(), source="127.0.0.2") as owner:
        assert owner.login("ann", password).startswith("+OK 1 ")
        assert len(popgate.log("login_failed")) < 5, "the owner had to wait for those who guess"
        owner.quit()
    popgate.wait_for("login_failed", count=3)
    for pop3 in guesses:
        pop3.close()


def test_the_wait_grows_for_one_user_from_one_address(mail, serve):
    """By the order in which refusals are told: the third guess's comes after one from elsewhere that began later."""
    popgate = serve(maildir_route(mail, auth="app-passwords"))
    with Pop3(popgate.port()) as pop3:
        for number in range(2):
            assert pop3.login("ann", f"guess {number}").startswith("-ERR [AUTH] ")
    with Pop3(popgate.port()) as third, Pop3(popgate.port(), source="127.0.0.2") as elsewhere:
        third.command("USER ann")
        third.send(b"PASS guess 3\r\n")
        assert elsewhere.login("ann", "typo").startswith("-ERR [AUTH] ")
        told = popgate.wait_for("login_failed", count=3)[2]
        assert told["from"].startswith("127.0.0.2:"), "the third guess still waits"
        assert third.line().startswith("-ERR [AUTH] ")


def test_the_right_password_ends_the_waiting(mail, serve):
    """By the order, too: a second failure waits longer than a first one, which it is again after a success."""
    popgate = serve(maildir_route(mail, auth="app-passwords"))
    password = _app_password(popgate)
    with Pop3(popgate.port()) as pop3, Pop3(popgate.port(), source="127.0.0.2") as second:
        assert second.login("ann", "typo 1").startswith("-ERR [AUTH] ")
        assert pop3.login("ann", "typo 2").startswith("-ERR [AUTH] ")
        assert pop3.login("ann", password).startswith("+OK 1 ")
        pop3.quit()
        second.command("USER ann")
        second.send(b"PASS typo 3\r\n")
        with Pop3(popgate.port()) as again:
            assert again.login("ann", "typo 4").startswith("-ERR [AUTH] ")
        told = popgate.wait_for("login_failed", count=3)[2]
        assert told["from"].startswith("127.0.0.1:"), "the second failure from elsewhere was told earlier"
        assert second.line().startswith("-ERR [AUTH] ")


def test_the_upstream_is_not_asked_again_for_what_it_has_just_refused(dovecot, user, serve):
    popgate = serve(imaps_route(dovecot))
    assert try_to_log_in(popgate, [(user, "wrong")])[0].startswith("-ERR [AUTH] ")

    def refused():
        return sum(user in line and "auth failed" in line for line in dovecot.log().splitlines())

    wait_until(lambda: refused() == 1, "Dovecot's word of a refusal")
    for source in (HOST, "127.0.0.2"):
        with Pop3(popgate.port(), source=source) as pop3:
            assert pop3.login(user, "wrong").startswith("-ERR [AUTH] ")
    log_in(popgate, user).quit()
    assert refused() == 1


def _app_password(popgate):
    """ann's, freshly made."""
    made = set_account(popgate, "ann", "--app-password", "phone", "--json")
    return json.loads(made.splitlines()[-1])["app_password"]
