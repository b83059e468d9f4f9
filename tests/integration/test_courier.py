"""Behind a real courier-imap: no MOVE, no QRESYNC, no ESEARCH, no UIDNEXT in SELECT, and at will no UIDPLUS."""

import pytest
from support.courier import CourierImap, capability_without
from support.setups import PASSWORD, clear_route, log_in

USER = "ann"


def message(number):
    return b"Subject: %d\n\nbody of %d\n" % (number, number)


def as_pop3(raw):
    return raw.replace(b"\n", b"\r\n")


@pytest.fixture(params=[(), ("UIDPLUS",)], ids=["UIDPLUS", "without-UIDPLUS"])
def courier(request):
    with CourierImap(password=PASSWORD, capability=capability_without(*request.param)) as server:
        server.deliver(USER, *map(message, range(1, 9)))
        yield server


def subjects(server, folder="INBOX"):
    return [int(raw.split()[1]) for raw in server.messages(USER, folder).values()]


def uidl(popgate):
    with log_in(popgate, USER) as pop3:
        ids = list(pop3.uidl().values())
        pop3.quit()
    return ids


def test_mail_that_comes_and_goes(courier, serve):
    popgate = serve(clear_route(courier.port))
    ids = uidl(popgate)
    assert len(set(ids)) == 8
    assert uidl(popgate) == ids
    with log_in(popgate, USER) as pop3:
        assert [pop3.retr(number) for number in range(1, 9)] == [as_pop3(message(number)) for number in range(1, 9)]
        for number in (2, 8):
            pop3.command("DELE", number)
        assert pop3.quit().startswith("+OK 2 messages removed, 6 left")
    assert subjects(courier) == [1, 3, 4, 5, 6, 7]
    with courier.imap(USER) as imap:
        imap.select()
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.expunge()
        imap.store("2", "+FLAGS", r"(\Deleted)")  # marked, and not yet expunged: not ours to take
    courier.deliver(USER, message(9))
    now = uidl(popgate)
    assert now[:-1] == ids[2:7]
    assert now[-1] not in ids
    with log_in(popgate, USER) as pop3:
        pop3.command("DELE 1")
        assert pop3.quit().startswith("+OK 1 messages removed, 5 left")
    assert subjects(courier) == [4, 5, 6, 7, 9]


@pytest.mark.parametrize("on_delete", ["trash", "archive"])
def test_folders(on_delete, courier, serve):
    popgate = serve(clear_route(courier.port, on_delete=on_delete, **{f"{on_delete}_folder": "INBOX.Put away"}))
    for numbers in ((2, 5), (1,)):
        with log_in(popgate, USER) as pop3:
            for number in numbers:
                pop3.command("DELE", number)
            assert pop3.quit().startswith(f"+OK {len(numbers)} messages removed")
    assert subjects(courier) == [3, 4, 6, 7, 8]
    assert sorted(subjects(courier, "INBOX.Put away")) == [1, 2, 5]


@pytest.mark.parametrize("on_delete", ["mark-read", "keep"])
def test_what_is_kept(on_delete, courier, serve):
    popgate = serve(clear_route(courier.port, on_delete=on_delete, mark_seen=False, view="unread"))
    with log_in(popgate, USER) as pop3:
        pop3.command("DELE 2")
        assert pop3.quit().startswith("+OK 1 ")
    assert len(uidl(popgate)) == 7
    assert subjects(courier) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("raw", [
    b"From: System Administrator <root@localhost>\nSubject: message\n\nanother\n",
    b"From: System Administrator <root@localhost>\n",
    b"From: System Administrator <root@localhost>\nSubject: message unavailable\n\n"
    b"This message is no longer available on the server.\n",
    b"From: System Administrator <root@localhost>\nSubject: message unavailable\n\n"
    b"This message is no longer available on the server.\nBut this one is.\n",
])
def test_messages_like_couriers_own(raw, courier, serve):
    courier.deliver(USER, raw)
    with log_in(serve(clear_route(courier.port)), USER) as pop3:
        assert pop3.retr(9) == as_pop3(raw)
        assert pop3.top(9, 0) == as_pop3(raw).partition(b"\r\n\r\n")[0] + b"\r\n" * (2 if b"\n\n" in raw else 0)


def test_a_message_that_is_no_longer_there_is_none(courier, serve):
    """Courier gives one of its own making in its stead."""
    popgate = serve(clear_route(courier.port))
    with log_in(popgate, USER) as pop3:
        with courier.imap(USER) as imap:
            imap.select()
            imap.store("3", "+FLAGS", r"(\Deleted)")
            imap.expunge()
        assert pop3.command("RETR 3").startswith("-ERR")
        assert pop3.command("TOP 3 0").startswith("-ERR")
        assert pop3.retr(4) == as_pop3(message(4))
        pop3.quit()
