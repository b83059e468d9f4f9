"""Descriptors, memory and room on the disk run out: clients hear so, or wait; nothing is lost, and all works again when there
is enough."""

import errno
import os
import subprocess
from contextlib import contextmanager

import pytest
from support.http_kinds import open_kind
from support.net import HOST, wait_until
from support.pop3 import Pop3
from support.popgate import SANITIZED, run
from support.setups import PASSWORD, clear_route, imaps_route, log_in, maildir_route, make_maildir

MESSAGES = [b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number) for number in range(1, 6)]


def can_log_in(popgate, user, password=PASSWORD):
    try:
        with Pop3(popgate.port()) as pop3:
            return pop3.login(user, password).startswith("+OK") and pop3.quit().startswith("+OK")
    except (AssertionError, EOFError, OSError):
        return False


# --- descriptors


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs descriptors of its own and reports that it has none")
@pytest.mark.parametrize("kind", ["imap", "jmap-fake"])
def test_without_descriptors_for_upstreams(kind, certificates, dovecot, serve, user):
    """Some clients get in, but no further: login is refused for the time being, not for ever, and not as a wrong password."""
    def check(route, name, password):
        popgate = serve(route, limits={"workers": 1})
        assert can_log_in(popgate, name, password)
        popgate.wait_for("session", user=name)
        before = popgate.descriptors()
        with Pop3(popgate.port()) as early:
            popgate.limit_descriptors(0)
            reply = early.login(name, password)
            if kind == "imap":
                assert reply.startswith("-ERR [SYS/TEMP]"), reply
            else:  # over the connection that was kept
                assert reply.startswith("+OK 1 messages"), reply
                early.quit()
            assert popgate.running()
            newcomers = [Pop3(popgate.port(), greet=False) for _ in range(30)]
            popgate.wait_for("accept_failed")
            for newcomer in newcomers:
                newcomer.reset()
            popgate.limit_descriptors(50)
            if kind == "imap":
                assert early.login(name, password).startswith("+OK 1 messages")
                assert early.quit().startswith("+OK")
        wait_until(lambda: can_log_in(popgate, name, password), "a login when there are descriptors")
        assert len(popgate.log("accept_failed")) < 100  # it does not spin
        popgate.wait_for_descriptors(before + 2)

    if kind == "imap":
        dovecot.deliver(user, MESSAGES[0])
        return check(imaps_route(dovecot), user, PASSWORD)
    with open_kind(kind, certificates) as upstream:
        name, password = upstream.new_user()
        upstream.deliver(name, MESSAGES[0])
        check(upstream.route(), name, password)


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs descriptors of its own and reports that it has none")
def test_more_clients_than_descriptors(dovecot, serve, user, tmp_path):
    """Those who were there first are served to the end, and so is the administrator once a place is free."""
    dovecot.deliver(user, *MESSAGES)
    admin = tmp_path / "admin"
    popgate = serve(clear_route(dovecot.imap_port, lock="shared"), admin={"listen": f"unix:{admin}"},
                    limits={"max_sessions": 1000, "max_sessions_per_address": 1000})
    with log_in(popgate, user) as early:
        popgate.limit_descriptors(40)
        crowd = [Pop3(popgate.port(), greet=False) for _ in range(120)]
        popgate.wait_for("accept_failed")
        assert [early.retr(number) for number in range(1, 6)] == MESSAGES
        for one in crowd:
            one.close()
        assert early.command("DELE 1").startswith("+OK")
        assert early.quit().startswith("+OK")
    wait_until(lambda: can_log_in(popgate, user), "a login after the crowd")
    answer = run("status", "--socket", admin)
    assert answer.returncode == 0, answer.stderr
    assert len(popgate.log("accept_failed")) < 200
    assert list(dovecot.messages(user).values()) == MESSAGES[1:]


# --- memory


@pytest.mark.skipif(SANITIZED, reason="a sanitizer reserves terabytes of address space")
@pytest.mark.parametrize("kind", ["imap", "maildir", "jmap-fake"])
def test_without_memory_messages_fail_whole_or_break_off(kind, certificates, dovecot, serve, user, tmp_path):
    large = b"Subject: large\r\n\r\n" + b"a line of some length, again and again\r\n" * 100_000
    with open_kind("jmap-fake", certificates) as fake:
        password = PASSWORD
        if kind == "imap":
            route = imaps_route(dovecot, lock="shared")
            dovecot.deliver(user, large, *MESSAGES)
        elif kind == "maildir":
            hashed = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=PASSWORD.encode(), check=True,
                                    capture_output=True).stdout.decode().strip()
            passwords = tmp_path / "passwords"
            passwords.write_text(f"{user}:{hashed}\n")
            passwords.chmod(0o600)
            make_maildir(tmp_path, user, large, *MESSAGES)
            route = maildir_route(tmp_path, lock="shared", auth="password-file", password_file=str(passwords))
        else:
            user, password = fake.new_user()
            for message in (large, *MESSAGES):
                fake.deliver(user, message)
            route = fake.route(lock="shared")
        popgate = serve(route, limits={"workers": 1})
        expected = [large, *MESSAGES]
        assert can_log_in(popgate, user, password)

        outcomes = {"served": 0, "refused": 0, "lost": 0}
        for more in (0, 1 << 16, 1 << 18, 1 << 20, 1 << 22):
            popgate.limit_address_space(more)
            for _ in range(4):
                outcomes[_fetch_all(popgate, user, password, expected)] += 1
            assert popgate.running()
        print(kind, outcomes)
        popgate.limit_address_space(1 << 30)
        wait_until(lambda: _fetch_all(popgate, user, password, expected) == "served", "a session with enough memory")


def _fetch_all(popgate, user, password, expected):
    try:
        with Pop3(popgate.port()) as pop3:
            reply = pop3.login(user, password)
            if not reply.startswith("+OK"):
                assert reply.startswith("-ERR [SYS/"), reply
                return "refused"
            assert pop3.stat()[0] == len(expected)
            for number, message in enumerate(expected, 1):
                if pop3.command("RETR", number).startswith("+OK"):
                    assert pop3.multiline() == message
            pop3.quit()
            return "served"
    except (EOFError, OSError):
        return "lost"


# --- the disk


@contextmanager
def small_disk(folder):
    """A disk of one MiB, if we may have one."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", folder], capture_output=True,
                          check=False)
    if made.returncode != 0:
        pytest.skip("only root may mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Until not one more octet finds room; returns the file to be removed."""
    filler = folder / "filler"
    with open(filler, "ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as problem:
                assert problem.errno == errno.ENOSPC
    return filler


@pytest.mark.parametrize("on_delete", ["delete", "keep"])
def test_a_full_disk_loses_nothing(on_delete, dovecot, serve, user, tmp_path):
    others = [f"other-{number}-{user}" for number in range(40)]
    for each in (user, *others):
        dovecot.deliver(each, *MESSAGES)
    with small_disk(tmp_path / "disk") as disk:
        popgate = serve(clear_route(dovecot.imap_port, on_delete=on_delete), state={"url": f"sqlite:{disk}/state.db"})
        with log_in(popgate, user) as pop3:
            ids = pop3.uidl()
            pop3.quit()
        filler = fill(disk)

        # Mailboxes never seen before are served as ever, by whatever is in memory.
        for each in others:
            with log_in(popgate, each) as pop3:
                assert len(pop3.uidl()) == len(MESSAGES)
                assert pop3.retr(3) == MESSAGES[2]
                assert pop3.quit().startswith("+OK")
        popgate.wait_for("state_not_written")

        gone = False
        with log_in(popgate, user) as pop3:
            assert pop3.uidl() == ids
            assert pop3.command("DELE 2").startswith("+OK")
            reply = pop3.quit()
            if on_delete == "delete":
                assert reply.startswith("+OK"), reply
            gone = reply.startswith("+OK")
        with log_in(popgate, user) as pop3:  # what QUIT has said is so
            assert (ids[2] not in pop3.uidl().values()) == gone
            pop3.quit()
        assert len(popgate.log("state_not_written")) < 20, "a line for each session fills what disk there is"

        filler.unlink()
        with log_in(popgate, user) as pop3:
            numbers = {unique_id: number for number, unique_id in pop3.uidl().items()}
            for number in (2, 3):
                if ids[number] in numbers:
                    assert pop3.command("DELE", numbers[ids[number]]).startswith("+OK")
            assert pop3.quit().startswith("+OK")
        popgate.stop()
        popgate.start()  # what was kept is on the disk
        with log_in(popgate, user) as pop3:
            assert list(pop3.uidl().values()) == [ids[1], ids[4], ids[5]]
            pop3.quit()
        popgate.stop()
    kept = list(dovecot.messages(user).values())
    assert kept == (MESSAGES if on_delete == "keep" else [MESSAGES[0], *MESSAGES[3:]])
