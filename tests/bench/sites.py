"""The servers of a run, started when a scenario needs them."""

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.mail import Mail
from bench.servers import Peer, Popgate, Raw, Relay, Store
from support.certs import Certificates

ROUND_TRIP_MS = 50


class Sites:
    """near   the store on this machine
    far    the same behind round trips of 50 ms
    crowd  a store with many sessions a process, so that thousands fit into memory

    Each is {name: contender}; all read the same mail.
    """

    def __init__(self, binary, directory, *, huge_octets):
        self._running = ExitStack()
        self._binary = binary
        self._sites = {}  # name to (servers that run for it, contenders)
        self.certificates = Certificates(directory / "certs")
        store = Store(self.certificates)
        self.mail = Mail(store, store.directory, huge_octets=huge_octets)
        self._store = self._running.enter_context(store)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._running.close()

    def __getitem__(self, name):
        if name not in self._sites:
            running = self._running.enter_context(ExitStack())
            self._sites[name] = running, getattr(self, f"_{name}")(running)
        return self._sites[name][1]

    def restarted(self, name):
        """The site with servers that have served nobody yet."""
        if name in self._sites:
            self._sites.pop(name)[0].close()
        return self[name]

    def _near(self, running):
        relay = running.enter_context(Relay(self.certificates, self._store.pop3_port))
        return {**self._gateways(running, self._store.imap_port), "relay": relay,
                "raw": Raw(self._store.imap_port, self._store.imaps_port)}

    def _far(self, running):
        port = running.enter_context(_delayed(self._store.imap_port))
        return {**self._gateways(running, port), "raw": Raw(port, None)}

    def _crowd(self, running):
        store = running.enter_context(
            Store(self.certificates, mail=self._store.maildir_root, sessions_a_process=100))
        return self._gateways(running, store.imap_port)

    def _gateways(self, running, port):
        return {"popgate": running.enter_context(Popgate(self._binary, self.certificates, port)),
                "peer": running.enter_context(Peer(self.certificates, port))}


@contextmanager
def _delayed(port):
    """The port of a relay that is as far away as ROUND_TRIP_MS says."""
    command = [sys.executable, Path(__file__).with_name("delay.py"), str(port), str(ROUND_TRIP_MS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait()
