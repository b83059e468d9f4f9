"""Real clients fetch the whole corpus through popgate from Dovecot, leave it, see nothing new, and delete it."""

from collections import Counter

import pytest
from support import clients, corpus
from support.pop3 import Pop3, tls_context
from support.reference_pop3 import ReferencePop3, top
from support.setups import PASSWORD

MODES = {"clear": "none", "stls": "starttls", "tls": "implicit"}


@pytest.fixture(scope="module", params=clients.ALL, ids=lambda client: client.__name__.lower())
def client_class(request):
    return request.param


@pytest.fixture(scope="module")
def reference(client_class, stored_corpus, tmp_path_factory):
    """What this client makes of the corpus when the server is right: {SHA-256: how often}."""
    with ReferencePop3(stored_corpus.octets) as server:
        return client_class(tmp_path_factory.mktemp("reference") / "client", server.port).fetch()


def test_a_client_hardly_changes_what_it_delivers(client_class, reference, stored_corpus):
    """Or else the comparison below would compare little."""
    untouched = Counter(corpus.digest(octets.replace(b"\r\n", b"\n") if client_class.lf_lines else octets)
                        for octets in stored_corpus.octets)
    same = sum((untouched & reference).values())
    all_of_them = len(stored_corpus.octets)
    assert same >= {clients.Poplib: all_of_them, clients.Curl: all_of_them - 1, clients.Mpop: all_of_them - 1,
                    clients.Fetchmail: 100}[client_class]


@pytest.mark.parametrize("mode", MODES)
def test_fetch_leave_and_delete(mode, client_class, reference, stored_corpus, gateway, dovecot, certificates, user,
                                tmp_path):
    dovecot.deliver_links(user, stored_corpus.paths)
    dovecot.append(user, b"Subject: elsewhere\r\n\r\nstays\r\n", folder="Other")
    everything = dovecot.uids(user)
    client = client_class(tmp_path / "client", gateway.port(MODES[mode]), mode=mode, user=user, password=PASSWORD,
                          ca_file=certificates.ca)

    assert client.fetch() == reference
    assert dovecot.uids(user) == everything
    assert client.fetch() == Counter()
    assert dovecot.uids(user) == everything

    late = b"Subject: late\r\n\r\nlate\r\n"
    dovecot.deliver(user, late)
    late_as_delivered = late.replace(b"\r\n", b"\n") if client.lf_lines else late
    assert client.fetch(delete=True) == Counter([corpus.digest(late_as_delivered)])
    # fetchmail does not delete what it would not deliver: messages without a header.
    assert len(dovecot.uids(user)) == len(everything) - sum(reference.values())
    assert len(dovecot.uids(user, "Other")) == 1


@pytest.fixture
def session(gateway, dovecot, certificates, stored_corpus, user):
    dovecot.deliver_links(user, stored_corpus.paths)
    with Pop3(gateway.port("implicit"), tls=tls_context(certificates.ca)) as pop3:
        assert pop3.login(user, PASSWORD).startswith("+OK")
        yield pop3


def test_every_octet_by_hand(session, stored_corpus):
    assert list(session.list()) == list(range(1, len(stored_corpus.names) + 1))
    for number, (name, octets) in enumerate(zip(stored_corpus.names, stored_corpus.octets), 1):
        assert corpus.digest(session.retr(number)) == corpus.digest(octets), name


def test_list_tells_the_octets_that_retr_sends(session, stored_corpus):
    listed = session.list()
    for number, (name, octets, raw) in enumerate(zip(stored_corpus.names, stored_corpus.octets, stored_corpus.raw), 1):
        # IMAP's size knows nothing of the line end that POP3 must add to a message without one.
        assert listed[number] in (len(octets), len(raw)), name
    assert session.stat() == (len(listed), sum(listed.values()))


def test_the_signed_message_still_verifies(session, stored_corpus, certificates):
    corpus.verify_signed_message(session.retr(stored_corpus.names.index("signed") + 1), certificates)


@pytest.mark.parametrize("lines", [0, 1, 10, 99_999_999])
def test_top_gives_the_header_and_so_many_lines(lines, session, stored_corpus):
    for number, (name, octets) in enumerate(zip(stored_corpus.names, stored_corpus.octets), 1):
        if name != "64 MiB" or lines <= 10:
            assert session.top(number, lines) == top(octets, lines), name
