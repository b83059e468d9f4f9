"""What most tests have in common: the password, the configuration of popgate, the way to the upstream."""

import base64

from support.net import HOST
from support.pop3 import Pop3

# That of every user. It must never show in a log: see check_for_secrets().
PASSWORD = "canary-Pa55phrase"


def configuration(certificates, route, *, listen=None, limits=None, **tables):
    return {
        "listen": listen or [{"address": f"{HOST}:0", "tls": "none"}],
        "tls": {"certificate": str(certificates.server.certificate), "key": str(certificates.server.key)},
        "limits": {"drain_timeout": "1s", "login_timeout": "60s", **(limits or {})},
        "route": route if isinstance(route, list) else [route],
        **tables,
    }


def check_for_secrets(popgate):
    for secret in (PASSWORD, base64.b64encode(PASSWORD.encode()).decode().rstrip("=")):
        assert secret not in popgate.log_text()


def imaps_route(dovecot, **keys):
    return {"match": "*", "backend": f"imaps://{HOST}:{dovecot.imaps_port}", "ca_file": str(dovecot.ca_file), **keys}


def clear_route(port, **keys):
    """To an IMAP server in clear: Dovecot itself, a gate before it, or a scripted server."""
    return {"match": "*", "backend": f"imap://{HOST}:{port}", "starttls": "none", **keys}


def log_in(popgate, user, *, listener=None, **more):
    """A POP3 session of this user, at the first listener or at that with this `tls` setting."""
    pop3 = Pop3(popgate.port(listener), **more)
    reply = pop3.login(user, PASSWORD)
    assert reply.startswith("+OK"), reply
    return pop3


def try_to_log_in(popgate, credentials):
    """The last reply to each of these (user, password), all tried at once: a refusal takes its time."""
    sessions = [Pop3(popgate.port()) for _ in credentials]
    for session, (user, password) in zip(sessions, credentials):
        session.send(b"USER %s\r\nPASS %s\r\nQUIT\r\n" % (_octets(user), _octets(password)))
    replies = []
    for session in sessions:
        with session:
            lines = session.rest().decode().split("\r\n")
            replies.append(lines[1] if lines[0].startswith("+OK") else lines[0])
    return replies


def _octets(text):
    return text if isinstance(text, bytes) else text.encode()


def maildir_route(root, **keys):
    """To Maildirs below `root`, which let in whoever `auth` lets in."""
    return {"match": "*", "backend": f"maildir:{root}/%u", **keys}


def make_maildir(root, user, *messages):
    for name in ("cur", "new", "tmp"):
        (root / user / name).mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate(messages, 1):
        (root / user / "new" / f"{1_600_000_000 + number}.M1P1.localhost").write_bytes(raw)
