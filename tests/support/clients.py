"""The POP3 clients of the world, each able to fetch what is new to it, and to delete what it has fetched.

All of them have fetch(delete=False), which returns {SHA-256: how often} of the messages that were delivered.
`mode` is "clear", "stls" or "tls". lf_lines tells that a client writes LF where it read CRLF.
"""

import poplib
import re
import ssl
import subprocess
from collections import Counter
from pathlib import Path

from support.corpus import digest
from support.net import HOST

# Longer than any step takes; a client that hangs fails the test instead of stopping it.
_TIMEOUT = 180

poplib._MAXLINE = 1 << 30


class _Client:
    lf_lines = False

    def __init__(self, directory, port, *, mode="clear", user="user", password="password", ca_file=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        self.port, self.mode, self.user, self.password, self.ca_file = port, mode, user, password, ca_file
        self._prepare()

    def _prepare(self):
        pass

    def _run(self, *command, good=(0,)):
        made = subprocess.run(list(map(str, command)), capture_output=True, timeout=_TIMEOUT, check=False,
                              stdin=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin", "HOME": str(self.directory)})
        assert made.returncode in good, f"{command[0]} ended with {made.returncode}: {made.stdout[-500:]}{made.stderr}"
        return made.stdout

    def _write(self, name, text, mode=0o600):
        path = self.directory / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def _delivery_script(self):
        """A delivery agent that writes each message to a file of its own."""
        (self.directory / "inbox").mkdir()
        return self._write("deliver", f'#!/bin/sh\nexec cat > "{self.directory}/inbox/$$"\n', 0o700)

    def _take_delivered(self):
        delivered = Counter()
        for path in (self.directory / "inbox").iterdir():
            delivered[digest(self._without_quirks(path.read_bytes()))] += 1
            path.unlink()
        return delivered

    @staticmethod
    def _without_quirks(octets):
        return octets


class Poplib(_Client):
    def _prepare(self):
        self._seen = set()

    def fetch(self, delete=False):
        connection = self._connect()
        connection.user(self.user)
        connection.pass_(self.password)
        delivered = Counter()
        for number, uid in (line.decode().split() for line in connection.uidl()[1]):
            if uid not in self._seen:
                self._seen.add(uid)
                delivered[digest(b"".join(line + b"\r\n" for line in connection.retr(int(number))[1]))] += 1
            if delete:
                connection.dele(int(number))
        connection.quit()
        return delivered

    def _connect(self):
        context = ssl.create_default_context(cafile=self.ca_file) if self.mode != "clear" else None
        if self.mode == "tls":
            return poplib.POP3_SSL(HOST, self.port, context=context, timeout=_TIMEOUT)
        connection = poplib.POP3(HOST, self.port, timeout=_TIMEOUT)
        if self.mode == "stls":
            connection.stls(context)
        return connection


class Curl(_Client):
    def _prepare(self):
        self._seen = set()
        (self.directory / "inbox").mkdir()

    def fetch(self, delete=False):
        numbers = dict(line.split() for line in self._curl(self._transfer("", "request = UIDL")).decode().splitlines())
        new = [number for number, uid in numbers.items() if uid not in self._seen]
        self._seen |= set(numbers.values())
        if new:
            self._curl(*(self._transfer(number, f'output = "{self.directory}/inbox/{number}"') for number in new))
        if delete:
            self._curl(*(self._transfer("", f'request = "DELE {number}"', "head") for number in numbers))
        return self._take_delivered()

    def _transfer(self, path, *options):
        scheme = "pop3s" if self.mode == "tls" else "pop3"
        lines = [f'url = "{scheme}://{HOST}:{self.port}/{path}"', f'user = "{self.user}:{self.password}"', *options]
        if self.mode != "clear":
            lines += ["ssl-reqd", f'cacert = "{self.ca_file}"']
        return "\n".join(lines) + "\n"

    def _curl(self, *transfers):
        """All transfers in one session: curl keeps the connection."""
        return self._run("curl", "--silent", "--show-error", "--config",
                         self._write("curlrc", "next\n".join(transfers)))


class Mpop(_Client):
    lf_lines = True

    def _prepare(self):
        tls = {"clear": "tls off", "stls": "tls on\ntls_starttls on", "tls": "tls on\ntls_starttls off"}[self.mode]
        trust = f"tls_trust_file {self.ca_file}" if self.mode != "clear" else ""
        self._configuration = self._write("mpoprc", f"""
account test
host {HOST}
port {self.port}
user {self.user}
password "{self.password}"
auth user
{tls}
{trust}
received_header off
uidls_file {self.directory}/uidls
delivery mda {self._delivery_script()}
""")

    def fetch(self, delete=False):
        self._run("mpop", "--quiet", f"--file={self._configuration}", f"--keep={'off' if delete else 'on'}", "test")
        return self._take_delivered()


class Fetchmail(_Client):
    lf_lines = True

    def _prepare(self):
        tls = {"clear": "sslproto ''", "stls": "sslproto 'TLS1.2+'", "tls": "ssl sslproto 'TLS1.2+'"}[self.mode]
        trust = f"sslcertck sslcertfile '{self.ca_file}'" if self.mode != "clear" else ""
        self._configuration = self._write("fetchmailrc", f"""
set invisible
set pidfile "{self.directory}/fetchmail.pid"
set no bouncemail
poll localhost service {self.port} protocol POP3 uidl auth password timeout 60
    user "{self.user}" password "{self.password}" {tls} {trust}
    no rewrite no mimedecode stripcr
    mda "{self._delivery_script()}"
""")

    def fetch(self, delete=False):
        # 1 means that there was nothing new.
        self._run("fetchmail", "--nodetach", "--nosyslog", "-f", self._configuration, *self._choice(delete),
                  good=(0, 1))
        return self._take_delivered()

    @staticmethod
    def _choice(delete):
        return ["--nokeep", "--flush"] if delete else ["--keep"]

    @staticmethod
    def _without_quirks(octets):
        """fetchmail 6.4 breaks a line every 8 KiB with a NUL, an octet of uninitialised memory, and a newline. NULs
        that came from elsewhere there are none: Dovecot's IMAP does not send any."""
        return re.sub(rb"\0.\n", b"", octets, flags=re.DOTALL)


ALL = (Poplib, Curl, Mpop, Fetchmail)
