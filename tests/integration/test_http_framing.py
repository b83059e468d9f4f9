"""Answers of an HTTP upstream that break the form of HTTP: none of them is a message, and none reaches the next session."""

import gzip

import pytest
from support.popgate import Popgate
from support.setups import configuration
from support.tampered import MESSAGES, Tampered, fetch, is_message

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: message/rfc822\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BODY = MESSAGES[0]
PACKED = gzip.compress(BODY)
END = Tampered.HANG_UP


def chunk(octets):
    return b"%x\r\n%b\r\n" % (len(octets), octets)


def packed(octets, headers=b"Content-Encoding: gzip\r\n"):
    return HEAD + headers + b"Content-Length: %d\r\n\r\n" % len(octets) + octets


BROKEN = {
    "shorter than told": [HEAD + b"Content-Length: %d\r\n\r\n" % (len(BODY) + 1) + BODY, END],
    "length twice": [HEAD + b"Content-Length: 9\r\nContent-Length: 12\r\n\r\n" + BODY[:12], END],
    "length list": [HEAD + b"Content-Length: 10, 10\r\n\r\n" + BODY[:10], END],
    "length with plus": [HEAD + b"Content-Length: +10\r\n\r\n" + BODY[:10], END],
    "length and space": [HEAD + b"Content-Length : 10\r\n\r\n" + BODY[:10], END],
    "length of 20 digits": [HEAD + b"Content-Length: 18446744073709551616\r\n\r\n" + BODY, END],
    "until the end": [HEAD + b"\r\n" + BODY, END],
    "chunked and length": [HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n"],
    "chunked and gzip": [HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n" + chunk(BODY) +
                         b"0\r\n\r\n"],
    "no last chunk": [CHUNKED + chunk(BODY), END],
    "last chunk cut": [CHUNKED + chunk(BODY) + b"0\r\n", END],
    "last chunk without CR": [CHUNKED + chunk(BODY) + b"0\n\n", END],
    "chunk of 0zz": [CHUNKED + chunk(BODY) + b"0zz\r\n\r\n"],
    "chunk of -0": [CHUNKED + chunk(BODY) + b"-0\r\n\r\n"],
    "chunk of -5": [CHUNKED + chunk(BODY) + b"-5\r\nabc\r\n\r\n", END],
    "chunk of 0x10": [CHUNKED + b"0x10\r\n" + BODY[:16] + b"\r\n0\r\n\r\n"],
    "chunk longer than told": [CHUNKED + b"5\r\n1234567\r\n0\r\n\r\n"],
    "chunk shorter than told": [CHUNKED + b"7\r\n12345\r\n0\r\n\r\n", END],
    "chunk of 65 bits": [CHUNKED + b"10000000000000005\r\n12345\r\n0\r\n\r\n"],
    "trailers without end": [CHUNKED + chunk(BODY) + b"0\r\n" + b"X: y\r\n" * 40000, END],
    "gzip cut": [packed(PACKED[:-4])],
    "gzip of nothing": [packed(b"")],
    "gzip, and a second cut": [packed(PACKED + PACKED[:5])],
    "gzip and more": [packed(PACKED + b"junk")],
    "gzip twice": [packed(gzip.compress(PACKED), b"Content-Encoding: gzip\r\n" * 2)],
    "other coding": [packed(BODY, b"Content-Encoding: br\r\n")],
    "a part": [packed(BODY[:10], b"").replace(b"200", b"206")],
    "no content": [HEAD.replace(b"200", b"204") + b"\r\n"],
    "not modified": [HEAD.replace(b"200", b"304") + b"\r\n", END],
    "no HTTP": [BODY, END],
    "head without CR": [packed(BODY, b"").replace(b"\r\n", b"\n"), END],
    "head too long": [HEAD + b"X: " + b"a" * 70000 + b"\r\nContent-Length: 10\r\n\r\n" + BODY[:10]],
    "interim answers": [b"HTTP/1.1 103 Hints\r\n\r\n" * 1000 + packed(BODY, b"")],
    "page": [packed(BODY, b"").replace(b"message/rfc822", b" Text/HTML;x")],
}


@pytest.fixture(scope="module")
def framed(certificates):
    with Tampered("graph") as upstream, \
            Popgate(configuration(certificates, upstream.route(), limits={"workers": 1})) as popgate:
        yield upstream, popgate


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_no_message(name, framed):
    upstream, popgate = framed
    upstream.user, upstream.password = upstream.new_user()
    upstream.tamper = lambda request, ask: BROKEN[name] if is_message(request) else None
    pop3, reply = upstream.login(popgate)
    with pop3:
        assert reply.startswith("+OK")
        assert fetch(pop3, 1) is None
    popgate.session(user=upstream.user)
    # Nor does it reach the next session on whatever connection is kept.
    upstream.tamper = lambda request, ask: None
    pop3, reply = upstream.login(popgate)
    with pop3:
        assert reply.startswith("+OK")
        assert fetch(pop3, 2) == MESSAGES[1]
