"""IMAP servers that refuse, lie, babble or attack: each gets the right reply, none an empty mailbox."""

import re
import time
from base64 import b64decode, b64encode

import pytest
from support.pop3 import Pop3
from support.reference_pop3 import top
from support.scripted_imap import CAPABILITY, CLOSE, GREETING, RESET, SILENCE, ScriptedImap, StartTls
from support.popgate import Popgate
from support.setups import PASSWORD, check_for_secrets, clear_route, configuration, log_in

USER = "u@x"
MESSAGES = [b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number) for number in range(1, 6)]

SELECT, LIST, BODY = rb"(SELECT|EXAMINE) .*", rb"(UID )?FETCH .*RFC822.SIZE.*", rb"UID FETCH .*BODY.*"
LOGIN = rb"(LOGIN|AUTHENTICATE) .*"

TEMPORARY = r"-ERR \[SYS/TEMP\] .*please wait and retry$"

THROTTLED = "BAD Request is throttled. Suggested Backoff Time: 89117 milliseconds"


@pytest.fixture(scope="module")
def server():
    """One for many cases, each of which begins it anew: a popgate for each would take longer than the cases do."""
    with ScriptedImap(messages=MESSAGES) as scripted:
        yield scripted


@pytest.fixture(scope="module")
def popgate(server, certificates):
    """Before that server. Each case is another user's."""
    route = clear_route(server.port, connect_timeout="1s", command_timeout="1s")
    with Popgate(configuration(certificates, route, login={"longest_delay": "1s"})) as running:
        yield running
    check_for_secrets(running)


def whose_turn(case, user):
    """Who logs in after the case: where the server wants a pause, that account has one, and nobody else has."""
    return f"v-{user}" if "throttled" in case or case in LIMITED else user


# Untagged replies that nobody asked for, some of them broken.
BABBLE = ["STATUS", "STATUS INBOX ()", "STATUS INBOX (MESSAGES)", 'STATUS "" (MESSAGES 1 X 2)', "SEARCH", "SEARCH 1 x",
          "LIST () NIL INBOX", "LIST (", "ID NIL", "ID (", "ENABLED", "NAMESPACE NIL NIL NIL", "QUOTA \"\" (", "VANISHED 1:*",
          "1 FETCH (ENVELOPE NIL)", "1 FETCH (BODYSTRUCTURE NIL)", "1 FETCH ()", "0 EXPUNGE", "4294967295 EXISTS", "X", ""]


def fetched(*items):
    """A reply to LIST of these lines."""
    return "\n".join([*(f"* {item}" for item in items), "<tag> OK done"])


# Cases of a server that is asked too much, beside those that are named so.
LIMITED = ("login over the limit", "list in part, then NO", "NO after the literal")

# What popgate must say to PASS: name: (greeting, rules, reply).
AT_LOGIN = {
    "greeting BYE": ("* BYE overloaded", [], TEMPORARY),
    "greeting NO": ("* NO go away", [], TEMPORARY),
    "greeting PREAUTH": ("* PREAUTH you are somebody", [], TEMPORARY),
    "greeting garbage": (b"\x00\xff\x16\x03\x01 what\r\n", [], TEMPORARY),
    "greeting silence": (SILENCE, [], TEMPORARY),
    "greeting with strings": ('* OK [X-A "b" {3}] "quoted" (a "b") welcome', [], r"-ERR \[SYS/TEMP\]|\+OK 5 "),
    "greeting then nothing": ([GREETING, CLOSE], [], TEMPORARY),
    "greeting of 1 MiB": (b"* OK " + b"x" * (1 << 20) + b"\r\n", [], r"-ERR|\+OK 5 "),
    "greeting without an end": ([b"* OK " + b"x" * (8 << 20), SILENCE], [], TEMPORARY),
    "wrong password": (GREETING, [(LOGIN, "<tag> NO [AUTHENTICATIONFAILED] no")], r"-ERR \[AUTH\] "),
    "wrong password, plain NO": (GREETING, [(LOGIN, "<tag> NO no")], r"-ERR \[AUTH\] "),
    "wrong password, then BYE": (GREETING, [(LOGIN, ["<tag> NO [AUTHENTICATIONFAILED] no\n* BYE too many", CLOSE])],
                                 r"-ERR \[AUTH\] "),
    "BYE, then wrong password": (GREETING, [(LOGIN, ["* BYE too many\n<tag> NO [AUTHENTICATIONFAILED] no", CLOSE])],
                                 r"-ERR \[AUTH\] "),
    "login too long": (GREETING, [(LOGIN, "<tag> BAD command line too long")], TEMPORARY),
    "login not permitted": (GREETING, [(LOGIN, "<tag> NO [NOPERM] not you")], r"-ERR \[SYS/(TEMP|PERM)\] "),
    "login unavailable": (GREETING, [(LOGIN, "<tag> NO [UNAVAILABLE] later")], TEMPORARY),
    "login in use": (GREETING, [(LOGIN, "<tag> NO [INUSE] locked")], r"-ERR \[(IN-USE|SYS/TEMP)\] "),
    "login over the limit": (GREETING, [(LOGIN, "<tag> NO [LIMIT] too many connections")], TEMPORARY),
    "login needs privacy": (GREETING, [(LOGIN, "<tag> NO [PRIVACYREQUIRED] TLS first")], r"-ERR \[SYS/(TEMP|PERM)\] "),
    "login throttled": (GREETING, [(LOGIN, f"<tag> {THROTTLED}")], TEMPORARY),
    "login BYE": (GREETING, [(LOGIN, ["* BYE too busy", CLOSE])], TEMPORARY),
    "login reset": (GREETING, [(LOGIN, RESET)], TEMPORARY),
    "login silence": (GREETING, [(LOGIN, SILENCE)], TEMPORARY),
    "login answered for another": (GREETING, [(LOGIN, ["zzz OK done", SILENCE])], TEMPORARY),
    "select unavailable": (GREETING, [(SELECT, "<tag> NO [UNAVAILABLE] later")], TEMPORARY),
    "select in use": (GREETING, [(SELECT, "<tag> NO [INUSE] locked")], r"-ERR \[(IN-USE|SYS/TEMP)\] "),
    "select NO": (GREETING, [(SELECT, "<tag> NO no such mailbox")], r"-ERR \[SYS/(TEMP|PERM)\] "),
    "select throttled": (GREETING, [(SELECT, f"<tag> {THROTTLED}")], TEMPORARY),
    "select without UIDVALIDITY": (GREETING, [(SELECT, "* 5 EXISTS\n<tag> OK done")], r"-ERR \[SYS/"),
    "select with UIDVALIDITY 0": (GREETING, [(SELECT, "* 5 EXISTS\n* OK [UIDVALIDITY 0] x\n<tag> OK done")],
                                  r"-ERR \[SYS/|\+OK 5 "),
    "select without EXISTS": (GREETING, [(SELECT, "* OK [UIDVALIDITY 1] x\n<tag> OK done")], r"-ERR \[SYS/|\+OK 5 "),
    "list NO": (GREETING, [(LIST, "<tag> NO [SERVERBUG] oops")], TEMPORARY),
    "list throttled": (GREETING, [(LIST, f"<tag> {THROTTLED}")], TEMPORARY),
    "list BYE in the middle": (GREETING, [(LIST, ["* 1 FETCH (UID 1 RFC822.SIZE 9)\n* BYE", CLOSE])], TEMPORARY),
    "list OK but empty": (GREETING, [(LIST, "<tag> OK done")], TEMPORARY),
    "list of the first alone": (GREETING, [(LIST, fetched("1 FETCH (UID 1 RFC822.SIZE 26)"))], TEMPORARY),
    "list in part, then NO": (GREETING, [(LIST, "* 1 FETCH (UID 1 RFC822.SIZE 9)\n<tag> NO [LIMIT] x")], TEMPORARY),
    "list with UID 0": (GREETING, [(LIST, fetched(*(f"{n} FETCH (UID {n - 1} RFC822.SIZE 26)" for n in range(1, 6))))],
                        TEMPORARY),
    "list with a UID twice": (GREETING, [(LIST, fetched(*(f"{n} FETCH (UID {max(n, 2)} RFC822.SIZE 26)"
                                                          for n in range(1, 6))))], TEMPORARY),
    "list without sizes": (GREETING, [(LIST, fetched(*(f"{n} FETCH (UID {n})" for n in range(1, 6))))], TEMPORARY),
    "list without UIDs": (GREETING, [(LIST, fetched(*(f"{n} FETCH (RFC822.SIZE 26)" for n in range(1, 6))))], TEMPORARY),
    "parentheses without end": (GREETING, [(LIST, [b"* 1 FETCH " + b"(" * (1 << 20), SILENCE])], TEMPORARY),
    "parentheses, nested": (GREETING, [(LIST, b"* 1 FETCH (UID 1 BODYSTRUCTURE " + b"(" * 50_000 + b")" * 50_000
                                        + b")\r\n<tag> OK done\r\n")], TEMPORARY),
    "line without end": (GREETING, [(LIST, [b"* OK " + b"x" * (16 << 20), SILENCE])], TEMPORARY),
    "literal of 4 GiB in the list": (GREETING, [(LIST, [b"* 1 FETCH (UID {4294967296}\r\n", SILENCE])], TEMPORARY),
    "babble": (GREETING, [(LIST, "\n".join(f"* {line}" for line in BABBLE) + "\n<default>")],
               r"-ERR \[SYS/TEMP\]|\+OK 5 "),
    "number too large": (GREETING, [(LIST, fetched(f"1 FETCH (UID {'9' * 400} RFC822.SIZE 1)"))], TEMPORARY),
}


@pytest.mark.parametrize("case", AT_LOGIN)
def test_login(case, server, popgate, user):
    greeting, rules, expected = AT_LOGIN[case]
    server.begin_anew(messages=MESSAGES, rules=rules, greeting=greeting)
    before = popgate.memory()["VmRSS"]
    with Pop3(popgate.port()) as pop3:
        reply = pop3.login(user, PASSWORD)
        assert re.match(expected, reply), reply
    popgate.session(user=user)
    if "without" in case or "1 MiB" in case:
        assert popgate.memory()["VmRSS"] - before < 64 * 1024
    server.begin_anew(messages=MESSAGES)
    # A password that was refused is not tried again for a while, so then it is somebody else's turn.
    log_in(popgate, f"v-{user}" if "AUTH" in expected else whose_turn(case, user)).quit()


# Odd, but right: it must work.
ODD = {
    "items out of order": [(LIST, fetched(*(f"{n} FETCH (RFC822.SIZE {len(MESSAGES[n - 1])} UID {n})"
                                            for n in range(1, 6))))],
    "messages out of order": [(LIST, fetched(*(f"{n} FETCH (UID {n} RFC822.SIZE {len(MESSAGES[n - 1])})"
                                               for n in (3, 1, 5, 2, 4))))],
    "flags in between": [(LIST, b"* 2 FETCH (FLAGS (\\Seen))\r\n* OK still here\r\n* 5 EXISTS\r\n<default>"),
                         (BODY, b"* 4 FETCH (UID 4 FLAGS (\\Answered))\r\n* 1 RECENT\r\n<default>")],
    "new mail in between": [(LIST, b"* 6 EXISTS\r\n<default>"), (BODY, b"* 7 EXISTS\r\n* 2 RECENT\r\n<default>")],
    "alerts": [(LIST, b"* OK [ALERT] quota\r\n* NO [ALERT] really\r\n<default>")],
    "unknown response codes": [(SELECT, b"* OK [X-STRANGE (a b)] x\r\n<default>")],
    "no capability in the greeting": [],
    "a banner in the capability": [(rb"CAPABILITY", f"* CAPABILITY {CAPABILITY} X-A=B XLIST\n<tag> OK done")],
}


@pytest.mark.parametrize("case", ODD)
def test_odd_but_right(case, server, popgate, user):
    greeting = "* OK ready" if "no capability" in case else GREETING
    server.begin_anew(messages=MESSAGES, rules=ODD[case], greeting=greeting)
    with log_in(popgate, user) as pop3:
        assert list(pop3.list().values()) == [len(message) for message in MESSAGES]
        assert [pop3.retr(number) for number in range(1, 6)] == MESSAGES
        pop3.command("DELE 2")
        assert pop3.quit().startswith("+OK")
    assert list(server.messages) == [1, 3, 4, 5]


# What RETR 1 meets: the session may say -ERR or break off, but never pass a false message off as whole.
AT_RETR = {
    "NIL": "* 1 FETCH (UID 1 BODY[] NIL)\n<tag> OK done",
    "no body": "* 1 FETCH (UID 1)\n<tag> OK done",
    "nothing": "<tag> OK done",
    "another message": b"* 2 FETCH (UID 2 BODY[] {26}\r\n" + MESSAGES[1] + b")\r\n<tag> OK done\r\n",
    "NO": "<tag> NO [SERVERBUG] x",
    "expunged": "<tag> NO [EXPUNGEISSUED] gone",
    "throttled": f"<tag> {THROTTLED}",
    "literal too short": b"* 1 FETCH (UID 1 BODY[] {10}\r\n" + MESSAGES[0] + b")\r\n<tag> OK done\r\n",
    "literal too long": [b"* 1 FETCH (UID 1 BODY[] {1000}\r\n" + MESSAGES[0] + b")\r\n<tag> OK done\r\n", CLOSE],
    "literal too long, silence": [b"* 1 FETCH (UID 1 BODY[] {1000}\r\n" + MESSAGES[0], SILENCE],
    "literal of 4 GiB": [b"* 1 FETCH (UID 1 BODY[] {4294967296}\r\n" + MESSAGES[0], CLOSE],
    "literal of 2^64": [b"* 1 FETCH (UID 1 BODY[] {18446744073709551616}\r\n" + MESSAGES[0], CLOSE],
    "literal of a negative size": [b"* 1 FETCH (UID 1 BODY[] {-1}\r\n" + MESSAGES[0], CLOSE],
    "literal not closed": [b"* 1 FETCH (UID 1 BODY[] {10", CLOSE],
    "BYE after the literal": [b"* 1 FETCH (UID 1 BODY[] {26}\r\n" + MESSAGES[0] + b")\r\n* BYE\r\n", CLOSE],
    "NO after the literal": b"* 1 FETCH (UID 1 BODY[] {26}\r\n" + MESSAGES[0] + b")\r\n<tag> NO [LIMIT] x\r\n",
    "reset in the literal": [b"* 1 FETCH (UID 1 BODY[] {26}\r\nSubject", RESET],
}


@pytest.mark.parametrize("case", AT_RETR)
def test_retr(case, server, popgate, user):
    server.begin_anew(messages=MESSAGES, rules=[(rb"UID FETCH 1(:1)? .*BODY.*", AT_RETR[case])])
    with log_in(popgate, user) as pop3:
        pop3.send(b"RETR 1\r\n")
        try:
            if pop3.line().startswith("+OK"):
                assert pop3.multiline() == MESSAGES[0]
            pop3.command("NOOP")
        except EOFError:
            pass
    popgate.session(user=user)
    server.rules = []
    with log_in(popgate, whose_turn(case, user)) as pop3:
        assert [pop3.retr(number) for number in range(1, 6)] == MESSAGES
        pop3.quit()


def test_a_mailbox_of_terabytes(serve):
    """STAT must not wrap at 32 bits."""
    size = 3 << 30
    rules = [(LIST, fetched(*(f"{n} FETCH (UID {n} RFC822.SIZE {size})" for n in range(1, 6))))]
    with ScriptedImap(messages=MESSAGES, rules=rules) as server:
        with log_in(serve(clear_route(server.port)), USER) as pop3:
            assert pop3.stat() == (5, 5 * size)
            assert set(pop3.list().values()) == {size}


def test_a_size_that_is_wrong_does_not_cut_the_message(serve):
    rules = [(LIST, fetched(*(f"{n} FETCH (UID {n} RFC822.SIZE {n})" for n in range(1, 6))))]
    with ScriptedImap(messages=MESSAGES, rules=rules) as server:
        with log_in(serve(clear_route(server.port)), USER) as pop3:
            assert [pop3.retr(number) for number in range(1, 6)] == MESSAGES


def test_line_ends_of_a_careless_server_are_repaired(serve):
    with ScriptedImap(messages=[b"Subject: x\n\n.a\n.\nb\rc\r\r\nd", b"", b".", b"\n"]) as server:
        with log_in(serve(clear_route(server.port)), USER) as pop3:
            assert pop3.retr(1) == b"Subject: x\r\n\r\n.a\r\n.\r\nb\rc\r\r\nd\r\n"
            assert pop3.retr(2) == b""
            assert pop3.retr(3) == b".\r\n"
            assert pop3.retr(4) == b"\r\n"


def test_top_is_not_put_together_from_parts_that_do_not_fit(serve):
    """Dovecot 2.3 miscounts where a part begins behind a bare CR, Dovecot 2.4 where it begins between CR and LF. Only a
    part that begins with the message can be trusted."""
    message = b"Subject: x\r\n\r\n" + b"".join(b"line %d\r\n" % number for number in range(20_000))

    def miscounted(match):
        part = message[int(match[1]) - 1:int(match[1]) - 1 + int(match[2])]
        return b"* 1 FETCH (UID 1 BODY[]<%s> {%d}\r\n%s)\r\n<tag> OK done\r\n" % (match[1], len(part), part)

    with ScriptedImap(messages=[message], rules=[(rb"UID FETCH .*<([1-9]\d*)\.(\d+)>.*", miscounted)]) as server:
        with log_in(serve(clear_route(server.port)), USER) as pop3:
            for lines in (0, 1, 5000, 99_999_999):
                received = pop3.top(1, lines)
                assert len(received) == len(top(message, lines)) and received == top(message, lines), lines


# TOP asks for longer and longer beginnings. What the second of them may meet, when all went well before.
LONG = b"Subject: long\r\n\r\n" + b"".join(b"line %d\r\n" % number for number in range(40_000))
AT_SECOND_PIECE = {
    "nothing": b"<tag> OK done\r\n",
    "expunged": b"<tag> NO [EXPUNGEISSUED] gone\r\n",
    "NO": b"<tag> NO [SERVERBUG] oops\r\n",
    "BYE": [b"* BYE enough\r\n", CLOSE],
    "NIL": b"* 1 FETCH (UID 1 BODY[]<0> NIL)\r\n<tag> OK done\r\n",
    "empty": b'* 1 FETCH (UID 1 BODY[]<0> "")\r\n<tag> OK done\r\n',
    "shorter than the first": b"* 1 FETCH (UID 1 BODY[]<0> {5000}\r\n%s)\r\n<tag> OK done\r\n" % LONG[:5000],
    "as long as the first": b"* 1 FETCH (UID 1 BODY[]<0> {16384}\r\n%s)\r\n<tag> OK done\r\n" % LONG[:16384],
    "longer than the first": b"* 1 FETCH (UID 1 BODY[]<0> {20000}\r\n%s)\r\n<tag> OK done\r\n" % LONG[:20000],
    "another message": b"* 1 FETCH (UID 2 BODY[]<0> {26}\r\n%s)\r\n<tag> OK done\r\n" % MESSAGES[1],
}


# A server that says the same of the whole message must be believed: sizes are known to be wrong.
@pytest.mark.parametrize(("case", "whole_too"), [
    *((case, False) for case in AT_SECOND_PIECE),
    *((case, True) for case in AT_SECOND_PIECE if case not in ("as long as the first", "longer than the first"))])
def test_top_of_a_message_that_vanishes_between_two_pieces(case, whole_too, server, popgate, user):
    """It breaks off: part of it was given, and no words can take that back."""
    later_pieces = rb"UID FETCH 1(:1)? .*BODY.PEEK\[\](?!<0\.16384>).*" if whole_too else rb".*BODY.PEEK\[\]<0\.262144>.*"
    answer = AT_SECOND_PIECE[case]
    server.begin_anew(messages=[LONG, MESSAGES[1]], rules=[(later_pieces, answer)])
    with log_in(popgate, user) as pop3:
        assert pop3.top(1, 100) == top(LONG, 100)  # the first piece is enough
        pop3.send(b"TOP 1 30000\r\nNOOP\r\n")
        assert pop3.line().startswith("+OK")
        try:
            assert pop3.multiline() == top(LONG, 30_000)
            assert not whole_too
        except EOFError:
            pass
    assert server.received(later_pieces)
    popgate.session(user=user)
    server.rules = []
    with log_in(popgate, user) as pop3:
        assert pop3.top(1, 30_000) == top(LONG, 30_000)


def test_an_expunge_by_others_does_not_move_numbers(serve):
    rules = [(rb"UID FETCH 3(:3)? .*BODY.*", b"* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n<default>")]
    with ScriptedImap(messages=MESSAGES, rules=rules) as server:
        with log_in(serve(clear_route(server.port)), USER) as pop3:
            assert [pop3.retr(number) for number in (3, 4, 5)] == MESSAGES[2:]
            assert len(pop3.list()) == 5


@pytest.mark.parametrize("answer", ["<tag> NO [UNAVAILABLE] later", f"<tag> {THROTTLED}", CLOSE, SILENCE],
                         ids=["unavailable", "throttled", "close", "silence"])
@pytest.mark.parametrize("command", ["UID STORE .*", "(UID )?EXPUNGE.*"])
def test_a_removal_that_fails_is_told(command, answer, server, popgate, user):
    server.begin_anew(messages=MESSAGES, rules=[(command.encode(), answer)])
    with log_in(popgate, user) as pop3:
        pop3.command("DELE 1")
        pop3.command("DELE 2")
        assert re.match(r"-ERR \[SYS/TEMP\] .*2", pop3.quit())
    assert list(server.messages) == [1, 2, 3, 4, 5]


def test_without_uidplus_no_bare_expunge_takes_others_along(serve):
    with ScriptedImap(messages=MESSAGES, capability=CAPABILITY.replace("UIDPLUS ", ""),
                      rules=[(rb"UID EXPUNGE.*", "<tag> BAD what?")]) as server:
        with log_in(serve(clear_route(server.port)), USER) as pop3:
            pop3.command("DELE 1")
            assert pop3.quit().startswith("+OK")
        assert 1 not in server.messages and set(server.messages) >= {2, 3, 4, 5}
        assert not server.received(rb"UID EXPUNGE.*")


@pytest.mark.parametrize("afterwards", [CLOSE, SILENCE], ids=["unreachable", "silent"])
def test_a_removal_nobody_can_ask_about_is_said_to_be_unknown(afterwards, serve):
    """UID EXPUNGE was obeyed, but its answer was lost and the server is not there to be asked again."""
    with ScriptedImap(messages=MESSAGES) as server:
        def expunge(match):
            del server.messages[1], server.messages[2]
            server.greeting = afterwards  # for all connections to come
            return afterwards

        server.add_rule(rb"UID EXPUNGE.*", expunge)
        popgate = serve(clear_route(server.port, connect_timeout="2s", command_timeout="2s"))
        with log_in(popgate, USER) as pop3:
            pop3.send(b"DELE 1\r\nDELE 2\r\n")
            assert [pop3.line()[:3] for _ in range(2)] == ["+OK", "+OK"]
            began = time.monotonic()
            reply = pop3.quit()
            assert time.monotonic() - began < 3.5  # one silence is enough to know
        assert reply.startswith("-ERR [SYS/TEMP] ") and "not known" in reply and "still there" not in reply
        assert popgate.session(user=USER)["deleted"] == 0
        server.rules, server.greeting = [], GREETING
        with log_in(popgate, USER) as pop3:
            assert pop3.retr(1) == MESSAGES[2]


def echo(condition):
    """The command that the server did not like, in an answer of this kind."""
    return lambda match: b"<tag> " + condition + b" I do not like: " + match[0] + b"\r\n"


# How a server may repeat what it was told at login.
ECHOES = {
    "BAD": [(LOGIN, echo(b"BAD"))],
    "NO": [(LOGIN, echo(b"NO"))],
    "NO with a code": [(LOGIN, echo(b"NO [UNAVAILABLE]"))],
    "OK": [(LOGIN, echo(b"OK"))],
    "untagged BAD alone": [(LOGIN, lambda match: [b"* BAD what is " + match[0] + b"\r\n", CLOSE])],
    "BYE": [(LOGIN, lambda match: [b"* BYE do not say " + match[0] + b"\r\n", CLOSE])],
    "garbage": [(LOGIN, lambda match: [match[0] + b"\r\n", CLOSE])],
}


@pytest.mark.parametrize("way", ["LOGIN", "AUTHENTICATE", "literals"])
@pytest.mark.parametrize("case", ECHOES)
def test_a_password_that_is_echoed_goes_no_further(case, way, serve):
    password = {"literals": PASSWORD + "\u00e4", "LOGIN": PASSWORD + '"\\', "AUTHENTICATE": PASSWORD}[way]
    capability = {"AUTHENTICATE": f"{CAPABILITY} LOGINDISABLED", "literals": CAPABILITY.replace("AUTH=PLAIN ", ""),
                  "LOGIN": CAPABILITY}[way]
    with ScriptedImap(messages=MESSAGES, rules=ECHOES[case], capability=capability) as server:
        popgate = serve(clear_route(server.port, connect_timeout="1s", command_timeout="1s"))
        with Pop3(popgate.port()) as pop3:
            reply = pop3.login(USER, password)
        popgate.session(user=USER)
        encoded = b64encode(f"\0{USER}\0{password}".encode()).decode()
        for secret in (PASSWORD, encoded, encoded[8:-4]):
            assert secret not in reply and secret not in popgate.log_text()


@pytest.mark.parametrize("password", ["password", "passwords", "s", "NO", "wrong name", "AUTHENTICATIONFAILED"])
def test_a_wrong_password_that_stands_in_the_refusal_by_chance_is_wrong(password, serve):
    """Who is told to retry instead would try the same password for ever, and a guesser would not be held up."""
    rules = [(LOGIN, "<tag> NO [AUTHENTICATIONFAILED] wrong name or password")]
    with ScriptedImap(messages=MESSAGES, rules=rules) as server:
        with Pop3(serve(clear_route(server.port)).port()) as pop3:
            began = time.monotonic()
            assert pop3.login(USER, password).startswith("-ERR [AUTH] ")
            assert time.monotonic() - began > 0.9


def test_login_only_by_authenticate_plain(serve):
    capability = f"{CAPABILITY} LOGINDISABLED"
    with ScriptedImap(messages=MESSAGES, capability=capability) as server:
        log_in(serve(clear_route(server.port)), USER).quit()
        assert server.received(rb"AUTHENTICATE PLAIN.*") and not server.received(rb"LOGIN .*")


@pytest.mark.parametrize("password", ['"', "\\", "a b", " ", "{3}", "ä€😀", "%s%n", "x" * 400, "(*)", "]", "\t"])
def test_any_password_arrives_as_it_is(password, server, popgate, user):
    seen = []

    def check(match):
        seen.append(match[0])
        return "<tag> OK done"

    server.begin_anew(messages=MESSAGES, rules=[(LOGIN, check)])
    with Pop3(popgate.port()) as pop3:
        pop3.command("USER", user)
        assert pop3.command(b"PASS " + password.encode()).startswith("+OK 5 ")
        assert _password_of(seen[0], server.commands) == password.encode()


def _password_of(command, commands):
    """The password in LOGIN or AUTHENTICATE PLAIN, with the initial response or after it."""
    if command.upper().startswith(b"AUTHENTICATE"):
        words = command.split()
        response = words[2] if len(words) > 2 else commands[commands.index(command) + 1]
        return b64decode(response).split(b"\0")[2]
    argument = re.fullmatch(rb"LOGIN\s+(?:\"(?:[^\"\\]|\\.)*\"|\S+)\s(.*)", command, re.IGNORECASE | re.DOTALL)[1]
    return re.sub(rb"\\(.)", rb"\1", argument[1:-1]) if argument.startswith(b'"') else argument


# STARTTLS is required unless the route says otherwise.
def starttls_route(server, certificates):
    return {**clear_route(server.port, ca_file=str(certificates.ca), connect_timeout="2s"), "starttls": "require"}


def test_starttls_is_used(certificates, serve):
    with ScriptedImap(messages=MESSAGES, certificate=certificates.server) as server:
        log_in(serve(starttls_route(server, certificates)), USER).quit()


@pytest.mark.parametrize("case", ["not offered", "refused", "PREAUTH", "injected"])
def test_starttls_that_is_tampered_with_gives_no_password_away(case, certificates, serve):
    options = {
        "not offered": {"capability": "IMAP4rev1 AUTH=PLAIN"},
        "refused": {"certificate": certificates.server, "rules": [(rb"STARTTLS", "<tag> BAD no such command")]},
        "PREAUTH": {"greeting": "* PREAUTH in", "certificate": certificates.server},
        "injected": {"certificate": certificates.server,
                     "rules": [(rb"STARTTLS", ["<tag> OK begin", StartTls(injected=b"* CAPABILITY IMAP4rev1\r\n")])]},
    }[case]
    with ScriptedImap(messages=MESSAGES, **options) as server:
        with Pop3(serve(starttls_route(server, certificates)).port()) as pop3:
            assert pop3.login(USER, PASSWORD).startswith("-ERR [SYS/")
        assert not server.received(LOGIN)


def test_what_was_said_before_tls_is_forgotten(certificates, serve):
    """Capabilities of the clear part are a stranger's word."""
    injected = [(rb"STARTTLS", [f"* CAPABILITY {CAPABILITY} LOGINDISABLED XFALSE\n<tag> OK begin", StartTls()])]
    with ScriptedImap(messages=MESSAGES, certificate=certificates.server, rules=injected,
                      greeting="* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] x") as server:
        log_in(serve(starttls_route(server, certificates)), USER).quit()
        commands = [command.upper() for command in server.commands]
        assert b"CAPABILITY" in commands[commands.index(b"STARTTLS"):]
