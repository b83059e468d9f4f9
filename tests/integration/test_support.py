"""The tools of the tests, tested against each other: a tool that never fails would prove nothing."""

import imaplib
import json
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from support import corpus, courier as courier_module, dovecot as dovecot_module
from support.courier import CourierImap, CourierPop3
from support.gate import CLIENT, SERVER, Gate
from support.net import HOST
from support.pop3 import Pop3
from support.scripted_imap import CLOSE, ScriptedImap, StartTls


def select(port, user="support", password="x"):
    imap = imaplib.IMAP4(HOST, port, timeout=10)
    imap.login(user, password)
    imap.select()
    return imap


def body(imap, uid=1):
    return imap.uid("FETCH", str(uid), "(BODY.PEEK[])")[1][0][1]


@pytest.fixture(scope="module")
def filled(dovecot):
    dovecot.deliver("support", b"Subject: one\r\n\r\n" + b"0123456789" * 1000 + b"\r\n")
    return dovecot


def test_certificates_are_good_and_bad_as_their_names_say(certificates):
    def verify(certificate, *more):
        return subprocess.run(["openssl", "verify", "-CAfile", certificates.ca, *more, certificate.certificate],
                              capture_output=True, text=True, check=False)

    assert verify(certificates.server, "-verify_hostname", "localhost").returncode == 0
    assert verify(certificates.server, "-verify_ip", "127.0.0.1").returncode == 0
    assert "expired" in verify(certificates.expired).stderr
    assert verify(certificates.other_host).returncode == 0
    assert "mismatch" in verify(certificates.other_host, "-verify_hostname", "localhost").stderr
    assert "self-signed" in verify(certificates.self_signed).stderr


def test_as_pop3_repairs_line_ends_and_nothing_else():
    assert corpus.as_pop3(b"a\nb\r\nc\rd\r\r\ne") == b"a\r\nb\r\nc\rd\r\r\ne\r\n"
    assert corpus.as_pop3(b"") == b""
    assert corpus.as_pop3(b"\n") == b"\r\n"


def test_corpus_is_large_and_the_same_every_time():
    messages = corpus.awkward_messages()
    assert len(messages) >= 100
    assert messages == corpus.awkward_messages()
    assert len(corpus.huge_message(1 << 20)) == 1 << 20


def test_a_signed_message_with_one_changed_octet_does_not_verify(certificates):
    signed = corpus.signed_message(certificates)
    corpus.verify_signed_message(signed, certificates)
    with pytest.raises(subprocess.CalledProcessError):
        corpus.verify_signed_message(signed.replace(b"\r\n.Leading", b"\r\nLeading"), certificates)


def test_dovecot_numbers_messages_in_the_order_of_their_delivery(dovecot):
    messages = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(20)]
    dovecot.deliver("order", *messages)
    assert list(dovecot.messages("order").values()) == messages


def test_dovecot_as_a_program_serves_until_its_input_ends():
    program = subprocess.Popen([sys.executable, dovecot_module.__file__, "--serve", "--hide", "UIDPLUS"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    where = json.loads(program.stdout.readline())
    context = ssl.create_default_context(cafile=where["ca_file"])
    imap = imaplib.IMAP4_SSL("localhost", where["imaps"], ssl_context=context, timeout=10)
    imap.login("any@example.org", where["password"])
    assert "UIDPLUS" not in imap.capability()[1][0].decode().split()
    imap.logout()
    program.stdin.close()
    assert program.wait(30) == 0
    program.stdout.close()
    assert not Path(where["maildir_root"]).exists()


def test_courier_is_an_imap_server_that_offers_less():
    offered = courier_module.capability_without("UIDPLUS")
    messages = [b"Subject: one\r\n\r\nbody\r\n", b"Subject: two\r\n\r\nbody\r\n"]
    with CourierImap(capability=offered) as courier:
        courier.deliver("ann", *(raw.replace(b"\r\n", b"\n") for raw in messages))  # its files have LF line ends only
        assert courier.messages("ann") == {1: messages[0], 2: messages[1]}
        imap = imaplib.IMAP4(HOST, courier.imap_port, timeout=10)
        with pytest.raises(imaplib.IMAP4.error):
            imap.login("ann", "wrong")
        imap.login("ann", courier.password)
        capability = imap.capability()[1][0].decode().split()
        assert "SORT" in capability and not {"UIDPLUS", "MOVE", "QRESYNC", "CONDSTORE"} & set(capability)
        imap.logout()
        courier.append("ann", b"Subject: three\r\n\r\nbody\r\n", folder="INBOX.Trash")
        assert len(courier.uids("ann", "INBOX.Trash")) == 1
        courier.remove_all("ann")
        assert courier.uids("ann") == []


def test_courier_speaks_pop3():
    with CourierPop3() as courier:
        courier.deliver("ann", b"Subject: one\n\nbody\n", b"Subject: two\n\nbody\n")
        with Pop3(courier.pop3_port) as pop3:
            assert pop3.login("ann", "wrong").startswith("-ERR")
            assert pop3.login("ann", courier.password).startswith("+OK")
            assert pop3.retr(2) == b"Subject: two\r\n\r\nbody\r\n"
            pop3.command("DELE 1")
            assert pop3.quit().startswith("+OK")
        with Pop3(courier.pop3_port) as pop3:
            pop3.login("ann", courier.password)
            assert pop3.stat()[0] == 1


def test_gate_passes_everything_on(filled):
    with Gate(filled.imap_port) as gate:
        imap = select(gate.port, password=filled.password)
        assert body(imap).endswith(b"0123456789\r\n")
        imap.logout()
        assert b"LOGIN" in gate.transcript(CLIENT)
        assert b"BODY[] {10018}" in gate.transcript(SERVER)


@pytest.mark.parametrize("reset", [False, True])
def test_gate_cuts_at_the_octet(filled, reset):
    with Gate(filled.imap_port) as gate:
        rule = gate.cut(SERVER, rb"BODY\[\] \{\d+\}\r\n", skip=5000, reset=reset)
        imap = select(gate.port, password=filled.password)
        with pytest.raises((imaplib.IMAP4.abort, OSError)):
            body(imap)
        rule.wait()
        assert gate.connection_count() == 0
        imap = select(gate.port, password=filled.password)
        assert len(body(imap)) == 10018  # only once
        imap.logout()


def test_gate_changes_what_passes(filled):
    with Gate(filled.imap_port) as gate:
        gate.replace(SERVER, rb"BODY\[\] \{\d+\}\r\nSubject: ", b"two")
        gate.inject(SERVER, rb"\* FLAGS [^\r]*\r\n", b"* 5 EXISTS\r\n")
        gate.drop(CLIENT, rb"FETCH 1 \(BODY", 5)
        imap = select(gate.port, password=filled.password)
        assert imap.response("EXISTS")[1] == [b"5", b"1"]
        assert body(imap).startswith(b"Subject: two")
        assert b"FETCH 1 (BODY[])" in gate.transcript(CLIENT)
        imap.logout()


def test_gate_stalls_until_it_is_released(filled):
    with Gate(filled.imap_port) as gate:
        imap = select(gate.port, password=filled.password)
        rule = gate.stall(SERVER, rb"BODY\[\]")
        imap.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            body(imap)
        rule.wait()
        rule.release()
        imap.sock.settimeout(10)
        assert b"0123456789" in imap.sock.recv(1 << 16)
        imap.shutdown()


def test_scripted_imap_is_a_server_by_itself():
    with ScriptedImap(messages=[b"Subject: one\r\n\r\nbody\r\n", b"two"]) as server:
        imap = select(server.port)
        assert imap.uid("SEARCH", "ALL")[1] == [b"1 2"]
        assert body(imap, 2) == b"two"
        assert imap.fetch("1:*", "(UID RFC822.SIZE)")[1] == [b"1 (UID 1 RFC822.SIZE 22)", b"2 (UID 2 RFC822.SIZE 3)"]
        imap.uid("STORE", "1", "+FLAGS.SILENT", r"(\Deleted)")
        imap.uid("EXPUNGE", "1:*")
        assert list(server.messages) == [2]
        imap.logout()
        assert server.received(rb"LOGIN .*") == [b'LOGIN support "x"']


def test_scripted_imap_knows_extensions():
    messages = [b"Subject: %d\r\n\r\n" % number for number in range(4)]
    with ScriptedImap(messages=messages, folders={"Bin": "\\Trash", "Plain": ""}) as server:
        imap = imaplib.IMAP4(HOST, server.port, timeout=10)
        imap.login("support", "x")
        imap._simple_command("ENABLE", "QRESYNC")
        assert imap.list('(SPECIAL-USE) ""', "*")[1] == [b'(\\Trash) "/" "Bin"']
        assert len(imap.list()[1]) == 3
        imap.select()
        assert imap.response("UIDNEXT")[1] == [b"5"] and imap.response("HIGHESTMODSEQ")[1] == [b"1"]
        imap.uid("STORE", "3", "+FLAGS", r"(\Seen)")
        imap.uid("SEARCH", "RETURN (ALL) 1:3 UNSEEN")
        assert imap.untagged_responses.pop("ESEARCH")[0].endswith(b"UID ALL 1,2")
        assert imap.uid("SEARCH", "2:3")[1] == [b"2 3"]
        assert imap.uid("MOVE", "2", "Nowhere")[0] == "NO" and imap.create("Nowhere")[0] == "OK"
        assert imap.uid("MOVE", "2", "Nowhere")[0] == "OK" and imap.uid("COPY", "4", "Bin")[0] == "OK"
        assert server.moved == {"Nowhere": [messages[1]], "Bin": [messages[3]]} and list(server.messages) == [1, 3, 4]
        imap.uid("FETCH", "1:4", "(UID) (CHANGEDSINCE 1 VANISHED)")
        assert imap.untagged_responses.pop("VANISHED") == [b"(EARLIER) 2"]
        server.remove(4)
        assert server.deliver(b"new") == 5
        imap.select()
        assert imap.response("UIDNEXT")[1] == [b"6"]
        fetched = imap.uid("FETCH", "5:*", "(INTERNALDATE X-GM-MSGID)")[1][0]
        assert b'INTERNALDATE "01-Jan-2024' in fetched and b"X-GM-MSGID 1000000000000000005" in fetched
        imap.shutdown()


def test_scripted_imap_follows_its_rules():
    rules = [(rb"SELECT .*", "* 3 EXISTS\n<default>"), (rb"NOOP", ["<tag> NO <not yet>", CLOSE])]
    with ScriptedImap(rules=rules) as server:
        imap = select(server.port)
        assert imap.response("EXISTS")[1] == [b"3", b"0"]
        assert imap.noop() == ("NO", [b"<not yet>"])
        with pytest.raises((imaplib.IMAP4.abort, OSError)):
            imap.noop()


def test_scripted_imap_starts_tls(certificates):
    context = ssl.create_default_context(cafile=certificates.ca)
    with ScriptedImap(certificate=certificates.server) as server:
        imap = imaplib.IMAP4("localhost", server.port, timeout=10)
        imap.starttls(context)
        imap.login("a", "b")
        imap.logout()
    rules = [(rb"STARTTLS", ["<tag> OK begin", StartTls(injected=b"* BYE\r\n")])]
    with ScriptedImap(certificate=certificates.server, rules=rules) as server:
        imap = imaplib.IMAP4("localhost", server.port, timeout=10)
        with pytest.raises(OSError):
            imap.starttls(context)
