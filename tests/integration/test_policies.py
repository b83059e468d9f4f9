"""What a mailbox's owner wants: what deleting means, what is shown, and what is refused."""

import time

import pytest
from support.dovecot import Dovecot, capability_without
from support.net import wait_until
from support.pop3 import Pop3
from support.popgate import Popgate, run
from support.scripted_imap import ScriptedImap
from support.setups import PASSWORD, clear_route, configuration, imaps_route, log_in


def message(number):
    return b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number)


def subjects(dovecot, user, folder="INBOX"):
    return [int(raw.split()[1]) for raw in dovecot.messages(user, folder).values()]


def seen(dovecot, user):
    with dovecot.imap(user) as imap:
        imap.select(readonly=True)
        return [int(number) for number in imap.search(None, "SEEN")[1][0].split()]


def shown(popgate, user):
    with log_in(popgate, user) as pop3:
        numbers = [int(pop3.top(number, 0).split()[1]) for number in pop3.list()]
        pop3.quit()
    return numbers


@pytest.fixture
def six(dovecot, user):
    dovecot.deliver(user, *map(message, range(1, 7)))
    return user


def delete(popgate, user, *numbers):
    with log_in(popgate, user) as pop3:
        for number in numbers:
            assert pop3.command("DELE", number).startswith("+OK")
        reply = pop3.quit()
        assert reply.startswith(f"+OK {len(numbers)} messages removed"), reply


# --- on_delete

def test_delete(dovecot, six, serve):
    popgate = serve(imaps_route(dovecot))
    delete(popgate, six, 2, 5)
    assert subjects(dovecot, six) == [1, 3, 4, 6]
    removals = popgate.wait_for("removal", count=2, user=six, action="delete", outcome="removed")
    assert [record["message"] for record in removals] == ["2", "5"]
    assert all(record["unique_id"] for record in removals)


@pytest.mark.parametrize("hidden", [(), ("MOVE",), ("MOVE", "UIDPLUS")], ids=["MOVE", "COPY", "COPY-without-UIDPLUS"])
@pytest.mark.parametrize("on_delete, folder", [("trash", "Trash"), ("archive", "Archive")])
def test_trash_and_archive_by_name(on_delete, folder, hidden, certificates, user, serve):
    with Dovecot(certificates, password=PASSWORD, capability=capability_without(*hidden) if hidden else None) as dovecot:
        dovecot.deliver(user, *map(message, range(1, 7)))
        popgate = serve(imaps_route(dovecot, on_delete=on_delete, **{f"{on_delete}_folder": folder}))
        delete(popgate, user, 2, 5)
        assert subjects(dovecot, user) == [1, 3, 4, 6]
        assert subjects(dovecot, user, folder) == [2, 5]
        assert shown(popgate, user) == [1, 3, 4, 6]
        delete(popgate, user, 1)
        assert subjects(dovecot, user, folder) == [2, 5, 1]


def test_without_a_trash_nothing_is_removed(serve):
    with ScriptedImap(messages=[message(1), message(2)]) as server:
        popgate = serve(clear_route(server.port, on_delete="trash"))
        with log_in(popgate, "u@x") as pop3:
            pop3.command("DELE 1")
            assert pop3.quit().startswith("-ERR [SYS/")
        assert sorted(server.messages) == [1, 2]
        assert shown(popgate, "u@x") == [1, 2]


@pytest.mark.parametrize("on_delete", ["mark-read", "keep"])
def test_what_is_kept_is_hidden_for_good(on_delete, dovecot, six, serve, tmp_path):
    state = {"url": f"sqlite:{tmp_path}/state.db"}
    popgate = serve(imaps_route(dovecot, on_delete=on_delete, mark_seen=False), state=state)
    delete(popgate, six, 2, 5)
    assert subjects(dovecot, six) == [1, 2, 3, 4, 5, 6]
    assert seen(dovecot, six) == ([2, 5] if on_delete == "mark-read" else [])
    assert shown(popgate, six) == [1, 3, 4, 6]
    popgate.stop()
    popgate = serve(imaps_route(dovecot, on_delete=on_delete), state=state)
    assert shown(popgate, six) == [1, 3, 4, 6]
    delete(popgate, six, 1)
    assert shown(popgate, six) == [3, 4, 6]


def test_what_is_kept_is_hidden_though_the_mailbox_was_forgotten_meanwhile(serve):
    with ScriptedImap(messages=[message(number) for number in range(1, 6)]) as server:
        popgate = serve(clear_route(server.port, on_delete="keep", lock="shared"))
        assert shown(popgate, "u@x") == [1, 2, 3, 4, 5]
        server.remove(1)
        server.remove(2)
        with log_in(popgate, "u@x") as pop3:
            assert pop3.command("DELE 1").startswith("+OK")
            done = run("mailbox", "forget", "u@x", "--yes", "--config", popgate.configuration_file)
            assert done.returncode == 0, done.stderr
            assert shown(popgate, "u@x") == [3, 4, 5]
            assert pop3.quit().startswith("+OK 1 ")
        assert shown(popgate, "u@x") == [4, 5]


def test_a_quit_that_fails_half_way_tells_the_truth(serve):
    count = 1200
    with ScriptedImap(messages=[message(number) for number in range(1, count + 1)]) as server:
        popgate = serve(clear_route(server.port))
        # The second batch meets a server that will not.
        answers = iter(["<default>"])
        server.add_rule(rb"UID EXPUNGE .*", lambda _: next(answers, "<tag> NO [SERVERBUG] not now"))
        with log_in(popgate, "u@x") as pop3:
            pop3.send(b"".join(b"DELE %d\r\n" % number for number in range(1, count)))
            assert all(pop3.line().startswith("+OK") for _ in range(1, count))
            reply = pop3.quit()
        left = len(server.messages)
        assert 1 < left < count
        assert reply.startswith(f"-ERR [SYS/TEMP] {left - 1} of {count - 1} messages could not be removed"), reply
        server.rules.clear()
        assert shown(popgate, "u@x") == [int(raw.split()[1]) for raw in server.messages.values()]
        assert popgate.session(user="u@x", reason="quit")["left"] == left


def test_a_server_that_once_tells_of_an_empty_mailbox(serve):
    """With the same UIDVALIDITY: what was deleted is still known when the messages are back."""
    with ScriptedImap(messages=[message(number) for number in range(1, 6)]) as server:
        popgate = serve(clear_route(server.port, on_delete="keep"))
        delete(popgate, "u@x", 2, 3)
        server.add_rule(rb"SELECT .*", "* 0 EXISTS\n* OK [UIDVALIDITY 1] x\n* OK [UIDNEXT 6] x\n<tag> OK done")
        assert shown(popgate, "u@x") == []
        server.rules.clear()
        assert shown(popgate, "u@x") == [1, 4, 5]


def test_an_account_has_wishes_of_its_own(dovecot, user, serve):
    other = "other-" + user
    for name in (user, other):
        dovecot.deliver(name, *map(message, range(1, 4)))
    popgate = serve(imaps_route(dovecot), account=[{"user": user, "on_delete": "keep", "order": "newest-first"}])
    delete(popgate, user, 1)
    delete(popgate, other, 1)
    assert (shown(popgate, user), shown(popgate, other)) == ([2, 1], [2, 3])
    assert (subjects(dovecot, user), subjects(dovecot, other)) == ([1, 2, 3], [2, 3])


# --- what may be deleted, and what goes by itself

def test_only_what_was_retrieved_may_be_deleted(dovecot, six, serve):
    popgate = serve(imaps_route(dovecot, delete_only_if_retrieved=True))
    with log_in(popgate, six) as pop3:
        assert pop3.command("DELE 1").startswith("-ERR")
        pop3.top(2, 0)
        assert pop3.command("DELE 2").startswith("-ERR")
        # In one breath, as pipelining clients do.
        pop3.send(b"RETR 3\r\nDELE 3\r\nTOP 4 99999999\r\nDELE 4\r\nRETR 5\r\n")
        for number in (3, 4):
            assert pop3.line().startswith("+OK")
            assert pop3.multiline() == message(number)
            assert pop3.line().startswith("+OK"), number
        assert pop3.line().startswith("+OK")
        assert pop3.multiline() == message(5)
        assert pop3.quit().startswith("+OK 2 ")
    with log_in(popgate, six) as pop3:  # it was retrieved by an earlier session
        assert pop3.command("DELE 3").startswith("+OK")
        assert pop3.command("DELE 1").startswith("-ERR")
        pop3.quit()
    assert subjects(dovecot, six) == [1, 2, 6]


def test_a_top_that_ends_before_the_message_is_no_retrieval(serve):
    message_of_many_lines = b"Subject: x\r\n\r\n" + b"\r\n" * 1_000_001
    with ScriptedImap(messages=[message_of_many_lines]) as server:
        popgate = serve(clear_route(server.port, delete_only_if_retrieved=True))
        with log_in(popgate, "u@x") as pop3:
            assert len(pop3.top(1, 1_000_000)) == len(message_of_many_lines) - 2
            assert pop3.command("DELE 1").startswith("-ERR")
            pop3.top(1, 1_000_002)
            assert pop3.command("DELE 1").startswith("+OK")


def test_what_was_retrieved_expires(dovecot, six, serve):
    popgate = serve(imaps_route(dovecot, expire_after="1s", on_delete="archive", archive_folder="Old"))
    with log_in(popgate, six) as pop3:
        assert pop3.capa()["EXPIRE"] == ["0"]
        pop3.retr(2)
        pop3.retr(4)
        pop3.quit()

    def expired():
        log_in(popgate, six).quit()
        return popgate.log("session")[-1]["expired"] == 2

    with log_in(popgate, six) as pop3:
        pop3.close()  # without QUIT nothing goes
    wait_until(expired, "two messages that expire")
    assert subjects(dovecot, six) == [1, 3, 5, 6]
    assert subjects(dovecot, six, "Old") == [2, 4]


@pytest.mark.parametrize("accounts, before, after", [
    ([], ["30"], ["30"]),
    ([{"user": "a@x", "expire_after": "7d"}], ["7", "USER"], ["30"]),
    ([{"user": "u@x", "expire_after": "never"}], ["30", "USER"], ["NEVER"]),
])
def test_capa_tells_how_long_mail_stays(accounts, before, after, serve):
    with ScriptedImap(messages=[message(1)]) as server:
        popgate = serve(clear_route(server.port, expire_after="30d"), **({"account": accounts} if accounts else {}))
        with Pop3(popgate.port()) as pop3:
            assert pop3.capa()["EXPIRE"] == before
            pop3.login("u@x", PASSWORD)
            assert pop3.capa()["EXPIRE"] == after


def test_capa_says_never_by_default(gateway, user):
    with Pop3(gateway.port("none")) as pop3:
        assert pop3.capa()["EXPIRE"] == ["NEVER"]


# --- what is shown

def test_unread_alone(dovecot, six, serve):
    popgate = serve(imaps_route(dovecot, view="unread"))
    with log_in(popgate, six) as pop3:
        assert pop3.retr(2) == message(2)
        pop3.quit()
    assert shown(popgate, six) == [1, 3, 4, 5, 6]
    assert subjects(dovecot, six) == [1, 2, 3, 4, 5, 6]


def test_the_last_messages_never_move_back(dovecot, six, serve):
    popgate = serve(imaps_route(dovecot, view="last 3 messages"))
    assert shown(popgate, six) == [4, 5, 6]
    delete(popgate, six, 2)
    assert shown(popgate, six) == [4, 6]
    dovecot.deliver(six, message(7), message(8))
    assert shown(popgate, six) == [6, 7, 8]


def test_the_last_days(dovecot, user, serve):
    with dovecot.imap(user) as imap:
        imap.append("INBOX", "", '"01-Jan-2020 00:00:00 +0000"', message(1))
    dovecot.deliver(user, message(2))
    assert shown(serve(imaps_route(dovecot, view="last 30 days")), user) == [2]


def test_the_last_days_of_a_mailbox_that_was_read_without_dates(certificates, dovecot, user, tmp_path):
    """Nobody asks for dates that no policy needs; once one does, they are those of old messages, too."""
    def append(number, date):
        with dovecot.imap(user) as imap:
            imap.append("INBOX", "", f'"{date} 00:00:00 +0000"', message(number))

    def shown_with(view):
        with Popgate(configuration(certificates, imaps_route(dovecot, view=view), state=state)) as popgate:
            return shown(popgate, user)

    state = {"url": f"sqlite:{tmp_path}/state.db"}
    append(1, "01-Jan-2020")
    append(2, time.strftime("%d-%b-%Y", time.gmtime()))
    assert shown_with("all") == [1, 2]
    assert shown_with("last 30 days") == [2]
    append(3, "02-Jan-2020")
    assert shown_with("all") == [1, 2, 3]
    assert shown_with("last 30 days") == [2]
    assert shown_with("last 30 days") == [2]


def test_newest_first(dovecot, six, serve):
    popgate = serve(imaps_route(dovecot, order="newest-first"))
    assert shown(popgate, six) == [6, 5, 4, 3, 2, 1]
    delete(popgate, six, 1)
    assert subjects(dovecot, six) == [1, 2, 3, 4, 5]
