import itertools
import re
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import corpus  # noqa: E402
from support.certs import Certificates  # noqa: E402
from support.dovecot import Dovecot  # noqa: E402
from support.popgate import Popgate  # noqa: E402
from support.setups import PASSWORD, check_for_secrets, configuration, imaps_route  # noqa: E402

# A thousand sessions need more descriptors than a shell usually grants.
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def dovecot(certificates):
    with Dovecot(certificates, password=PASSWORD) as server:
        yield server


_user_numbers = itertools.count(1)


@pytest.fixture
def user(request):
    """A mailbox of the test's own, named after it."""
    return f"{re.sub('[^a-z0-9]+', '-', request.node.name.lower())[:60]}-{next(_user_numbers)}@x"


@dataclass
class StoredCorpus:
    names: list
    paths: list     # a file for each message, to be linked into Maildirs
    octets: list    # as a POP3 client must get them
    raw: list       # as IMAP gives them


@pytest.fixture(scope="session")
def huge_message():
    """The largest message of the corpus."""
    return corpus.huge_message()


@pytest.fixture(scope="session")
def stored_corpus(certificates, dovecot, huge_message):
    """The awkward messages, a signed one and one of 64 MiB; what they must become is what Dovecot's IMAP says."""
    messages = {**corpus.awkward_messages(), "signed": corpus.signed_message(certificates), "huge": huge_message}
    directory = dovecot.directory / "corpus"
    directory.mkdir()
    paths = []
    for number, raw in enumerate(messages.values(), 1):
        paths.append(directory / str(number))
        paths[-1].write_bytes(raw)
    dovecot.deliver_links("corpus", paths)
    raw = list(dovecot.messages("corpus").values())
    octets = [corpus.as_pop3(one) for one in raw]
    # Dovecot's IMAP cannot say NUL. All else must be as it was written, or the truth of these tests is none.
    assert octets == [corpus.as_pop3(one).replace(b"\0", b"\x80") for one in messages.values()]
    return StoredCorpus(list(messages), paths, octets, raw)


@pytest.fixture
def serve(certificates):
    """serve(route, listen=…, limits=…, …): a running popgate that ends, and must end well, with the test."""
    started = []

    def start(route, **more):
        popgate = Popgate(configuration(certificates, route, **more)).start()
        started.append(popgate)
        return popgate

    yield start
    for popgate in started:
        popgate.stop()
        check_for_secrets(popgate)


@pytest.fixture(scope="module")
def gateway(certificates, dovecot):
    """A popgate before Dovecot that the tests of a module share, with a listener of each kind."""
    listen = [{"address": "127.0.0.1:0", "tls": tls} for tls in ("none", "starttls", "implicit")]
    with Popgate(configuration(certificates, imaps_route(dovecot), listen=listen)) as popgate:
        yield popgate
    check_for_secrets(popgate)
