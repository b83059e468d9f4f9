"""Logs in files: rotated while sessions run, and read by fail2ban, which must ban who guesses and nobody else."""

import base64
import json
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from support.net import HOST, PATIENCE, wait_until
from support.pop3 import Pop3
from support.popgate import Popgate, binary
from support.setups import clear_route, configuration, imaps_route, log_in, try_to_log_in

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILTER = DEPLOY / "fail2ban" / "filter.d" / "popgate.conf"


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture
def log_file(tmp_path):
    return tmp_path / "log" / "popgate.log"


@pytest.fixture
def logging(certificates, log_file):
    """logging(route, **log): a running popgate that writes `log_file`."""
    started = []
    log_file.parent.mkdir()

    def start(route, **log):
        popgate = LoggingPopgate(configuration(certificates, route, log={"file": str(log_file), **log},
                                               process={"user": "root"}), log_file)
        started.append(popgate)
        return popgate.start()

    yield start
    for popgate in started:
        popgate.stop()


class LoggingPopgate(Popgate):
    """Finds out from the file, not from standard error, that and where it listens."""

    def __init__(self, config, file):
        super().__init__(config)
        self._file = file

    def start(self):
        self._process = subprocess.Popen([binary(), "serve", *self._command_line()], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._reader = _Done()
        count = len(self._config["listen"])
        self._listening = wait_until(lambda: _at_least(count, addresses(self._file)), "a listener in the log file")
        return self

    @property
    def pid(self):
        return self._process.pid

    def port(self, tls=None):
        return int(self._listening[0].rpartition(":")[2])

    def has_open(self, path):
        """True where one of its descriptors leads to `path`."""
        def target(descriptor):
            try:
                return os.readlink(descriptor)
            except FileNotFoundError:  # closed since the folder was listed
                return None

        return any(target(each) == path for each in Path(f"/proc/{self.pid}/fd").iterdir())

    def log_text(self):
        """Of a file only: a device may have no end."""
        return self._file.read_text() if self._file.is_file() else ""


class _Done:
    def join(self, _):
        pass

    def is_alive(self):
        return False


def _at_least(count, found):
    return found if len(found) >= count else None


def addresses(file):
    if not file.exists():
        return []
    return re.findall(r'(?:info|"event":)\W*listening"?\W+address\W+([\[\]0-9a-f.:]+)', file.read_text())


def events(text, event):
    return [line for line in text.splitlines() if f" {event} " in line or f'"event":"{event}"' in line]


# --- the file

@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_goes_to_the_file_and_nothing_to_standard_error(form, logging, log_file, dovecot, user):
    popgate = logging(imaps_route(dovecot), format=form)
    with log_in(popgate, user) as pop3:
        pop3.quit()
    wait_until(lambda: events(log_file.read_text(), "session"), "the session's line")
    assert stat.S_IMODE(log_file.stat().st_mode) & 0o137 == 0
    popgate.terminate()
    popgate._process.wait(PATIENCE)
    assert popgate._process.stderr.read() == b""
    if form == "json":
        for line in log_file.read_text().splitlines():
            json.loads(line)


def test_a_file_that_cannot_be_opened_is_told_with_its_cause(certificates, tmp_path, dovecot):
    config = configuration(certificates, imaps_route(dovecot), log={"file": str(tmp_path / "none" / "popgate.log")})
    popgate = Popgate(config)
    done = subprocess.run([binary(), "serve", *popgate._command_line()], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert f"the log file {tmp_path}/none/popgate.log cannot be opened: No such file or directory" in done.stderr


def test_a_full_disk_stops_nobody_and_the_loss_is_told(logging, log_file, dovecot, user):
    popgate = logging(imaps_route(dovecot), format="text")
    aside = log_file.with_suffix(".aside")
    log_file.rename(aside)
    log_file.symlink_to("/dev/full")
    os.kill(popgate.pid, signal.SIGUSR1)
    wait_until(lambda: popgate.has_open("/dev/full"), "the new file")
    for _ in range(3):
        with log_in(popgate, user) as pop3:
            pop3.quit()
    log_file.unlink()
    os.kill(popgate.pid, signal.SIGUSR1)
    wait_until(log_file.exists, "a file again")
    with log_in(popgate, user) as pop3:
        pop3.quit()

    def told():
        text = log_file.read_text()
        lost = re.search(r" warning log_lost lines=(\d+)$", text, re.MULTILINE)
        return lost and int(lost[1]) + len(events(text, "session"))

    # The last of the three may end when there is a file again.
    wait_until(lambda: told() == 4, "four sessions, told or counted")


# --- logrotate

@needs("logrotate")
def test_a_rotation_under_load_loses_no_line(logging, log_file, dovecot, user, tmp_path):
    popgate = logging(imaps_route(dovecot, lock="shared"), format="text")
    script = (DEPLOY / "logrotate" / "popgate").read_text()
    assert script.count("/var/log/popgate/popgate.log {") == 1
    script = script.replace("/var/log/popgate/popgate.log {", f"{log_file} {{")
    # Whoever runs this test owns the files; what a service manager would do is done by a program of its name.
    script = re.sub(r"^ *su popgate adm\n", "", script, flags=re.MULTILINE)
    script = script.replace("create 0640 popgate adm", "create 0640")
    rules = tmp_path / "rules"
    rules.write_text(script)
    rules.chmod(0o644)
    manager = tmp_path / "bin" / "systemctl"
    manager.parent.mkdir()
    manager.write_text("#!/bin/sh\nset -e\n[ \"$1\" = kill ] && [ \"$4\" = popgate.service ]\n"
                       f"kill -s \"$(echo \"$3\" | sed s/--signal=SIG//)\" {popgate.pid}\n"
                       f"echo \"$*\" >> {tmp_path}/called\n")
    manager.chmod(0o755)
    environment = {**os.environ, "PATH": f"{manager.parent}:{os.environ['PATH']}"}

    sessions = 0
    rotations = 5
    open_sessions = [log_in(popgate, user) for _ in range(3)]  # that last over all of it
    for number in range(rotations):
        for _ in range(4):
            with log_in(popgate, user) as pop3:
                pop3.quit()
            sessions += 1
        subprocess.run(["logrotate", "--force", "--state", str(tmp_path / "state"), str(rules)], env=environment,
                       check=True, timeout=PATIENCE)
        assert len((tmp_path / "called").read_text().splitlines()) == number + 1
    for pop3 in open_sessions:
        with pop3:
            pop3.quit()
        sessions += 1

    def written():
        files = sorted(log_file.parent.glob("popgate.log*"))
        return subprocess.run(["zcat", "-f", *files], capture_output=True, text=True, check=True).stdout

    wait_until(lambda: len(events(written(), "session")) >= sessions, f"{sessions} sessions in all files")
    assert len(events(written(), "session")) == sessions
    assert all(re.match(r"20\d\d-\d\d-\d\dT[\d:.]+Z [a-z]+ ", line) for line in written().splitlines())
    assert len(list(log_file.parent.glob("popgate.log*"))) == rotations + 1
    assert events(log_file.read_text(), "session"), "popgate did not go on in the new file"


# --- fail2ban

def banned(file):
    """The addresses that the filter finds, one for each line that matches."""
    done = subprocess.run(["fail2ban-regex", "--out", "<ip>", str(file), str(FILTER)], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    assert "ERROR" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done.stdout.split()


@needs("fail2ban-regex")
@pytest.mark.parametrize("form", ["text", "json"])
def test_wrong_passwords_are_found_with_their_address(form, logging, log_file, dovecot, user):
    popgate = logging(imaps_route(dovecot), format=form)
    assert try_to_log_in(popgate, [(user, "wrong"), (user, "worse")])[0].startswith("-ERR [AUTH]")
    with log_in(popgate, user) as pop3:
        pop3.quit()
    wait_until(lambda: len(events(log_file.read_text(), "login_failed")) == 2, "two failed logins")
    assert banned(log_file) == [HOST, HOST]


@needs("fail2ban-regex")
@pytest.mark.parametrize("form", ["text", "json"])
def test_an_outage_of_the_upstream_bans_nobody(form, logging, log_file, user):
    popgate = logging(clear_route(1), format=form)  # nobody listens there
    assert try_to_log_in(popgate, [(user, "right")])[0].startswith("-ERR [SYS/TEMP]")
    wait_until(lambda: events(log_file.read_text(), "login_failed"), "a failed login")
    assert banned(log_file) == []


# What a client might send as its name, to have somebody else banned. Line ends cannot come this way, but in SASL.
FORGED = [
    b'x" from="198.51.100.1:1" error="x" cause="auth"',
    b'x\\" from="198.51.100.1:1" cause="auth" x="',
    b'x" cause="auth" from="[2001:db8::1]:5"',
    b'x","from":"198.51.100.1:1","error":"x","cause":"auth"}',
    b'x\\","from":"198.51.100.1:1","cause":"auth","y":"',
    b'x\x0b2026-11-28T10:20:30.121Z warning login_failed user="y" from="198.51.100.1:1" error="" cause="auth"',
    "x\u20282026-11-28T10:20:30.121Z warning login_failed user=y from=198.51.100.1:1 cause=auth".encode(),
    b"x" * 250 + b'" from="198.51.100.1:1" cause="auth"',
    b"\xff\" from=\"198.51.100.1:1\" cause=\"auth\"",
    b" from=198.51.100.1:1 cause=auth",
]


@needs("fail2ban-regex")
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_name_has_somebody_else_banned(form, logging, log_file, dovecot):
    popgate = logging(imaps_route(dovecot), format=form)
    try_to_log_in(popgate, [(name, "wrong") for name in FORGED])
    with Pop3(popgate.port()) as pop3:  # with line ends, which only SASL can carry
        name = b'x\r\n2026-11-28T10:20:30.121Z warning login_failed user="y" from="198.51.100.1:1" cause="auth"'
        pop3.command(b"AUTH PLAIN " + base64.b64encode(b"\0" + name + b"\0wrong"))
        pop3.command("QUIT")
    wait_until(lambda: len(events(log_file.read_text(), "session")) == len(FORGED) + 1, "all sessions")
    found = banned(log_file)
    assert set(found) <= {HOST}, found
    assert len(found) == len([line for line in events(log_file.read_text(), "login_failed")
                              if re.search(r'"?cause"?[=:]"auth"(}|$)', line)])


@needs("fail2ban-regex")
def test_lines_of_every_kind(tmp_path):
    start = "2026-11-28T10:20:30.121Z"
    lines = {
        f'{start} warning login_failed user="a" from="192.0.2.1:5" error="x" cause="auth"': "192.0.2.1",
        f'{start} warning login_failed user="a" from="[2001:db8::1]:5" error="x" cause="auth"': "2001:db8::1",
        f'{start} warning login_failed user="a" from="[::1]:5" via="192.0.2.9:1" error="x" n=3 cause="auth" m=4': "::1",
        f'{start} warning login_failed user="a" from="192.0.2.2:5" error="down" cause="temporary"': None,
        f'{start} warning login_failed user="a" from="192.0.2.2:5" error="cause=\\"auth\\"" cause="in_use"': None,
        f'{start} info session user="a" from="192.0.2.3:5" error="" cause="auth"': None,
        f'Nov 28 10:20:30 mx popgate[7]: {start} warning login_failed user="a" from="192.0.2.4:5" error="x" cause="auth"':
            "192.0.2.4",
        f'{{"time":"{start}","level":"warning","event":"login_failed","user":"a","from":"192.0.2.5:5","error":"x",'
        '"cause":"auth"}': "192.0.2.5",
        f'{{"time":"{start}","level":"warning","event":"login_failed","user":"a","from":"[2001:db8::5]:5","n":3,'
        '"error":"x","cause":"auth","m":4}': "2001:db8::5",
        f'{{"time":"{start}","level":"warning","event":"login_failed","user":"a","from":"192.0.2.6:5","error":"x",'
        '"cause":"temporary"}': None,
        f'Nov 28 10:20:30 mx popgate[7]: {{"time":"{start}","level":"warning","event":"login_failed","user":"a",'
        '"from":"192.0.2.7:5","error":"x","cause":"auth"}': "192.0.2.7",
    }
    (tmp_path / "log").write_text("".join(line + "\n" for line in lines))
    assert banned(tmp_path / "log") == [address for address in lines.values() if address]


@needs("fail2ban-client")
def test_the_jail_is_understood(tmp_path):
    """By fail2ban itself, with its own configuration around it, and without a server."""
    folder = tmp_path / "fail2ban"
    shutil.copytree("/etc/fail2ban", folder, symlinks=True)
    for file in (folder / "jail.d").iterdir():
        file.unlink()
    shutil.copy(FILTER, folder / "filter.d")
    log = tmp_path / "popgate.log"
    log.touch()
    jail = (DEPLOY / "fail2ban" / "jail.d" / "popgate.conf").read_text()
    (folder / "jail.d" / "popgate.conf").write_text(jail.replace("/var/log/popgate/popgate.log", str(log)))
    done = subprocess.run(["fail2ban-client", "-c", str(folder), "-d"], capture_output=True, text=True, timeout=PATIENCE,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "['add', 'popgate', 'auto']" in done.stdout
    assert str(log) in done.stdout
