"""Conversations in which both sides make mistakes at random: the client in its commands, the server in its answers.

Each is made of its seed alone. None may crash popgate, last, leave anything behind, tell a removal that was none, or end
with "." what is not whole. To look at one alone: run_conversation(seed).
"""

import random
import re
import time

from support.net import wait_until
from support.pop3 import Pop3
from support.scripted_imap import CAPABILITY, CLOSE, RESET, SILENCE, ScriptedImap
from support.setups import PASSWORD, clear_route, log_in

SEEDS = range(150)
SECONDS = 15  # after which no new conversation begins: a slow machine sees fewer of them

MESSAGES = [b"Subject: %d\r\n\r\n" % number + b".line of %d\r\n" % number * length
            for number, length in enumerate((1, 2000, 30, 4000, 1), 1)]
SENT = {b"+OK %d octets\r\n" % len(raw) + (raw.replace(b"\r\n.", b"\r\n..")) + b".\r\n" for raw in MESSAGES}

COMMANDS = [b"STAT", b"LIST", b"UIDL", b"RETR %d", b"RETR %d", b"TOP %d 3", b"TOP %d 1500", b"TOP %d 99999999", b"DELE %d",
            b"DELE %d", b"RSET", b"NOOP", b"CAPA", b"LIST %d", b"UIDL %d", b"XYZ", b"", b"RETR 0", b"AUTH PLAIN", b"STLS"]

GARBAGE = [b"\r\n", b"\n", b"(", b")", b"{", b"}", b"{5}\r\n", b"{4294967296}\r\n", b'"', b"\\", b"\0", b"\xff", b"*", b"+ \r\n",
           b" ", b"NIL", b"[", b"]", b"<0>", b"9" * 30, b"* BYE\r\n", b"* 1 EXPUNGE\r\n", b"* 9 EXISTS\r\n",
           b"* SEARCH 1 2\r\n", b"* 3 FETCH (UID 3 BODY[] {3}\r\nabc)\r\n", b"x OK done\r\n"]


def garbled(numbers, octets):
    """With up to three mistakes."""
    for _ in range(numbers.randrange(1, 4)):
        place = numbers.randrange(len(octets) + 1)
        octets = numbers.choice([
            lambda: octets[:place] + numbers.choice(GARBAGE) + octets[place:],
            lambda: octets[:place] + octets[place + numbers.randrange(1, 9):],
            lambda: octets[:place] + numbers.randbytes(1) + octets[place + 1:],
            lambda: octets[:place] + octets[numbers.randrange(place + 1):],
        ])()
    return octets


class Distortion:
    """Of what the server says, from its n-th answer on, now and then."""

    def __init__(self, numbers):
        self._numbers = numbers
        self._spared = numbers.randrange(10)
        self._rate = numbers.choice([0.1, 0.3, 0.8])

    def __call__(self, command, answer):
        numbers = self._numbers
        self._spared -= 1
        if self._spared >= 0 or numbers.random() > self._rate:
            return answer
        if numbers.random() < 0.3 or re.match(rb"UID (SEARCH|EXPUNGE)|EXPUNGE", command):  # no lies about these
            cut = numbers.randrange(len(answer) + 1)
            return [answer[:cut], numbers.choice([CLOSE, RESET, SILENCE])]
        # Of a message, all but its own octets: nobody could see a mistake in those.
        literal = re.search(rb"\{(\d+)\}\r\n", answer)
        if not literal:
            return garbled(numbers, answer)
        end = literal.end() + int(literal[1])
        if numbers.random() < 0.5:
            return garbled(numbers, answer[:literal.end()]) + answer[literal.end():]
        return answer[:end] + garbled(numbers, answer[end:])


def converse(numbers, port):
    """What the client got until the end."""
    commands = [numbers.choice(COMMANDS) for _ in range(numbers.randrange(1, 15))]
    said = b"".join((command % numbers.randrange(1, 7) if b"%d" in command else command) + b"\r\n" for command in commands)
    if numbers.random() < 0.2:
        said = garbled(numbers, said)
    if numbers.random() < 0.8:
        said += b"\r\nQUIT\r\n"
    with Pop3(port, receive_buffer=numbers.choice([None, 4096])) as pop3:
        pop3.send(f"USER chaos@x\r\nPASS {PASSWORD}\r\n".encode() + said)
        if numbers.random() < 0.15:
            pop3.socket.recv(numbers.randrange(1, 10_000))
            pop3.reset()
            return b""
        pop3.socket.shutdown(1)
        return pop3.rest()


def check(received, server):
    for start in re.finditer(rb"(?:^|(?<=\r\n))\+OK \d+ octets\r\n", received):
        end = received.find(b"\r\n.\r\n", start.end() - 2)
        assert end < 0 or received[start.start():end + 5] in SENT, "not what was asked for, and yet it ends in a dot"
    if removed := re.search(rb"\+OK (\d+) messages removed, (\d+) left\r\n\Z", received):
        assert len(server.messages) <= len(MESSAGES) - int(removed[1])


def run_conversation(seed, popgate, server):
    numbers = random.Random(seed)
    server.messages = dict(enumerate(MESSAGES, 1))
    server.capability = CAPABILITY if seed % 2 else CAPABILITY.replace("UIDPLUS ", "")
    server.greeting = f"* OK [CAPABILITY {server.capability}] ready"
    server.distort = Distortion(numbers)
    began = time.monotonic()
    received = converse(numbers, popgate.port())
    wait_until(lambda: len(popgate.log("session")) > seed, "the end of the session")
    assert time.monotonic() - began < 8
    check(received, server)


def test_chaos(serve):
    with ScriptedImap() as server:
        popgate = serve(clear_route(server.port, connect_timeout="300ms", command_timeout="300ms"),
                        limits={"idle_timeout": "500ms", "login_timeout": "2s", "session_timeout": "5s"})
        before = popgate.descriptors()
        deadline = time.monotonic() + SECONDS
        for seed in SEEDS:
            if time.monotonic() > deadline:
                break
            try:
                run_conversation(seed, popgate, server)
            except (AssertionError, TimeoutError) as problem:
                raise AssertionError(f"seed {seed}: {problem}\n{server.commands[-20:]}") from problem
        print(f"{seed + 1} conversations")
        popgate.wait_for_descriptors(before)
        server.distort = None
        server.messages = dict(enumerate(MESSAGES, 1))
        with log_in(popgate, "chaos@x") as pop3:
            assert [pop3.retr(number) for number in range(1, 6)] == MESSAGES
            assert pop3.quit().startswith("+OK")
