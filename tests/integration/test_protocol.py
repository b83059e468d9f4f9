"""What POP3 clients may send, should not send, and send nevertheless."""

import pytest
from support.dovecot import Dovecot
from support.net import PATIENCE
from support.pop3 import Pop3
from support.setups import PASSWORD, clear_route, imaps_route, log_in, try_to_log_in

MESSAGES = [b"Subject: %d\r\n\r\nfirst\r\nsecond of %d\r\n" % (number, number) for number in range(1, 4)]


@pytest.fixture
def mailbox(dovecot, user):
    dovecot.deliver(user, *MESSAGES)
    return user


@pytest.fixture
def session(gateway, mailbox):
    with log_in(gateway, mailbox) as pop3:
        yield pop3


@pytest.fixture
def stranger(gateway):
    with Pop3(gateway.port()) as pop3:
        yield pop3


def test_the_greeting_offers_no_apop(stranger):
    assert stranger.greeting.startswith("+OK")
    assert "<" not in stranger.greeting and "@" not in stranger.greeting


def test_capabilities_before_and_after_login(gateway, mailbox, stranger):
    before = stranger.capa()
    assert {"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "USER", "SASL", "UTF8", "LANG",
            "IMPLEMENTATION"} <= set(before)
    assert set(before["SASL"]) >= {"PLAIN", "LOGIN"}
    stranger.login(mailbox, PASSWORD)
    after = stranger.capa()
    assert {name for name in before if name not in ("STLS", "SASL", "USER")} <= set(after)
    assert "STLS" not in after


def test_no_login_is_offered_or_taken_in_clear_where_tls_is_demanded(gateway, mailbox):
    with Pop3(gateway.port("starttls")) as pop3:
        capabilities = pop3.capa()
        assert "STLS" in capabilities
        assert not {"USER", "SASL"} & set(capabilities)
        assert pop3.command("USER", mailbox).startswith("-ERR")
        assert pop3.command("AUTH PLAIN").startswith("-ERR")


def test_a_whole_session_in_one_write(gateway, mailbox):
    with Pop3(gateway.port()) as pop3:
        pop3.send(f"CAPA\r\nUSER {mailbox}\r\nPASS {PASSWORD}\r\nSTAT\r\nRETR 2\r\nDELE 2\r\nQUIT\r\n".encode())
        assert pop3.line().startswith("+OK")
        assert "PIPELINING" in pop3.lines()
        assert [pop3.line()[:3] for _ in range(2)] == ["+OK", "+OK"]
        assert pop3.line().startswith("+OK 3 ")
        assert pop3.line().startswith("+OK")
        assert pop3.multiline() == MESSAGES[1]
        assert pop3.line().startswith("+OK")
        assert pop3.rest().startswith(b"+OK")


def test_a_thousand_commands_in_one_write(session):
    session.send(b"".join(b"LIST %d\r\nNOOP\r\nBAD\r\nTOP %d 1\r\n" % (n % 3 + 1, n % 3 + 1) for n in range(250)))
    for n in range(250):
        assert session.line() == f"+OK {n % 3 + 1} {len(MESSAGES[0])}"
        assert session.line().startswith("+OK")
        assert session.line().startswith("-ERR")
        assert session.line().startswith("+OK")
        assert session.multiline() == MESSAGES[n % 3].replace(b"second of %d\r\n" % (n % 3 + 1), b"")


def test_one_octet_a_packet(gateway, mailbox):
    with Pop3(gateway.port()) as pop3:
        pop3.socket.setsockopt(6, 1, 1)  # TCP_NODELAY
        for octet in f"USER {mailbox}\r\nPASS {PASSWORD}\r\nRETR 1\r\nQUIT\r\n".encode():
            pop3.send(bytes([octet]))
        assert [pop3.line()[:3] for _ in range(3)] == ["+OK", "+OK", "+OK"]
        assert pop3.multiline() == MESSAGES[0]
        assert pop3.rest().startswith(b"+OK")


def test_a_hundred_thousand_commands_from_a_client_that_does_not_read(session, gateway):
    """The replies wait without filling the memory, and none is lost."""
    before = gateway.memory()["VmRSS"]
    session.socket.settimeout(0.5)
    block = b"UIDL\r\n" * 10_000
    sent = 0
    try:
        while sent < 100_000 * 6:
            sent += session.socket.send(block[sent % 6:])
    except TimeoutError:
        pass  # as it should be: popgate has stopped reading
    assert gateway.memory()["VmRSS"] - before < 4096
    session.socket.settimeout(PATIENCE)
    for _ in range(sent // 6):
        assert session.line().startswith("+OK")
        assert len(session.lines()) == 3


def test_bare_lf_ends_a_command_and_bare_cr_does_not(session):
    session.send(b"NOOP\nSTAT\n")
    assert session.line().startswith("+OK")
    assert session.line().startswith("+OK 3 ")
    session.send(b"NOOP\rDELE 1\r\nSTAT\r\n")
    assert session.line().startswith("-ERR")
    assert session.line().startswith("+OK 3 ")


@pytest.mark.parametrize("line", [b"", b" ", b"   ", b" NOOP", b"\tNOOP", b"NOOP\0", b"NO\0OP", b"DELE 1\0", b"X", b"ABCDE",
                                  b"DELE\t1", b"%s%n", b":", b"\xff\xfe", b"NOOP x", b"STAT 1", b"QUIT x", b"RSET 1",
                                  b"CAPA x", b"USER x", b"PASS x", b"AUTH PLAIN", b"STLS", b"APOP a b", b"RETR",
                                  b"DELE", b"TOP 1", b"TOP", b"TOP 1 2 3", b"TOP 1 -1", b"TOP 1 x", b"RETR 1 2"])
def test_bad_lines_after_login_cost_nothing_but_the_reply(line, session):
    session.send(line + b"\r\nSTAT\r\n")
    reply = session.line()
    assert reply.startswith("-ERR") and len(reply) <= 510
    assert session.line() == f"+OK 3 {sum(map(len, MESSAGES))}"


@pytest.mark.parametrize("verb", ["RETR", "DELE", "LIST", "UIDL", "TOP"])
@pytest.mark.parametrize("number", ["0", "-1", "+1", "4", "1x", "x1", "1.0", "1,2", "1:3", "*", "0x1", "1e0", "4294967296",
                                    "4294967297", "18446744073709551615", "18446744073709551616",
                                    "18446744073709551617", "9" * 30, "١", "１", "00", "  "])
def test_no_such_message(verb, number, session):
    command = f"{verb} {number}" + (" 0" if verb == "TOP" else "")
    if number.strip() or verb not in ("LIST", "UIDL"):
        assert session.command(command).startswith("-ERR"), command
    assert session.stat()[0] == 3


def test_a_leading_zero_is_taken_in_the_same_way_everywhere(session):
    replies = [session.command(command) for command in ("LIST 01", "UIDL 01", "DELE 01")]
    assert len({reply[:3] for reply in replies}) == 1


def test_verbs_in_any_case(session):
    assert session.command("sTaT").startswith("+OK 3 ")
    assert session.command("noop").startswith("+OK")


def test_top(session):
    assert session.top(1, 0) == b"Subject: 1\r\n\r\n"
    assert session.top(1, 1) == b"Subject: 1\r\n\r\nfirst\r\n"
    assert session.top(1, 99999999999) == MESSAGES[0]


@pytest.mark.parametrize("length", [255, 256, 512, 513, 2048, 8192, 40_000, 1 << 20])
def test_overlong_lines_after_login(length, session, gateway):
    before = gateway.memory()["VmRSS"]
    session.send(b"NOOP " + b"x" * (length - 7) + b"\r\nSTAT\r\n")
    assert session.line().startswith("-ERR")
    try:
        assert session.line().startswith("+OK 3 ")
    except EOFError:
        pass  # closing is fine too
    assert gateway.memory()["VmRSS"] - before < 4096


def test_an_endless_line_takes_no_memory(stranger, gateway):
    before = gateway.memory()["VmRSS"]
    try:
        for _ in range(64):
            stranger.send(b"x" * (1 << 20))
    except OSError:
        pass  # it closed: fine
    assert gateway.memory()["VmRSS"] - before < 8192


def test_three_bad_commands_before_login(stranger):
    assert stranger.command("WHAT").startswith("-ERR")
    assert stranger.command("STAT").startswith("-ERR")
    assert stranger.command("RETR 1").startswith("-ERR")
    assert stranger.rest() == b""


OTHER_PROTOCOLS = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "SMTP": b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\n",
    "IMAP": b"a1 LOGIN a b\r\na2 SELECT INBOX\r\na3 LOGOUT\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500 + b"\n\n\n",
    "empty lines": b"\r\n\r\n\r\n",
    "NULs": b"\0\0\0\n\0\n\0\n",
}


@pytest.mark.parametrize("protocol", OTHER_PROTOCOLS)
def test_other_protocols_are_soon_shown_the_door(protocol, stranger):
    stranger.send(OTHER_PROTOCOLS[protocol])
    assert stranger.rest().count(b"-ERR") in (1, 2, 3)


def test_order_of_user_and_pass(stranger, mailbox):
    assert stranger.command("PASS", PASSWORD).startswith("-ERR")
    assert stranger.login(mailbox, "wrong").startswith("-ERR [AUTH] ")
    assert stranger.command("PASS", PASSWORD).startswith("-ERR")  # the name went with the wrong password


def test_the_last_user_counts(stranger, mailbox):
    assert stranger.command("USER somebody-else@x").startswith("+OK")
    assert stranger.login(mailbox, PASSWORD).startswith("+OK 3 ")


def test_quit_before_login(stranger):
    assert stranger.quit().startswith("+OK")


def test_a_password_with_spaces(certificates, serve):
    password = "  two  words "
    with Dovecot(certificates, password=password) as dovecot:
        dovecot.deliver("u@x", *MESSAGES)
        with Pop3(serve(imaps_route(dovecot)).port()) as pop3:
            assert pop3.login("u@x", password.strip()).startswith("-ERR [AUTH] ")
            assert pop3.login("u@x", password).startswith("+OK 3 ")


def test_any_user_name_is_just_a_name(dovecot, serve):
    """It may be refused, but reaches nothing else: the next session works."""
    popgate = serve(clear_route(dovecot.imap_port))
    names = ["a@b", "a%b", "../../etc", "{{x}}", 'a"b', "a\\b", "x" * 300, "Grüße@x", "a b", "*", "(a)", "{3}", b"\xff\xfe"]
    for name, reply in zip(names, try_to_log_in(popgate, [(name, PASSWORD) for name in names])):
        assert reply.startswith(("+OK 0 ", "-ERR [AUTH] ", "-ERR [SYS/")), (name, reply)
        assert len(reply) <= 510
    log_in(popgate, "u@x").quit()


def test_languages(stranger, mailbox):
    assert stranger.command("LANG").startswith("+OK")
    assert {line.split()[0] for line in stranger.lines()} >= {"en", "es"}
    english = stranger.command("USER")
    assert stranger.command("LANG es").startswith("+OK es ")
    spanish = stranger.command("USER")
    assert english.startswith("-ERR") and spanish.startswith("-ERR") and english != spanish
    assert stranger.command("LANG tlh").startswith("-ERR")
    assert stranger.command("UTF8").startswith("+OK")
    assert stranger.login(mailbox, "mal").startswith("-ERR [AUTH] ")
    assert stranger.login(mailbox, PASSWORD).startswith("+OK ")
    assert stranger.command("LANG *").startswith("+OK ")
    assert stranger.command("LANG EN").startswith("+OK en ")
