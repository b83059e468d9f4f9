"""Maildir and mbox behind a password file, without any IMAP server."""

import fcntl
import subprocess
import threading

import pytest
from support.corpus import as_pop3, awkward_messages
from support.net import PATIENCE
from support.pop3 import Pop3
from support.popgate import run
from support.setups import PASSWORD, log_in, try_to_log_in

MESSAGES = [b"Subject: %d\n\n.body of %d\n" % (number, number) for number in range(1, 6)]


@pytest.fixture(scope="module")
def password_file(tmp_path_factory):
    """Users ann, bob and carl, who have the same password, hashed in three ways."""
    ours = run("hash-password", stdin=PASSWORD.encode() + b"\n").stdout.decode().strip()
    path = tmp_path_factory.mktemp("passwords") / "passwords"
    path.write_text(f"# a comment\n\nann:{ours}\nbob:{crypt_sha512(PASSWORD)}\ncarl:{ours}\nlocked:!\n")
    return path


def crypt_sha512(password):
    return subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password.encode(), check=True,
                          capture_output=True).stdout.decode().strip()


class Maildir:
    def __init__(self, root):
        self.root = root
        self.backend = f"maildir:{root}/%u"
        self._count = 0

    def deliver(self, user, *messages):
        for name in ("cur", "new", "tmp"):
            (self.root / user / name).mkdir(parents=True, exist_ok=True)
        for raw in messages:
            self._count += 1
            (self.root / user / "new" / f"{1_600_000_000 + self._count}.M1P1.localhost").write_bytes(raw)

    def contents(self, user):
        files = [path for name in ("cur", "new") for path in (self.root / user / name).iterdir()]
        return [path.read_bytes() for path in sorted(files, key=lambda path: path.name)]

    def remove_first(self, user):
        min((path for name in ("cur", "new") for path in (self.root / user / name).iterdir()),
            key=lambda path: path.name).unlink()


class Mbox:
    SEPARATOR = b"From a@example.org Thu Jan  1 00:00:00 1970\n"

    def __init__(self, root):
        self.root = root
        self.backend = f"mbox:{root}/%u"

    def deliver(self, user, *messages):
        """As a delivery agent does: under a lock, at the end."""
        with open(self.root / user, "ab") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            for raw in messages:
                file.write(self.SEPARATOR + raw.replace(b"\nFrom ", b"\n>From ") + b"\n")

    def contents(self, user):
        text = (self.root / user).read_bytes()
        return [part.removesuffix(b"\n") for part in text.split(self.SEPARATOR)[1:]]


@pytest.fixture(params=[Maildir, Mbox], ids=["maildir", "mbox"])
def store(request, tmp_path):
    (tmp_path / "mail").mkdir()
    return request.param(tmp_path / "mail")


@pytest.fixture
def popgate(store, password_file, serve):
    return serve(route(store, password_file))


def route(store, password_file, **keys):
    return {"match": "*", "backend": store.backend, "auth": "password-file", "password_file": str(password_file), **keys}


@pytest.mark.parametrize("user", ["ann", "bob"])
def test_a_whole_session(user, store, popgate):
    store.deliver(user, *MESSAGES)
    with log_in(popgate, user) as pop3:
        assert list(pop3.list().values()) == [len(as_pop3(message)) for message in MESSAGES]
        assert [pop3.retr(number) for number in range(1, 6)] == [as_pop3(message) for message in MESSAGES]
        assert pop3.top(2, 0) == b"Subject: 2\r\n\r\n"
        uidl = pop3.uidl()
        pop3.command("DELE 2")
        pop3.command("DELE 5")
        assert pop3.quit().startswith("+OK")
    assert [raw.split()[1] for raw in store.contents(user)] == [b"1", b"3", b"4"]
    with log_in(popgate, user) as pop3:
        assert list(pop3.uidl().values()) == [uidl[number] for number in (1, 3, 4)]
        assert pop3.retr(2) == as_pop3(MESSAGES[2])
        pop3.quit()


def test_who_is_not_let_in(store, popgate):
    store.deliver("ann", *MESSAGES)
    credentials = [("ann", "wrong"), ("ann", " " + PASSWORD), ("ann", PASSWORD + " "), ("ANN", PASSWORD),
                   ("nobody", PASSWORD), ("locked", PASSWORD), ("locked", "!"), ("../mail/ann", PASSWORD),
                   ("ann/../bob", PASSWORD), ("# a comment", PASSWORD), ("ann:", PASSWORD)]
    for tried, reply in zip(credentials, try_to_log_in(popgate, credentials)):
        assert reply.startswith("-ERR [AUTH] "), (tried, reply)
    replies = try_to_log_in(popgate, [("ann", "wrong"), ("nobody", "wrong")])
    assert replies[0] == replies[1]  # who exists is nobody's business


def test_an_empty_mailbox(store, popgate):
    store.deliver("ann")
    with log_in(popgate, "ann") as pop3:
        assert pop3.stat() == (0, 0)
        assert pop3.quit().startswith("+OK")


def test_an_mbox_that_is_not_there_is_empty_and_a_missing_maildir_is_a_fault(store, popgate):
    """Delivery agents make an mbox when they need it. A Maildir that is not there may be a disk that is not mounted."""
    [reply] = try_to_log_in(popgate, [("ann", PASSWORD)])
    assert reply.startswith("+OK 0 " if isinstance(store, Mbox) else "-ERR [SYS/TEMP] ")


def test_nothing_is_removed_without_quit(store, popgate):
    store.deliver("ann", *MESSAGES)
    before = store.contents("ann")
    with log_in(popgate, "ann") as pop3:
        pop3.command("DELE 1")
        pop3.close()
        popgate.session(user="ann")
    assert store.contents("ann") == before


def test_mail_that_arrives_meanwhile_is_kept(store, popgate):
    store.deliver("ann", *MESSAGES[:4])
    with log_in(popgate, "ann") as pop3:
        store.deliver("ann", MESSAGES[4])
        assert pop3.stat()[0] == 4
        for number in range(1, 5):
            pop3.command("DELE", number)
        assert pop3.quit().startswith("+OK")
    assert [raw.split()[1] for raw in store.contents("ann")] == [b"5"]


def test_one_session_at_a_time(store, popgate):
    store.deliver("ann", *MESSAGES)
    store.deliver("bob")
    with log_in(popgate, "ann") as first, Pop3(popgate.port()) as second:
        assert second.login("ann", PASSWORD).startswith("-ERR [IN-USE] ")
        assert second.login("bob", PASSWORD).startswith("+OK 0 ")
        first.quit()
    popgate.session(user="ann", deleted=0)
    log_in(popgate, "ann").quit()


def test_the_corpus(store, popgate):
    """Maildir gives every octet back; an mbox cannot tell some messages apart, but loses none of the text it holds."""
    messages = [raw for raw in awkward_messages().values() if isinstance(store, Maildir) or is_fit_for_mbox(raw)]
    assert len(messages) > 60
    store.deliver("ann", *messages)
    with log_in(popgate, "ann") as pop3:
        assert pop3.stat()[0] == len(messages)
        listed = pop3.list()
        for number, raw in enumerate(messages, 1):
            expected = as_pop3(raw)
            received = pop3.retr(number)
            assert received == expected, f"{raw[:100]!r}"
            assert listed[number] == len(expected)
        pop3.quit()


def is_fit_for_mbox(raw):
    """Lines end in LF, the last one too, and none begins with From."""
    return raw.endswith(b"\n") and b"\r" not in raw.replace(b"\r\n", b"") and b"From " not in raw and raw[:1] != b"\n"


def test_a_message_that_vanished_from_a_maildir(tmp_path, password_file, serve):
    store = Maildir(tmp_path)
    store.deliver("ann", *MESSAGES)
    with log_in(serve(route(store, password_file)), "ann") as pop3:
        store.remove_first("ann")
        assert pop3.command("RETR 1").startswith("-ERR")
        assert pop3.retr(2) == as_pop3(MESSAGES[1])
        pop3.command("DELE 1")
        assert pop3.quit().startswith("+OK")


def test_a_delivery_agent_that_holds_the_mbox_is_waited_for(tmp_path, password_file, serve):
    store = Mbox(tmp_path)
    store.deliver("ann", *MESSAGES)
    popgate = serve(route(store, password_file))
    with log_in(popgate, "ann") as pop3:
        pop3.command("DELE 1")
        with open(tmp_path / "ann", "ab") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            answers = []
            quitting = threading.Thread(target=lambda: answers.append(pop3.quit()))
            quitting.start()
            with log_in(popgate, "bob") as other:  # nobody else waits for that lock
                other.quit()
            file.write(Mbox.SEPARATOR + b"Subject: late\n\nlate\n\n")
        quitting.join(PATIENCE)
    assert answers and answers[0].startswith(("+OK", "-ERR [SYS/TEMP]"))
    numbers = [raw.split()[1] for raw in store.contents("ann")]
    assert numbers[-1] == b"late"
    assert numbers[:-1] == ([b"2", b"3", b"4", b"5"] if answers[0].startswith("+OK") else [b"1", b"2", b"3", b"4", b"5"])


def test_the_password_file_is_read_anew(tmp_path, serve):
    store = Maildir(tmp_path)
    store.deliver("ann")
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    popgate = serve(route(store, passwords))
    with Pop3(popgate.port()) as pop3:
        assert pop3.login("ann", PASSWORD).startswith("-ERR [AUTH] ")
        passwords.write_text(f"ann:{crypt_sha512(PASSWORD)}\n")
        assert pop3.login("ann", PASSWORD).startswith("+OK")


def test_a_password_file_that_cannot_be_read_is_no_wrong_password(tmp_path, serve):
    store = Maildir(tmp_path)
    passwords = tmp_path / "passwords"
    passwords.write_text(f"ann:{crypt_sha512(PASSWORD)}\n")
    popgate = serve(route(store, passwords))
    passwords.unlink()
    with Pop3(popgate.port()) as pop3:
        assert pop3.login("ann", PASSWORD).startswith("-ERR [SYS/")
