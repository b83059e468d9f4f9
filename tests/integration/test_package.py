"""The Debian package: made from a release build, installed in a small Debian of its own, used, upgraded and purged."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import debian_package
from support.net import HOST
from support.popgate import Popgate, to_toml
from support.setups import PASSWORD

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a chroot")

CONFIGURATION = "/etc/popgate/popgate.toml"
SOURCES = Path(__file__).resolve().parents[2]
MESSAGE = "Subject: From within\r\n\r\nThe first line\r\n..and one with dots\r\n"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return debian_package.build(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def chroot(package, tmp_path_factory):
    return debian_package.Chroot(tmp_path_factory.mktemp("debian"), package)


@pytest.fixture
def installed(chroot, package):
    said = chroot.install(package)
    assert "popgate is not started" in said and CONFIGURATION in said
    yield chroot
    chroot.run("dpkg", "--purge", "popgate")
    for folder in ("/etc/popgate", "/run/popgate", "/srv/mail"):  # what tests have put there themselves
        shutil.rmtree(chroot.path(folder), ignore_errors=True)


def serving_configuration(chroot):
    """Of a popgate that serves a Maildir with one message in it."""
    new = chroot.path("/srv/mail/ann/new")
    for name in ("new", "cur", "tmp"):
        (new.parent / name).mkdir(parents=True, exist_ok=True)
    (new / "1700000000.1.host").write_text(MESSAGE)
    chroot.run("chown", "-R", "popgate:popgate", "/srv/mail")
    hashed = subprocess.run(["chroot", chroot.root, "popgate", "hash-password"], input=f"{PASSWORD}\n", text=True,
                            stdout=subprocess.PIPE, check=True).stdout.strip()
    users = chroot.path("/etc/popgate/users")
    users.write_text(f"ann:{hashed}\n")
    chroot.run("chown", "root:popgate", "/etc/popgate/users")
    users.chmod(0o640)
    return to_toml({"log": {"format": "json"}, "listen": [{"address": f"{HOST}:0", "tls": "none"}],
                    "route": [{"match": "*", "backend": "maildir:/srv/mail/%n", "auth": "password-file",
                               "password_file": "users"}]})


def test_lintian_has_nothing_to_say(package):
    user = ["--allow-root"] if os.geteuid() == 0 else []
    debian_package.run("lintian", *user, "--fail-on", "error,warning", package)


def test_what_it_says_of_itself(package):
    version = debian_package.field(package, "Version")
    assert debian_package.field(package, "Section") == "mail"
    assert debian_package.run("dpkg-parsechangelog", "-l", SOURCES / "deploy/debian/changelog", "-S",
                              "Version").strip() == version
    assert re.search(r"\blibssl3\b|\blibssl3t64\b", debian_package.field(package, "Depends"))


def test_the_same_build_gives_the_same_package(package, tmp_path):
    again = debian_package.build(tmp_path)
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(package.read_bytes()).digest()


def test_the_program_is_stripped_and_hardened(installed):
    read = debian_package.run("readelf", "-W", "-h", "-l", "-d", "-S", "--dyn-syms", installed.path("/usr/bin/popgate"))
    assert re.search(r"Type:\s+DYN", read)  # position independent
    assert "GNU_RELRO" in read and re.search(r"FLAGS_1.*\bNOW\b", read)
    assert "__stack_chk_fail" in read
    assert re.search(r"__mem\w+_chk|__\w*printf_chk|__read_chk", read)  # _FORTIFY_SOURCE
    assert ".symtab" not in read and ".debug_info" not in read


def test_files_owners_and_modes(installed):
    assert installed.owner_and_mode("/usr/bin/popgate") == "root:root 755"
    assert installed.owner_and_mode("/etc/popgate") == "root:popgate 750"
    assert installed.owner_and_mode(CONFIGURATION) == "root:popgate 640"
    assert installed.owner_and_mode("/var/lib/popgate") == "popgate:popgate 700"
    assert re.match(r"popgate:x:\d+:\d+:[^:]*:/var/lib/popgate:/usr/sbin/nologin", installed.run(
        "getent", "passwd", "popgate"))
    listed = installed.run("dpkg", "-L", "popgate").split()
    for name in ("/usr/share/doc/popgate/copyright", "/usr/share/doc/popgate/changelog.Debian.gz",
                 "/usr/share/doc/popgate/README.md", "/usr/share/doc/popgate/docs/operating.md",
                 "/usr/share/popgate/popgate.toml"):
        assert name in listed
    for unit in (SOURCES / "deploy" / "systemd").glob("popgate*"):
        assert f"/usr/lib/systemd/system/{unit.name}" in listed
    wrong = [name for name in listed if not installed.owner_and_mode(name).startswith("root:")]
    assert wrong == []


def test_manual_pages(installed):
    pages = {"man8/popgate.8.gz": "POPGATE 8", "man5/popgate.conf.5.gz": "POPGATE.CONF 5",
             "man5/popgate.toml.5.gz": "POPGATE.CONF 5"}
    for page, title in pages.items():
        path = installed.path(f"/usr/share/man/{page}")
        assert gzip.decompress(path.read_bytes()).decode().startswith(f".TH {title} ")


def test_the_sample_is_a_good_configuration(installed):
    assert "ok" in installed.run("popgate", "check", "--config", CONFIGURATION)
    listening = re.findall(r'^address = "(.*)"', installed.path(CONFIGURATION).read_text(), re.MULTILINE)
    assert listening == ["127.0.0.1:110"]  # nothing from outside before the admin has said so


def test_it_serves_as_the_unit_would_run_it(installed, tmp_path, monkeypatch):
    installed.path(CONFIGURATION).write_text(serving_configuration(installed))
    monkeypatch.setenv("POPGATE_BINARY", str(installed.program(tmp_path / "popgate")))
    with Popgate(arguments=["--config", CONFIGURATION]) as popgate:
        got = subprocess.run(["curl", "-sS", "--user", f"ann:{PASSWORD}", f"pop3://{HOST}:{popgate.port()}/1"],
                             capture_output=True, check=True, timeout=30).stdout
        assert got == MESSAGE.encode()
        assert popgate.session(user="ann")["retrieved"] == 1
    assert installed.owner_and_mode("/var/lib/popgate/state.db").startswith("popgate:popgate ")


def test_an_upgrade_keeps_what_the_admin_has_changed(installed, tmp_path):
    newer = debian_package.build(tmp_path, version="0.9.9")
    changed = serving_configuration(installed)
    installed.path(CONFIGURATION).write_text(changed)
    installed.path("/var/lib/popgate/state.db").write_bytes(b"something")
    installed.run("chmod", "0700", "/etc/popgate")
    said = installed.install(newer)
    assert "not started" not in said
    assert installed.run("dpkg-query", "-W", "-f", "${Version}", "popgate") == debian_package.field(newer, "Version")
    assert installed.path(CONFIGURATION).read_text() == changed
    assert installed.owner_and_mode(CONFIGURATION) == "root:popgate 640"
    assert installed.owner_and_mode("/etc/popgate") == "root:popgate 700"  # as the admin has it
    assert installed.path("/var/lib/popgate/state.db").read_bytes() == b"something"


def test_removing_keeps_what_purging_takes(chroot, package):
    before = chroot.files()
    chroot.install(package)
    chroot.path("/var/lib/popgate/state.db").write_bytes(b"something")
    own = chroot.path("/etc/popgate/own.pem")
    own.write_text("the admin's own")
    chroot.run("dpkg", "--remove", "popgate")
    assert chroot.path(CONFIGURATION).exists() and chroot.path("/var/lib/popgate/state.db").exists()
    assert not chroot.path("/usr/bin/popgate").exists()
    chroot.run("dpkg", "--purge", "popgate")
    assert own.read_text() == "the admin's own"
    own.unlink()
    own.parent.rmdir()
    bookkeeping = re.compile(r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|etc/\.pwd\.lock$|"
                             r"var/(log|cache|backups)/|var/lib/(dpkg|systemd)(/|$)")
    left = {path for path in chroot.files() - before if not bookkeeping.match(path)}
    assert left == set()
    assert "popgate" not in chroot.run("dpkg-query", "-W", "-f", "${Package}\n")
    assert not [path for path in chroot.files() if "popgate" in path]
