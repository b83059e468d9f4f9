"""What goes wrong with lists in pages, and the real MailDev's own ways."""

import pytest
from support.http_kinds import open_kind
from support.maildev import MailDev
from support.pop3 import Pop3
from support.rest_fake import REST_FAULTS

MESSAGES = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(1, 5)]


@pytest.fixture(scope="module", params=["rest-mailpit-fake", "rest-wildduck-fake"])
def upstream(request, certificates):
    with open_kind(request.param, certificates) as server:
        yield server


@pytest.fixture
def mailbox(upstream):
    upstream.faults.clear()
    user, password = upstream.new_user()
    for message in MESSAGES:
        upstream.deliver(user, message)
    yield user, password
    upstream.faults.clear()


@pytest.mark.parametrize("fault", [each for each in REST_FAULTS if each not in ("lying size", "vanished")])
def test_a_list_that_is_wrong_is_none(fault, upstream, mailbox, serve):
    if fault == "same page" and upstream.api == "mailpit":
        pytest.skip("its only page is the right one")
    popgate = serve(upstream.route())
    upstream.faults.always(fault, path="messages?")
    with Pop3(popgate.port()) as pop3:
        assert pop3.login(*mailbox).startswith("-ERR [SYS/TEMP]")
    assert fault in [shown for _, shown in upstream.faults.shown]
    upstream.faults.clear()
    with Pop3(popgate.port()) as pop3:
        assert pop3.login(*mailbox).startswith("+OK")
        assert pop3.stat()[0] == len(MESSAGES)
        pop3.quit()


@pytest.mark.parametrize("fault", ["shrinking page", "repeated id", "stray element"])
def test_a_list_that_is_wrong_once(fault, upstream, mailbox, serve):
    popgate = serve(upstream.route())
    upstream.faults.always(fault, path="messages?", times=1)
    with Pop3(popgate.port()) as pop3:
        if pop3.login(*mailbox).startswith("+OK"):
            assert pop3.stat()[0] == len(MESSAGES)
            pop3.quit()


def test_sizes_that_lie_harm_nothing(upstream, mailbox, serve):
    popgate = serve(upstream.route())
    upstream.faults.always("lying size")
    with Pop3(popgate.port()) as pop3:
        assert pop3.login(*mailbox).startswith("+OK")
        for number, message in enumerate(upstream.messages(mailbox[0]), 1):
            assert pop3.retr(number) == message
        pop3.quit()


def test_a_message_that_vanished(upstream, mailbox, serve):
    popgate = serve(upstream.route(on_delete="delete"))
    with Pop3(popgate.port()) as pop3:
        assert pop3.login(*mailbox).startswith("+OK")
        upstream.remove(mailbox[0], 0)
        assert pop3.command("RETR", 1).startswith("-ERR")
        assert pop3.retr(2) == MESSAGES[1]
        pop3.command("DELE", 1)
        pop3.command("DELE", 2)
        assert pop3.command("QUIT").startswith("+OK")
    assert upstream.messages(mailbox[0]) == MESSAGES[2:]


def test_a_trash_that_vanished_takes_no_message_along(certificates, serve):
    with open_kind("rest-wildduck-fake", certificates) as upstream:
        user, password = upstream.new_user()
        upstream.deliver(user, MESSAGES[0])
        popgate = serve(upstream.route(on_delete="trash"))
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(user, password).startswith("+OK")
            upstream.remove_folder(user, "trash")
            pop3.command("DELE", 1)
            assert pop3.command("QUIT").startswith("-ERR")
        assert upstream.messages(user) == MESSAGES[:1]


def test_pages_of_wildduck_are_put_together(certificates, serve):
    with open_kind("rest-wildduck-fake", certificates) as upstream:
        upstream.page_limit = 3
        user, password = upstream.new_user()
        messages = [upstream.deliver(user, b"Subject: %d\r\n\r\n" % number) for number in range(13)]
        popgate = serve(upstream.route())
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(user, password).startswith("+OK")
            assert [pop3.retr(number) for number in range(1, 14)] == messages
            assert len(set(pop3.uidl())) == 13
            pop3.quit()


def test_maildev_through_a_day(serve):
    with MailDev() as upstream:
        user, password = upstream.new_user()
        # The sender's clock decides nothing.
        for number in range(3):
            upstream.deliver(user, b"Date: Mon, 0%d Jan 1990 00:00:00 +0000\r\n\r\n%d\r\n" % (9 - number, number))
        popgate = serve(upstream.route(on_delete="delete", view="last 30 days"))
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(user, "wrong").startswith("-ERR [AUTH]")
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(user, password).startswith("+OK")
            messages = [pop3.retr(number) for number in (1, 2, 3)]
            assert messages == upstream.messages(user)
            upstream.remove(user, 0)
            for number in (1, 2):
                pop3.command("DELE", number)
            assert pop3.command("QUIT").startswith("+OK")
        assert upstream.messages(user) == messages[2:]
