"""What only Microsoft Graph does: deltas that expire, batches of which a part fails, messages that wander, four requests
at once and no more."""

import threading

import pytest
from support import published_urls
from support.faulty_session import at_each_request, from_each_request_on
from support.graph_fake import GRAPH_FAULTS, GraphFake
from support.pop3 import Pop3
from support.popgate import run
from support.setups import PASSWORD


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
                pop3.quit()


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


@pytest.mark.parametrize("on_delete, folder", [("trash", "deleteditems"), ("archive", "archive"), ("delete", None),
                                               ("purge", None)])
def test_what_is_deleted_goes_where_the_route_says(on_delete, folder, graph, mailbox, serve):
    user = mailbox[0]
    for name in ("inbox", "drafts", "deleteditems", "archive"):
        for number in range(3):
            graph.deliver(user, b"Subject: in %b %d\r\n\r\nx\r\n" % (name.encode(), number), name)
    before = {name: graph.folder(user, name) for name in ("inbox", "drafts", "deleteditems", "archive")}
    popgate = serve(graph.route(on_delete=on_delete))
    begin = len(graph.log)
    with log_in(popgate, mailbox) as pop3:
        assert delete(pop3, range(1, 46)) == "+OK 45 messages removed, 3 left"
    deleted, before["inbox"] = before["inbox"][:45], before["inbox"][45:]
    for name in before:
        expected = before[name] + (deleted if name == folder else [])
        assert sorted(graph.folder(user, name)) == sorted(expected), name
    what = {"delete": "DELETE", "purge": "/permanentDelete"}.get(on_delete, "/move")
    batches = [[f"{part['method']} {part['url']}" for part in each.json()["requests"]] for each in graph.log[begin:]
               if each.path.endswith("$batch")]
    removals = [sum(what in part for part in batch) for batch in batches]
    assert sorted(each for each in removals if each) == [5, 20, 20]


@pytest.mark.parametrize("on_delete", ["delete", "purge", "trash", "archive", "mark-read"])
def test_a_token_that_may_only_read_removes_nothing(on_delete, certificates, serve):
    with GraphFake(certificates.server, ca_file=certificates.ca, read_only=True) as graph:
        user, token = graph.new_user()
        messages = [graph.deliver(user, b"Subject: %d\r\n\r\nx\r\n" % number) for number in range(3)]
        popgate = serve(graph.route(on_delete=on_delete))
        with log_in(popgate, (user, token)) as pop3:
            assert pop3.retr(1) == messages[0]
            assert pop3.command("DELE", 2).startswith("+OK")
            assert pop3.quit().startswith("-ERR [SYS/PERM]")
        assert graph.messages(user) == messages
        assert not graph.folder(user, "trash") and not graph.folder(user, "archive")


def test_never_more_than_four_at_once_of_a_mailbox(certificates, serve):
    with GraphFake(certificates.server, ca_file=certificates.ca) as graph:
        user, token = graph.new_user()
        messages = [graph.deliver(user, b"Subject: %d\r\n\r\nx\r\n" % number) for number in range(5)]
        popgate = serve(graph.route(lock="shared"), limits={"workers": 2})
        graph.pause = 0.05
        received = []

        def session():
            with log_in(popgate, (user, token)) as pop3:
                received.append([pop3.retr(number) for number in range(1, 6)])
                pop3.quit()

        threads = [threading.Thread(target=session) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert received == [messages] * 8
        assert graph.most_of_a_mailbox == 4
        assert {each.status for each in graph.log} == {200}


def test_a_message_that_never_converts_goes_into_quarantine(graph, mailbox, serve):
    user = mailbox[0]
    graph.never_converts(user, 1)
    popgate = serve(graph.route(quarantine_after=3))
    for number in range(1, 4):
        with log_in(popgate, mailbox) as pop3:
            ids = pop3.uidl()
            assert len(ids) == 45
            assert pop3.command("RETR", 2).startswith("-ERR [SYS/PERM]")
            pop3.quit()
        popgate.wait_for("session", user=user, count=number)
    [record] = popgate.wait_for("quarantined", user=user, failures=3)
    assert record["unique_id"] == ids[2]
    with log_in(popgate, mailbox) as pop3:
        assert list(pop3.uidl().values()) == [each for number, each in ids.items() if number != 2]
        assert [pop3.retr(number) for number in pop3.list()] == [
            message for number, message in enumerate(graph.messages(user), 1) if number != 2]
    assert len(graph.messages(user)) == 45


def test_a_shared_mailbox_behind_one_token(graph, mailbox, serve, tmp_path):
    shared, _ = graph.new_user()
    message = graph.deliver(shared, b"Subject: shared\r\n\r\nx\r\n")
    hashed = run("hash-password", stdin=PASSWORD.encode() + b"\n").stdout.decode().strip()
    (tmp_path / "passwords").write_text(f"a@x:{hashed}\nb@x:{hashed}\n")
    (tmp_path / "token").write_text(mailbox[1])
    popgate = serve(graph.route(mailbox=shared, token_file=str(tmp_path / "token"), auth="password-file",
                                password_file=str(tmp_path / "passwords")))
    begin = len(graph.log)
    with log_in(popgate, ("a@x", PASSWORD)) as pop3:
        assert pop3.retr(1) == message
        with Pop3(popgate.port()) as other:
            assert other.login("b@x", PASSWORD).startswith("-ERR [IN-USE]")
        assert delete(pop3, (1,)).startswith("+OK 1 ")
    with log_in(popgate, ("b@x", PASSWORD)) as pop3:
        assert pop3.stat() == (0, 0)
    assert len(graph.messages(mailbox[0])) == 45
    assert all(each.path.startswith((f"/v1.0/users/{shared}/", "/v1.0/$batch")) for each in graph.log[begin:])


def test_a_national_cloud_with_its_path(graph, mailbox, serve):
    popgate = serve({**graph.route(), "backend": f"graph:{graph.origin}/v1.0/"})
    begin = len(graph.log)
    with log_in(popgate, mailbox) as pop3:
        assert delete(pop3, (1,)).startswith("+OK 1 ")
    assert all(each.path.startswith("/v1.0/") and "//" not in each.path for each in graph.log[begin:])


# What the server says is gone, is: "vanished" is no fault at a removal.
@pytest.mark.parametrize("fault", [fault for fault in GRAPH_FAULTS if fault != "vanished"])
def test_faults_at_each_request(fault, graph, serve):
    popgate = serve(graph.route(command_timeout="1500ms", connect_timeout="1500ms"), limits={"workers": 1})
    assert at_each_request(graph, popgate, fault) > 0
    from_each_request_on(graph, popgate, fault, step=3)
