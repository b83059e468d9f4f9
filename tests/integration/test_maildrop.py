"""The maildrop: a snapshot with stable numbers, deletes at QUIT and only then, one session at a time."""

import pytest
from support.dovecot import Dovecot, capability_without
from support.gate import CLIENT, SERVER, Gate
from support.pop3 import Pop3
from support.setups import PASSWORD, clear_route, imaps_route, log_in


def message(number):
    return b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number)


@pytest.fixture
def five(dovecot, user):
    """The user of a mailbox with five messages."""
    dovecot.deliver(user, *map(message, range(1, 6)))
    return user


def subjects(dovecot, user, folder="INBOX"):
    return [int(raw.split()[1]) for raw in dovecot.messages(user, folder).values()]


def expunge(dovecot, user, *numbers):
    """What another IMAP client does meanwhile."""
    with dovecot.imap(user) as imap:
        imap.select()
        imap.store(",".join(map(str, numbers)), "+FLAGS", r"(\Deleted)")
        imap.expunge()


def test_an_empty_mailbox(gateway, user):
    with log_in(gateway, user) as pop3:
        assert pop3.stat() == (0, 0)
        assert pop3.list() == pop3.uidl() == {}
        assert pop3.command("RETR 1").startswith("-ERR")
        assert pop3.quit().startswith("+OK")


def test_deleted_messages_are_out_of_sight_and_keep_their_numbers(gateway, five):
    with log_in(gateway, five) as pop3:
        sizes = pop3.list()
        assert pop3.command("DELE 2").startswith("+OK")
        assert pop3.stat() == (4, sum(sizes.values()) - sizes[2])
        assert list(pop3.list()) == list(pop3.uidl()) == [1, 3, 4, 5]
        for command in ("RETR 2", "LIST 2", "UIDL 2", "TOP 2 0", "DELE 2"):
            assert pop3.command(command).startswith("-ERR"), command
        assert pop3.retr(3) == message(3)
        assert pop3.command("RSET").startswith("+OK")
        assert pop3.list() == sizes
        assert pop3.retr(2) == message(2)


def test_deleting_everything_leaves_0_0(gateway, five):
    with log_in(gateway, five) as pop3:
        for number in range(1, 6):
            assert pop3.command("DELE", number).startswith("+OK")
        assert pop3.stat() == (0, 0)
        pop3.command("RSET")
        assert pop3.stat()[0] == 5


def test_quit_removes_what_is_marked_and_nothing_else(gateway, dovecot, five):
    with log_in(gateway, five) as pop3:
        for command in ("DELE 1", "DELE 4", "RSET", "DELE 2", "DELE 5"):
            assert pop3.command(command).startswith("+OK")
        assert pop3.quit().startswith("+OK")
    assert subjects(dovecot, five) == [1, 3, 4]
    record = gateway.session(user=five)
    assert (record["deleted"], record["left"]) == (2, 3)


@pytest.mark.parametrize("end", ["close", "reset", "rset and quit"])
def test_nothing_is_removed_without_quit(end, gateway, dovecot, five):
    with log_in(gateway, five) as pop3:
        for number in range(1, 6):
            pop3.command("DELE", number)
        if end == "close":
            pop3.close()
        elif end == "reset":
            pop3.reset()
        else:
            pop3.command("RSET")
            pop3.quit()
        assert gateway.session(user=five)["deleted"] == 0
    assert subjects(dovecot, five) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("taken", [0, 100_000])
@pytest.mark.parametrize("end", ["reset", "silence"])
def test_quit_behind_a_message_that_was_not_taken_removes_nothing(end, taken, dovecot, five, serve):
    dovecot.deliver(five, b"Subject: 6\r\n\r\n" + b"0123456789 and so on\r\n" * 400_000)
    popgate = serve(imaps_route(dovecot), limits={"write_timeout": "500ms"})
    with log_in(popgate, five, receive_buffer=4096) as pop3:
        pop3.send(b"DELE 1\r\nRETR 6\r\nDELE 2\r\nQUIT\r\n")
        while taken > 0:
            taken -= len(pop3.socket.recv(4096))
        if end == "reset":
            pop3.reset()
        record = popgate.session(user=five)
        assert (record["deleted"], record["retrieved"]) == (0, 0)
        assert record["reason"] == ("disconnect" if end == "reset" else "write timeout")
    log_in(popgate, five).quit()
    assert subjects(dovecot, five) == [1, 2, 3, 4, 5, 6]


def test_half_a_quit_removes_nothing(gateway, dovecot, five):
    with log_in(gateway, five) as pop3:
        pop3.command("DELE 1")
        pop3.send(b"QUIT")
        pop3.close()
        gateway.session(user=five)
    assert subjects(dovecot, five) == [1, 2, 3, 4, 5]


def test_numbers_hold_whatever_other_clients_do(gateway, dovecot, five):
    with log_in(gateway, five) as pop3:
        uidl, sizes = pop3.uidl(), pop3.list()
        expunge(dovecot, five, 2, 4)
        dovecot.deliver(five, message(6))
        assert (pop3.uidl(), pop3.list()) == (uidl, sizes)
        assert pop3.command("RETR 2").startswith("-ERR")
        assert pop3.command("TOP 4 0").startswith("-ERR")
        assert [pop3.retr(number) for number in (1, 3, 5)] == [message(number) for number in (1, 3, 5)]
        assert pop3.command("DELE 4").startswith("+OK")
        assert pop3.command("DELE 5").startswith("+OK")
        assert pop3.quit().startswith("+OK")  # what is gone already is as good as removed
    assert subjects(dovecot, five) == [1, 3, 6]


def test_unique_ids_last(gateway, dovecot, five, serve):
    with log_in(gateway, five) as pop3:
        first = pop3.uidl()
        assert len(set(first.values())) == 5
        for number, uid in first.items():
            assert 1 <= len(uid) <= 70 and all(0x21 <= ord(character) <= 0x7E for character in uid)
            assert pop3.command("UIDL", number) == f"+OK {number} {uid}"
        pop3.quit()
    expunge(dovecot, five, 2)
    dovecot.deliver(five, message(6))
    with log_in(serve(imaps_route(dovecot)), five) as pop3:  # another popgate
        later = list(pop3.uidl().values())
        pop3.quit()
    assert later[:4] == [first[number] for number in (1, 3, 4, 5)]
    assert later[4] not in first.values()


@pytest.mark.parametrize("hidden", [(), ("UIDPLUS",), ("UIDPLUS", "MOVE")], ids=lambda words: "-".join(words) or "none")
def test_what_others_marked_is_not_expunged(hidden, certificates, serve):
    with Dovecot(certificates, password=PASSWORD, capability=capability_without(*hidden)) as dovecot:
        dovecot.deliver("u@x", *map(message, range(1, 6)))
        popgate = serve(imaps_route(dovecot))
        with log_in(popgate, "u@x") as pop3, dovecot.imap("u@x") as imap:
            imap.select()
            imap.store("3", "+FLAGS", r"(\Deleted)")
            pop3.command("DELE 1")
            pop3.command("DELE 5")
            assert pop3.quit().startswith("+OK")
        assert subjects(dovecot, "u@x") == [2, 3, 4]
        assert len(dovecot.uids("u@x", criterion="DELETED")) == 1


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("place", [(CLIENT, rb" EXPUNGE"), (SERVER, rb"\* \d+ EXPUNGE")], ids=["before", "after"])
def test_what_others_marked_is_marked_again_after_a_lost_connection(place, times, certificates, serve):
    """Without UIDPLUS their marks are off while EXPUNGE runs: just then the connection is lost, once or twice."""
    capability = capability_without("UIDPLUS", "MOVE")
    with Dovecot(certificates, password=PASSWORD, capability=capability) as dovecot, Gate(dovecot.imap_port) as gate:
        dovecot.deliver("u@x", *map(message, range(1, 6)))
        popgate = serve(clear_route(gate.port))
        with log_in(popgate, "u@x") as pop3, dovecot.imap("u@x") as imap:
            imap.select()
            imap.store("2:3", "+FLAGS", r"(\Deleted)")
            pop3.command("DELE 1")
            lost = gate.cut(*place, times=times)
            reply = pop3.quit()
            lost.wait()
        left = subjects(dovecot, "u@x")
        assert left in ([1, 2, 3, 4, 5], [2, 3, 4, 5])
        assert reply.startswith("+OK" if 1 not in left else "-ERR [SYS/TEMP] ")
        assert [subject for subject in subjects(dovecot, "u@x") if subject in (2, 3)] == [2, 3]
        assert {2, 3} <= set(dovecot.uids("u@x", criterion="DELETED"))


@pytest.mark.parametrize("end", ["quit", "close", "reset", "idle"])
def test_one_session_at_a_time_until_it_ends(end, dovecot, five, serve):
    popgate = serve(imaps_route(dovecot), limits={"idle_timeout": "1s" if end == "idle" else "10m"})
    first = log_in(popgate, five)
    with Pop3(popgate.port()) as second:
        if end != "idle":
            assert second.login(five, PASSWORD).startswith("-ERR [IN-USE] ")
            # Only who knows the password learns that somebody is there.
            assert second.login(five, "wrong").startswith("-ERR [AUTH] ")
        if end == "idle":
            first.rest()
        else:
            {"quit": first.quit, "close": first.close, "reset": first.reset}[end]()
        first.close()
        popgate.wait_for("session", user=five, count=1)
    log_in(popgate, five).quit()


def test_who_has_read_the_reply_to_quit_may_log_in_again(gateway, five):
    """Clients do, before they close the old connection."""
    sessions = []
    for number in range(1, 6):
        sessions.append(log_in(gateway, five))  # not [IN-USE]
        assert sessions[-1].command("DELE 1").startswith("+OK")
        assert sessions[-1].command("QUIT").startswith(f"+OK 1 messages removed, {5 - number} left")
    for session in sessions:
        session.close()


def test_another_mailbox_is_not_locked(gateway, five):
    with log_in(gateway, five), log_in(gateway, "somebody-else@x") as other:
        assert other.stat() == (0, 0)


def test_a_shared_route_takes_two_sessions(dovecot, five, serve):
    popgate = serve(imaps_route(dovecot, lock="shared"))
    with log_in(popgate, five) as one, log_in(popgate, five) as two:
        one.command("DELE 1")
        two.command("DELE 2")
        assert one.quit().startswith("+OK")
        assert two.retr(3) == message(3)
        assert two.quit().startswith("+OK")
    assert subjects(dovecot, five) == [3, 4, 5]


@pytest.mark.parametrize("mark_seen", [True, False])
def test_retr_marks_as_seen_where_the_route_says_so(mark_seen, dovecot, five, serve):
    popgate = serve(imaps_route(dovecot, mark_seen=mark_seen))
    with log_in(popgate, five) as pop3:
        pop3.top(1, 10)
        pop3.retr(2)
        pop3.retr(3)
        assert pop3.quit().startswith("+OK")
    assert len(dovecot.uids(five, criterion="SEEN")) == (2 if mark_seen else 0)


@pytest.mark.parametrize(("folder", "in_imap"), [("Archive/2024", "Archive/2024"), ("Entwürfe & mehr",
                                                                                    "Entw&APw-rfe &- mehr")])
def test_a_route_can_name_any_folder(folder, in_imap, dovecot, five, serve):
    dovecot.append(five, message(7), folder=in_imap)
    dovecot.append(five, message(8), folder=in_imap)
    with log_in(serve(imaps_route(dovecot, folder=folder)), five) as pop3:
        assert pop3.retr(1) == message(7)
        pop3.command("DELE 1")
        assert pop3.quit().startswith("+OK")
    assert subjects(dovecot, five, in_imap) == [8]
    assert subjects(dovecot, five) == [1, 2, 3, 4, 5]


def test_a_folder_that_is_not_there_is_no_empty_mailbox(dovecot, five, serve):
    with Pop3(serve(imaps_route(dovecot, folder="Nowhere")).port()) as pop3:
        assert pop3.login(five, PASSWORD).startswith("-ERR [SYS/")


def test_thousands_of_messages(gateway, dovecot, user):
    """More than any window of the listing; all but one deleted at once."""
    count = 5000
    dovecot.deliver(user, *map(message, range(count)))
    with log_in(gateway, user) as pop3:
        assert pop3.stat()[0] == count
        assert list(pop3.list()) == list(pop3.uidl()) == list(range(1, count + 1))
        assert pop3.retr(4321) == message(4320)
        pop3.send(b"".join(b"DELE %d\r\n" % number for number in range(1, count)))
        assert all(pop3.line().startswith("+OK") for _ in range(1, count))
        assert pop3.quit().startswith("+OK")
    assert subjects(dovecot, user) == [count - 1]
