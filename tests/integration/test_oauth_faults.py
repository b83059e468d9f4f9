"""What Google and Microsoft can answer to a refresh, and what becomes of the accounts of a whole popgate: a person is
called for when the provider says so, and for nothing else."""

import concurrent.futures
import email.utils
import itertools
import re
import time
import urllib.parse
import urllib.request

import pytest
from support import signing_in
from support.dovecot import Dovecot, Introspection
from support.http_fake import Response
from support.net import HOST, PATIENCE, wait_until
from support.pop3 import Pop3
from support.popgate import Popgate, with_state
from support.setups import configuration
from support.token_endpoint import GOOGLE_SCOPE, TokenEndpoint

SIGN_IN_AT = "https://mail.example.org/sign-in"
SECRET = "can/ary+S3cr3t=20chr"  # as short as the secrets that some providers give, and it does not survive encoding
TIMEOUT = 2                      # of the [[oauth]], in seconds
MESSAGE = b"Subject: 1\r\n\r\nx\r\n"


def refusal(error, text, status=400, **more):
    return Response.of({"error": error, "error_description": text, **more}, status)


# By these the provider says that a person must act.
OVER = {
    "google": {
        "revoked": "invalid_grant",
        "bad request": refusal("invalid_grant", "Bad Request"),
        "account deleted": refusal("invalid_grant", "Account has been deleted"),
        "reauthentication": refusal("invalid_grant", "reauth related error (invalid_rapt)",
                                    error_subtype="invalid_rapt"),
        "error with 200": refusal("invalid_grant", "Token has been expired or revoked.", 200),
    },
    "microsoft": {
        "expired": "invalid_grant",
        "password changed": "password_changed",
        "second factor": "interaction_required",
        "consent": "consent_required",
        "blocked by policy": refusal("invalid_grant", "AADSTS53003: Access has been blocked by Conditional Access.",
                                     error_codes=[53003], suberror="message_only"),
        "account disabled": refusal("invalid_grant", "AADSTS50057: The user account is disabled.", error_codes=[50057]),
        "nobody there": refusal("login_required", "AADSTS50058: A silent sign-in request was sent."),
    },
}

GOOD = b'{"token_type":"Bearer","expires_in":3599,"access_token":"' + b"z" * 200 + b'"}'
HTML = b"<!DOCTYPE html><html><body><h1>Service Unavailable</h1>invalid_grant</body></html>"

# By these it has said nothing of the sign-in, in the vendor's words or none.
TROUBLE = {word: word for word in (
    "429", "500", "503", "html 500", "html 200", "cut", "cut chunked", "hang up", "reset", "silence", "redirect away",
    "temporarily_unavailable", "no access_token", "empty access_token", "no json", "empty", "array", "truncated json",
    "400 without error", "400 html")}

# Nor by these, which are nobody's in particular.
ODD = {
    "429 for a second": Response(429, b"", "text/plain", {"Retry-After": "1"}),
    "429 until nonsense": Response(429, b"{}", headers={"Retry-After": "soon, -1"}),
    "502": Response(502, b"Bad Gateway", "text/plain"),
    "503 html": Response(503, HTML, "text/html"),
    "503 invalid_grant": refusal("invalid_grant", "Token has been expired or revoked.", 503),
    "429 invalid_grant": refusal("invalid_grant", "Token has been expired or revoked.", 429),
    "slow drip": Response(200, GOOD, pause=0.1),
    "unheard of": refusal("moon_phase", "Try again when it is full."),
    "403 unheard of": refusal("rate_limit_exceeded", "Quota exceeded.", 403),
    "numeric error": Response.of({"error": 42}, 400),
    "structured error": Response.of({"error": {"code": 400, "status": "invalid_grant"}}, 400),
    "structured token": Response.of({"access_token": ["z" * 200]}),
    "numeric token": Response.of({"access_token": 42, "expires_in": 3599}),
    "numeric refresh token": Response.of({"access_token": "z" * 200, "refresh_token": 7}),
    "token with line ends": Response.of({"access_token": "zz\r\n1 LOGOUT"}),
    "giant token": Response.of({"access_token": "z" * 200_000}),
    "giant refusal": refusal("invalid_grant", "z " * 4_000_000),
    "deep": Response(200, b'{"access_token":' + b"[" * 50_000),
}

# By these an administrator must act.
SETUP = {
    "invalid_client": "invalid_client",
    "invalid_scope": refusal("invalid_scope", "Bad scope."),
    "invalid_request": refusal("invalid_request", "Missing parameter: client_secret"),
    "unsupported_grant_type": refusal("unsupported_grant_type", "Invalid grant_type"),
}


class Place:
    """A popgate whose accounts have signed in at a fake of one vendor, before a Dovecot that asks that about tokens."""

    def __init__(self, certificates, vendor, directory):
        self.directory, self.passwords = directory, {}
        self.fake = TokenEndpoint(certificates.server, ca_file=certificates.ca, vendor=vendor, device_interval=1)
        self.fake.expires_in = 1  # so that each login refreshes, while the upstream takes the token
        self.dovecot = Dovecot(certificates, oauth=Introspection.at(self.fake)).start()
        hook = directory / "sign-in-needed"
        hook.write_text(f'#!/bin/sh\nprintf "%s|%s\\n" "$1" "$2" >> {directory}/told\n')
        hook.chmod(0o755)
        secret = directory / "client-secret"
        secret.write_text(SECRET + "\n")
        known = {"google": {"scopes": GOOGLE_SCOPE}, "microsoft": {"provider": "microsoft"}}[vendor]
        oauth = {"name": "id", "client_id": "popgate", "client_secret_file": str(secret), "timeout": f"{TIMEOUT}s",
                 "token_url": self.fake.token_endpoint, "device_url": self.fake.device_endpoint,
                 "ca_file": str(certificates.ca), **known}
        route = {"match": "*", "backend": f"imaps://{HOST}:{self.dovecot.imaps_port}", "ca_file": str(certificates.ca),
                 "auth": "app-passwords", "oauth": "id", "lock": "shared"}
        self.popgate = Popgate(with_state(configuration(
            certificates, route, oauth=[oauth], admin={"listen": f"{HOST}:0"}, enrolment={"url": SIGN_IN_AT},
            login={"sign_in_command": str(hook)}, log={"format": "json", "level": "debug"}), directory)).start()
        self.admin = self.popgate.wait_for("web_listening")[0]["address"]

    def stop(self):
        self.popgate.stop()
        self.dovecot.stop()
        self.fake.stop()

    def sign_in(self, *users):
        """All at once."""
        def one(user):
            self.passwords[user] = signing_in.by_device(
                self.fake, user, "--config", self.popgate.configuration_file) or self.passwords[user]
        self.each(one, users)

    def let_tokens_end(self):
        begun = int(time.time())
        wait_until(lambda: int(time.time()) > begun, "the end of tokens that last for a second")

    @staticmethod
    def each(function, users):
        """{user: what the function gives}, all at once."""
        with concurrent.futures.ThreadPoolExecutor(48) as pool:
            return dict(zip(users, pool.map(function, users)))

    def log_in(self, user):
        with Pop3(self.popgate.port()) as pop3:
            return pop3.login(user, self.passwords[user])

    def log_in_in_the_end(self, user):
        """After a failure there are pauses."""
        wait_until(lambda: self.log_in(user).startswith("+OK"), f"a login of {user}", interval=0.2)

    def told(self, user):
        """The lines of the command about this user."""
        told = self.directory / "told"
        return [line for line in told.read_text().splitlines() if line.startswith(user + "|")] if told.exists() else []

    def sign_ins_needed(self):
        text = urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=PATIENCE).read().decode()
        return int(re.search(r"^popgate_sign_ins_needed_total (\d+)$", text, re.M).group(1))


def check_for_tokens(place, *more):
    secrets = {*place.fake.issued, *place.passwords.values(), *more}
    for secret in {*secrets, *map(urllib.parse.quote_plus, secrets)}:
        assert secret not in place.popgate.log_text(), secret
        assert all(secret not in line for line in (place.directory / "told").read_text().splitlines()), secret


def place_of(vendor, certificates, tmp_path_factory):
    place = Place(certificates, vendor, tmp_path_factory.mktemp(vendor))
    yield place
    place.stop()
    assert "refresh_failed" in place.popgate.log_text()
    (place.directory / "told").touch()
    check_for_tokens(place, SECRET)


@pytest.fixture(scope="module")
def google(certificates, tmp_path_factory):
    yield from place_of("google", certificates, tmp_path_factory)


@pytest.fixture(scope="module")
def microsoft(certificates, tmp_path_factory):
    yield from place_of("microsoft", certificates, tmp_path_factory)


@pytest.fixture(params=["google", "microsoft"])
def place(request):
    return request.getfixturevalue(request.param)


def users_of(place, faults):
    """{user: fault}; the provider shows it to whoever refreshes that user's token."""
    users = {re.sub(r"\W+", "-", name) + "@x": fault for name, fault in faults.items()}
    for user in users:
        place.dovecot.deliver(user, MESSAGE)
    place.sign_in(*users)
    place.let_tokens_end()
    for user, fault in users.items():
        place.fake.always(fault, user)
    return users


def is_let_in(reply):
    return reply.startswith("+OK")


def test_a_sign_in_that_is_over_calls_its_person_once(place):
    # Many at once, as when an administrator ends everybody's.
    before = place.sign_ins_needed()
    users = users_of(place, OVER[place.fake.vendor])
    expected = dict.fromkeys(users, f"-ERR [AUTH] You have to sign in again: {SIGN_IN_AT}")
    for _ in range(3):
        assert place.each(place.log_in, users) == expected
    asked = {user: len(place.fake.refreshes_of(user)) for user in users}
    assert asked == dict.fromkeys(users, 1), "the provider is not asked again"
    assert place.sign_ins_needed() == before + len(users)
    wait_until(lambda: all(map(place.told, users)), "the commands")
    for user in users:
        place.fake.always("ok", user)
    assert place.each(place.log_in, users) == expected, "that the provider is well again does not help"
    place.sign_in(*users)
    replies = place.each(place.log_in, users)
    assert all(map(is_let_in, replies.values())), replies
    assert {user: len(place.told(user)) for user in users} == dict.fromkeys(users, 1)
    assert place.sign_ins_needed() == before + len(users)


def test_whatever_else_it_answers_costs_nothing(place):
    before = place.sign_ins_needed()
    users = users_of(place, {**TROUBLE, **SETUP, **(ODD if place.fake.vendor == "google" else {})})
    begun = time.monotonic()
    replies = place.each(place.log_in, users)
    lasted = time.monotonic() - begun
    code = {user: "-ERR [SYS/PERM] " if users[user] in SETUP.values() else "-ERR [SYS/TEMP] " for user in users}
    assert not {user: reply for user, reply in replies.items() if not reply.startswith(code[user])}
    assert lasted < 10 * TIMEOUT, "what drips may have three timeouts, who has enough is asked again for five seconds"
    for user in users:
        place.fake.always("ok", user)
    place.each(place.log_in_in_the_end, users)
    tokens = {user: len(set(place.fake.refreshes_of(user))) for user in users}
    assert tokens == dict.fromkeys(users, 1), "the same refresh token is good"
    assert place.sign_ins_needed() == before and not any(map(place.told, users))


def test_a_token_that_is_still_good_serves_meanwhile(google):
    user = "serves-meanwhile@x"
    google.dovecot.deliver(user, MESSAGE)
    google.fake.expires_in = 4  # a refresh is tried in the second half
    google.sign_in(user)
    google.fake.expires_in = 1
    begun = time.time()
    google.fake.always("500", user)

    def is_asked():
        reply = google.log_in(user)
        assert is_let_in(reply) or time.time() > begun + 3, reply
        return google.fake.refreshes_of(user)
    wait_until(is_asked, "a refresh")
    assert is_let_in(google.log_in(user)) or time.time() > begun + 3
    wait_until(lambda: google.log_in(user).startswith("-ERR [SYS/TEMP] "), "its end", interval=0.2)
    google.fake.always("ok", user)
    google.log_in_in_the_end(user)


def test_a_pause_that_the_provider_wants_is_kept(google):
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    users = users_of(google, {
        "no pause": "ok", "pause of 30 seconds": Response(429, b"", "text/plain", {"Retry-After": "30"}),
        "pause until then": Response(429, b"", "text/plain", {"Retry-After": date}),
        "out of service": Response(503, b"", "text/plain", {"Retry-After": "30"})})
    other, *held = users
    begun = time.monotonic()

    def is_late():
        replies = google.each(google.log_in, held)
        assert all(reply.startswith("-ERR [SYS/TEMP] ") for reply in replies.values()), replies
        return time.monotonic() > begun + 3  # popgate's own pause after a failure is one second
    wait_until(is_late, "several logins", interval=0.3)
    assert {user: len(google.fake.refreshes_of(user)) for user in held} == dict.fromkeys(held, 1)
    assert is_let_in(google.log_in(other)), "one account's pause is not another's"


def test_where_a_second_use_ends_the_sign_in_faults_end_none(microsoft):
    before = microsoft.sign_ins_needed()
    # None of these comes after the provider has taken the refresh token.
    rounds = (("500", "truncated json", "silence", "reset", "html 500"),
              ("hang up", "html 200", "empty", "invalid_client", "array"))
    users = users_of(microsoft, {f"strict {number}": "ok" for number in range(5)})
    microsoft.fake.rotation = "strict"
    for number, faults in enumerate(rounds):
        for user, fault in zip(users, faults):
            microsoft.fake.always(fault, user)
        replies = microsoft.each(microsoft.log_in, users)
        assert all(reply.startswith("-ERR [SYS/") for reply in replies.values()), replies
        for user in users:
            microsoft.fake.always("ok", user)
        microsoft.each(microsoft.log_in_in_the_end, users)
        microsoft.let_tokens_end()
    microsoft.fake.rotation = "microsoft"
    for user in users:
        tokens = [token for token, _ in itertools.groupby(microsoft.fake.refreshes_of(user))]
        assert len(tokens) == len(set(tokens)) == len(rounds), "one after the other, and none comes back"
    assert microsoft.sign_ins_needed() == before


def test_what_the_provider_says_again_of_a_request_is_not_told(certificates, tmp_path):
    place = Place(certificates, "microsoft", tmp_path)
    token = "Sh0rt/r3fr3sh+t0ken="
    echo = f"The token {token} of popgate with {SECRET} is unknown."
    form = urllib.parse.urlencode({"refresh_token": token, "client_secret": SECRET, "client_id": "popgate"})
    users = {f"echo-{number}@x": answer for number, answer in enumerate((
        refusal("invalid_grant", echo), refusal("invalid_grant", "no", error_subtype=token, suberror=SECRET),
        refusal("invalid_client", echo, 401), refusal("unheard_of", form), refusal("invalid_grant", form),
        Response.of({"error": token}, 400), Response(502, form.encode(), "text/plain"),
        Response(500, echo.encode(), "text/plain"), Response(200, form.encode(), "text/plain"),
        Response(429, echo.encode(), "text/plain", {"Retry-After": "30"})))}
    try:
        # The sign-in ends with this token for everybody, which is not one of the fake's own.
        tokens = Response.of({"access_token": "z" * 40, "refresh_token": token, "expires_in": 1})
        place.fake.queue(*[tokens] * len(users))
        place.sign_in(*users)
        place.let_tokens_end()
        replies = []
        for user, answer in users.items():
            place.fake.always(answer)
            replies.append(place.log_in(user))
        assert all(reply.startswith("-ERR [") for reply in replies), replies
        wait_until(lambda: len(list(itertools.chain(*map(place.told, users)))) == 3, "the commands")
        shown = [signing_in.account("show", user, config=place.popgate.configuration_file) for user in users]
        assert all(each.returncode == 0 for each in shown), shown
        told = "\n".join([place.popgate.log_text(), (tmp_path / "told").read_text(), *replies,
                        *(each.stdout.decode() + each.stderr.decode() for each in shown)])
        secrets = {token, SECRET, urllib.parse.quote_plus(token), urllib.parse.quote_plus(SECRET)}
        assert not [line for line in told.splitlines() if any(secret in line for secret in secrets)]
    finally:
        place.stop()
