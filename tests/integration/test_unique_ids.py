"""Who comes from another POP3 server downloads nothing twice: popgate gives the ids that the server itself gave."""

import contextlib
import re

import pytest
from support.courier import CourierPop3
from support.dovecot import Dovecot, version
from support.net import HOST
from support.pop3 import Pop3
from support.popgate import run
from support.setups import PASSWORD, imaps_route, log_in

MESSAGES = [b"Subject: %d\n\nbody of %d\n" % (number, number) for number in range(1, 8)]

# Dovecot's setting as 2.3 and as 2.4 has it, and popgate's name for it where there is one.
DOVECOT_FORMATS = [
    ("%08Xu%08Xv", "%{uid | hex(8)}%{uidvalidity | hex(8)}", "dovecot"),
    ("%08XUu%08XUv", "%{uid | hex(8) | upper}%{uidvalidity | hex(8) | upper}", "dovecot-upper"),
    ("%v.%u", "%{uidvalidity}.%{uid}", "cyrus"),
    ("%u", "%{uid}", "cyrus-uid"),
    ("UID%u-%v", "UID%{uid}-%{uidvalidity}", None),
    ("%08Xv%08Xu", "%{uidvalidity | hex(8)}%{uid | hex(8)}", "uw"),
    ("%Xu.%Xv", "%{uid | hex}.%{uidvalidity | hex}", None),
    ("%2Ru-%v", "%{uid | reverse}-%{uidvalidity}", None),
    ("%4.06Xv%-2.03u", None, None),
    ("%f", "%{filename}", None),
    ("%Mf", "%{filename | md5 | hexlify}", None),
    ("%ULf-%u", "%{filename | lower}-%{uid}", None),
]


@pytest.fixture(scope="module")
def password_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("passwords") / "passwords"
    path.write_text("ann:" + run("hash-password", stdin=PASSWORD.encode() + b"\n").stdout.decode())
    return path


@pytest.fixture
def maildir_ids(serve, password_file):
    """maildir_ids(server, format): what popgate says on the Maildir itself."""
    def ask(server, unique_ids):
        popgate = serve({"match": "*", "backend": f"maildir:{server.maildir_root}/%u/Maildir", "auth": "password-file",
                         "password_file": str(password_file), "unique_ids": unique_ids})
        with log_in(popgate, "ann") as pop3:
            return ids_by_message(pop3)

    return ask


@pytest.fixture
def imap_ids(serve):
    """imap_ids(server, format): what popgate says before the server's IMAP."""
    def ask(server, unique_ids):
        with log_in(serve(imaps_route(server, unique_ids=unique_ids)), "ann") as pop3:
            return ids_by_message(pop3)

    return ask


def ids_by_message(pop3):
    """{message: unique id}: servers number in different orders. No two messages of these tests are equal."""
    uidl = pop3.uidl()
    ids = {pop3.retr(number): uid for number, uid in uidl.items()}
    assert len(ids) == len(uidl)
    assert pop3.quit().startswith("+OK")
    return ids


def own_ids(server):
    with Pop3(server.pop3_port) as pop3:
        assert pop3.login("ann", PASSWORD).startswith("+OK")
        return ids_by_message(pop3)


@contextlib.contextmanager
def dovecot_with_history(certificates, **settings):
    """Its numbers have gaps, its files flags and sizes in their names, and some of them lie in `new` still."""
    with Dovecot(certificates, password=PASSWORD, pop3=True, settings=settings) as dovecot:
        dovecot.deliver("ann", *MESSAGES[:3])
        with dovecot.imap("ann") as imap:
            imap.select()
            imap.uid("STORE", "2", "+FLAGS", r"(\Deleted)")
            imap.expunge()
            imap.uid("STORE", "3", "+FLAGS", r"(\Flagged \Answered)")
        dovecot.append("ann", MESSAGES[3])
        for number in range(12):  # so that the UIDs get a second digit
            dovecot.append("ann", b"Subject: x%d\r\n\r\n" % number)
        dovecot.deliver("ann", *MESSAGES[4:])
        yield dovecot


@pytest.mark.parametrize("formats", DOVECOT_FORMATS, ids=lambda formats: formats[0])
def test_ids_are_dovecots(formats, certificates, maildir_ids, imap_ids):
    setting = formats[version() >= (2, 4)]
    if setting is None:
        pytest.skip("this version of Dovecot has no such format")
    with dovecot_with_history(certificates, pop3_uidl_format=setting) as dovecot:
        expected = own_ids(dovecot)
        assert len(expected) == len(set(expected.values())) == 18
        for unique_ids in filter(None, formats):
            assert maildir_ids(dovecot, unique_ids) == expected, unique_ids
            if not re.search(r"filename|%[A-Z]*f", unique_ids):
                assert imap_ids(dovecot, unique_ids) == expected, unique_ids
        assert own_ids(dovecot) == expected


def test_ids_that_dovecot_has_saved_are_its_own_whatever_the_format(certificates, maildir_ids):
    setting = DOVECOT_FORMATS[2][version() >= (2, 4)]
    with dovecot_with_history(certificates, pop3_uidl_format=setting, pop3_save_uidl="yes") as dovecot:
        expected = own_ids(dovecot)
        assert maildir_ids(dovecot, "dovecot") == expected
        expected |= deliver_late(dovecot)
        assert maildir_ids(dovecot, "dovecot") == expected


def test_mail_that_the_other_server_has_not_seen(certificates, maildir_ids):
    with dovecot_with_history(certificates) as dovecot:
        expected = own_ids(dovecot)
        expected |= deliver_late(dovecot)
        assert maildir_ids(dovecot, "dovecot") == expected


def deliver_late(server):
    """A message that the server does not see, and what its id must be then."""
    server.deliver("ann", b"Subject: late\n\nlate\n")
    [late] = (server.maildir_root / "ann" / "Maildir" / "new").iterdir()
    return {b"Subject: late\r\n\r\nlate\r\n": late.name}


def deliver_under(courier, name):
    (courier.make_maildir("ann") / "new" / name).write_bytes(b"Subject: %s\n\nx\n" % name.encode())


def test_ids_are_couriers(maildir_ids):
    with CourierPop3(password=PASSWORD) as courier:
        courier.deliver("ann", *MESSAGES)
        own_ids(courier)
        with Pop3(courier.pop3_port) as pop3:
            pop3.login("ann", PASSWORD)
            pop3.retr(1)  # marks it as seen, in its name
            pop3.command("DELE 3")
            pop3.quit()
        for name in ("1600001000.M1 P1.local host", "1600001001.M1+P'1\".localhost", "1600001002.M1P1.café"):
            deliver_under(courier, name)
        expected = own_ids(courier)
        assert len(set(expected.values())) == 9
        assert all(uid.startswith("UID") for uid in expected.values())
        assert maildir_ids(courier, "courier") == expected
        assert maildir_ids(courier, "courier-v2") == expected
        assert own_ids(courier) == expected


def test_ids_that_courier_gave_in_its_older_versions(maildir_ids):
    """Which it keeps for messages that it has known since."""
    with CourierPop3(password=PASSWORD) as courier:
        courier.deliver("ann", *MESSAGES[:3])
        deliver_under(courier, "1600001000.M1+P'1\" x\x7f.café")
        own_ids(courier)
        sizes = courier.make_maildir("ann") / "courierpop3dsizelist"
        head, first, second, third, odd = sizes.read_text().splitlines()
        validity = head.split()[2]
        second = second.replace(f":{validity}:", ":0:")
        odd = odd.replace(f" 4:{validity}:", " 0:0:")
        sizes.write_text("\n".join([head.replace("/3", "/2"), *(line.rpartition(":")[0] for line in (first, second)),
                                    *(line.rpartition(":")[0] for line in (third, odd))]) + "\n")
        expected = maildir_ids(courier, "courier")  # from version 2, which courier replaces
        assert own_ids(courier) == expected
        assert list(expected.values()) == [f"UID1-{validity}", "UID2", f"UID3-{validity}",
                                           "1600001000.M1+2BP+271+22+20x+7F.caf+C3+A9"]
        assert maildir_ids(courier, "courier") == expected


@pytest.mark.parametrize("backend, unique_ids, why", [
    (f"imaps://{HOST}:993", "courier-v0", "IMAP knows no names of files"),
    (f"imaps://{HOST}:993", "%{guid}", "known here"),
    ("maildir:/var/mail/%u", "gmail", "Gmail"),
    ("mbox:/var/mail/%u", "dovecot", "mbox"),
    ("maildir:/var/mail/%u", "%v", "tells one message from another"),
    ("maildir:/var/mail/%u", "qpopper", "no known format"),
])
def test_what_cannot_be_is_refused(backend, unique_ids, why, tmp_path):
    file = tmp_path / "popgate.toml"
    more = "" if backend.startswith("imaps") else f'auth = "password-file"\npassword_file = "{tmp_path}/none"\n'
    file.write_text('[[listen]]\naddress = "127.0.0.1:0"\ntls = "none"\n[[route]]\n'
                    f'backend = "{backend}"\n{more}unique_ids = "{unique_ids}"\n')
    checked = run("check", "--config", file)
    assert checked.returncode != 0
    assert why in (checked.stdout + checked.stderr).decode()
