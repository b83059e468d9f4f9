"""A fake of the OAuth2 servers of Google and Microsoft: their token answers and errors in their shapes, rotation as
theirs or stricter, and whatever can go wrong between. The discovery document, a device endpoint and introspection are
there, too."""

import itertools
import json
import threading
import time
from urllib.parse import parse_qs

from support.http_fake import HTTP_FAULTS, HttpFake, Response
from support.net import wait_until

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MICROSOFT_SCOPE = "https://outlook.office.com/IMAP.AccessAsUser.All"
GOOGLE_SCOPE = "https://mail.google.com/"

# --- what the vendors write, with their own white space

_GOOGLE_ERRORS = {
    "invalid_grant": (400, b'{\n  "error": "invalid_grant",\n  "error_description": "Token has been expired or revoked."\n}'),
    "invalid_client": (401, b'{\n  "error": "invalid_client",\n  "error_description": "The OAuth client was not found."\n}'),
    "unauthorized_client": (401, b'{\n  "error": "unauthorized_client",\n  "error_description": "Client is unauthorized to '
                                 b'retrieve access tokens using this method, or client not authorized for any of the '
                                 b'scopes requested."\n}'),
    "authorization_pending": (428, b'{\n  "error": "authorization_pending",\n  "error_description": "Precondition Required"'
                                   b'\n}'),
    "slow_down": (403, b'{\n  "error": "slow_down",\n  "error_description": "Forbidden"\n}'),
    "access_denied": (403, b'{\n  "error": "access_denied",\n  "error_description": "Forbidden"\n}'),
    "expired_token": (400, b'{\n  "error": "expired_token",\n  "error_description": "Bad Request"\n}'),
    "temporarily_unavailable": (503, b'{\n  "error": "temporarily_unavailable"\n}'),
    "internal_failure": (500, b'{\n  "error": "internal_failure",\n  "error_description": "Backend Error"\n}'),
}

_TRACE = "7b3e9a52-6c1d-4f0e-9a58-2d4c8e1f6b00"
_CORRELATION = "c0a81d4e-52f7-4b9a-8e36-91d7f5a2c344"

# error: (status, AADSTS number, text, suberror)
_MICROSOFT_ERRORS = {
    "invalid_grant": (400, 700082, "The refresh token has expired due to inactivity. The token was issued on "
                      "2026-08-20T06:11:52.1870000Z and was inactive for 90.00:00:00.", None),
    "password_changed": (400, 50173, "The provided grant has expired due to it being revoked, a fresh auth token is "
                         "needed. The user might have changed or reset their password.", "bad_token"),
    "interaction_required": (400, 50076, "Due to a configuration change made by your administrator, or because you moved "
                             "to a new location, you must use multi-factor authentication to access "
                             "'00000002-0000-0ff1-ce00-000000000000'.", "basic_action"),
    "consent_required": (400, 65001, "The user or administrator has not consented to use the application with ID "
                         "'11111111-2222-3333-4444-555555555555' named 'popgate'. Send an interactive authorization "
                         "request for this user and resource.", "consent_required"),
    "invalid_client": (401, 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the "
                       "client secret value, not the client secret ID.", None),
    "unauthorized_client": (400, 700016, "Application with identifier '11111111-2222-3333-4444-555555555555' was not "
                            "found in the directory 'Contoso'.", None),
    "authorization_pending": (400, 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.", None),
    "authorization_declined": (400, 70018, "Bad verification code. The user declined the request.", None),
    "expired_token": (400, 70020, "The provided value for the input parameter 'device_code' is not valid. This device "
                      "code has expired.", None),
    "temporarily_unavailable": (503, 90033, "A transient error has occurred. Please try again.", None),
}
# What is called otherwise here than on the wire.
_ON_THE_WIRE = {"password_changed": "invalid_grant"}


def _microsoft_error(name):
    status, number, text, suberror = _MICROSOFT_ERRORS[name]
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    tail = f',"suberror":"{suberror}"' if suberror else ""
    body = (f'{{"error":"{_ON_THE_WIRE.get(name, name)}","error_description":"AADSTS{number}: {text} Trace ID: {_TRACE} '
            f'Correlation ID: {_CORRELATION} Timestamp: {stamp}","error_codes":[{number}],"timestamp":"{stamp}",'
            f'"trace_id":"{_TRACE}","correlation_id":"{_CORRELATION}",'
            f'"error_uri":"https://login.microsoftonline.com/error?code={number}"{tail}}}')
    return Response(status, body.encode(), "application/json; charset=utf-8",
                    {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})


def _google_error(name):
    status, body = _GOOGLE_ERRORS[name]
    return Response(status, body, "application/json; charset=utf-8",
                    {"Cache-Control": "no-cache, no-store, max-age=0, must-revalidate", "Pragma": "no-cache"})


# What queue() and always() take beside the vendor's errors: (status, body) that are no answer of OAuth2, and the faults
# of HTTP itself. "cut" is JSON that ends early, "cut chunked" ends without its last chunk.
_SHAPES = {
    "no access_token": lambda: Response(200, b'{"token_type":"Bearer","expires_in":3599}'),
    "empty access_token": lambda: Response(200, b'{"token_type":"Bearer","expires_in":3599,"access_token":""}'),
    "no json": lambda: Response(200, b"access_token=abc&token_type=bearer", "application/x-www-form-urlencoded"),
    "empty": lambda: Response(200, b""),
    "array": lambda: Response(200, b'[{"access_token":"abc"}]'),
    "truncated json": lambda: Response(200, b'{"token_type":"Bearer","expires_in":3599,"access_token":"ya29.a0A'),
    "400 without error": lambda: Response(400, b"{}"),
    "400 html": lambda: Response(400, b"<html><body>Bad Request</body></html>", "text/html"),
}


class TokenEndpoint(HttpFake):
    """Serves from its making until stop(), or for the time of a `with` block.

    vendor     "google" or "microsoft": whose answers, and whose paths
    rotation   "microsoft" (a new refresh token each time, the old one keeps working), "google" (none), or "strict" (a
               new one; the old one is refused and ends the whole family)
    tenant     of Microsoft, in the paths
    lifetime   of access tokens, in seconds; `expires_in` of an answer may be made to lie by .expires_in

    Tokens: grant(user) gives a refresh token; access tokens are good for `lifetime`, and introspection knows them.
    """

    public = ("/",)
    resource_id, client_secret = "mail-server", "secret"  # whoever asks about tokens is told

    def __init__(self, certificate=None, *, ca_file=None, vendor="google", rotation=None, lifetime=3599, device_interval=5,
                 tenant="common"):
        self.vendor = vendor
        self.rotation = rotation or vendor
        self.lifetime = lifetime
        self.expires_in = None      # what answers say instead of the lifetime; "absent" for nothing
        self.device_interval = device_interval  # None: not said
        self.ca_file = ca_file
        self.requests = []          # the form fields of each token request, {name: value}
        self.device_requests = []   # and of each device authorization request
        self.outcomes = []          # (grant type, "ok" or the error or fault) of each token request
        self.user_of_code = {}      # authorization codes that are good, each once
        self.application_user = None  # whose name introspection gives for an application's own token
        self._queue = []
        self._always = None
        self._always_for = {}       # user -> the same for one
        self.issued = set()         # every token that was given
        self._number = itertools.count(1)
        self._families = {}         # refresh token -> [user, family, is the newest]
        self._ended = set()         # families
        self._access = {}           # access token -> (user, scope, when it ends)
        self._devices = {}          # device code -> [user code, user or None, refusal]
        self._held = None           # an Event that token requests wait for
        super().__init__(certificate)
        path = {"google": ("/o/oauth2/v2/auth", "/token", "/device/code"),
                "microsoft": tuple(f"/{tenant}/oauth2/v2.0/{each}" for each in ("authorize", "token", "devicecode"))}[vendor]
        self.issuer = self.origin + {"google": "", "microsoft": f"/{tenant}/v2.0"}[vendor]
        self.authorization_endpoint, self.token_endpoint, self.device_endpoint = (self.origin + each for each in path)
        self.introspection_endpoint = f"{self.origin}/introspect"
        self.discovery_url = f"{self.issuer}/.well-known/openid-configuration"

    # --- what a test says

    def grant(self, user):
        """A refresh token of a user who has consented."""
        with self.lock:
            return self._new_refresh_token(user, next(self._number))

    def access_token(self, user=""):
        """One that nobody has asked for."""
        with self.lock:
            return self._tokens(user, {}, family=None).json()["access_token"]

    def revoke_everything_of(self, user):
        with self.lock:
            self._ended |= {family for owner, family, _ in self._families.values() if owner == user}
            self._access = {token: each for token, each in self._access.items() if each[0] != user}

    def end_access_tokens(self):
        with self.lock:
            self._access.clear()

    def queue(self, *answers):
        """What the next token requests get, one each: an error of the vendor, a word of HTTP_FAULTS, one of the odd
        answers, "ok", or a Response."""
        with self.lock:
            self._queue += [self._known(each) for each in answers]
        return self

    def always(self, answer, user=None):
        """What token requests get when nothing is queued, until always("ok"). With a user: the refreshes of that user's
        tokens alone."""
        with self.lock:
            answer = None if answer == "ok" else self._known(answer)
            if user is None:
                self._always = answer
            else:
                self._always_for[user] = answer
        return self

    def refreshes_of(self, user):
        """The refresh tokens of this user's that came, in the order of their coming."""
        with self.lock:
            tokens = [each.get("refresh_token") for each in self.requests]
            return [each for each in tokens if self._owner(each) == user]

    def hold(self):
        """Token requests wait, having been recorded, until release(): to see who comes meanwhile."""
        self._held = threading.Event()

    def release(self):
        held, self._held = self._held, None
        held.set()

    def wait_for_requests(self, number):
        wait_until(lambda: len(self.requests) >= number, f"{number} token requests")

    def user_codes(self):
        """Of devices that wait for a person, the latest last."""
        with self.lock:
            return [user_code for user_code, _, _ in self._devices.values()]

    def approve_device(self, user_code, user):
        self._device_of(user_code)[1] = user

    def refuse_device(self, user_code, error=None):
        """By the person, or "expired_token"."""
        declined = {"google": "access_denied", "microsoft": "authorization_declined"}[self.vendor]
        self._device_of(user_code)[2] = error or declined

    def new_code(self, user):
        """An authorization code, as if the person had come back with it."""
        with self.lock:
            code = f"4/0A-code-{next(self._number)}"
            self.user_of_code[code] = user
            return code

    def is_good(self, access_token, user=None):
        with self.lock:
            owner, _, end = self._access.get(access_token, (None, "", 0))
            return owner is not None and time.monotonic() < end and user in (None, owner)

    def stop(self):
        if self._held:
            self.release()
        super().stop()

    # --- HTTP

    def answer(self, request):
        request.queued = None
        if request.path != _path(self.token_endpoint):
            return super().answer(request)
        fields = _fields(request)
        with self.lock:
            self.requests.append(fields)
            always = self._always_for.get(self._owner(fields.get("refresh_token"))) or self._always
            request.queued = self._queue.pop(0) if self._queue else always
            held = self._held
        if held:
            held.wait()
        answer = super().answer(request)
        with self.lock:
            self.outcomes.append((fields.get("grant_type"), _outcome(request, answer)))
        return answer

    def faults_of(self, request):
        faults = super().faults_of(request)
        return [*faults, request.queued] if request.queued in HTTP_FAULTS else faults

    def respond(self, request, user):
        path = request.path
        if path == _path(self.token_endpoint):
            return self._queued_answer(request.queued) or self._token(_fields(request))
        if path == _path(self.device_endpoint):
            return self._device_authorization(_fields(request))
        if path == _path(self.introspection_endpoint):
            return self._introspection(_fields(request))
        if path == _path(self.discovery_url):
            return Response.of(self.discovery())
        return Response.of({"error": "not_found"}, 404)

    def gzips(self, request):
        return False

    def error(self, status, reason="", message=""):
        # What stands for the service when it is overloaded or down.
        if self.vendor == "google":
            return Response.of({"error": {"code": status, "message": message, "status": "UNAVAILABLE"}}, status)
        return Response.of({"error": "temporarily_unavailable", "error_description": message}, status)

    def discovery(self):
        return {
            "issuer": self.issuer, "authorization_endpoint": self.authorization_endpoint,
            "token_endpoint": self.token_endpoint, "device_authorization_endpoint": self.device_endpoint,
            "introspection_endpoint": self.introspection_endpoint, "jwks_uri": f"{self.origin}/keys",
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["plain", "S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
            "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_CODE, JWT_BEARER],
        }

    # --- the endpoints

    def _token(self, fields):
        kind = fields.get("grant_type")
        if kind == "refresh_token":
            return self._refreshed(fields)
        if kind == "authorization_code":
            user = self.user_of_code.pop(fields.get("code"), None)
            return self._tokens(user, fields) if user else self._refusal("invalid_grant")
        if kind in (DEVICE_CODE, "device_code"):  # msal-node's own name for it
            return self._device_token(fields)
        if kind in ("client_credentials", JWT_BEARER):
            return self._tokens(self.application_user or "", fields, family=None)
        return Response.of({"error": "unsupported_grant_type"}, 400)

    def _refreshed(self, fields):
        token = fields.get("refresh_token")
        owner = self._families.get(token)
        if not owner or owner[1] in self._ended:
            return self._refusal("invalid_grant")
        user, family, is_newest = owner
        if self.rotation == "strict" and not is_newest:
            self._ended.add(family)
            return self._refusal("invalid_grant")
        return self._tokens(user, fields, family=family, replaced=token)

    def _tokens(self, user, fields, family=0, replaced=None):
        """An answer with tokens. family: None gives no refresh token, 0 begins one."""
        number = next(self._number)
        google = self.vendor == "google"
        scope = fields.get("scope") or (GOOGLE_SCOPE if google else MICROSOFT_SCOPE)
        access = f"ya29.a0-{number:06}-{'x' * 160}" if google else f"EwB4A8l6BAAU-{number:06}-{'y' * 1200}"
        self._access[access] = (user, scope, time.monotonic() + self.lifetime)
        self.issued.add(access)
        answer = {"access_token": access}
        if google:
            answer |= {"expires_in": self._told_lifetime(), "scope": scope, "token_type": "Bearer"}
        else:
            answer = {"token_type": "Bearer", "scope": scope, "expires_in": self._told_lifetime(),
                      "ext_expires_in": self._told_lifetime(), **answer}
        if answer["expires_in"] == "absent":
            answer = {name: each for name, each in answer.items() if not name.endswith("expires_in")}
        if family is not None and (replaced is None or self.rotation != "google"):
            if replaced:
                self._families[replaced][2] = False
            answer["refresh_token"] = self._new_refresh_token(user, family or number)
        return _as_written(answer, google)

    def _told_lifetime(self):
        return self.lifetime if self.expires_in is None else self.expires_in

    def _new_refresh_token(self, user, family):
        number = next(self._number)
        token = f"1//03-{number:06}-{'r' * 60}" if self.vendor == "google" else f"0.AXoA-{number:06}.{'R' * 1100}"
        self._families[token] = [user, family, True]
        self.issued.add(token)
        return token

    def _owner(self, refresh_token):
        return self._families.get(refresh_token, [None])[0]

    def _device_authorization(self, fields):
        self.device_requests.append(fields)
        number = next(self._number)
        code, user_code = f"AH-1Ng{number:06}{'d' * 80}", f"GQVQ-{number:04}" if self.vendor == "google" else f"FJC{number:06}"
        self._devices[code] = [user_code, None, None]
        page = "https://www.google.com/device" if self.vendor == "google" else "https://microsoft.com/devicelogin"
        answer = {"device_code": code, "user_code": user_code,
                  "verification_url" if self.vendor == "google" else "verification_uri": page, "expires_in": 900}
        if self.device_interval is not None:
            answer["interval"] = self.device_interval
        if self.vendor == "microsoft":
            answer["message"] = (f"To sign in, use a web browser to open the page {page} and enter the code {user_code} "
                                 "to authenticate.")
        return _as_written(answer, self.vendor == "google")

    def _device_of(self, user_code):
        with self.lock:
            return next(each for each in self._devices.values() if each[0] == user_code)

    def _device_token(self, fields):
        code = fields.get("device_code")
        _, user, refusal = self._devices.get(code, (None, None, "invalid_grant"))
        if refusal or not user:
            return self._refusal(refusal or "authorization_pending")
        del self._devices[code]
        return self._tokens(user, fields)

    def _introspection(self, fields):
        user, scope, end = self._access.get(fields.get("token"), (None, "", 0))
        left = end - time.monotonic()
        if user is None or left <= 0:
            return Response.of({"active": False})
        return Response.of({"active": True, "username": user, "email": user, "sub": user, "scope": scope,
                            "token_type": "Bearer", "client_id": "popgate", "exp": int(time.time() + left)})

    # --- errors

    def _refusal(self, name):
        return _google_error(name) if self.vendor == "google" else _microsoft_error(name)

    def _queued_answer(self, queued):
        if queued in (None, "ok", *HTTP_FAULTS) or isinstance(queued, Response):
            return queued if isinstance(queued, Response) else None
        return _SHAPES[queued]() if queued in _SHAPES else self._refusal(queued)

    def _known(self, answer):
        errors = _GOOGLE_ERRORS if self.vendor == "google" else _MICROSOFT_ERRORS
        assert isinstance(answer, Response) or answer == "ok" or answer in (*HTTP_FAULTS, *_SHAPES, *errors), answer
        return answer


def _path(url):
    return "/" + url.split("/", 3)[3]


def _fields(request):
    return {name: values[0] for name, values in
            parse_qs(request.body.decode(), keep_blank_values=True).items()}


def _as_written(value, indented):
    text = json.dumps(value, indent=2) if indented else json.dumps(value, separators=(",", ":"))
    return Response(200, text.encode(), "application/json; charset=utf-8", {"Cache-Control": "no-store", "Pragma": "no-cache"})


def _outcome(request, answer):
    if isinstance(request.queued, Response):
        return str(answer.status)
    if request.faults or (isinstance(request.queued, str) and request.queued != "ok"):
        return request.faults[0] if request.faults else request.queued
    return "ok" if answer.status == 200 else answer.json()["error"]
