"""What only JMAP does: ids that come back, one Email in many folders, limits and changes, accounts of others."""

import pytest
from support.cyrus import Cyrus
from support.faulty_session import Elsewhere, one_session
from support.jmap_fake import JMAP_FAULTS, JmapFake
from support.pop3 import Pop3


def message(number):
    return b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number)


def log_in(popgate, mailbox):
    pop3 = Pop3(popgate.port())
    reply = pop3.login(*mailbox)
    assert reply.startswith("+OK"), reply
    return pop3


def uidl(popgate, mailbox):
    """The unique-ids, of a session that does nothing else."""
    with log_in(popgate, mailbox) as pop3:
        unique_ids = list(pop3.uidl().values())
        assert pop3.quit().startswith("+OK")
    return unique_ids


def delete(popgate, mailbox, *numbers):
    with log_in(popgate, mailbox) as pop3:
        for number in numbers:
            assert pop3.command("DELE", number).startswith("+OK")
        return pop3.quit()


def new_mailbox(server, count):
    mailbox = server.new_user()
    for number in range(1, count + 1):
        server.deliver(mailbox[0], message(number))
    return mailbox


@pytest.fixture(scope="module")
def cyrus(certificates):
    with Cyrus(certificates) as server:
        yield server


@pytest.fixture(scope="module", params=["cyrus", "fake"])
def by_content(request, certificates):
    """A server that makes ids of the content."""
    if request.param == "cyrus":
        yield request.getfixturevalue("cyrus")
        return
    with JmapFake(certificates.server, ca_file=certificates.ca, content_ids=True) as server:
        yield server


@pytest.fixture
def fake(certificates):
    with JmapFake(certificates.server, ca_file=certificates.ca) as server:
        yield server


# --- ids that come back

def goes_over_pop3(server, popgate, mailbox, place):
    assert delete(popgate, mailbox, place + 1).startswith("+OK 1 ")


def goes_by_another_client(server, popgate, mailbox, place):
    server.remove(mailbox[0], place)


def is_filed_elsewhere(server, popgate, mailbox, place):
    server.file(mailbox[0], server.ids(mailbox[0])[place], "archive")


@pytest.mark.parametrize("goes", [goes_over_pop3, goes_by_another_client, is_filed_elsewhere])
def test_an_id_that_comes_back_has_another_unique_id(goes, by_content, serve):
    mailbox = new_mailbox(by_content, 3)
    email = by_content.ids(mailbox[0])[1]
    popgate = serve(by_content.route())
    seen = []
    for _ in range(3):
        place = by_content.ids(mailbox[0]).index(email)
        seen.append(uidl(popgate, mailbox)[place])
        goes(by_content, popgate, mailbox, place)
        assert email not in by_content.ids(mailbox[0])
        others = uidl(popgate, mailbox)
        assert len(others) == 2
        if goes is is_filed_elsewhere:
            by_content.file(mailbox[0], email, "inbox")
        else:
            by_content.deliver(mailbox[0], message(2))
        place = by_content.ids(mailbox[0]).index(email)  # the store gives it its old id
        with log_in(popgate, mailbox) as pop3:
            now = list(pop3.uidl().values())
            assert now[place] not in seen
            assert [each for each in now if each != now[place]] == others
            assert pop3.retr(place + 1) == message(2)
            pop3.quit()
        popgate.stop()
        popgate.start()
        assert uidl(popgate, mailbox) == now


def test_a_message_that_is_back_before_anybody_looked_is_the_same(by_content, serve):
    mailbox = new_mailbox(by_content, 3)
    popgate = serve(by_content.route())
    before = uidl(popgate, mailbox)
    email = by_content.ids(mailbox[0])[1]
    by_content.file(mailbox[0], email, "archive")
    by_content.file(mailbox[0], email, "inbox")
    assert uidl(popgate, mailbox) == before


# --- folders and accounts

@pytest.mark.parametrize("on_delete", ["delete", "trash", "archive"])
def test_what_is_in_another_folder_stays_there(on_delete, fake, serve):
    mailbox = new_mailbox(fake, 3)
    user, ids = mailbox[0], fake.ids(mailbox[0])
    fake.file(user, ids[0], "inbox", "work")
    assert delete(serve(fake.route(on_delete=on_delete)), mailbox, 1, 2).startswith("+OK 2 ")
    assert fake.ids(user) == ids[2:]
    assert fake.ids(user, "work") == ids[:1]
    for folder in ("trash", "archive"):
        assert fake.ids(user, folder) == (ids[:2] if folder == on_delete else [])


def test_what_is_in_the_archive_already_is_archived(fake, serve):
    mailbox = new_mailbox(fake, 2)
    user, ids = mailbox[0], fake.ids(mailbox[0])
    fake.file(user, ids[0], "inbox", "archive", "work")
    assert delete(serve(fake.route(on_delete="archive")), mailbox, 1).startswith("+OK 1 ")
    assert (fake.ids(user), fake.ids(user, "archive"), fake.ids(user, "work")) == (ids[1:], ids[:1], ids[:1])


def check_folder(server, serve):
    mailbox = new_mailbox(server, 3)
    user, ids = mailbox[0], server.ids(mailbox[0])
    if isinstance(server, Cyrus):
        server.new_folder(user, "Work")
        server.new_folder(user, "Bills", "work")
    for email in ids[:2]:
        server.file(user, email, "bills")
    popgate = serve(server.route(folder="Work/Bills"))
    with log_in(popgate, mailbox) as pop3:
        assert [pop3.retr(number) for number in (1, 2)] == [message(1), message(2)]
        pop3.command("DELE", 1)
        assert pop3.quit().startswith("+OK 1 ")
    assert (server.ids(user), server.ids(user, "bills")) == (ids[2:], ids[1:2])
    popgate = serve(server.route(folder="Work/Bill"))
    with Pop3(popgate.port()) as pop3:
        assert pop3.login(*mailbox).startswith("-ERR [SYS/PERM]")


def test_a_folder_in_a_folder(fake, serve):
    check_folder(fake, serve)


def test_a_folder_in_a_folder_of_cyrus(cyrus, serve):
    check_folder(cyrus, serve)


def check_shared(server, share, serve):
    owner = new_mailbox(server, 2)[0]
    mailbox = new_mailbox(server, 1)
    popgate = serve(server.route(mailbox=owner))
    with Pop3(popgate.port()) as pop3:
        assert pop3.login(*mailbox).startswith("-ERR [SYS/PERM]")
    share(owner, mailbox[0])
    with log_in(popgate, mailbox) as pop3:
        assert [pop3.retr(number) for number in pop3.list()] == [message(1), message(2)]
        pop3.command("DELE", 2)
        assert pop3.quit().startswith("+OK 1 ")
    assert server.messages(owner) == [message(1)]
    assert server.messages(mailbox[0]) == [message(1)]


def test_the_mailbox_of_another(fake, serve):
    check_shared(fake, lambda owner, user: fake.shared.update({owner: {user}}), serve)


def test_the_mailbox_of_another_at_cyrus(cyrus, serve):
    check_shared(cyrus, cyrus.share, serve)


# --- limits, pages and changes

def check_pages(server, serve):
    mailbox = new_mailbox(server, 60)
    popgate = serve(server.route())
    with log_in(popgate, mailbox) as pop3:
        assert [pop3.retr(number) for number in range(1, 61)] == [message(number) for number in range(1, 61)]
        unique_ids = list(pop3.uidl().values())
        assert len(set(unique_ids)) == 60
        for number in range(1, 61, 2):
            pop3.command("DELE", number)
        assert pop3.quit().startswith("+OK 30 ")
    assert server.messages(mailbox[0]) == [message(number) for number in range(2, 61, 2)]
    server.remove(mailbox[0], 29)
    server.deliver(mailbox[0], message(61))
    later = uidl(popgate, mailbox)
    assert later[:-1] == unique_ids[1:-1:2] and later[-1] not in unique_ids


def test_pages_of_five_at_cyrus(certificates, serve):
    with Cyrus(certificates, {"jmap_max_objects_in_get": "5", "jmap_max_objects_in_set": "7"}) as server:
        check_pages(server, serve)


@pytest.mark.parametrize("limits, clamp", [({"maxObjectsInGet": 5, "maxObjectsInSet": 7}, None), ({}, 3),
                                           ({"maxObjectsInGet": 1, "maxObjectsInSet": 1}, 1)])
def test_limits_that_are_kept(limits, clamp, certificates, serve):
    with JmapFake(certificates.server, ca_file=certificates.ca, limits=limits, clamp=clamp) as server:
        check_pages(server, serve)


def test_changes_that_are_not_known(fake, serve):
    mailbox = new_mailbox(fake, 10)
    popgate = serve(fake.route())
    before = uidl(popgate, mailbox)
    fake.remove(mailbox[0], 4)
    fake.deliver(mailbox[0], message(11))
    fake.faults.always("cannotCalculateChanges")
    later = uidl(popgate, mailbox)
    assert later[:-1] == before[:4] + before[5:]
    assert len(later) == 10


def test_deletions_that_are_put_off(fake, serve):
    mailbox = new_mailbox(fake, 10)
    popgate = serve(fake.route(command_timeout="4s"))
    fake.faults.always("rateLimit", path="/api", times=4)  # folders, list, where they are, and the first Email/set
    assert delete(popgate, mailbox, *range(1, 6)).startswith("+OK 5 ")
    assert fake.messages(mailbox[0]) == [message(number) for number in range(6, 11)]
    fake.faults.always("rateLimit")
    reply = delete(popgate, mailbox, 1, 2)
    assert reply.startswith("-ERR [SYS/TEMP]"), reply
    fake.faults.clear()
    left = fake.messages(mailbox[0])
    assert left[-3:] == [message(number) for number in range(8, 11)] and len(left) in (4, 5)
    assert len(uidl(popgate, mailbox)) == len(left)


def test_an_unchanged_mailbox_costs_three_requests(fake, serve):
    mailbox = new_mailbox(fake, 20)
    popgate = serve(fake.route())
    before = uidl(popgate, mailbox)
    begin = len(fake.log)
    assert uidl(popgate, mailbox) == before
    assert [each.path for each in fake.log[begin:]] == ["/.well-known/jmap", "/jmap/session", "/jmap/api"]


# --- where the Session object is, and what it names

@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("location", [None, "/jmap/session", "../jmap/session"])
def test_urls_absolute_and_relative(location, absolute, certificates, serve):
    with JmapFake(certificates.server, ca_file=certificates.ca, absolute=absolute) as server:
        server.location = location or server.location
        mailbox = new_mailbox(server, 2)
        with log_in(serve(server.route()), mailbox) as pop3:
            assert pop3.retr(2) == message(2)
            assert pop3.quit().startswith("+OK")


def test_the_credential_stays_where_it_belongs(fake, certificates, serve):
    mailbox = new_mailbox(fake, 1)
    with JmapFake(certificates.server) as other:
        for origin, trusted in ((other.origin, ""), (other.origin, "https://127.0.0.1"), ("http://127.0.0.1", "")):
            fake.faults.elsewhere = origin
            fake.faults.always("api away")
            popgate = serve(fake.route(**({"trusted_origins": trusted} if trusted else {})))
            with Pop3(popgate.port()) as pop3:
                assert pop3.login(*mailbox).startswith("-ERR [SYS/PERM]")
            assert f"names {origin}" in str(popgate.session())
        assert not other.log
        # Its own accounts refuse this user, which shows that it was asked.
        popgate = serve(fake.route(trusted_origins=f"https://a.example {other.origin}"))
        fake.faults.elsewhere = other.origin
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(*mailbox).startswith("-ERR [SYS/TEMP]")
        assert [bool(each.header("authorization")) for each in other.log] == [True]


def test_a_redirect_to_another_origin_takes_no_credential_along(fake, certificates, serve):
    mailbox = new_mailbox(fake, 1)
    with JmapFake(certificates.server) as other:
        fake.location = f"{other.origin}/jmap/session"
        popgate = serve(fake.route(trusted_origins=other.origin))
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(*mailbox).startswith("-ERR [SYS/PERM]")
        assert [each.header("authorization") for each in other.log] == [""]
        assert f"redirects to {other.origin}" in str(popgate.session())


# --- faults

@pytest.fixture(scope="module")
def elsewhere():
    with Elsewhere() as server:
        yield server


@pytest.mark.parametrize("lasts", [False, True])
# Not "vanished": who says that a message is not there is believed.
@pytest.mark.parametrize("fault", [each for each in JMAP_FAULTS if each != "vanished"])
def test_a_fault_at_each_request(fault, lasts, fake, elsewhere, serve):
    popgate = serve(fake.route(command_timeout="2s"), limits={"workers": 1})
    counted = []
    session = one_session(fake, popgate, lambda _: counted.append(len(fake.log)))
    assert session.quit.startswith("+OK") and not session.broken
    for number in range(1, len(fake.log) - counted[0] + 1):
        def plan(faults):
            faults.elsewhere = elsewhere.origin
            for each in range(number, number + (200 if lasts else 1)):
                faults.at(each, fault)

        one_session(fake, popgate, plan)
    assert not elsewhere.log
