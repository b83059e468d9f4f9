#!/usr/bin/python3
"""A real courier-imap and courier-pop on loopback: IMAP without MOVE, QRESYNC or CONDSTORE, and POP3 with its own ids.

Debian's packages conflict with Dovecot's, so they are fetched and unpacked below build/, once, and not installed.
What Courier does before it knows the user is done here in a few lines; then its own server has the connection.

As a program it serves until its standard input ends, after one line of JSON that tells where:
    tests/support/courier.py --serve
"""

import argparse
import base64
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

if __package__ in (None, ""):  # started as a program
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import debian_packages
from support.mail_server import MailServer
from support.net import HOST, PATIENCE

# What Debian's /etc/courier/imapd offers; for `capability` less the words to be hidden. Courier adds ACL, ENABLE and
# UTF8=ACCEPT by itself.
CAPABILITY = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"


def capability_without(*words):
    return " ".join(word for word in CAPABILITY.split() if word not in words)


class _Courier(MailServer):
    """Runs from start() to stop(), or for the time of a `with` block. Any user name may log in with the one password,
    and has an empty Maildir to begin with."""

    PROTOCOL = None
    PROGRAM = None

    def __init__(self, *, password="correct horse"):
        self._root = unpacked()
        self._program = _find_program(self._root, self.PROGRAM)
        self.directory = Path(tempfile.mkdtemp(prefix="courier-"))
        self.maildir_root = self.directory / "mail"
        self.maildir_root.mkdir()
        self.host, self.port, self.password = HOST, None, password
        self._listener = None
        self._threads = []
        self._servers = []
        self._sockets = []
        self._lock = threading.Lock()

    def start(self):
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._in_thread(self._accept)
        return self

    def stop(self):
        listener, self._listener = self._listener, None
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        with self._lock:
            for connection in self._sockets:
                connection.close_for_good()
            for server in self._servers:
                server.kill()
        for thread in self._threads:
            thread.join(PATIENCE)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def log(self):
        path = self.directory / "courier.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- a connection

    def _in_thread(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                connection, peer = self._listener.accept()
            except (AttributeError, OSError):  # stop() has closed it
                return
            connection.settimeout(PATIENCE)
            self._in_thread(self._attend, _Connection(connection), peer)

    def _attend(self, connection, peer):
        with self._lock:
            self._sockets.append(connection)
        server = None
        try:
            user, extra = self._log_in(connection)
            if user:
                server = self._hand_over(connection, peer, user, extra)
        except OSError:
            pass  # the client has gone
        finally:
            with self._lock:
                self._sockets.remove(connection)
                connection.close()
        if server:
            server.wait()
            with self._lock:
                self._servers.remove(server)

    def _hand_over(self, connection, peer, user, extra):
        home = self.make_maildir(user).parent
        libraries = ":".join({str(path.parent) for path in self._root.rglob("lib*.so.*")})
        environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": libraries, "HOME": str(home), "HOSTNAME": "localhost",
                       "PROTOCOL": self.PROTOCOL, "AUTHENTICATED": user, "AUTHADDR": user, "TCPREMOTEIP": peer[0],
                       "TCPREMOTEPORT": str(peer[1]), **extra}
        connection.socket.setblocking(True)
        with self._lock, open(self.directory / "courier.log", "ab") as log:
            if not self._listener:
                return None
            server = subprocess.Popen([self._program, "Maildir"], cwd=home, env=environment, stdin=connection.socket,
                                      stdout=connection.socket, stderr=log, start_new_session=True)
            self._servers.append(server)
            return server

    def _log_in(self, connection):
        """(user, more environment), or (None, None) when the client has left."""
        raise NotImplementedError


class CourierImap(_Courier):
    """`capability` replaces what it offers, see capability_without()."""

    PROTOCOL, PROGRAM = "IMAP", "imapd"

    def __init__(self, *, capability=CAPABILITY, **more):
        super().__init__(**more)
        self._capability = capability

    @property
    def imap_port(self):
        return self.port

    def _log_in(self, connection):
        connection.send(f"* OK [CAPABILITY {self._capability}] Courier-IMAP ready.")
        while line := connection.line():
            tag, command, *arguments = connection.words(line)
            command = command.upper()
            if command == "CAPABILITY":
                connection.send(f"* CAPABILITY {self._capability}", f"{tag} OK CAPABILITY completed")
            elif command == "NOOP":
                connection.send(f"{tag} OK NOOP completed")
            elif command == "LOGOUT":
                connection.send("* BYE Courier-IMAP server shutting down", f"{tag} OK LOGOUT completed")
                break
            elif command in ("LOGIN", "AUTHENTICATE"):
                if command == "AUTHENTICATE":
                    connection.send("+ ")
                    arguments = base64.b64decode(connection.line()).decode().split("\0")[1:]
                user, password = arguments
                if password == self.password:
                    return user, {"IMAPLOGINTAG": tag, "IMAP_CAPABILITY": self._capability, "IMAP_ACL": "1",
                                  "IMAP_KEYWORDS": "1", "IMAP_USELOCKS": "1"}
                connection.send(f"{tag} NO Login failed.")
            else:
                connection.send(f"{tag} BAD Not before login.")
        return None, None


class CourierPop3(_Courier):
    PROTOCOL, PROGRAM = "POP3", "courierpop3d"

    @property
    def pop3_port(self):
        return self.port

    def _log_in(self, connection):
        user = ""
        connection.send("+OK Hello there.")
        while line := connection.line():
            command, _, argument = line.partition(" ")
            if command.upper() == "USER":
                user = argument
                connection.send("+OK Password required.")
            elif command.upper() == "PASS" and argument == self.password:
                return user, {}
            elif command.upper() == "PASS":
                connection.send("-ERR Login failed.")
            elif command.upper() == "CAPA":
                connection.send("+OK", "TOP", "USER", "UIDL", "PIPELINING", ".")
            elif command.upper() == "QUIT":
                connection.send("+OK Better luck next time.")
                break
            else:
                connection.send("-ERR Invalid command.")
        return None, None


class _Connection:
    """Reads no octet too many: what follows a login is for the server that takes over."""

    def __init__(self, connection):
        self.socket = connection

    def send(self, *lines):
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def line(self):
        line = b""
        while not line.endswith(b"\n"):
            octet = self.socket.recv(1)
            if not octet:
                return ""
            line += octet
        return line.decode().rstrip("\r\n")

    def words(self, line):
        """An IMAP command's atoms, quoted strings and literals."""
        words = []
        while True:
            literal = re.search(r"\{(\d+)(\+?)\}$", line)
            words += [re.sub(r"\\(.)", r"\1", quoted) if quoted or not atom else atom
                      for quoted, atom in re.findall(r'"((?:[^"\\]|\\.)*)"|([^ "]+)', line[:literal and literal.start()])]
            if not literal:
                return words
            if not literal[2]:
                self.send("+ go on")
            octets = b""
            while len(octets) < int(literal[1]):
                octets += self.socket.recv(int(literal[1]) - len(octets)) or b"\0" * int(literal[1])
            words.append(octets.decode())
            line = self.line()

    def close(self):
        self.socket.close()

    def close_for_good(self):
        """Wakes the thread that reads from it."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


# --- the packages

# Other libraries that the programs need are on every machine on which popgate is built.
PACKAGES = ["courier-imap", "courier-pop", "courier-authlib"]
LIBRARIES = re.compile(r"^lib(courier-unicode|idn|gdbm)\d[\w-]*$")

# Debian 12's imapd asks a daemon to watch folders for it, and waits seconds for one that is not there. This library
# says at once that nothing can be watched, so IDLE looks once a minute.
NO_WATCH = """
#include <errno.h>
int FAMOpen(void* connection) { (void)connection; return 0; }
int FAMClose(void* connection) { (void)connection; return 0; }
int FAMPending(void* connection) { (void)connection; return 0; }
static int refuse(void) { errno = EIO; return -1; }
int FAMMonitorDirectory(void) { return refuse(); }
int FAMMonitorFile(void) { return refuse(); }
int FAMCancelMonitor(void) { return refuse(); }
int FAMNextEvent(void) { return refuse(); }
"""


def unpacked():
    return debian_packages.unpacked("courier", PACKAGES, LIBRARIES, finish=_without_watch)


def _without_watch(root):
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", root / "usr/lib/libfam.so.0"], input=NO_WATCH,
                   text=True, check=True)


def _find_program(root, name):
    """A program, not the shell script of that name that starts it."""
    for path in sorted(root.rglob(name)):
        if path.is_file() and path.open("rb").read(4) == b"\x7fELF":
            return path
    raise RuntimeError(f"no {name} below {root}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", required=True, help="serve until standard input ends")
    parser.add_argument("--password", default="correct horse")
    parser.add_argument("--hide", nargs="*", metavar="WORD", default=[], help="capabilities not to offer")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that Courier ends with us
    with CourierImap(password=options.password, capability=capability_without(*options.hide)) as courier:
        print(json.dumps({"host": courier.host, "imap": courier.imap_port, "password": courier.password,
                          "maildir_root": str(courier.maildir_root)}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
