"""What the tests of OAuth2 stand on: a real provider, a fake of the vendors' token endpoints, and a Dovecot that only a
token opens."""

import base64
import http.client
import imaplib
import json
import socket
import ssl
import subprocess
import threading
import urllib.parse
from types import SimpleNamespace

import pytest
from support.dovecot import Dovecot, Introspection
from support.http_fake import Response
from support.net import HOST, PATIENCE, wait_until
from support.oidc import DEVICE_CODE, SCOPE, OidcProvider, Refused, query_of
from support.token_endpoint import TokenEndpoint
from support.vendor_requests import NAMES, vendor_request

MESSAGE = b"From: a@example.org\r\nSubject: hello\r\n\r\ntext\r\n"
MASTER = ("gate-keeper", "m4ster key")


@pytest.fixture(scope="module")
def provider(certificates):
    with OidcProvider(certificates) as server:
        yield server


@pytest.fixture(autouse=True)
def afresh(request):
    if "provider" in request.fixturenames:
        provider = request.getfixturevalue("provider")
        provider.set(leeway=0, rotation=True, lifetime=3600)
        provider.forget_requests()


def refused(call, error):
    with pytest.raises(Refused) as caught:
        call()
    assert caught.value.error == error, caught.value
    return caught.value


# --- the provider


def test_code_flow(provider):
    begun = provider.authorization()
    code = query_of(provider.sign_in(begun.url, "ann@example.org"))["code"]
    wrong = {**begun.fields, "code_verifier": "x" * 43}
    refused(lambda: provider.token_request(**wrong, code=code), "invalid_grant")
    tokens = provider.tokens_for("ann@example.org")
    claims = json.loads(_unpadded(tokens["id_token"].split(".")[1]))
    assert claims["email"] == "ann@example.org" and claims["aud"] == provider.client_id and claims["sub"] != "ann@example.org"
    told = provider.introspect(tokens["access_token"])
    assert told["active"] and told["username"] == "ann@example.org" and "mail" in told["scope"].split()
    userinfo = provider.get(provider.metadata["userinfo_endpoint"],
                            headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert userinfo.json["email"] == "ann@example.org"
    assert provider.count("authorization_code", "invalid_grant") == 1
    assert [each.user for each in provider.requests("authorization_code", "ok")] == ["ann@example.org"]


def test_code_flow_without_pkce_or_with_a_foreign_redirect(provider):
    begun = provider.authorization()
    bare = begun.url.replace("code_challenge", "unknown")
    assert query_of(provider.sign_in(bare, "ann"))["error"] == "invalid_request"
    foreign = provider.authorization(redirect_uri="https://elsewhere.example/callback")
    page = provider.get(foreign.url)
    assert page.status == 400 and "redirect_uri" in page.text
    provider.allow_redirect("https://elsewhere.example/callback")
    assert provider.sign_in(foreign.url, "ann").startswith("https://elsewhere.example/callback?code=")


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/", "http://127.0.0.1:60000/deep/er", "http://localhost:8080/x"])
def test_any_loopback_redirect(provider, uri):
    answer = provider.sign_in(provider.authorization(redirect_uri=uri).url, "ann")
    assert answer.startswith(uri + "?code=")


def test_a_person_who_says_no(provider):
    assert query_of(provider.sign_in(provider.authorization().url, "ann", allow=False))["error"] == "access_denied"


def test_confidential_clients(provider):
    assert "refresh_token" in provider.tokens_for("ann", client_id=provider.post_client_id)
    begun = provider.authorization(provider.post_client_id)
    code = query_of(provider.sign_in(begun.url, "ann"))["code"]
    refused(lambda: provider.token_request(**begun.fields, code=code, client_secret="wrong"), "invalid_client")
    begun = provider.authorization(provider.certificate_client_id)
    code = query_of(provider.sign_in(begun.url, "ann"))["code"]
    proof = provider.client_assertion(provider.certificate_client_id)
    assert "refresh_token" in provider.token_request(**begun.fields, code=code, **proof)
    begun = provider.authorization(provider.basic_client_id)
    code = query_of(provider.sign_in(begun.url, "ann"))["code"]
    answer = provider.post(provider.token_endpoint, {**begun.fields, "code": code},
                           headers=provider.basic(provider.basic_client_id))
    assert answer.status == 200 and "refresh_token" in answer.json


def test_application_tokens(provider):
    asked = {"grant_type": "client_credentials", "scope": "mail"}
    with_secret = provider.token_request(**asked, client_id=provider.application_id, client_secret=provider.client_secret)
    assert "refresh_token" not in with_secret
    told = provider.introspect(with_secret["access_token"])
    assert told["active"] and told["client_id"] == provider.application_id and "username" not in told
    basic = provider.post(provider.token_endpoint, asked, headers=provider.basic(provider.application_basic_id))
    assert basic.status == 200
    proof = provider.client_assertion(provider.application_certificate_id)
    assert "access_token" in provider.token_request(**asked, **proof)
    refused(lambda: provider.token_request(**asked, **proof), "invalid_client")  # the same assertion again
    proof = provider.client_assertion(provider.application_certificate_id, aud="https://elsewhere.example/token")
    refused(lambda: provider.token_request(**asked, **proof), "invalid_client")


def test_device_flow(provider):
    def begin():
        return provider.post(provider.metadata["device_authorization_endpoint"],
                             {"client_id": provider.client_id, "scope": SCOPE}).json

    def poll(begun):
        return provider.token_request(grant_type=DEVICE_CODE, device_code=begun["device_code"],
                                      client_id=provider.client_id)

    begun = begin()
    refused(lambda: poll(begun), "authorization_pending")
    provider.approve_device(begun["user_code"], "bob@example.org")
    tokens = poll(begun)
    assert provider.introspect(tokens["access_token"])["username"] == "bob@example.org"
    assert "refresh_token" in tokens
    refused(lambda: poll(begun), "invalid_grant")
    begun = begin()
    provider.approve_device(begun["user_code"], "bob@example.org", allow=False)
    refused(lambda: poll(begun), "access_denied")


def test_rotation_and_reuse(provider):
    first = provider.tokens_for("ann")["refresh_token"]
    second = provider.refresh(first)["refresh_token"]
    assert second != first
    refused(lambda: provider.refresh(first), "invalid_grant")
    refused(lambda: provider.refresh(second), "invalid_grant")  # the whole family is dead
    assert provider.count("refresh_token", "ok") == 1 and provider.count("refresh_token", "invalid_grant") == 2


def test_reuse_within_the_leeway(provider):
    provider.set(leeway=60)
    first = provider.tokens_for("ann")["refresh_token"]
    second = provider.refresh(first)["refresh_token"]
    third = provider.refresh(first)["refresh_token"]
    assert len({first, second, third}) == 3
    assert provider.refresh(second)["refresh_token"]
    provider.set(leeway=0)
    refused(lambda: provider.refresh(first), "invalid_grant")
    refused(lambda: provider.refresh(third), "invalid_grant")


def test_no_rotation(provider):
    provider.set(rotation=False)
    first = provider.tokens_for("ann")["refresh_token"]
    assert provider.refresh(first)["refresh_token"] == first
    assert provider.refresh(first)["access_token"]


def test_revocation_and_expiry(provider):
    tokens, others = provider.tokens_for("ann"), provider.tokens_for("bob")
    provider.end_access_tokens_of("ann")
    assert not provider.introspect(tokens["access_token"])["active"]
    tokens = provider.refresh(tokens["refresh_token"])
    assert provider.introspect(tokens["access_token"])["active"]
    provider.revoke_everything_of("ann")
    assert not provider.introspect(tokens["access_token"])["active"]
    refused(lambda: provider.refresh(tokens["refresh_token"]), "invalid_grant")
    assert provider.post(provider.metadata["revocation_endpoint"], {
        "token": others["refresh_token"], "client_id": provider.client_id}).status == 200
    refused(lambda: provider.refresh(others["refresh_token"]), "invalid_grant")
    provider.set(lifetime=1)
    short = provider.tokens_for("ann")
    assert short["expires_in"] == 1
    wait_until(lambda: not provider.introspect(short["access_token"])["active"], "the token to expire")


def _unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# --- Dovecot


def token_login(server, user, token, mechanism="XOAUTH2"):
    """The number of messages in the inbox, or the challenge that came with the refusal."""
    challenges = []

    def credential(challenge):
        if challenge:
            challenges.append(json.loads(challenge))
            return b"" if mechanism == "XOAUTH2" else b"\x01"
        if mechanism == "XOAUTH2":
            return f"user={user}\x01auth=Bearer {token}\x01\x01".encode()
        return f"n,a={user},\x01host={HOST}\x01port={server.imap_port}\x01auth=Bearer {token}\x01\x01".encode()

    imap = imaplib.IMAP4(HOST, server.imap_port, timeout=PATIENCE)
    try:
        imap.authenticate(mechanism, credential)
        return int(imap.select(readonly=True)[1][0])
    except imaplib.IMAP4.error:
        assert len(challenges) == 1
        return challenges[0]
    finally:
        imap.shutdown()


@pytest.fixture(scope="module")
def token_dovecot(certificates, provider):
    with Dovecot(certificates, oauth=Introspection.at(provider), master=MASTER) as server:
        yield server


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token_opens_dovecot(provider, token_dovecot, mechanism):
    user = f"{mechanism.lower()}@example.org"
    token_dovecot.deliver(user, MESSAGE)
    good = provider.tokens_for(user)["access_token"]
    foreign = provider.tokens_for("somebody@example.org")["access_token"]
    assert token_login(token_dovecot, user, good, mechanism) == 1
    refusal = {"XOAUTH2": ("status", "401"), "OAUTHBEARER": ("status", "invalid_token")}[mechanism]
    for bad in (foreign, "no-token"):
        assert refusal in token_login(token_dovecot, user, bad, mechanism).items()
    provider.end_access_tokens_of(user)
    assert refusal in token_login(token_dovecot, user, good, mechanism).items()
    provider.set(lifetime=1)
    short = provider.tokens_for(user)["access_token"]
    wait_until(lambda: not provider.introspect(short)["active"], "the token to expire")
    assert refusal in token_login(token_dovecot, user, short, mechanism).items()


def test_a_password_does_not(token_dovecot):
    for credential in (f"\0ann@example.org\0{token_dovecot.password}", f"ann@example.org\0{MASTER[0]}\0wrong"):
        imap = imaplib.IMAP4(HOST, token_dovecot.imap_port, timeout=PATIENCE)
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            imap.authenticate("PLAIN", lambda _, credential=credential: credential.encode())
        imap.shutdown()


def test_curl_with_a_bearer_token(provider, token_dovecot):
    token_dovecot.deliver("curl@example.org", MESSAGE)
    token = provider.tokens_for("curl@example.org")["access_token"]

    def curl(*more):
        return subprocess.run(
            ["curl", "--silent", "--show-error", "--cacert", token_dovecot.ca_file, "--user", "curl@example.org", *more,
             f"imaps://{HOST}:{token_dovecot.imaps_port}/INBOX;UID=1"], capture_output=True, timeout=PATIENCE, check=False)

    read = curl("--oauth2-bearer", token)
    assert read.returncode == 0 and read.stdout == MESSAGE, read.stderr
    assert curl("--oauth2-bearer", "x" + token).returncode == 67


def test_a_master_user_opens_any_mailbox(token_dovecot):
    token_dovecot.deliver("any@example.org", MESSAGE)
    assert list(token_dovecot.messages("any@example.org").values()) == [MESSAGE]


def test_an_application_opens_any_mailbox(certificates, provider):
    oauth = Introspection.at(provider, application=provider.application_id)
    with Dovecot(certificates, oauth=oauth) as server:
        token = provider.token_request(grant_type="client_credentials", scope="mail", client_id=provider.application_id,
                                       client_secret=provider.client_secret)["access_token"]
        server.deliver("ann@example.org", MESSAGE)
        assert token_login(server, "ann@example.org", token) == 1
        assert token_login(server, "bob@example.org", token) == 0
        person = provider.tokens_for("ann@example.org")["access_token"]
        assert token_login(server, "ann@example.org", person)["status"] == "401"
        imap = imaplib.IMAP4(HOST, server.imap_port, timeout=PATIENCE)
        assert "AUTH=PLAIN" not in imap.capabilities and "AUTH=XOAUTH2" in imap.capabilities
        imap.shutdown()


# --- the fake of the vendors' token endpoints


@pytest.fixture
def fake(certificates):
    """fake(**arguments): a TokenEndpoint."""
    started = []

    def start(**arguments):
        started.append(TokenEndpoint(certificates.server, ca_file=certificates.ca, **arguments))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def ask(fake, url=None, **fields):
    url = urllib.parse.urlsplit(url or fake.token_endpoint)
    connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=PATIENCE,
                                             context=ssl.create_default_context(cafile=str(fake.ca_file)))
    try:
        connection.request("POST", url.path, urllib.parse.urlencode(fields))
        answer = connection.getresponse()
        octets = answer.read()
        try:
            value = json.loads(octets)
        except ValueError:
            value = None
        return SimpleNamespace(status=answer.status, headers=answer.headers, octets=octets, json=value)
    finally:
        connection.close()


def fresh(fake, token):
    return ask(fake, grant_type="refresh_token", refresh_token=token, client_id="popgate")


def test_google_gives_no_new_refresh_token(fake):
    google = fake(vendor="google")
    token = google.grant("ann")
    answers = [fresh(google, token) for _ in range(2)]
    for answer in answers:
        assert answer.status == 200 and answer.octets.startswith(b'{\n  "access_token": "ya29.')
        assert set(answer.json) == {"access_token", "expires_in", "scope", "token_type"}
    assert answers[0].json["access_token"] != answers[1].json["access_token"]
    google.revoke_everything_of("ann")
    refusal = fresh(google, token)
    assert (refusal.status, refusal.json) == (400, {
        "error": "invalid_grant", "error_description": "Token has been expired or revoked."})
    assert google.outcomes == [("refresh_token", "ok")] * 2 + [("refresh_token", "invalid_grant")]
    assert google.requests[0] == {"grant_type": "refresh_token", "refresh_token": token, "client_id": "popgate"}


def test_microsoft_gives_a_new_one_and_takes_the_old(fake):
    microsoft = fake(vendor="microsoft")
    first = microsoft.grant("ann")
    second = fresh(microsoft, first).json["refresh_token"]
    third = fresh(microsoft, first).json["refresh_token"]
    assert len({first, second, third}) == 3
    assert fresh(microsoft, second).status == fresh(microsoft, third).status == 200
    assert list(fresh(microsoft, first).json)[:4] == ["token_type", "scope", "expires_in", "ext_expires_in"]


def test_strict_rotation_ends_the_family(fake):
    strict = fake(vendor="microsoft", rotation="strict")
    first, other = strict.grant("ann"), strict.grant("ann")
    second = fresh(strict, first).json["refresh_token"]
    third = fresh(strict, second).json["refresh_token"]
    assert fresh(strict, second).json["error"] == fresh(strict, third).json["error"] == "invalid_grant"
    assert fresh(strict, other).status == 200


@pytest.mark.parametrize("error, status, wire, number", [
    ("invalid_grant", 400, "invalid_grant", 700082), ("password_changed", 400, "invalid_grant", 50173),
    ("interaction_required", 400, "interaction_required", 50076), ("consent_required", 400, "consent_required", 65001),
    ("invalid_client", 401, "invalid_client", 7000215),
    ("temporarily_unavailable", 503, "temporarily_unavailable", 90033)])
def test_microsoft_errors(fake, error, status, wire, number):
    answer = fresh(fake(vendor="microsoft").queue(error), "whatever")
    assert answer.status == status and answer.json["error"] == wire and answer.json["error_codes"] == [number]
    assert answer.json["error_description"].startswith(f"AADSTS{number}: ")
    assert {"timestamp", "trace_id", "correlation_id"} <= set(answer.json)


def test_what_is_no_answer_of_oauth(fake):
    google = fake(vendor="google")
    token = google.grant("ann")
    google.faults.later = "7"
    google.queue("invalid_client", "429", "429 later", "500", "503", "html 200", "html 500", "truncated json",
                 "no access_token", "400 html", Response.of({"odd": 1}, 418), "ok")
    answers = [fresh(google, token) for _ in range(12)]
    assert [each.status for each in answers] == [401, 429, 429, 500, 503, 200, 502, 200, 200, 400, 418, 200]
    assert [each.headers.get("Retry-After") for each in answers[1:3]] == [None, "7"]
    assert all(each.octets.startswith(b"<html>") for each in (answers[5], answers[6], answers[9]))
    assert answers[7].json is None and answers[7].octets.startswith(b"{")
    assert "access_token" not in answers[8].json and "access_token" in answers[11].json
    assert google.outcomes[-2:] == [("refresh_token", "418"), ("refresh_token", "ok")]
    google.always("503")
    assert [fresh(google, token).status for _ in range(2)] == [503, 503]
    google.always("ok")
    assert fresh(google, token).status == 200


@pytest.mark.parametrize("fault, breaks_with", [
    ("reset", http.client.RemoteDisconnected), ("hang up", http.client.RemoteDisconnected), ("cut", http.client.IncompleteRead),
    ("cut chunked", http.client.IncompleteRead)])
def test_answers_that_break_off(fake, fault, breaks_with):
    google = fake(vendor="google").queue(fault)
    token = google.grant("ann")
    with pytest.raises(breaks_with):
        fresh(google, token)
    assert fresh(google, token).status == 200
    assert google.outcomes == [("refresh_token", fault), ("refresh_token", "ok")]


def test_a_reset_is_one():
    """Below TLS, whose Python hides it."""
    with TokenEndpoint().queue("reset") as google, socket.create_connection((HOST, google.port), PATIENCE) as connection:
        connection.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_silence(fake):
    google = fake(vendor="google").queue("silence")
    url = urllib.parse.urlsplit(google.token_endpoint)
    connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=0.3,
                                             context=ssl.create_default_context(cafile=str(google.ca_file)))
    connection.request("POST", url.path, "grant_type=refresh_token")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def test_a_held_request_shows_who_else_comes(fake):
    google = fake(vendor="google")
    token = google.grant("ann")
    google.hold()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(fresh(google, token).status)) for _ in range(3)]
    for each in threads:
        each.start()
    google.wait_for_requests(3)
    assert answers == []
    google.release()
    for each in threads:
        each.join(PATIENCE)
    assert answers == [200] * 3


@pytest.mark.parametrize("vendor, pending, declined", [
    ("google", (428, "authorization_pending"), (403, "access_denied")),
    ("microsoft", (400, "authorization_pending"), (400, "authorization_declined"))])
def test_device_codes_of_the_vendors(fake, vendor, pending, declined):
    server = fake(vendor=vendor)

    def begin():
        return ask(server, server.device_endpoint, client_id="popgate", scope="mail").json

    def poll(begun):
        answer = ask(server, grant_type=DEVICE_CODE, device_code=begun["device_code"], client_id="popgate")
        return answer.status, answer.json.get("error") or "ok"

    begun = begin()
    assert begun["interval"] == 5 and ("verification_url" in begun) == (vendor == "google")
    assert poll(begun) == pending
    server.approve_device(begun["user_code"], "ann")
    assert poll(begun) == (200, "ok")
    begun = begin()
    server.refuse_device(begun["user_code"])
    assert poll(begun) == declined
    server.device_interval = None
    assert "interval" not in begin()


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_dovecot_asks_the_fake(certificates, fake, mechanism):
    google = fake(vendor="google")
    discovery = ask(google, google.discovery_url).json
    assert discovery["token_endpoint"] == google.token_endpoint
    with Dovecot(certificates, oauth=Introspection.at(google)) as server:
        token = fresh(google, google.grant("ann@example.org")).json["access_token"]
        assert token_login(server, "ann@example.org", token, mechanism) == 0
        assert "status" in token_login(server, "bob@example.org", token, mechanism)
        google.end_access_tokens()
        assert "status" in token_login(server, "ann@example.org", token, mechanism)
        google.lifetime = 0
        token = fresh(google, google.grant("ann@example.org")).json["access_token"]
        assert "status" in token_login(server, "ann@example.org", token, mechanism)


# --- the vendors' libraries


def test_requests_of_the_vendors_libraries():
    fields = {name: set(vendor_request(name)) for name in NAMES}
    refresh = {"grant_type", "refresh_token", "client_id"}
    assert fields["google-refresh"] == refresh | {"client_secret"} and fields["microsoft-refresh"] == refresh | {"scope"}
    code = {"grant_type", "code", "redirect_uri", "client_id", "code_verifier"}
    assert fields["google-code"] == code | {"client_secret"} and fields["microsoft-code"] == code | {"scope"}
    assert fields["microsoft-device-authorization"] == {"client_id", "scope"}
    assert fields["microsoft-device"] == {"grant_type", "client_id", "device_code", "scope"}
    assert fields["microsoft-secret"] == {"grant_type", "client_id", "client_secret", "scope"}
    assert fields["microsoft-certificate"] == {"grant_type", "client_id", "scope", "client_assertion",
                                               "client_assertion_type"}
    proof = vendor_request("microsoft-certificate")["client_assertion"]
    assert {"alg", "x5t#S256", "x5c"} <= set(proof["header"])
    assert set(proof["claims"]) == {"aud", "iss", "sub", "jti", "nbf", "iat", "exp"}
    account = vendor_request("google-service-account")
    assert set(account) == {"grant_type", "assertion"}
    assert set(account["assertion"]["claims"]) == {"iss", "scope", "aud", "iat", "exp", "sub"}
    json.dumps({name: vendor_request(name) for name in NAMES})
