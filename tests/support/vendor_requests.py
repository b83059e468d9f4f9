"""The token requests of the vendors' own libraries, to compare popgate's with: form fields as google-auth-library and
@azure/msal-node send them, recorded at a TokenEndpoint when asked for."""

import base64
import functools
import hashlib
import json
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

from support.certs import Certificates
from support.net import wait_until
from support.node import Library
from support.token_endpoint import GOOGLE_SCOPE, TokenEndpoint

CLIENT_ID, CLIENT_SECRET = "11111111-2222-3333-4444-555555555555", "a s3cret+/%&"
SERVICE_ACCOUNT, OWNER = "popgate@project.iam.gserviceaccount.com", "ann@example.org"
TENANT = "22222222-3333-4444-5555-666666666666"
VERIFIER = "v" * 43

NAMES = ("google-code", "google-refresh", "google-service-account", "microsoft-code", "microsoft-refresh",
         "microsoft-device", "microsoft-device-authorization", "microsoft-secret", "microsoft-certificate")

# What msal-node tells Microsoft about itself; no part of the protocol.
_TELEMETRY = ("x-client-", "x-app-", "client_info", "client-request-id", "x-ms-", "claims")


def vendor_request(name):
    """{field: value} of one of NAMES. A JWT among the values is {"header": …, "claims": …} instead."""
    return _recorded()[name]


@functools.cache
def _recorded():
    with tempfile.TemporaryDirectory(prefix="popgate-vendors-") as directory:
        return _record(Path(directory))


def _record(directory):
    certificates = Certificates(directory / "certs")
    key, certificate = directory / "client.key", directory / "client.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=popgate"], check=True, capture_output=True)
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    found = {}
    for vendor in ("google", "microsoft"):
        with TokenEndpoint(certificates.server, ca_file=certificates.ca, vendor=vendor, device_interval=1,
                           tenant=TENANT) as fake, Library(
                "oauth.cjs", ca_file=certificates.ca, origin=fake.origin, key=key.read_text(),
                certificate=certificate.read_text(), thumbprint=hashlib.sha256(der).hexdigest(), client_id=CLIENT_ID, tenant=TENANT,
                client_secret=CLIENT_SECRET) as library:
            for name in (each for each in NAMES if each.startswith(vendor) and each != "microsoft-device-authorization"):
                _ask(fake, library, name)
                found[name] = _readable(fake.requests[-1])
            if fake.device_requests:
                found["microsoft-device-authorization"] = _readable(fake.device_requests[-1])
    return found


def _ask(fake, library, name):
    if name.endswith("-code"):
        library.ask(name, fake.new_code(OWNER), VERIFIER)
    elif name.endswith("-refresh"):
        library.ask(name, fake.grant(OWNER))
    elif name == "google-service-account":
        library.ask(name, SERVICE_ACCOUNT, GOOGLE_SCOPE, OWNER)
    elif name == "microsoft-device":
        # The library polls until the person, who is this thread, has said yes.
        person = threading.Thread(target=_approve, args=[fake])
        person.start()
        library.ask(name)
        person.join()
    else:
        library.ask(name)


def _approve(fake):
    wait_until(lambda: fake.user_codes(), "a device code")
    fake.approve_device(fake.user_codes()[-1], OWNER)


def _readable(fields):
    return {name: _opened(value) for name, value in fields.items()
            if not name.lower().startswith(_TELEMETRY)}


def _opened(value):
    parts = value.split(".")
    if len(parts) != 3 or not value.startswith("eyJ"):
        return value
    header, claims = (json.loads(base64.urlsafe_b64decode(each + "=" * (-len(each) % 4))) for each in parts[:2])
    return {"header": header, "claims": claims}
