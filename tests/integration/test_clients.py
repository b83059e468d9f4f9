"""Real clients fetch the whole corpus through popgate from Dovecot, leave it, see nothing new, and delete it."""

from collections import Counter

import pytest
from support import clients, corpus
from support.pop3 import Pop3, tls_context
from support.popgate import SANITIZED
from support.reference_pop3 import ReferencePop3, top
from support.setups import PASSWORD

MODES = {"clear": "none", "stls": "starttls", "tls": "implicit"}


@pytest.fixture(scope="session")
def huge_message():
    """Many times what is held at once. With sanitizers 64 MiB for each client take minutes; test_memory.py reads them."""
    return corpus.huge_message((8 if SANITIZED else 64) * corpus.MIB)


@pytest.fixture(scope="module", params=clients.ALL, ids=lambda client: client.__name__.lower())
def client_class(request):
    return request.param


def user_of(client_class):
    """One name for all modes: fetchmail writes it into messages that have no header."""
    return f"{client_class.__name__.lower()}@x"


@pytest.fixture(scope="module")
def reference(client_class, stored_corpus, tmp_path_factory):
    """What this client makes of the corpus when the server is right: {SHA-256: how often}."""
    with ReferencePop3(stored_corpus.octets) as server:
        directory = tmp_path_factory.mktemp("reference") / "client"
        return client_class(directory, server.port, user=user_of(client_class)).fetch()


@pytest.fixture(scope="module")
def names(client_class, stored_corpus):
    """{SHA-256: name} of the messages as a client delivers them that changes nothing but line ends."""
    return {corpus.digest(octets.replace(b"\r\n", b"\n") if client_class.lf_lines else octets): name
            for name, octets in zip(stored_corpus.names, stored_corpus.octets)}


def test_a_client_hardly_changes_what_it_delivers(client_class, reference, names):
    """Or else the comparison below would compare little."""
    changed = [name for octets, name in names.items() if octets not in reference]
    # fetchmail repairs what has no header and drops bare CRs; the others get one message wrong.
    assert len(changed) <= {clients.Poplib: 0, clients.Curl: 1, clients.Mpop: 1, clients.Fetchmail: 34}[client_class]


@pytest.mark.parametrize("mode", MODES)
def test_fetch_leave_and_delete(mode, client_class, reference, names, stored_corpus, gateway, dovecot, certificates,
                                tmp_path):
    user = user_of(client_class)
    dovecot.remove_all(user)
    dovecot.deliver_links(user, stored_corpus.paths)
    dovecot.append(user, b"Subject: elsewhere\r\n\r\nstays\r\n", folder="Other")
    everything, elsewhere = dovecot.uids(user), dovecot.uids(user, "Other")
    client = client_class(tmp_path / "client", gateway.port(MODES[mode]), mode=mode, user=user, password=PASSWORD,
                          ca_file=certificates.ca)

    delivered = client.fetch()
    assert not [names.get(octets, octets) for octets in reference - delivered]
    assert delivered == reference
    assert dovecot.uids(user) == everything
    assert client.fetch() == Counter()
    assert dovecot.uids(user) == everything

    late = b"Subject: late\r\n\r\nlate\r\n"
    dovecot.deliver(user, late)
    late_as_delivered = late.replace(b"\r\n", b"\n") if client.lf_lines else late
    assert client.fetch(delete=True) == Counter([corpus.digest(late_as_delivered)])
    # fetchmail does not delete what it would not deliver: messages without a header.
    assert len(dovecot.uids(user)) == len(everything) - sum(reference.values())
    assert dovecot.uids(user, "Other") == elsewhere


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
    """99,999,999 is what fetchmail asks for when it wants all."""
    for number, (name, octets) in enumerate(zip(stored_corpus.names, stored_corpus.octets), 1):
        assert corpus.digest(session.top(number, lines)) == corpus.digest(top(octets, lines)), name
