"""AUTH (RFC 5034): PLAIN and LOGIN, well and badly used."""

from base64 import b64encode

import pytest
from support.pop3 import Pop3
from support.scripted_imap import ScriptedImap
from support.setups import PASSWORD, clear_route, log_in


def plain(user, password=PASSWORD, identity=""):
    return b64encode(f"{identity}\0{user}\0{password}".encode())


@pytest.fixture
def pop3(gateway):
    with Pop3(gateway.port()) as pop3:
        yield pop3


def test_bare_auth_lists_the_mechanisms(pop3):
    assert pop3.command("AUTH").startswith("+OK")
    assert set(pop3.lines()) == {"PLAIN", "LOGIN"}


def test_plain_with_an_initial_response(pop3, user):
    assert pop3.command("AUTH PLAIN", plain(user)).startswith("+OK 0 ")


def test_plain_with_a_challenge(pop3, user):
    assert pop3.command("AUTH plain") == "+ "
    assert pop3.command(plain(user)).startswith("+OK 0 ")


def test_an_identity_that_is_the_user_itself(pop3, user):
    assert pop3.command("AUTH PLAIN", plain(user, identity=user)).startswith("+OK 0 ")


def test_login(pop3, user):
    assert pop3.command("AUTH LOGIN").startswith("+ ")
    assert pop3.command(b64encode(user.encode())).startswith("+ ")
    assert pop3.command(b64encode(PASSWORD.encode())).startswith("+OK 0 ")


def test_login_with_an_initial_response(pop3, user):
    assert pop3.command("AUTH LOGIN", b64encode(user.encode())).startswith("+ ")
    assert pop3.command(b64encode(PASSWORD.encode())).startswith("+OK 0 ")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_wrong_password(mechanism, pop3, user):
    if mechanism == "PLAIN":
        reply = pop3.command("AUTH PLAIN", plain(user, "wrong"))
    else:
        pop3.command("AUTH LOGIN", b64encode(user.encode()))
        reply = pop3.command(b64encode(b"wrong"))
    assert reply.startswith("-ERR [AUTH] ")
    assert pop3.command("AUTH PLAIN", plain(user)).startswith("+OK 0 ")


@pytest.mark.parametrize("opening", ["AUTH PLAIN", "AUTH LOGIN", "AUTH LOGIN dQ=="])
def test_a_star_cancels(opening, pop3, user):
    assert pop3.command(opening).startswith("+ ")
    assert pop3.command("*").startswith("-ERR")
    assert pop3.login(user, PASSWORD).startswith("+OK 0 ")


@pytest.mark.parametrize("line", [b"AUTH PLAIN =", b"AUTH PLAIN !!!!", b"AUTH PLAIN dQ", b"AUTH PLAIN dQ==dQ==", b"AUTH PLAIN dQ=x",
                                  b"AUTH PLAIN " + b64encode(b"no NUL"), b"AUTH PLAIN " + b64encode(b"\0one"),
                                  b"AUTH PLAIN " + b64encode(b"\0a\0b\0c"), b"AUTH PLAIN " + b64encode(b"\0\0\0"),
                                  b"AUTH PLAIN " + b64encode(b"\0a\r\nb\0c"), b"AUTH PLAIN " + b64encode(b"\0a\0b\r\nc"),
                                  b"AUTH PLAIN " + b64encode(b"other\0me\0pw"), b"AUTH PLAIN a b", b"AUTH NTLM",
                                  b"AUTH CRAM-MD5", b"AUTH =", b"AUTH LOGIN !!!", b"AUTH PLAIN \xff\xfe"])
def test_bad_exchanges(line, pop3, user):
    assert pop3.command(line).startswith("-ERR")
    assert pop3.command("AUTH PLAIN", plain(user)).startswith("+OK 0 ")


@pytest.mark.parametrize("response", [b"", b"!!!!", b"=", b"dQ", b"\0", b"QUIT"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_bad_responses(mechanism, response, pop3, user):
    assert pop3.command("AUTH", mechanism).startswith("+ ")
    reply = pop3.command(response)
    if reply.startswith("+ "):  # an empty user name is found out later
        reply = pop3.command(b"")
    assert reply.startswith("-ERR")
    assert pop3.login(user, PASSWORD).startswith("+OK 0 ")


@pytest.mark.parametrize("octets", [4 << 10, 8 << 10, 12 << 10])
@pytest.mark.parametrize("initial", [True, False])
def test_long_responses(initial, octets, serve):
    """Up to 16 KiB in base64. Dovecot takes no such password; another server may."""
    password = "x" * (octets - len("u@x") - 2)
    with ScriptedImap() as server, Pop3(serve(clear_route(server.port)).port()) as pop3:
        response = plain("u@x", password)
        if initial:
            reply = pop3.command("AUTH PLAIN", response)
        else:
            pop3.command("AUTH PLAIN")
            reply = pop3.command(response)
        assert reply.startswith("+OK 0 ")
        said = b" ".join(server.commands)
        arrived = password.encode() in said or response in said
        assert arrived


@pytest.mark.parametrize("octets", [64 << 10, 10 << 20])
def test_responses_that_are_too_long(octets, pop3, gateway, user):
    before = gateway.memory()["VmRSS"]
    pop3.command("AUTH PLAIN")
    try:
        pop3.send(plain(user, "x" * octets) + b"\r\n")
        assert pop3.line().startswith("-ERR")
    except OSError:
        pass  # closed while we were sending: fine
    assert gateway.memory()["VmRSS"] - before < 8192
    log_in(gateway, user).quit()


def test_a_hundred_attempts_that_lead_nowhere_leave_nothing_behind(gateway, user):
    log_in(gateway, user).quit()
    descriptors = gateway.descriptors()
    for _ in range(100):
        with Pop3(gateway.port()) as pop3:
            pop3.send(b"AUTH PLAIN\r\n*\r\nAUTH LOGIN\r\ndQ==\r\n")
            pop3.line()
    gateway.wait_for_descriptors(descriptors)
