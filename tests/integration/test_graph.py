"""What only Microsoft Graph does: deltas that expire, batches of which a part fails, messages that wander."""

import pytest
from support import published_urls
from support.graph_fake import GraphFake
from support.pop3 import Pop3


@pytest.fixture(scope="module")
def graph(certificates):
    with GraphFake(certificates.server, ca_file=certificates.ca) as fake:
        yield fake
        assert not fake.without_immutable_ids
        assert published_urls.check(fake.log) == []


@pytest.fixture
def mailbox(graph):
    """(user, token) of a mailbox of 45 messages."""
    graph.faults.clear()
    user, token = graph.new_user()
    for number in range(45):
        graph.deliver(user, b"Subject: %d\r\n\r\nx\r\n" % number)
    yield user, token
    graph.faults.clear()


def log_in(popgate, mailbox):
    pop3 = Pop3(popgate.port())
    assert pop3.login(*mailbox).startswith("+OK")
    return pop3


def delete(pop3, numbers):
    for number in numbers:
        assert pop3.command("DELE", number).startswith("+OK")
    return pop3.command("QUIT")


def asked_since(graph, begin, text):
    return [each.target for each in graph.log[begin:] if text in each.target]


def test_the_second_session_asks_only_for_changes(graph, mailbox, serve):
    popgate = serve(graph.route())
    with log_in(popgate, mailbox) as pop3:
        ids = pop3.uidl()
        assert pop3.stat()[0] == 45
        pop3.command("QUIT")
    graph.remove(mailbox[0], 7)
    graph.deliver(mailbox[0], b"Subject: new\r\n\r\nx\r\n")
    begin = len(graph.log)
    with log_in(popgate, mailbox) as pop3:
        later = pop3.uidl()
        assert len(later) == 45
        assert pop3.stat()[0] == 45
    assert all("$deltatoken=" in each for each in asked_since(graph, begin, "/delta"))
    assert asked_since(graph, begin, "/delta")
    kept = list(ids.values())
    assert list(later.values())[:-1] == kept[:7] + kept[8:]


def test_an_expired_delta_changes_nothing(graph, mailbox, serve):
    popgate = serve(graph.route())
    with log_in(popgate, mailbox) as pop3:
        ids = pop3.uidl()
        pop3.command("QUIT")
    graph.expire_deltas()
    graph.deliver(mailbox[0], b"Subject: new\r\n\r\nx\r\n")  # so that new tokens are good
    with log_in(popgate, mailbox) as pop3:
        assert pop3.stat()[0] == 46
        assert len(pop3.uidl()) == len(ids) + 1


@pytest.mark.parametrize("fault", ["inner 429", "inner 503", "inner lost"])
@pytest.mark.parametrize("policy", ["delete", "trash", "purge", "mark-read"])
def test_a_batch_of_which_a_part_fails(fault, policy, graph, mailbox, serve):
    popgate = serve(graph.route(on_delete=policy))
    with log_in(popgate, mailbox) as pop3:
        graph.faults.always(fault, path="$batch", times=2)
        assert delete(pop3, range(1, 31)).startswith("+OK")
    left = graph.messages(mailbox[0])
    if policy == "mark-read":
        assert all(graph.is_seen(mailbox[0], index) == (index < 30) for index in range(45))
    else:
        assert len(left) == 15
    assert len(graph.folder(mailbox[0], "trash")) == (30 if policy == "trash" else 0)


def test_what_another_client_has_moved_stays_where_it_is(graph, mailbox, serve):
    popgate = serve(graph.route())
    with log_in(popgate, mailbox) as pop3:
        graph.move(mailbox[0], 2, "drafts")
        assert delete(pop3, (1, 3)).startswith("+OK")
    assert len(graph.messages(mailbox[0])) == 43
    assert len(graph.folder(mailbox[0], "drafts")) == 1


def test_a_message_that_never_converts_is_refused_and_no_other(graph, mailbox, serve):
    graph.never_converts(mailbox[0], 1)
    popgate = serve(graph.route())
    with log_in(popgate, mailbox) as pop3:
        assert pop3.command("RETR", 2).startswith("-ERR [SYS/PERM]")
        assert pop3.command("RETR", 3).startswith("+OK")
        assert pop3.multiline() == b"Subject: 2\r\n\r\nx\r\n"


@pytest.mark.parametrize("fault", ["empty page", "repeated id", "slow page", "no size", "lying size", "shrinking page"])
def test_pages_that_are_odd(fault, graph, mailbox, serve):
    popgate = serve(graph.route())
    for times in (1, 2, None):
        graph.faults.clear()
        graph.faults.always(fault, path="/messages", times=times)
        with Pop3(popgate.port()) as pop3:
            reply = pop3.login(*mailbox)
            assert reply.startswith(("+OK", "-ERR [SYS/TEMP]")), reply
            assert reply.startswith("+OK") or fault in ("empty page", "shrinking page"), reply
            if reply.startswith("+OK"):
                assert pop3.stat()[0] == 45
                assert all(octets > 0 for octets in pop3.list().values())
                assert pop3.command("QUIT").startswith("+OK")  # when the mailbox is free again


def test_folders_and_mailboxes_of_others(graph, mailbox, serve):
    shared, _ = graph.new_user()
    graph.new_folder(shared, "Work")
    graph.new_folder(shared, "Invoices & more", "Work")
    graph.deliver(shared, b"Subject: in the folder\r\n\r\nx\r\n", "Invoices & more")
    popgate = serve(graph.route(mailbox=shared, folder="Work/Invoices & more"))
    with log_in(popgate, mailbox) as pop3:
        assert pop3.stat()[0] == 1
        assert pop3.command("RETR", 1).startswith("+OK")
        assert b"in the folder" in pop3.multiline()
        assert delete(pop3, (1,)).startswith("+OK")
    assert graph.folder(shared, "Invoices & more") == []
