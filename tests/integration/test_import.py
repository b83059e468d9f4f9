"""Unique-ids taken over from another POP3 server: `popgate import-uids`."""

import json
import os
import pty
import random
import re
import signal
import subprocess

import pytest

from support import corpus
from support.dovecot import Dovecot, version
from support.gate import SERVER, Gate
from support.net import HOST, PATIENCE
from support.pop3 import Pop3
from support.popgate import binary, run, to_toml
from support.reference_pop3 import ReferencePop3
from support.setups import PASSWORD, configuration, imaps_route, log_in


@pytest.fixture(scope="module")
def old_server(certificates):
    """The POP3 server of before, with unique-ids that no other would write."""
    odd = "OLD.%{uidvalidity}-%{uid}" if version() >= (2, 4) else "OLD.%v-%u"
    with Dovecot(certificates, password=PASSWORD, pop3=True, settings={"pop3_uidl_format": odd}) as server:
        yield server


class Admin:
    """Runs commands with the configuration that a server may use at the same time."""

    def __init__(self, file, tables):
        self.file = file
        self.tables = tables
        file.write_text(to_toml(tables))

    def run(self, *arguments, stdin=b""):
        return run(*arguments, "--config", self.file, stdin=stdin)

    def import_uids(self, user, url, *more, password=PASSWORD, status=0):
        """The report, after an import that must end with this exit code."""
        made = self.run("import-uids", user, "--from", url, "--json", *more, stdin=f"{password}\n".encode())
        assert made.returncode == status, made
        assert PASSWORD.encode() not in made.stdout + made.stderr
        if status == 1:
            assert made.stdout == b"" and made.stderr.startswith(b"popgate: ")
            return made.stderr.decode()
        return json.loads(made.stdout)

    def imported(self, user):
        """How many unique-ids the store holds."""
        made = self.run("mailbox", "show", user, "--json")
        assert made.returncode == 0, made
        return json.loads(made.stdout)["imported_unique_ids"]


@pytest.fixture
def admin(certificates, dovecot, tmp_path):
    state = {"url": f"sqlite:{tmp_path / 'state' / 'state.db'}"}
    return Admin(tmp_path / "popgate.toml", configuration(certificates, imaps_route(dovecot), state=state))


def message(word, body="text\r\n", message_id=True):
    header = f"From: Eva <eva@x>\r\nTo: Jan <jan@x>\r\nSubject: {word}\r\nDate: Mon, 2 Nov 2026 10:00:00 +0100\r\n"
    if message_id:
        header += f"Message-ID: <{word}@x>\r\n"
    return f"{header}\r\n{body}".encode()


def move(old_server, dovecot, user, seed=1):
    """Copies the old mailbox in another order, over IMAP; the UIDs become others. {UID there: UID here}"""
    dovecot.append(user, message("one that is gone"))
    dovecot.remove_all(user)
    messages = list(old_server.messages(user).items())
    random.Random(seed).shuffle(messages)
    for _, raw in messages:
        dovecot.append(user, raw)
    return dict(zip((uid for uid, _ in messages), dovecot.uids(user)))


def old_uidl(old_server, user):
    """{UID: unique-id} as the old server's own POP3 gives them."""
    with Pop3(old_server.pop3_port) as pop3:
        assert pop3.login(user, PASSWORD).startswith("+OK")
        return {int(re.fullmatch(r"OLD\.\d+-(\d+)", unique_id)[1]): unique_id for unique_id in pop3.uidl().values()}


def url_of(old_server, tls=True):
    return f"pop3s://{HOST}:{old_server.pop3s_port}" if tls else f"pop3://{HOST}:{old_server.pop3_port}"


def mapping(report):
    """{UID in the new mailbox: unique-id}"""
    return {int(match["id"]): match["unique_id"] for match in report["matches"]}


def test_every_message_keeps_its_id(admin, old_server, dovecot, user, certificates, serve):
    old_server.deliver(user, *(message(f"message-{number}") for number in range(1, 41)))
    moved = move(old_server, dovecot, user)
    ids = old_uidl(old_server, user)
    report = admin.import_uids(user, url_of(old_server), "--ca-file", certificates.ca)
    assert report["complete"] and report["written"] and report["matched_by"]["headers"] == 40
    expected = {moved[uid]: unique_id for uid, unique_id in ids.items()}
    assert mapping(report) == expected
    assert admin.imported(user) == 40

    dovecot.append(user, message("new"))
    popgate = serve(imaps_route(dovecot), state=admin.tables["state"])
    pop3 = log_in(popgate, user)
    served = list(pop3.uidl().values())
    pop3.quit()
    in_order = [expected.get(uid) for uid in dovecot.uids(user)]
    assert served[:40] == in_order[:40]
    assert served[40] not in ids.values() and not served[40].startswith("OLD.")
    shown = json.loads(admin.run("mailbox", "show", user, "--messages", "--json").stdout)
    assert [one["unique_id"] for one in shown["message_list"]][:40] == served[:40]
    assert shown["messages"] == 41 and shown["imported_unique_ids"] == 40


def test_while_a_server_is_running(admin, old_server, dovecot, user, certificates, serve):
    """A session that begins after the import has the old ids, without a restart."""
    old_server.deliver(user, message("a"), message("b"))
    moved = move(old_server, dovecot, user)
    popgate = serve(imaps_route(dovecot), state=admin.tables["state"])
    with log_in(popgate, user) as pop3:
        assert not any(unique_id.startswith("OLD.") for unique_id in pop3.uidl().values())
    admin.import_uids(user, url_of(old_server), "--ca-file", certificates.ca)
    expected = {moved[uid]: unique_id for uid, unique_id in old_uidl(old_server, user).items()}
    with log_in(popgate, user) as pop3:
        assert list(pop3.uidl().values()) == [expected[uid] for uid in dovecot.uids(user)]


def test_awkward_messages(admin, old_server, dovecot, user, certificates):
    """What has a header is matched, and nothing is matched wrongly."""
    # IMAP's APPEND takes no empty message and makes line ends of bare CRs, and Dovecot's POP3 does not double a dot
    # that is a message's first octet.
    messages = [raw for name, raw in corpus.awkward_messages().items()
                if raw and not raw.startswith(b".") and name != "header with CR"]
    old_server.deliver(user, *messages)
    moved = move(old_server, dovecot, user)
    report = admin.import_uids(user, url_of(old_server), "--ca-file", certificates.ca, status=3)
    ids = {moved[uid]: unique_id for uid, unique_id in old_uidl(old_server, user).items()}
    found = mapping(report)
    bodies = dovecot.messages(user)
    for uid, unique_id in found.items():
        # Of twins it does not matter which is which.
        right = next(new for new, old in ids.items() if old == unique_id)
        assert uid == right or header_of(bodies[uid]) == header_of(bodies[right])
    for uid, body in bodies.items():
        assert uid in found or not header_of(body), body[:200]


def header_of(raw):
    return re.split(rb"(?:^|\r?\n)\r?\n", raw, maxsplit=1)[0]


def test_starttls(admin, old_server, dovecot, user, certificates):
    old_server.deliver(user, message("a"))
    move(old_server, dovecot, user)
    report = admin.import_uids(user, url_of(old_server, tls=False), "--ca-file", certificates.ca)
    assert report["imported"] == 1


def test_a_certificate_that_nobody_vouches_for(admin, old_server, dovecot, user):
    old_server.deliver(user, message("a"))
    for tls in (True, False):
        assert "certificate" in admin.import_uids(user, url_of(old_server, tls), status=1)
    assert admin.import_uids(user, url_of(old_server), "--no-verify-certificate", status=3)["old_messages"] == 1


def test_missing_messages_and_twins(admin, old_server, dovecot, user, certificates):
    twin, lost = message("twin"), message("lost")
    alone = message("alone", message_id=False)
    old_server.deliver(user, twin, lost, alone, twin)
    for raw in (alone, twin, message("new"), twin):
        dovecot.append(user, raw)
    report = admin.import_uids(user, url_of(old_server), "--ca-file", certificates.ca, status=3)
    ids = old_uidl(old_server, user)
    assert mapping(report) == {1: ids[3], 2: ids[1], 4: ids[4]}  # twins in their order
    [missing] = report["unmatched_old"]
    assert (missing["number"], missing["unique_id"], missing["subject"]) == (2, ids[2], "lost")
    assert [one["subject"] for one in report["unmatched_new"]] == ["new"]
    assert admin.imported(user) == 3


def test_again_after_messages_have_left_the_old_server(admin, old_server, dovecot, user, certificates):
    old_server.deliver(user, message("a"), message("b"))
    move(old_server, dovecot, user)
    admin.import_uids(user, url_of(old_server), "--ca-file", certificates.ca)
    old_server.remove_all(user)
    old_server.deliver(user, message("c"))
    dovecot.append(user, message("c"))
    report = admin.import_uids(user, url_of(old_server), "--ca-file", certificates.ca)
    assert (report["imported"], report["kept"], report["dropped"]) == (1, 2, 0)
    assert admin.imported(user) == 3


def test_a_dry_run_writes_nothing(admin, old_server, dovecot, user, certificates):
    old_server.deliver(user, message("a"))
    move(old_server, dovecot, user)
    report = admin.import_uids(user, url_of(old_server), "--ca-file", certificates.ca, "--dry-run")
    assert report["imported"] == 1 and report["written"] is False
    assert admin.imported(user) == 0


def test_a_server_without_unique_ids_of_use(admin, dovecot, user):
    """Ids that UIDL cannot carry, or that are given twice, and headers that other servers have changed."""
    raw = message("a")
    dovecot.append(user, b"Received: from old by new\r\n" + raw)
    with ReferencePop3([b"Status: RO\r\n" + raw]) as reference:
        report = admin.import_uids(user, f"pop3://{HOST}:{reference.port}", "--starttls", "none")
    assert report["matches"][0]["rule"] == "headers-without-trace"
    assert report["matches"][0]["unique_id"] == "1001"


def test_wrong_passwords_write_nothing(admin, old_server, dovecot, user, certificates, tmp_path):
    old_server.deliver(user, message("a"))
    move(old_server, dovecot, user)
    url, ca = url_of(old_server), ["--ca-file", certificates.ca]
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(PASSWORD + "\n")
    bad.write_text("canary-wrong\n")
    for old, new, side in ((bad, good, "the old server"), (good, bad, "the new mailbox")):
        said = admin.import_uids(user, url, *ca, "--old-password-file", old, "--password-file", new, status=1)
        assert side in said and "canary" not in said
    assert admin.imported(user) == 0
    assert admin.import_uids(user, url, *ca, "--old-password-file", good)["imported"] == 1


def test_a_server_that_breaks_off_writes_nothing(admin, old_server, dovecot, user):
    old_server.deliver(user, *(message(f"m{number}") for number in range(50)))
    move(old_server, dovecot, user)
    for pattern in (rb"\r\n25 OLD", rb"Subject: m25\r\n"):
        with Gate(old_server.pop3_port) as gate:
            rule = gate.cut(SERVER, pattern)
            said = admin.import_uids(user, f"pop3://{HOST}:{gate.port}", "--starttls", "none", status=1)
            assert rule.fired.is_set() and "the old server" in said
    assert admin.imported(user) == 0


def test_an_interrupt_writes_nothing(admin, old_server, dovecot, user, tmp_path):
    old_server.deliver(user, *(message(f"m{number}") for number in range(50)))
    move(old_server, dovecot, user)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    with Gate(old_server.pop3_port) as gate:
        rule = gate.stall(SERVER, rb"Subject: m25\r\n")
        command = [binary(), "import-uids", user, "--config", admin.file, "--from", f"pop3://{HOST}:{gate.port}",
                   "--starttls", "none", "--old-password-file", password]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            rule.wait()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, b"") and err.startswith(b"popgate: the old server: "), err
    assert admin.imported(user) == 0


def test_another_name_at_the_old_server(admin, old_server, dovecot, user, certificates):
    old_server.deliver("before-" + user, message("a"))
    dovecot.append(user, message("a"))
    report = admin.import_uids(user, url_of(old_server), "--ca-file", certificates.ca, "--old-user", "before-" + user)
    assert report["imported"] == 1


def test_words_and_no_bar_where_there_is_no_terminal(admin, old_server, dovecot, user, certificates):
    old_server.deliver(user, message("a"), message("\x1b[31m red"))
    move(old_server, dovecot, user)
    dovecot.append(user, message("\x1b[32m green"))
    made = admin.run("import-uids", user, "--from", url_of(old_server), "--ca-file", certificates.ca,
                     stdin=f"{PASSWORD}\n".encode())
    assert (made.returncode, made.stderr) == (0, b"")
    text = made.stdout.decode()
    assert "2 matched" in text and "2 by headers" in text and "\\x1b[32m green" in text and "\x1b" not in text


def test_a_bar_on_a_terminal(admin, old_server, dovecot, user, certificates, tmp_path):
    old_server.deliver(user, message("a"), message("b"))
    move(old_server, dovecot, user)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    master, slave = pty.openpty()
    command = [binary(), "import-uids", user, "--config", admin.file, "--from", url_of(old_server), "--ca-file",
               certificates.ca, "--old-password-file", password]
    made = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, timeout=PATIENCE,
                          check=False)
    os.close(slave)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert made.returncode == 0, shown
    assert "old server  [" in shown and "new mailbox  [" in shown and "/2" in shown
    assert shown.endswith("\r\x1b[K")  # gone in the end


def test_bad_usage(admin, user):
    for arguments in (["import-uids", user], ["import-uids", user, "--from", "imap://x"], ["mailbox"],
                      ["mailbox", "forget", user], ["mailbox", "quarantine", "release", user],
                      ["mailbox", "quarantine", "release", user, "x", "--all"], ["mailbox", "show", "--messages"]):
        made = admin.run(*arguments)
        assert made.returncode == 2 and made.stderr, arguments
    assert run("mailbox", "show", user, "--config", "/nonexistent.toml").returncode == 2


def test_forget_keeps_what_was_imported(admin, old_server, dovecot, user, certificates):
    old_server.deliver(user, message("a"))
    move(old_server, dovecot, user)
    admin.import_uids(user, url_of(old_server), "--ca-file", certificates.ca)
    assert admin.run("mailbox", "forget", user, "--yes").returncode == 0
    assert admin.imported(user) == 1
    made = admin.run("mailbox", "show", "--json")
    assert [json.loads(line)["imported_unique_ids"] for line in made.stdout.splitlines()] == [1]


def test_forget_asks_on_a_terminal(admin, dovecot, user, serve):
    dovecot.append(user, message("a"))
    log_in(serve(imaps_route(dovecot), state=admin.tables["state"]), user).quit()
    for answer, status, known in ((b"n\n", 1, True), (b"y\n", 0, False)):
        master, slave = pty.openpty()
        with subprocess.Popen([binary(), "mailbox", "forget", user, "--config", admin.file], stdin=slave,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            os.write(master, answer)
            _, asked = process.communicate(timeout=PATIENCE)
        os.close(slave)
        os.close(master)
        assert process.returncode == status and b"1 messages" in asked, asked
        assert json.loads(admin.run("mailbox", "show", user, "--json").stdout)["known"] is known
