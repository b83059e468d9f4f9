"""Awkward messages: what mail stores really hold and what gateways have been known to break. Deterministic."""

import hashlib
import random
import subprocess
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

MIB = 1 << 20

# Sizes at which one buffer or another is likely to end.
BORDERS = (1024, 4096, 16384, 65536)


def as_pop3(raw):
    """The octets that a POP3 client must get of a stored message, dot-stuffing undone: every line ends in CRLF,
    the last one too; a CR elsewhere stays as it is. An empty message stays empty."""
    text = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return text if text.endswith(b"\r\n") or not text else text + b"\r\n"


def digest(octets):
    return hashlib.sha256(octets).hexdigest()


def awkward_messages():
    """{name: octets}, in an order that does not change. Small: about 8 MiB in all."""
    messages = {}
    for family in (_dots, _dots_at_borders, _line_ends, _octets, _lengths, _parts, _mime, _fake_replies, _headers):
        for name, raw in family():
            assert name not in messages
            messages[name] = raw
    return messages


def huge_message(octets=64 * MIB):
    """A message of exactly that size, in lines of usual length, each telling its number, some with a dot before."""
    lines = (b"%s%-61d\r\n" % (b"x" if number % 16 else b".", number) for number in range(octets // 64 + 1))
    return (_head("huge") + b"".join(lines))[:octets - 2] + b"\r\n"


def signed_message(certificates):
    """An S/MIME message, clear-signed: it no longer verifies when one octet of it has changed."""
    text = b"Content-Type: text/plain; charset=utf-8\r\n\r\n.Leading dot, trailing space \r\n..\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    signer = certificates.self_signed
    made = subprocess.run(["openssl", "smime", "-sign", "-signer", signer.certificate, "-inkey", signer.key],
                          input=text, check=True, capture_output=True)
    return as_pop3(b"From: a@example.org\nSubject: signed\n" + made.stdout)


def verify_signed_message(raw, certificates):
    """Raises CalledProcessError when the signature does not fit the text."""
    subprocess.run(["openssl", "smime", "-verify", "-CAfile", certificates.self_signed.certificate,
                    "-purpose", "any"], input=raw, check=True, capture_output=True)


def _head(subject):
    return b"From: a@example.org\r\nTo: b@example.org\r\nSubject: %s\r\n\r\n" % subject.encode()


def _dots():
    bodies = {
        "dot alone": b".\r\n",
        "dot alone, text after": b"before\r\n.\r\nafter\r\n",
        "two dots": b"..\r\n",
        "three dots": b"...\r\n",
        "dot first": b".first\r\n",
        "two dots first": b"..first\r\n",
        "dots on every line": b".a\r\n..b\r\n...c\r\n.\r\n..\r\n" * 50,
        "dot at the very end": b"text\r\n.",
        "two dots at the very end": b"text\r\n..",
        "dot in the last line": b"text\r\n.last",
        "dot after bare LF": b"text\n.\nmore\n..x\n",
        "dot after bare CR": b"text\r.\rmore\r",
        "dot between bare CR and CRLF": b"text\r.\r\nmore\r\n",
        "dot between CRLF and bare LF": b"text\r\n.\nmore\n",
        "dot after CRCRLF": b"text\r\r\n.\r\r\nmore\r\n",
        "dot and space": b". \r\n.\t\r\n",
        "a hundred terminators": b"\r\n.\r\n" * 100,
    }
    for name, body in bodies.items():
        yield name, _head(name) + body
    yield "dot in the first line of all", b".Subject: x\r\n\r\nbody\r\n"
    yield "dot is the whole message", b"."
    yield "terminator is the whole message", b".\r\n"
    yield "dot in the header", b"Subject: x\r\n.\r\nX-A: b\r\n\r\nbody\r\n"


def _dots_at_borders():
    """A line that is a dot, moved across each border, whether one counts the header or not."""
    for border in BORDERS:
        for shift in (-3, -2, -1, 0, 1):
            for counted in ("message", "body"):
                head = _head(f"dot near {border}{shift:+d}, {counted}")
                filler = _filler(border + shift - 2 - (len(head) if counted == "message" else 0))
                yield f"dot near {border}{shift:+d}, {counted}", head + filler + b"\r\n.\r\n.x\r\n..\r\nend\r\n"


def _filler(length):
    lines = (b"0123456789" * 7 + b"\r\n") * (length // 72)
    return lines + b"f" * (length - len(lines))


def _line_ends():
    bodies = {
        "bare LF": b"a\nb\n\nc\n",
        "bare CR": b"a\rb\r\rc\r\n",
        "CRCRLF": b"a\r\r\nb\r\r\r\nc\r\n",
        "LFCR": b"a\n\rb\n\rc\r\n",
        "all mixed": b"a\r\nb\nc\rd\r\r\ne\n\rf\n\n\r\r\n\r\n\ng",
        "bare CR at the very end": b"a\r\nb\r",
        "CRCRLF at the very end": b"a\r\r\n",
        "no newline at the end": b"a\r\nlast",
        "empty lines at the end": b"a\r\n" + b"\r\n" * 100,
        "only newlines": b"\n" * 1000,
        "only CRs": b"\r" * 1000,
    }
    for name, body in bodies.items():
        yield name, _head(name) + body
    yield "header and body with LF", b"From: a@example.org\nSubject: x\n\nbody\n.\n"
    yield "header with CR", b"From: a@example.org\rSubject: x\r\rbody\r"


def _octets():
    numbers = random.Random(1939)
    bodies = {
        "8-bit": "Grüße, naïve café, Привет, 你好\r\n".encode(),
        "Latin-1": "Grüße\r\n".encode("latin-1"),
        "0xFF": b"\xff" * 100 + b"\r\n\xff\xfe\xfd\r\n\xff.\r\n",
        "telnet negotiation": b"\xff\xfb\x01\xff\xfd\x03\r\n",
        "UTF-16": "Zeile 1\r\n.\r\nZeile 2\r\n".encode("utf-16"),
        "every octet but NUL": bytes(range(1, 256)) + b"\r\n",
        "NUL": b"a\0b\r\n\0\r\n\0.\r\n",
        "NUL in a long run": b"\0" * 5000 + b"\r\n",
        "noise": numbers.randbytes(200_000).replace(b"\0", b"\1"),
        "noise with NUL": numbers.randbytes(50_000),
        "control characters": b"\x1b[2J\x07\x08\x1b]0;title\x07\r\n\x1a\x04\r\n",
        "overlong UTF-8": b"\xc0\xae\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\r\n",
    }
    for name, body in bodies.items():
        yield name, _head(name) + body


def _lengths():
    for length in (76, 510, 512, 997, 998, 999, 1000, 2047, 2048, 8191, 65535, 65536):
        yield f"line of {length}", _head(f"line of {length}") + b"l" * length + b"\r\n.\r\nend\r\n"
    yield "line of 1 MiB", _head("line of 1 MiB") + b"m" * MIB + b"\r\nend\r\n"
    yield "line of 1 MiB, no newline", _head("line of 1 MiB, no newline") + b"." + b"n" * MIB
    yield "line of 1 MiB with bare CRs", _head("line of 1 MiB with bare CRs") + b"abc\r" * (MIB // 4) + b"\n"
    yield "a million of short lines", _head("a million of short lines") + b"\r\n." * (MIB // 3)
    yield "one character a line", _head("one character a line") + b"x\n" * 50_000


def _parts():
    yield "header only", b"From: a@example.org\r\nSubject: header only\r\n"
    yield "header only, no newline", b"From: a@example.org\r\nSubject: header only"
    yield "header and empty line", b"Subject: header and empty line\r\n\r\n"
    yield "empty header", b"\r\nthis is the body\r\n"
    yield "empty header and body", b"\r\n"
    yield "one LF", b"\n"
    yield "one CR", b"\r"
    yield "one letter", b"x"
    yield "one empty line more", b"\r\n\r\n"
    yield "body only", b"this is no header line\r\nnor this\r\n"
    yield "no octet at all", b""


def _headers():
    yield "100 kB of header", b"".join(b"X-Line-%d: %s\r\n" % (n, b"h" * 70) for n in range(1200)) + b"\r\nbody\r\n"
    yield "one header of 100 kB", b"X-Long: " + b"h" * 100_000 + b"\r\n\r\nbody\r\n"
    yield "one header folded 2,000 times", b"X-Fold:" + b" folded\r\n\tmore\r\n" * 2000 + b"Subject: x\r\n\r\nbody\r\n"
    yield "8-bit header", "Subject: Grüße\r\nX-Ä: Ö\r\n\r\nbody\r\n".encode()
    yield "8-bit header, not UTF-8", "Subject: Grüße\r\n\r\nbody\r\n".encode("latin-1")
    yield "header without a colon", b"Subject: x\r\nnonsense\r\nFrom: a@example.org\r\n\r\nbody\r\n"
    yield "header of many recipients", (b"To: " + b",\r\n ".join(b"user%d@example.org" % n for n in range(3000))
                                        + b"\r\nSubject: x\r\n\r\nbody\r\n")
    yield "mbox From line first", b"From a@example.org Thu Jan  1 00:00:00 1970\r\nSubject: x\r\n\r\nbody\r\n"
    yield "From lines in the body", _head("From") + b"From here\r\n>From there\r\n\r\nFrom a@b Thu Jan  1 1970\r\n"
    yield "spaces where the empty line should be", b"Subject: x\r\n \r\n\t\r\nbody?\r\n\r\nbody\r\n"
    yield "status headers", b"Status: RO\r\nX-Status: A\r\nX-Mozilla-Status: 0001\r\nSubject: x\r\n\r\nbody\r\n"


def _fake_replies():
    bodies = {
        "fake +OK and -ERR": b"+OK\r\n-ERR\r\n+OK 2 octets\r\n-ERR [SYS/TEMP]\r\n",
        "fake UIDL list": b"+OK\r\n1 aaaa\r\n2 bbbb\r\n.\r\n+OK\r\n",
        "fake whole session": b"x\r\n.\r\n+OK 1 message deleted\r\n+OK bye\r\n",
        "fake commands": b"DELE 1\r\nRETR 1\r\nQUIT\r\n",
        "fake IMAP replies": b")\r\nA1 OK FETCH completed\r\n* 1 FETCH (UID 1 BODY[] {5}\r\nxxxxx)\r\n* BYE\r\n",
        "fake literals": b"{10}\r\n{4294967296}\r\n~{3}\r\n{2+}\r\n",
    }
    for name, body in bodies.items():
        yield name, _head(name) + body


def _mime():
    part = MIMEText("the innermost part\n.\n")
    for depth in range(60):
        outer = MIMEMultipart(boundary=f"level-{depth}")
        outer.attach(part)
        part = outer
    yield "60 nested multiparts", as_pop3(part.as_bytes())

    message = MIMEText("the innermost message\n.\n")
    for depth in range(20):
        outer = MIMEMessage(message)
        outer["Subject"] = f"forwarded {depth} times"
        message = outer
    yield "20 forwarded messages", as_pop3(message.as_bytes())

    many = MIMEMultipart(boundary="many")
    for number in range(500):
        many.attach(MIMEText(f"part {number}\n"))
    yield "500 parts", as_pop3(many.as_bytes())
    yield "multipart without an end", (b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\n.text\r\n--b')
    yield "multipart without a boundary", b"Content-Type: multipart/mixed\r\n\r\n--\r\n.\r\n"
    yield "boundary of dots", (b'Content-Type: multipart/mixed; boundary="."\r\n\r\n--.\r\n\r\n.\r\n--.--\r\n')
