"""The mailboxes: realistic messages in few files, linked into as many Maildirs as are needed."""

import base64
import os
import random
import time

MIB = 1 << 20


def _message(number, chance, octets):
    """Of about that size: headers as mail has them today, a text, and an attachment for the rest. CRLF line ends."""
    host = f"mx{chance.randrange(9)}.example.org"
    boundary = f"=_{chance.getrandbits(96):024x}"
    received = "".join(f"Received: from {name}.example.org ({name}.example.org [192.0.2.{chance.randrange(1, 250)}])\r\n"
                       f"\tby {host} (Postfix) with ESMTPS id {chance.getrandbits(40):010X}\r\n"
                       f"\tfor <user@example.com>; Mon, 23 Nov 2026 14:{chance.randrange(10, 60)}:07 +0100 (CET)\r\n"
                       for name in ("out", "relay", "in"))
    signature = base64.b64encode(chance.randbytes(256)).decode()
    head = (f"Return-Path: <sender{number}@example.org>\r\n{received}"
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=mail;\r\n"
            "\th=from:to:subject:date:message-id:mime-version:content-type;\r\n"
            + "".join(f"\t{signature[at:at + 70]}\r\n" for at in range(0, len(signature), 70)) +
            f"From: Sender {number} <sender{number}@example.org>\r\nTo: User <user@example.com>\r\n"
            f"Subject: Message {number} of the benchmark\r\nDate: Mon, 23 Nov 2026 14:31:07 +0100\r\n"
            f"Message-ID: <{chance.getrandbits(64):016x}@example.org>\r\nMIME-Version: 1.0\r\n"
            f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n')
    words = "the a mailbox server client message octets line reply upstream . .. it's waiting for three more".split()
    lines = [" ".join(chance.choices(words, k=12)) for _ in range(12)]
    text = f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + "\r\n".join(lines) + "\r\n"
    attachment = f"--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    start, end = (head + text + attachment).encode(), f"--{boundary}--\r\n".encode()
    rest = max(1, (octets - len(start) - len(end)) // 78)
    if octets > MIB:
        encoded = base64.encodebytes(chance.randbytes(57 * 1024)).replace(b"\n", b"\r\n") * (rest // 1024 + 1)
    else:
        encoded = base64.encodebytes(chance.randbytes(57 * rest)).replace(b"\n", b"\r\n")
    return start + encoded[:78 * rest] + end


class Mail:
    """Fills Maildirs below `store`, a Dovecot that need not run yet."""

    def __init__(self, store, directory, *, huge_octets=64 * MIB):
        self._store = store
        self._directory = directory
        self._delivered = int(time.time()) - 1_000_000
        chance = random.Random(7)
        self._usual = [self._file(f"usual-{number}", _message(number, chance, chance.randrange(4096, 8192)))
                       for number in range(500)]
        self._huge = self._file("huge", _message(0, chance, huge_octets))

    def fill(self, user, messages):
        """A mailbox of so many messages of 4 to 8 KiB, whatever there was before."""
        self._deliver(user, (self._usual[number % len(self._usual)] for number in range(messages)))

    def fill_huge(self, user, messages):
        self._deliver(user, [self._huge] * messages)

    def same(self, user, as_user):
        """Another name for a mailbox that exists."""
        place = self._store.maildir_root / user
        if not place.is_symlink():
            place.symlink_to(as_user)

    def _file(self, name, octets):
        path = self._directory / name
        path.write_bytes(octets)
        self._store.give_to_mail_user(path)
        return path, len(octets)

    def _deliver(self, user, files):
        # With the sizes in their names, and line ends that are as IMAP wants them, the store need not look into files.
        folder = self._store.make_maildir(user) / "cur"
        for old in os.scandir(folder):
            os.unlink(old)
        for path, octets in files:
            self._delivered += 1
            os.link(path, folder / f"{self._delivered}.M1P1.localhost,S={octets},W={octets}:2,")
