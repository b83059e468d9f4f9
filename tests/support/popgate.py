"""Runs the real binary, reads its log, and looks at what it left behind."""

import json
import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from support.net import PATIENCE, wait_until

SANITIZED = os.environ.get("POPGATE_SANITIZED") == "1"

_SANITIZER_REPORT = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")


def binary():
    path = os.environ.get("POPGATE_BINARY")
    if not path:
        raise RuntimeError("POPGATE_BINARY must name the popgate program")
    return path


def with_state(config, directory):
    """`config`, with a store of its own in `directory` unless it names another."""
    return {**config, "state": {"url": f"sqlite:{directory}/state.db", **config.get("state", {})}}


def to_toml(config):
    """TOML of a dict of tables (dict) and arrays of tables (list of dicts)."""
    lines = []
    for name, tables in config.items():
        for table in tables if isinstance(tables, list) else [tables]:
            lines.append(f"[[{name}]]" if isinstance(tables, list) else f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


class Popgate:
    """`popgate serve`, from start() to stop() or for the time of a `with` block.

    config      a dict that becomes the TOML file, logged as JSON; or
    arguments   the command line instead of a file

    What is remembered lies in a directory that lasts as long as this object, so that start() after stop() finds it;
    `state` in `config`, or --state, may name another place.
    """

    def __init__(self, config=None, *, arguments=None):
        self._config = config
        self._arguments = arguments
        self._directory = tempfile.TemporaryDirectory(prefix="popgate-")  # removed with this object
        self._process = None
        self._lines = []           # of standard error, as text
        self._records = []         # those of them that are JSON
        self._by_event = defaultdict(list)
        self._news = threading.Condition()
        self._reader = None
        self._listening = []

    # --- running it

    def start(self):
        before = len(self.log("listening"))
        # A small quarantine, so that AddressSanitizer does not hide what a message costs in memory.
        sanitizer = f"detect_stack_use_after_return=0:quarantine_size_mb=8:{os.environ.get('ASAN_OPTIONS', '')}"
        environment = {**os.environ, "ASAN_OPTIONS": sanitizer.rstrip(":")}
        self._process = subprocess.Popen([binary(), "serve", *self._command_line()], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        count = len(self._config["listen"]) if self._config else 1
        self._listening = self.wait_for("listening", count=before + count)[before:]
        return self

    def stop(self):
        """SIGTERM must end it with exit code 0 and without a complaint of a sanitizer."""
        self.terminate()
        self.wait()

    def terminate(self, how=signal.SIGTERM):
        if self._process.poll() is None:
            self._process.send_signal(how)

    def wait(self):
        """Waits for the end that terminate() has begun."""
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"popgate did not end after SIGTERM\n{self.log_text()}") from None
        self._reader.join(PATIENCE)
        self._process.stderr.close()
        report = _SANITIZER_REPORT.search(self.log_text())
        assert report is None, f"a sanitizer complained:\n{self.log_text()[report.start():][:5000]}"
        assert status == 0, f"exit code {status}\n{self.log_text()[-5000:]}"

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._reader.join(PATIENCE)

    def pause(self):
        """Stops it for a moment, as a debugger or an administrator does, and lets it go on."""
        self.terminate(signal.SIGSTOP)
        stat = Path(f"/proc/{self._process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(") ")[2].startswith("T"), "a stopped process")
        self.terminate(signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self._process.pid

    def running(self):
        return self._process is not None and self._process.poll() is None

    def port(self, tls=None):
        """Of the first listener, or the first with this `tls` setting."""
        for record in self._listening:
            if tls in (None, record["tls"]):
                return int(record["address"].rpartition(":")[2])
        raise LookupError(f"no listener with tls={tls}: {self._listening}")

    @property
    def configuration_file(self):
        """For the admin's commands."""
        return str(Path(self._directory.name) / "popgate.toml")

    def _command_line(self):
        if self._arguments is not None:
            arguments = [str(argument) for argument in self._arguments]
            if "--state" not in arguments and "--config" not in arguments:
                arguments += ["--state", f"sqlite:{self._directory.name}/state.db"]
            return arguments
        config = {"log": {"format": "json", "level": "debug"}, **self._config}
        Path(self.configuration_file).write_text(to_toml(with_state(config, self._directory.name)))
        return ["--config", self.configuration_file]

    # --- its log

    def log_text(self):
        with self._news:
            return "\n".join(self._lines)

    def log(self, event=None):
        """The JSON lines so far, as dicts."""
        with self._news:
            return list(self._records if event is None else self._by_event[event])

    def wait_for(self, event, *, count=1, timeout=PATIENCE, **fields):
        """The log lines with this event and these fields, once there are `count` of them."""
        def found():
            return [record for record in self._by_event[event]
                    if all(record.get(name) == value for name, value in fields.items())]

        deadline = time.monotonic() + timeout
        with self._news:
            while len(found()) < count:
                assert self._process.poll() is None or self._reader.is_alive(), f"popgate ended:\n{self._tail()}"
                if not self._news.wait(min(0.5, deadline - time.monotonic())) and time.monotonic() > deadline:
                    raise TimeoutError(f"no {event} {fields} in the log:\n{self._tail()}")
            return found()

    def forget_log(self):
        """Of a program that writes more than a test can keep."""
        with self._news:
            self._lines.clear()
            self._records.clear()
            self._by_event.clear()

    def session(self, **fields):
        """The record that a session writes at its end; the newest one with these fields."""
        return self.wait_for("session", **fields)[-1]

    def _tail(self):
        return "\n".join(self._lines[-50:])

    def _read_log(self):
        for line in self._process.stderr:
            text = line.decode(errors="replace").rstrip("\n")
            try:
                record = json.loads(text)
            except ValueError:
                record = None
            with self._news:
                self._lines.append(text)
                if isinstance(record, dict):
                    self._records.append(record)
                    self._by_event[record.get("event")].append(record)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    # --- what it uses

    def memory(self):
        """{"VmRSS": KiB, "VmHWM": KiB} of the process now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return {name: int(kib) for name, kib in re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE)}

    def limit_address_space(self, more):
        """Lets it have so many octets more than now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        limit = int(re.search(r"VmSize:\s+(\d+) kB", status)[1]) * 1024 + more
        resource.prlimit(self._process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

    def limit_descriptors(self, more):
        """Lets it open so many more than now."""
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (self.descriptors() + more, hard))

    def forget_memory_peak(self):
        """Makes VmHWM start again from VmRSS."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def wait_for_descriptors(self, at_most):
        """Waits until no more than so many descriptors are open: that nothing is left behind."""
        wait_until(lambda: self.descriptors() <= at_most, f"at most {at_most} descriptors, not {self.descriptors()}")


def run(*arguments, stdin=b""):
    """A popgate command that ends by itself: check, hash-password, --version."""
    return subprocess.run([binary(), *map(str, arguments)], input=stdin, capture_output=True, timeout=PATIENCE,
                          check=False)
