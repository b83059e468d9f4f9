"""One line a session, that tells the story and can be trusted."""

import base64
import json

import pytest
from support.corpus import as_pop3
from support.pop3 import Pop3, tls_context
from support.setups import PASSWORD, check_for_secrets, imaps_route, log_in, try_to_log_in

MESSAGES = [b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number) for number in range(1, 6)]


def test_the_story_of_a_session(gateway, dovecot, certificates, user):
    dovecot.deliver(user, *MESSAGES)
    with log_in(gateway, user, listener="implicit", tls=tls_context(certificates.ca)) as pop3:
        pop3.retr(1)
        pop3.retr(2)
        pop3.top(3, 0)
        pop3.command("DELE 1")
        pop3.quit()
    record = gateway.session(user=user)
    assert record["from"].startswith("127.0.0.1")
    assert str(gateway.port("implicit")) in record["listener"]
    assert record["tls"].startswith("TLSv1.3 ")
    assert record["backend"].startswith("imaps://127.0.0.1")
    assert record["retrieved"] == 2
    assert record["retrieved_octets"] == len(as_pop3(MESSAGES[0])) + len(as_pop3(MESSAGES[1]))
    assert (record["top"], record["deleted"], record["left"]) == (1, 1, 4)
    assert 0 <= record["duration_ms"] < 60_000
    assert record["reason"] == "quit" and not record.get("error")
    assert len([line for line in gateway.log("session") if line["user"] == user]) == 1


def test_sessions_that_end_otherwise_have_other_reasons(gateway, user):
    with Pop3(gateway.port()) as stranger:
        port = str(stranger.socket.getsockname()[1])
        stranger.command("NOOP")
    with log_in(gateway, user) as pop3:
        pop3.reset()
    assert gateway.session(user=user)["reason"] != "quit"
    wanted = [record for record in gateway.wait_for("session") if record["from"].endswith(port)]
    assert all(record["reason"] != "quit" for record in wanted)


@pytest.mark.parametrize("line", [b"DELETE 1", b"GET / HTTP/1.1", b"POST /x HTTP/1.0", b"\x16\x03\x01\x02"])
def test_another_protocol_after_login_is_refused(line, gateway, dovecot, user):
    dovecot.deliver(user, *MESSAGES)
    with log_in(gateway, user) as pop3:
        pop3.command("DELE 1")
        pop3.send(line + b"\r\nQUIT\r\n")
        assert pop3.rest().count(b"\r\n") == 1  # the refusal alone: what followed was not obeyed
    assert gateway.session(user=user)["reason"] == "refused"
    assert len(dovecot.uids(user)) == len(MESSAGES)


def test_nothing_that_a_client_says_can_forge_a_line(gateway):
    before = len(gateway.log("session"))
    names = [b"x\x1b[2Jx", b"\x07\x08bell", b'quote"x', b"back\\slash", b'{"event":"session"}', b"%s%n", b"caf\xc3\xa9",
             b"\xff\xfe", b"\xc2\x9b31m", b"\xe2\x80\xa8line", b"\xe2\x80\xaeright to left", b"x" * 300, b"a\tb"]
    try_to_log_in(gateway, [(name, "wrong") for name in names])
    gateway.wait_for("session", count=before + len(names))
    for line in gateway.log_text().splitlines():
        json.loads(line)  # every line is JSON, and shows no control character
        assert line.isprintable(), line


def test_no_secret_in_the_log_whichever_way_it_came(dovecot, user, serve):
    popgate = serve(imaps_route(dovecot))
    encoded = base64.b64encode(f"\0{user}\0{PASSWORD}".encode())
    for lines in ([b"USER " + user.encode(), b"PASS " + PASSWORD.encode()], [b"AUTH PLAIN " + encoded],
                  [b"AUTH PLAIN", encoded], [b"AUTH LOGIN", base64.b64encode(user.encode()),
                                             base64.b64encode(PASSWORD.encode())],
                  [b"PASS " + PASSWORD.encode()], [b"PASSWORD " + PASSWORD.encode()], [b"AUTH XOAUTH2 " + encoded],
                  [b"USER " + user.encode(), b"PASS x" + PASSWORD.encode()], [PASSWORD.encode()] * 3):
        with Pop3(popgate.port()) as pop3:
            for line in lines:
                reply = pop3.command(line)
                assert PASSWORD not in reply
            pop3.send(b"QUIT\r\n")
            pop3.rest()
    popgate.wait_for("session", count=9)
    check_for_secrets(popgate)
    assert encoded.decode() not in popgate.log_text()
