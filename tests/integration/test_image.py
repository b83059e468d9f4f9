"""The container image: what is in it, that a mailbox can be read through it, that it is watched and drained as containers
are."""

import json
import os
import subprocess
import threading

import pytest
from support.containers import IMAGE, USER, Container, Storage
from support.net import HOST, PATIENCE, wait_until
from support.pop3 import Pop3
from support.popgate import binary, to_toml
from support.setups import PASSWORD

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run containers here")

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
SOCKET = "/run/popgate/admin.sock"
PATH = "/etc/popgate/popgate.toml"


@pytest.fixture(scope="module")
def storage():
    with Storage() as storage:
        storage.build(binary())
        yield storage


@pytest.fixture
def measured(capsys):
    """Prints a figure past pytest, for tests/run."""
    def say(text):
        with capsys.disabled():
            print(f"\nmeasured: {text}", flush=True)

    return say


@pytest.fixture
def by_file(storage, dovecot, tmp_path):
    """Containers that a mounted file configures, with these files besides."""
    file = tmp_path / "popgate.toml"
    route = {"match": "*", "backend": f"imaps://{HOST}:{dovecot.imaps_port}", "ca_file": "/etc/popgate/ca.pem"}
    file.write_text(to_toml({"listen": [{"address": f"{HOST}:0", "tls": "none"}], "route": [route],
                             "log": {"format": "json"}, "admin": {"listen": f"unix:{SOCKET}"}}))
    mounted = {PATH: file, "/etc/popgate/ca.pem": dovecot.ca_file}
    return lambda more=None: Container(storage, "serve", "--config", PATH, files={**mounted, **(more or {})})


@pytest.fixture
def with_file(by_file):
    with by_file() as container:
        yield container


@pytest.fixture
def with_variables(storage, dovecot):
    """A container that variables configure. The upstream's authority is one of the system's there."""
    variables = {
        "POPGATE_LISTEN_0_ADDRESS": f"{HOST}:0",
        "POPGATE_LISTEN_0_TLS": "none",
        "POPGATE_ROUTE_0_BACKEND": f"imaps://{HOST}:{dovecot.imaps_port}",
        "POPGATE_LOG_FORMAT": "json",
        "POPGATE_ADMIN_LISTEN": f"unix:{SOCKET}",
        "SSL_CERT_FILE": "/etc/ssl/own.pem",
    }
    with Container(storage, environment=variables, files={"/etc/ssl/own.pem": dovecot.ca_file}) as container:
        yield container


def read_with_curl(port, user):
    done = subprocess.run(["curl", "--silent", "--show-error", "--user", f"{user}:{PASSWORD}", f"pop3://{HOST}:{port}/1"],
                          capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done
    return done.stdout


def test_the_image_is_small_and_has_no_shell(storage, measured):
    octets, base = storage.octets(IMAGE), storage.octets("localhost/popgate-built")
    measured(f"the image has {octets / 1e6:.1f} MB; a Debian with the same libraries has {base / 1e6:.1f} MB")
    assert octets < 60e6 and octets < base / 3
    image = storage.image()
    assert image["Config"]["User"] == f"{USER}:{USER}"
    assert set(image["Config"]["ExposedPorts"]) == {"1110/tcp", "1995/tcp"}
    assert image["Config"]["StopSignal"] == "SIGTERM"
    assert image["Healthcheck"]["Test"][:2] == ["CMD", "/usr/bin/popgate"]
    archive = storage.directory / "image.tar"
    storage.podman("save", "--format", "docker-archive", "--output", archive, IMAGE)
    names = files_of(archive)
    assert "usr/bin/popgate" in names and "etc/ssl/certs/ca-certificates.crt" in names
    programs = sorted(name for name in names if name.startswith(("usr/bin/", "usr/sbin/", "bin/", "sbin/")))
    assert programs == ["usr/bin/popgate"]


def test_a_mailbox_is_read_with_a_file(with_file, dovecot, user, measured):
    dovecot.deliver(user, MESSAGE)
    assert read_with_curl(with_file.port(), user) == MESSAGE
    status = with_file.status()
    measured(f"popgate in its container, idle, has {int(status['VmRSS'].split()[0]) / 1024:.1f} MiB")
    assert status["Uid"].split() == status["Gid"].split() == [str(USER)] * 4
    assert [status[f"Cap{which}"] for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == ["0" * 16] * 5
    assert status["NoNewPrivs"] == "1" and status["NSpid"].split()[-1] == "1"
    assert (with_file.volume("/var/lib/popgate") / "state.db").stat().st_uid == USER


def test_a_mailbox_is_read_with_variables(with_variables, dovecot, user):
    dovecot.deliver(user, MESSAGE)
    assert read_with_curl(with_variables.port(), user) == MESSAGE


def test_it_is_healthy_until_it_drains(with_variables, dovecot, user):
    dovecot.deliver(user, MESSAGE)
    with Pop3(with_variables.port()) as pop3:
        assert pop3.login(user, PASSWORD).startswith("+OK")
        assert with_variables.healthy()
        with_variables.signal("TERM")
        wait_until(lambda: with_variables.log("draining"), "a drain", interval=0.2)
        assert not with_variables.healthy()
        live = with_variables.run("popgate", "health", "--live", "--socket", SOCKET)
        assert live.returncode == 0, live
        assert pop3.quit().startswith("+OK")
    assert with_variables.exit_code() == 0


def test_it_is_not_healthy_when_its_store_cannot_be_written(by_file, dovecot, user, tmp_path):
    dovecot.deliver(user, MESSAGE)
    state = tmp_path / "state"
    state.mkdir()
    with by_file({"/var/lib/popgate": state}) as container:  # mounted read-only
        assert read_with_curl(container.port(), user) == MESSAGE
        assert not container.healthy()


def test_stopping_it_lets_a_session_finish(with_file, dovecot, user):
    dovecot.deliver(user, MESSAGE)
    with Pop3(with_file.port()) as pop3:
        assert pop3.login(user, PASSWORD).startswith("+OK")
        stopping = threading.Thread(target=with_file.stop, args=(PATIENCE,))
        stopping.start()
        wait_until(lambda: with_file.log("draining"), "a drain", interval=0.2)
        assert pop3.retr(1) == MESSAGE
        pop3.command("DELE 1")
        assert pop3.quit().startswith("+OK")
        stopping.join()
    assert with_file.exit_code() == 0
    assert dovecot.uids(user) == []


def test_nothing_but_popgate_can_be_run_in_it(with_file):
    with_file.port()
    assert with_file.run("/bin/sh", "-c", "true").returncode != 0
    assert with_file.run("popgate", "--version").stdout.startswith("popgate ")


def files_of(archive):
    """The paths in all layers of an image."""
    def tar(*arguments, **more):
        return subprocess.run(["tar", *arguments], check=True, capture_output=True, **more).stdout

    names = []
    for layer in json.loads(tar("-xOf", archive, "manifest.json"))[0]["Layers"]:
        listing = tar("-t", input=tar("-xOf", archive, layer)).decode()
        names += [name.removeprefix("./") for name in listing.splitlines() if not name.endswith("/")]
    return names
