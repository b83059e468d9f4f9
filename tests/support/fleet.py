"""Several popgate nodes on one state, behind HAProxy; each can be killed, stopped, or cut off from that state alone."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from support.gate import CLIENT, SERVER, Gate
from support.net import HOST, free_port, wait_until
from support.pop3 import Pop3
from support.popgate import Popgate
from support.proxies import Balancer
from support.setups import PASSWORD, check_for_secrets, configuration


class Node:
    """One popgate. `gate` is its own way to the Redis, where it has one."""

    def __init__(self, name, popgate, proxied_port, gate):
        self.name = name
        self.popgate = popgate
        self.proxied_port = proxied_port  # for HAProxy
        self.gate = gate
        self._stopped = False
        self._rules = []

    @property
    def port(self):
        """For clients that come without HAProxy."""
        return self.popgate.port()

    def kill(self):
        """With -9; restart() brings it back."""
        self.popgate.kill()
        self._stopped = False

    def kill_if_running(self):
        if self.popgate.running():
            self.kill()

    def restart(self):
        self.popgate.start()

    def stop(self):
        """SIGSTOP. Its sockets still take what is sent."""
        self.popgate.terminate(signal.SIGSTOP)
        self._stopped = True

    def go_on(self):
        if self._stopped:
            self.popgate.terminate(signal.SIGCONT)
            self._stopped = False

    def cut_off(self, silently=False):
        """From the Redis: connections end, and new ones do too; or nothing comes through any more, and what was sent
        meanwhile arrives when it is over."""
        if silently:
            self._rules = [self.gate.stall(side, times=10**9) for side in (CLIENT, SERVER)]
        else:
            self._rules = [self.gate.cut(CLIENT, times=10**9)]
            self.gate.cut_all(reset=True)

    def reconnect(self):
        for rule in self._rules:
            rule.release()
            self.gate.remove(rule)
        self._rules = []

    def open(self, user, password=PASSWORD):
        """A session of this user, once the node takes one."""
        return wait_until(lambda: self.try_to_open(user, password), f"a login of {user} at {self.name}", interval=0.1)

    def try_to_open(self, user, password=PASSWORD):
        pop3 = Pop3(self.port)
        if pop3.login(user, password).startswith("+OK"):
            return pop3
        pop3.close()
        return None

    def login(self, user, password=PASSWORD):
        """What a login is answered; a session that it opens ends at once."""
        with Pop3(self.port) as pop3:
            reply = pop3.login(user, password)
            if reply.startswith("+OK"):
                pop3.quit()
            return reply

    def heal(self):
        self.go_on()
        self.reconnect()
        if not self.popgate.running():
            self.restart()


class Fleet:
    """Runs for the time of a `with` block.

    url    of the state that they share; or
    redis  a support.redis.Redis, which each node reaches through a gate of its own
    names  of the nodes
    state  more keys of [state]; other keywords are tables of the configuration
    """

    def __init__(self, certificates, route, *, url=None, redis=None, names="abc", state=None, limits=None, **tables):
        self._certificates = certificates
        self._route = route
        self._url = url
        self._redis = redis
        self._names = names
        self._state = state or {}
        # Clients are thousands of sessions from one address.
        self._limits = {"max_sessions_per_address": 5000, "drain_timeout": "30s", **(limits or {})}
        self._tables = {"log": {"format": "json", "level": "info"}, **tables}
        self._running = ExitStack()
        self.nodes = []
        self.port = None  # of HAProxy

    def __enter__(self):
        try:
            self.nodes = [self._make(name) for name in self._names]
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                list(pool.map(lambda node: node.popgate.start(), self.nodes))
            balancer = Balancer({node.name: node.proxied_port for node in self.nodes})
            self.port = self._running.enter_context(balancer).port
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(self, kind, *_):
        with self._running:
            for node in self.nodes:
                node.go_on()
            if kind is not None:
                return  # it is not to be hidden by what follows
            for node in self.nodes:
                if node.popgate.running():
                    node.popgate.stop()
                check_for_secrets(node.popgate)

    def __getitem__(self, name):
        return next(node for node in self.nodes if node.name == name)

    def _make(self, name):
        gate = self._running.enter_context(Gate(self._redis.port, keeps_transcript=False)) if self._redis else None
        url = self._redis.url().replace(f":{self._redis.port}/", f":{gate.port}/") if gate else self._url
        port = free_port()
        listen = [{"address": f"{HOST}:0", "tls": "none"},
                  {"address": f"{HOST}:{port}", "tls": "none", "proxy_protocol": True, "trusted_proxies": HOST}]
        popgate = Popgate(configuration(
            self._certificates, self._route, listen=listen, limits=self._limits,
            state={"url": url, "node": name, **self._state}, **self._tables))
        node = Node(name, popgate, port, gate)
        self._running.callback(node.kill_if_running)
        return node

    def settle(self, user, password=PASSWORD):
        """Waits until each node lets in this user: a Redis that is new grants no locks for as long as one lives."""
        for node in self.nodes:
            node.open(user, password).quit()
        return self

    def node_of(self, address):
        """The name of the node that had the session of this client ("ADDRESS:PORT", as HAProxy saw it), or None: its line is
        written when it has ended."""
        for node in self.nodes:
            if any(record["from"] == address for record in node.popgate.log("session")):
                return node.name
        return None
