"""Real clients read, leave and delete the corpus through popgate from mailboxes behind HTTP."""

from collections import Counter

import pytest
from support import clients, corpus, published_urls
from support.http_kinds import KINDS, PUBLISHED, open_kind
from support.popgate import Popgate
from support.reference_pop3 import ReferencePop3
from support.setups import configuration

# (what becomes of deleted messages, by which client): where they go is no matter of the client.
SCENES = {"curl": ("delete", clients.Curl), "fetchmail": ("delete", clients.Fetchmail), "curl-trash": ("trash", clients.Curl)}


# How the password goes to the server is no matter of the corpus.
@pytest.fixture(scope="module", params=[kind for kind in KINDS if kind != "jmap-cyrus-bearer"])
def upstream(request, certificates):
    with open_kind(request.param, certificates) as server:
        yield server
        if request.param in PUBLISHED:
            assert published_urls.check(server.log) == []


@pytest.fixture
def mailbox(upstream, certificates, policy):
    """(user, password, [as the server has them]) of a mailbox that holds the corpus."""
    if policy == "trash" and not upstream.has_trash:
        pytest.skip("this kind of upstream has no folders")
    user, password = upstream.new_user()
    messages = {**corpus.awkward_messages(), "signed": corpus.signed_message(certificates)}
    if policy == "trash":  # what each message becomes, the others have seen
        messages = dict(list(messages.items())[::4])
    kept = {}
    for name, raw in messages.items():
        try:
            kept[name] = upstream.deliver(user, raw)
        except upstream.Refused as refusal:
            print(f"{type(upstream).__name__} does not take {name}: {refusal}")
    unlike = [name for name, octets in kept.items() if corpus.as_pop3(octets) != corpus.as_pop3(messages[name])]
    print(f"{type(upstream).__name__} does not keep the octets of {unlike}")
    assert len(unlike) <= upstream.most_changed, unlike
    assert len(kept) >= len(messages) - upstream.most_refused
    return user, password, upstream.messages(user)


@pytest.mark.parametrize("policy, client_class", SCENES.values(), ids=SCENES)
def test_fetch_leave_and_delete(policy, client_class, upstream, mailbox, certificates, tmp_path):
    user, password, messages = mailbox
    octets = [corpus.as_pop3(each) for each in messages]
    with ReferencePop3(octets) as reference:
        expected = client_class(tmp_path / "reference", reference.port, user=user).fetch()
    route = upstream.route(on_delete=policy)
    with Popgate(configuration(certificates, route)) as popgate:
        client = client_class(tmp_path / "client", popgate.port(), user=user, password=password)
        assert client.fetch() == expected
        assert upstream.messages(user) == messages
        assert client.fetch() == Counter()

        late = upstream.deliver(user, b"Subject: late\r\n\r\nlate\r\n")
        as_delivered = late.replace(b"\r\n", b"\n") if client.lf_lines else late
        assert client.fetch(delete=True) == Counter([corpus.digest(as_delivered)])
        # fetchmail does not delete what it would not deliver: messages without a header.
        assert len(upstream.messages(user)) == len(messages) - sum(expected.values())
        if policy == "trash":
            assert len(upstream.folder(user, "trash")) == sum(expected.values()) + 1
        assert password not in popgate.log_text()
