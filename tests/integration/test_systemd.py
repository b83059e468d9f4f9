"""What a service manager gives and wants: sockets, news of how it goes, and units that are right."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from support.net import HOST, PATIENCE, wait_until
from support.pop3 import Pop3, tls_context
from support.popgate import SANITIZED, binary, to_toml, with_state
from support.setups import PASSWORD, configuration, imaps_route

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


# --- the units

@pytest.fixture
def units(tmp_path):
    """The units, of a program that is there."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/bin/popgate ", "/bin/true ")
        (tmp_path / unit.name).write_text(text)
    return sorted(tmp_path.iterdir())


@needs_analyze
def test_the_units_are_right(units):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    # Other units of this machine are read as well, and are none of ours.
    said = [line for line in (done.stdout + done.stderr).splitlines() if "popgate" in line]
    assert done.returncode == 0 and not said, done.stdout + done.stderr


@needs_analyze
def test_the_service_is_confined(units):
    service = next(unit for unit in units if unit.name == "popgate.service")
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=20", service],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert score and float(score[1]) < 2.0 and done.returncode == 0, done.stdout + done.stderr


@needs_analyze
def test_the_filter_of_system_calls_knows_them_all():
    """A set that this systemd does not know would only be a warning at the start."""
    service = (UNITS / "popgate.service").read_text()
    names = " ".join(re.findall(r"^SystemCallFilter=~?(.*)$", service, re.MULTILINE)).split()
    sets = [name for name in names if name.startswith("@")]
    assert len(sets) >= 3
    for name in sets:
        done = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr


def test_each_socket_has_the_name_that_its_comment_gives():
    names = {}
    for unit in UNITS.glob("*.socket"):
        text = unit.read_text()
        name = re.search(r"^FileDescriptorName=(.*)$", text, re.MULTILINE)[1]
        assert f'address = "systemd:{name}"' in text
        names[name] = re.findall(r"^ListenStream=.*:(\d+)$", text, re.MULTILINE)
    assert names == {"pop3": ["110", "110"], "pop3s": ["995", "995"]}


# --- a service manager in small

class Manager:
    """Starts popgate as systemd does, and hears what it says.

    sockets   {name: how many}: listening sockets on loopback that are passed under that name
    watchdog  seconds, as WatchdogSec
    """

    def __init__(self, config, *, sockets=None, watchdog=None):
        self._directory = tempfile.TemporaryDirectory(prefix="popgate-systemd-")
        self.file = Path(self._directory.name) / "popgate.toml"
        self._state = self._directory.name
        self.configure(config)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"{self._directory.name}/notify")
        self._passed = [(name, self._listener()) for name, count in (sockets or {}).items() for _ in range(count)]
        self._watchdog = watchdog
        self.expected_status = 0
        self.said = []
        self.process = None

    @staticmethod
    def _listener():
        made = socket.socket()
        made.bind((HOST, 0))
        made.listen(128)
        return made

    def configure(self, config):
        self.file.write_text(to_toml(with_state({"log": {"format": "json"}, **config}, self._state)))

    def ports(self, name):
        return [made.getsockname()[1] for each, made in self._passed if each == name]

    def __enter__(self):
        return self.start()

    def start(self):
        environment = {**os.environ, "NOTIFY_SOCKET": f"{self._directory.name}/notify",
                       "ASAN_OPTIONS": "detect_stack_use_after_return=0"}
        if self._watchdog:
            environment["WATCHDOG_USEC"] = str(int(self._watchdog * 1e6))
        if self._passed:
            environment["LISTEN_FDS"] = str(len(self._passed))
            environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in self._passed)
        self._log = open(f"{self._directory.name}/log", "ab")  # noqa: SIM115: ends with this object
        # The shell's process becomes popgate's, so that it can say its own id; descriptors are passed from 3 on.
        spare = [os.dup2(made.fileno(), 100 + i, inheritable=True) for i, (_, made) in enumerate(self._passed)]
        plumbing = " ".join(f"{3 + i}<&{100 + i} {100 + i}<&-" for i in range(len(spare)))
        command = f'export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$0" serve --config "$1" {plumbing}'
        # bash, as dash redirects descriptors below 10 only.
        self.process = subprocess.Popen(["bash", "-c", command, binary(), str(self.file)], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._log,
                                        pass_fds=spare)
        for descriptor in spare:
            os.close(descriptor)
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self._socket.close()
            self._log.close()
            for _, made in self._passed:
                made.close()
        assert kind or status == self.expected_status, self.log_text()

    def log_text(self):
        return Path(self._log.name).read_text()

    def hear(self, wanted, timeout=PATIENCE):
        """The next message that begins so; those before it are kept in `said`."""
        deadline = time.monotonic() + timeout
        while True:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                text = self._socket.recv(4096).decode()
            except TimeoutError:
                raise AssertionError(f"no {wanted}, but {self.said}\n{self.log_text()}") from None
            self.said.append(text)
            if text.startswith(wanted):
                return text

    def hears_nothing(self):
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            raise AssertionError(self._socket.recv(4096))


@pytest.fixture
def config(certificates, dovecot):
    return configuration(certificates, imaps_route(dovecot))


def quit_session(port, user):
    with Pop3(port) as pop3:
        assert pop3.login(user, PASSWORD).startswith("+OK")
        pop3.quit()


def port_in(manager):
    return int(re.search(r'"event":"listening","address":"[^"]*:(\d+)"', manager.log_text())[1])


def test_it_is_ready_when_it_listens_and_says_that_it_stops(config, user):
    with Manager(config) as manager:
        manager.hear("READY=1")
        assert manager.said == ["READY=1"]
        quit_session(port_in(manager), user)  # at once, without a second try
        manager.process.terminate()
        manager.hear("STOPPING=1")
        assert manager.process.wait(PATIENCE) == 0


def test_it_is_not_ready_where_it_cannot_listen(config):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        config["listen"] = [{"address": f"{HOST}:{taken.getsockname()[1]}", "tls": "none"}]
        with Manager(config) as manager:
            manager.expected_status = 1
            assert manager.process.wait(PATIENCE) == 1
            manager.hears_nothing()


def test_a_reload_is_told_from_its_beginning_to_its_end(config):
    with Manager(config) as manager:
        manager.hear("READY=1")
        for text in ("", "nonsense"):  # whatever comes of it
            with open(manager.file, "a") as file:
                file.write(text)
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            manager.process.send_signal(signal.SIGHUP)
            reloading = manager.hear("RELOADING=1")
            moment = int(re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", reloading)[1])
            assert before <= moment <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            manager.hear("READY=1")
        assert '"event":"reload_refused"' in manager.log_text()


def test_the_watchdog_hears_of_it_in_time(config):
    watchdog = 4.0 if SANITIZED else 2.0
    with Manager(config, watchdog=watchdog) as manager:
        manager.hear("READY=1")
        manager.hear("WATCHDOG=1", watchdog)
        started = time.monotonic()
        for _ in range(3):
            manager.hear("WATCHDOG=1", watchdog)
        assert time.monotonic() - started > watchdog / 4  # and not all the time


def test_a_process_that_hangs_is_silent(config):
    with Manager(config, watchdog=1.0) as manager:
        manager.hear("WATCHDOG=1")
        manager.process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{manager.process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(") ")[2].startswith("T"), "a stopped process")
        with contextlib.suppress(AssertionError):
            while True:
                manager.hear("WATCHDOG=1", 0.01)  # what was on its way
        with pytest.raises(AssertionError):
            manager.hear("WATCHDOG=1", 1.5)
        manager.process.send_signal(signal.SIGCONT)
        manager.hear("WATCHDOG=1")


def test_without_a_watchdog_nothing_is_said(config):
    with Manager(config) as manager:
        manager.hear("READY=1")
        manager.process.terminate()
        manager.hear("STOPPING=1")
        assert not [text for text in manager.said if "WATCHDOG" in text]


# --- sockets

def test_passed_sockets_are_served_under_their_names(config, certificates, user):
    config["listen"] = [{"address": "systemd:pop3", "tls": "none"}, {"address": "systemd:pop3s", "tls": "implicit"}]
    with Manager(config, sockets={"pop3": 2, "pop3s": 1}) as manager:
        # They listen already: who comes before popgate is ready waits and is served.
        early = socket.create_connection((HOST, manager.ports("pop3")[0]), PATIENCE)
        manager.hear("READY=1")
        with early:
            assert early.recv(4096).startswith(b"+OK")
        for port in manager.ports("pop3"):
            for _ in range(4):  # whichever thread takes it
                quit_session(port, user)
        with Pop3(manager.ports("pop3s")[0], tls=tls_context(certificates.ca)) as pop3:
            assert pop3.login(user, PASSWORD).startswith("+OK")
            pop3.quit()
        assert f'"listener":"{HOST}:{manager.ports("pop3")[1]}"' in manager.log_text()


def test_a_reload_keeps_passed_sockets(config, user):
    config["listen"] = [{"address": "systemd:pop3", "tls": "none"}]
    with Manager(config, sockets={"pop3": 1}) as manager:
        manager.hear("READY=1")
        with Pop3(manager.ports("pop3")[0]) as before:
            manager.process.send_signal(signal.SIGHUP)
            manager.hear("RELOADING=1")
            manager.hear("READY=1")
            assert '"event":"reloaded"' in manager.log_text()
            quit_session(manager.ports("pop3")[0], user)
            assert before.login(user, PASSWORD).startswith("+OK")
            before.quit()


def test_a_restart_leaves_nobody_without_an_answer(config, user):
    config["listen"] = [{"address": "systemd:pop3", "tls": "none"}]
    with Manager(config, sockets={"pop3": 1}) as manager:
        manager.hear("READY=1")
        manager.process.terminate()
        manager.hear("STOPPING=1")
        assert manager.process.wait(PATIENCE) == 0
        with socket.create_connection((HOST, manager.ports("pop3")[0]), PATIENCE) as waiting:
            manager.start()
            manager.hear("READY=1")
            assert waiting.recv(4096).startswith(b"+OK")


def test_a_name_that_was_not_passed_is_told(config):
    config["listen"] = [{"address": "systemd:other", "tls": "none"}]
    with Manager(config, sockets={"pop3": 1}) as manager:
        manager.expected_status = 1
        assert manager.process.wait(PATIENCE) == 1
        manager.hears_nothing()
        assert "the service manager has passed no socket of that name" in manager.log_text()
