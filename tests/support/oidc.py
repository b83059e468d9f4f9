"""A real OpenID Connect provider, npm's oidc-provider, on loopback https, and what a test does in the place of a person
who signs in there."""

import base64
import hashlib
import html
import http.cookiejar
import json
import re
import secrets
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import SimpleNamespace

from support.certs import Certificates
from support.net import HOST, PATIENCE
from support.node import Library

SCOPE = "openid offline_access email mail"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Refused(Exception):
    """An OAuth2 error: `error` is its code, `description` its text, `status` that of HTTP."""

    def __init__(self, answer):
        super().__init__(f"{answer.status} {answer.json}")
        self.status = answer.status
        self.error = answer.json.get("error")
        self.description = answer.json.get("error_description")


class OidcProvider:
    """Runs for the time of a `with` block. Any user name signs in; it is the e-mail address, `sub` is something opaque.

    leeway            seconds in which a refresh token that was used works again, as at Okta, Auth0 and Microsoft;
                      after that its whole family is revoked
    rotation          False: refreshing gives no new refresh token, as at Google
    lifetime          of access tokens, in seconds
    refresh_lifetime  of refresh tokens, in seconds
    device_lifetime   of device codes, in seconds
    redirect_uris     https addresses that clients may be led back to; any http address on the loopback is good, too

    Clients for people: client_id is public; post_client_id and basic_client_id (each with client_secret) and
    certificate_client_id (private_key_jwt: client_key, client_certificate) are confidential. For programs without a
    person: application_id, application_basic_id, application_certificate_id. resource_id (with client_secret) checks
    tokens.

    Takes the scopes of SCOPE, and `profile`. As OpenID Connect says, an authorization request gets offline_access, and
    with it a refresh token, only with prompt=consent; a device needs no prompt.
    """

    client_id = "popgate"
    post_client_id = "popgate-post"
    basic_client_id = "popgate-basic"
    certificate_client_id = "popgate-certificate"
    application_id = "popgate-application"
    application_basic_id = "popgate-application-basic"
    application_certificate_id = "popgate-application-certificate"
    resource_id = "mail-server"
    # What HTTP Basic must encode before it joins them is in it.
    client_secret = "s3cret: of the client/+%"

    def __init__(self, certificates=None, *, leeway=0, rotation=True, lifetime=3600, refresh_lifetime=14 * 86400,
                 device_lifetime=600, redirect_uris=()):
        self._directory = Path(tempfile.mkdtemp(prefix="popgate-oidc-"))
        certificates = certificates or Certificates(self._directory / "certs")
        self.ca_file = certificates.ca
        self.tls = ssl.create_default_context(cafile=str(self.ca_file))
        self.client_key, self.client_certificate = self._make_client_key()
        self._lock = threading.Lock()
        self._server = Library(
            "oidc/server.cjs", ca_file=self.ca_file, package="oidc", host=HOST, port=0,
            certificate=str(certificates.server.certificate), key=str(certificates.server.key),
            client_key=str(self.client_key), redirect_uris=list(redirect_uris), secret=self.client_secret,
            ids={"public": self.client_id, "post": self.post_client_id, "basic": self.basic_client_id,
                 "certificate": self.certificate_client_id, "application": self.application_id,
                 "application_basic": self.application_basic_id,
                 "application_certificate": self.application_certificate_id, "resource": self.resource_id},
            options={"leeway": leeway, "rotation": rotation, "lifetime": lifetime,
                     "refresh_lifetime": refresh_lifetime, "device_lifetime": device_lifetime})
        try:
            self.issuer = self._ask("where")
            self.metadata = self.get(f"{self.issuer}/.well-known/openid-configuration").json
        except BaseException:
            self.stop()
            raise
        self.token_endpoint = self.metadata["token_endpoint"]
        self.introspection_endpoint = self.metadata["introspection_endpoint"]

    def stop(self):
        self._server.__exit__()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _make_client_key(self):
        key, certificate = self._directory / "client.key", self._directory / "client.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                        "-days", "30", "-subj", "/CN=popgate"], check=True, capture_output=True)
        return key, certificate

    def _ask(self, *order):
        with self._lock:
            return self._server.ask(*order)

    # --- what a test looks at, and changes

    def requests(self, grant=None, outcome=None):
        """The token requests so far, as objects with grant, client, user, outcome ("ok" or the error), description."""
        return [SimpleNamespace(**each) for each in self._ask("requests")
                if grant in (None, each["grant"]) and outcome in (None, each["outcome"])]

    def count(self, grant=None, outcome=None):
        return len(self.requests(grant, outcome))

    def forget_requests(self):
        self._ask("forget_requests")

    def set(self, **options):
        """leeway, rotation, lifetime, refresh_lifetime, device_lifetime, from now on."""
        self._ask("set", options)

    def allow_redirect(self, uri):
        """One more https address that clients may be led back to."""
        self._ask("allow_redirect", uri)

    def revoke_everything_of(self, user):
        """Refreshing is invalid_grant from now on, access tokens are dead, and nobody is signed in."""
        assert self._ask("revoke", user) > 0, f"{user} had nothing"

    def end_access_tokens_of(self, user, *, at_least=1):
        """Refresh tokens live."""
        assert self._ask("end_access_tokens", user) >= at_least, f"{user} had none"

    # --- HTTP

    def get(self, url, **more):
        return _exchange(urllib.request.build_opener(urllib.request.HTTPSHandler(context=self.tls)),
                         urllib.request.Request(url, **more))

    def post(self, url, fields, **more):
        return self.get(url, data=urllib.parse.urlencode(fields).encode(), **more)

    def token_request(self, **fields):
        """The answer's JSON; raises Refused. A None among the fields is left out."""
        return self._checked(self.token_endpoint, fields)

    def _checked(self, url, fields, **more):
        answer = self.post(url, {name: each for name, each in fields.items() if each is not None}, **more)
        if answer.status != 200:
            raise Refused(answer)
        return answer.json

    def introspect(self, token):
        return self._checked(self.introspection_endpoint, {
            "token": token, "client_id": self.resource_id, "client_secret": self.client_secret})

    def basic(self, client_id):
        """The header of client_secret_basic: form-encoded before it is joined, as RFC 6749 section 2.3.1 says."""
        pair = ":".join(urllib.parse.quote_plus(each) for each in (client_id, self.client_secret))
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    def client_assertion(self, client_id, **claims):
        """The form fields of private_key_jwt (RFC 7523), good for one request."""
        now = int(time.time())
        return {"client_assertion_type": JWT_BEARER_ASSERTION, "client_assertion": signed_jwt(self.client_key, {
            "iss": client_id, "sub": client_id, "aud": self.token_endpoint, "jti": secrets.token_hex(8), "iat": now,
            "exp": now + 600, **claims})}

    # --- what a person does

    def browser(self):
        """Somebody with cookies of their own."""
        return Browser(self)

    def sign_in(self, url, user, *, allow=True):
        """Follows an authorization URL to its end: the address with `code` or `error` that the client is led to."""
        return self.browser().sign_in(url, user, allow=allow)

    def approve_device(self, user_code, user, *, allow=True):
        self.browser().approve_device(user_code, user, allow=allow)

    def authorization(self, client_id=None, redirect_uri="http://127.0.0.1:49152/callback", scope=SCOPE):
        """An authorization request with PKCE: .url, and the .verifier and .fields for the token request."""
        client_id = client_id or self.client_id
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        query = urllib.parse.urlencode({
            "response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri, "scope": scope,
            "state": state, "prompt": "consent", "code_challenge_method": "S256",
            "code_challenge": base64url(hashlib.sha256(verifier.encode()).digest())})
        fields = {"grant_type": "authorization_code", "client_id": client_id, "redirect_uri": redirect_uri,
                  "code_verifier": verifier}
        return SimpleNamespace(url=f"{self.metadata['authorization_endpoint']}?{query}", state=state, fields=fields)

    def tokens_for(self, user, *, client_id=None, scope=SCOPE):
        """The token answer of the code flow, gone through by `user`. For the public client, or the one with
        client_secret_post."""
        begun = self.authorization(client_id, scope=scope)
        answer = query_of(self.sign_in(begun.url, user))
        assert answer["state"] == begun.state
        secret = self.client_secret if client_id == self.post_client_id else None
        return self.token_request(**begun.fields, code=answer["code"], client_secret=secret)

    def refresh(self, refresh_token, **fields):
        return self.token_request(grant_type="refresh_token", refresh_token=refresh_token,
                                  **{"client_id": self.client_id, **fields})


class Browser:
    """Plain HTTP with cookies; stops where a redirect leaves the provider."""

    def __init__(self, provider):
        self._provider = provider
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=provider.tls), _NoRedirects,
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def sign_in(self, url, user, *, allow=True):
        page = self._follow(urllib.request.Request(url))
        page = self._answer(page, user, allow)
        assert page.location, f"still at the provider: {page.status} {page.text}"
        return page.location

    def approve_device(self, user_code, user, *, allow=True):
        metadata = self._provider.issuer + "/device"
        page = self._follow(urllib.request.Request(metadata))
        page = self._submit(page, user_code=user_code)
        page = self._submit(page)
        page = self._answer(page, user, allow)
        assert ("Connected" in page.text) == allow, page.text

    def _answer(self, page, user, allow):
        """The pages of signing in and of consent, as far as they come."""
        while not page.location and 'name="step"' in page.text:
            step = re.search(r'name="step" value="(\w+)"', page.text).group(1)
            page = self._submit(page, **({"user": user} if step == "login" else
                                         {"answer": "allow" if allow else "deny"}))
        return page

    def _submit(self, page, **fields):
        """Posts the form of a page, with what is hidden in it."""
        hidden = {name: html.unescape(value) for name, value in
                  re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)}
        action = re.search(r'<form[^>]* action="([^"]*)"', page.text)
        url = urllib.parse.urljoin(page.url, html.unescape(action.group(1))) if action else page.url
        return self._follow(urllib.request.Request(url, urllib.parse.urlencode({**hidden, **fields}).encode()))

    def _follow(self, request):
        while True:
            answer = _exchange(self._opener, request)
            answer.url, answer.location = request.full_url, None
            location = answer.headers.get("Location")
            if not location:
                return answer
            target = urllib.parse.urljoin(request.full_url, location)
            if not target.startswith(self._provider.issuer + "/"):
                answer.location = target
                return answer
            request = urllib.request.Request(target)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def _exchange(opener, request):
    try:
        answer = opener.open(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        text = answer.read().decode()
    is_json = "json" in answer.headers.get("Content-Type", "")
    return SimpleNamespace(status=answer.status, headers=answer.headers, text=text,
                           json=json.loads(text) if is_json else None)


def query_of(url):
    """{name: value} of the query of an address."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def base64url(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def signed_jwt(key, claims, **header):
    """A JWT signed with RS256 by the RSA key in a PEM file."""
    text = ".".join(base64url(json.dumps(each).encode()) for each in ({"alg": "RS256", "typ": "JWT", **header}, claims))
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text.encode(), check=True,
                               capture_output=True).stdout
    return f"{text}.{base64url(signature)}"
