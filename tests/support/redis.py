"""Real Redis servers of our own on loopback: one alone, a master with a replica and three Sentinels, a cluster of three.

Each runs from start() to stop(), or for the time of a `with` block, on free ports and in a temporary directory.
"""

import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from support.net import HOST, PATIENCE, free_port, wait_until

# A write that a client was told of is in the file unless the machine itself fails.
_KEPT = {"appendonly": "yes", "appendfsync": "everysec"}
_NOT_KEPT = {"appendonly": "no"}


class Redis:
    """One server.

    append_only   what is written outlives kill() and start()
    password      that of the default user
    unix_socket   listens on a socket of the file system too, see url("redis+unix")
    certificates  certs.Certificates: TLS on `tls_port` too, see url("rediss")
    replica_of    another Redis
    settings      {name: value} of more settings
    """

    program = "redis-server"

    def __init__(self, *, append_only=True, password="", unix_socket=False, certificates=None, replica_of=None,
                 settings=None):
        self.directory = Path(tempfile.mkdtemp(prefix="redis-"))
        self.password = password
        self.port = free_port()
        self.tls_port = free_port() if certificates else None
        self.socket = self.directory / "socket" if unix_socket else None
        self._certificates = certificates
        self._process = None
        self._settings = {"bind": HOST, "port": self.port, "dir": self.directory, "save": '""', "daemonize": "no",
                          "logfile": self.directory / "log", "repl-diskless-sync-delay": 0,
                          **(_KEPT if append_only else _NOT_KEPT)}
        if password:
            self._settings |= {"requirepass": password, "masterauth": password}
        if unix_socket:
            self._settings |= {"unixsocket": self.socket, "unixsocketperm": 700}
        if certificates:
            self._settings |= {"tls-port": self.tls_port, "tls-cert-file": certificates.server.certificate,
                               "tls-key-file": certificates.server.key, "tls-ca-cert-file": certificates.ca,
                               "tls-auth-clients": "no"}
        if replica_of:
            self._settings["replicaof"] = f"{HOST} {replica_of.port}"
        self._settings |= settings or {}

    # --- running it

    def start(self, *arguments):
        """Waits until it has read what it kept and answers."""
        configuration = self.directory / "redis.conf"
        if not configuration.exists():  # Sentinels have it rewritten
            configuration.write_text("".join(f"{name} {value}\n" for name, value in self._settings.items()))
        self._process = subprocess.Popen([self.program, configuration, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_until(self._answers, "an answer of Redis")
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def kill(self):
        """With -9; what it has on its disk stays for start()."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def end(self):
        """SIGTERM, as an administrator does; what it has on its disk stays for start()."""
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._process = None

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def heal(self):
        """Starts it where it was killed or paused."""
        if self._process:
            self.resume()
        else:
            self.start()

    def running(self):
        return self._process is not None

    def log(self):
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- talking to it

    def url(self, scheme="redis", database=0):
        """For [state]: redis, rediss or redis+unix."""
        user = f":{self.password}@" if self.password else ""
        if scheme == "redis+unix":
            return f"redis+unix:{self.socket}"
        return f"{scheme}://{user}{HOST}:{self.tls_port if scheme == 'rediss' else self.port}/{database}"

    def command(self, *words):
        """What redis-cli prints of the reply; an error of the server fails."""
        done = self.cli(*words)
        assert done.returncode == 0 and not done.stderr, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.removesuffix("\n")

    def flush(self):
        """Forgets everything, and goes on."""
        assert self.command("FLUSHALL") == "OK"

    def keys(self, pattern="*"):
        return [key for key in self.command("KEYS", pattern).split("\n") if key]

    def info(self, section):
        """{name: value}"""
        lines = self.command("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def cli(self, *words):
        user = ["-a", self.password, "--no-auth-warning"] if self.password else []
        return subprocess.run(["redis-cli", "-e", "-h", HOST, "-p", str(self.port), *user, *map(str, words)],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)

    def _answers(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"Redis ended:\n{self.log()[-3000:]}")
        return self.cli("PING").stdout == "PONG\n"


class _Sentinel(Redis):
    program = "redis-sentinel"

    def __init__(self, master, down_after):
        super().__init__(append_only=False)
        for word in ("save", "appendonly"):
            del self._settings[word]
        self._settings |= {
            "sentinel monitor": f"mymaster {HOST} {master.port} 2",
            "sentinel down-after-milliseconds": f"mymaster {down_after}",
            "sentinel failover-timeout": "mymaster 3000",
        }
        if master.password:
            self._settings["sentinel auth-pass"] = f"mymaster {master.password}"

    def master_port(self):
        return int(self.command("SENTINEL", "get-master-addr-by-name", "mymaster").split("\n")[1])

    def knows(self, replicas, sentinels):
        words = self.command("SENTINEL", "master", "mymaster").split("\n")
        state = dict(zip(words[::2], words[1::2]))
        return (state["flags"] == "master" and int(state["num-slaves"]) >= replicas
                and int(state["num-other-sentinels"]) >= sentinels - 1)


class RedisWithSentinels:
    """A master, replicas, and three Sentinels that take a master for dead that is silent for `down_after` milliseconds."""

    def __init__(self, *, replicas=1, password="", down_after=500):
        first = Redis(password=password)
        self.servers = [first, *(Redis(password=password, replica_of=first) for _ in range(replicas))]
        self.sentinels = [_Sentinel(first, down_after) for _ in range(3)]
        self._password = password
        self._running = ExitStack()

    def start(self):
        try:
            for each in (*self.servers, *self.sentinels):
                self._running.enter_context(each)
            wait_until(self._is_whole, "Sentinels that know each other and the replicas")
        except BaseException:
            self._running.close()
            raise
        return self

    def stop(self):
        self._running.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def url(self):
        user = f":{self._password}@" if self._password else ""
        return f"redis+sentinel://{user}{','.join(f'{HOST}:{each.port}' for each in self.sentinels)}/mymaster"

    def master(self):
        """The one that most Sentinels name."""
        ports = sorted(each.master_port() for each in self.sentinels)
        return next(each for each in self.servers if each.port == ports[1])

    def fail_over(self):
        """Kills the master, and waits until the Sentinels have made another one, which is returned."""
        old = self.master()
        old.kill()
        wait_until(lambda: self.master() is not old, "another master")
        new = self.master()
        wait_until(lambda: new.info("replication")["role"] == "master", "a replica that has become the master")
        return new

    def hand_over(self):
        """Has the Sentinels make another master while the old one is alive."""
        old = self.master()
        wait_until(lambda: self.sentinels[0].command("SENTINEL", "failover", "mymaster") == "OK", "a failover")
        wait_until(lambda: self.master() is not old, "another master")
        return self.master()

    def heal(self):
        """Starts those that were killed as replicas, and waits until they are known as such. (With start() alone one thinks
        that it is the master, until the Sentinels tell it otherwise, after some ten seconds.)"""
        for each in self.servers:
            if each.running():
                each.resume()
            else:
                each.start("--replicaof", HOST, self.master().port)
        wait_until(self._is_whole, "a master with its replicas", timeout=2 * PATIENCE)

    def _is_whole(self):
        try:
            state = self.master().info("replication")
            online = [value for name, value in state.items() if name.startswith("slave") and "state=online" in value]
            return (state["role"] == "master" and len(online) == len(self.servers) - 1
                    and all(each.knows(len(online), len(self.sentinels)) for each in self.sentinels))
        except AssertionError:
            return False


class _ClusterNode(Redis):
    def __init__(self, password):
        super().__init__(password=password, settings={
            "cluster-enabled": "yes", "cluster-port": free_port(), "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": 1000, "cluster-announce-ip": HOST})

    def is_settled(self, nodes):
        state = self.info_of("CLUSTER", "INFO")
        return state["cluster_state"] == "ok" and state["cluster_known_nodes"] == str(nodes)

    def info_of(self, *words):
        return dict(line.split(":", 1) for line in self.command(*words).splitlines() if ":" in line)


class RedisCluster:
    """Three masters that share the slots, without replicas."""

    def __init__(self, *, password=""):
        self.servers = [_ClusterNode(password) for _ in range(3)]
        self._password = password
        self._running = ExitStack()

    def start(self):
        try:
            for each in self.servers:
                self._running.enter_context(each)
            # By hand, where redis-cli --cluster create would sleep: each has a third of the slots, and meets the first.
            bounds = [0, 5461, 10923, 16384]
            for each, begin, end in zip(self.servers, bounds, bounds[1:]):
                each.command("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
            for number, each in enumerate(self.servers, 1):
                each.command("CLUSTER", "SET-CONFIG-EPOCH", number)
            first = self.servers[0]
            for each in self.servers[1:]:
                each.command("CLUSTER", "MEET", HOST, first.port, first._settings["cluster-port"])
            self.wait_until_whole()
        except BaseException:
            self._running.close()
            raise
        return self

    def stop(self):
        self._running.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def url(self):
        user = f":{self._password}@" if self._password else ""
        return f"redis+cluster://{user}{','.join(f'{HOST}:{each.port}' for each in self.servers)}"

    def wait_until_whole(self):
        wait_until(lambda: all(each.is_settled(len(self.servers)) for each in self.servers), "a whole cluster")
