"""What only Gmail does: a quota that a first listing must live within, labels, history that is forgotten, scopes."""

import re
import threading
from collections import Counter

import pytest
from support import published_urls
from support.faulty_session import at_each_request, from_each_request_on
from support.gmail_fake import GMAIL_FAULTS, MODIFY, READONLY, GmailFake
from support.pop3 import Pop3
from support.popgate import Popgate
from support.setups import configuration

SO_FAR = re.compile(r"-ERR \[SYS/TEMP\] the mailbox is being read for the first time: (\d+) of (\d+) messages so far, "
                    r"please wait and retry")
ASKED_FOR = re.compile(rb"GET /gmail/v1/users/[^/]+/messages/(\w+)\?format=minimal")
MESSAGES = [b"Subject: %d\r\n\r\n%b\r\n" % (number, b"x" * 100 * number) for number in range(1, 6)]


@pytest.fixture(scope="module")
def gmail(certificates):
    with GmailFake(certificates.server, ca_file=certificates.ca) as fake:
        yield fake
        assert published_urls.check(fake.log) == []


@pytest.fixture
def mailbox(gmail):
    """(user, token) of a mailbox with MESSAGES."""
    user, token = gmail.new_user()
    for message in MESSAGES:
        gmail.deliver(user, message)
    return user, token


def log_in(popgate, mailbox):
    pop3 = Pop3(popgate.port(), timeout=60)
    assert pop3.login(*mailbox).startswith("+OK")
    return pop3


def delete(popgate, mailbox, *numbers):
    with log_in(popgate, mailbox) as pop3:
        for number in numbers:
            assert pop3.command("DELE", number).startswith("+OK")
        return pop3.quit()


def unique_ids(popgate, mailbox):
    with log_in(popgate, mailbox) as pop3:
        ids = pop3.uidl()
        pop3.quit()
    return list(ids.values())


def details_asked(log):
    """How often the details of each message were asked for."""
    return Counter(each.decode() for request in log for each in ASKED_FOR.findall(request.body))


def but(*numbers):
    return [message for number, message in enumerate(MESSAGES, 1) if number not in numbers]


# --- the first listing

def progress(popgate, mailbox):
    """The numbers that a login is told; nothing once the mailbox is open."""
    with Pop3(popgate.port(), timeout=60) as pop3:
        reply = pop3.login(*mailbox)
        if reply.startswith("+OK"):
            return None
        told = SO_FAR.fullmatch(reply)
        assert told, reply
        return int(told[1]), int(told[2])


def test_ten_thousand_messages_within_the_quota(certificates, tmp_path):
    many, rate, window = 10_000, 84_000, 15
    # What may come at once, a tenth of a minute's units, weighs more in a window that is shorter than a minute.
    borne = rate * (0.1 + 0.9 * window / 60) * 1.05 * 60 / window
    with GmailFake(certificates.server, ca_file=certificates.ca, units_per_minute=borne, window=window) as gmail:
        mailbox = gmail.new_user()
        for number in range(many):
            gmail.deliver(mailbox[0], b"Subject: %d\r\n\r\nbody\r\n" % number)
        config = configuration(certificates, gmail.route(units_per_minute=rate),
                               state={"url": f"sqlite:{tmp_path}/state.db"})
        with Popgate(config) as popgate:
            told = [progress(popgate, mailbox)]
            assert 0 < told[0][0] < many and told[0][1] == many
            ended = threading.Thread(target=popgate.wait_for, args=("index_build_ended",),
                                     kwargs={"timeout": 60, "messages": many})
            ended.start()
            while ended.is_alive():
                if now := progress(popgate, mailbox):
                    told.append(now)
                ended.join(1)
            assert told == sorted(told) and told[-1][0] > told[0][0] and {total for _, total in told} == {many}
            assert gmail.exceeded == 0

            # What was read in parts is compared with the list of all, once, without any details.
            expected = [each.id for each in gmail.inbox(mailbox[0])]
            assert unique_ids(popgate, mailbox) == expected
            requests, units = len(gmail.log), gmail.units_spent
            assert unique_ids(popgate, mailbox) == expected
            assert len(gmail.log) - requests <= 5
            assert gmail.units_spent - units <= 10
        asked = details_asked(gmail.log)
        assert len(asked) == many and set(asked.values()) == {1}


def test_a_restart_in_the_middle_keeps_what_was_read(certificates, tmp_path):
    """Even when a look at everything is due, which a first listing takes longer than."""
    many = 3_000
    with GmailFake(certificates.server, ca_file=certificates.ca) as gmail:
        mailbox = gmail.new_user()
        for number in range(many):
            gmail.deliver(mailbox[0], b"Subject: %d\r\n\r\nbody\r\n" % number)
        state = {"url": f"sqlite:{tmp_path}/state.db", "reconcile_every": "1s"}
        with Popgate(configuration(certificates, gmail.route(units_per_minute=30_000), state=state)) as popgate:
            told = progress(popgate, mailbox)
            assert 0 < told[0] < many and told[1] == many
        assert 0 < len(details_asked(gmail.log)) < many
        with Popgate(configuration(certificates, gmail.route(), state=state)) as popgate:
            assert unique_ids(popgate, mailbox) == [each.id for each in gmail.inbox(mailbox[0])]
        assert set(details_asked(gmail.log).values()) == {1}
        assert len(details_asked(gmail.log)) == many


def test_a_message_without_details_does_not_hide_the_others(gmail, mailbox, serve):
    gmail.never_describes(mailbox[0], 2)
    popgate = serve(gmail.route())
    with log_in(popgate, mailbox) as pop3:
        ids = pop3.uidl()
        assert pop3.list()[3] == 4096
        assert pop3.retr(3) == MESSAGES[2]
        pop3.quit()
    gmail.deliver(mailbox[0], MESSAGES[0])
    with log_in(popgate, mailbox) as pop3:
        assert pop3.list()[3] == len(MESSAGES[2])
        assert list(pop3.uidl().values())[:5] == list(ids.values())


# --- later listings

def test_forgotten_history_costs_no_details_of_what_is_known(gmail, mailbox, serve):
    popgate = serve(gmail.route())
    before = unique_ids(popgate, mailbox)
    gmail.forget_history(mailbox[0])
    gmail.remove(mailbox[0], 1)
    gmail.deliver(mailbox[0], b"Subject: new\r\n\r\nx\r\n")
    begin = len(gmail.log)
    after = unique_ids(popgate, mailbox)
    assert [each.status for each in gmail.log[begin:] if each.path.endswith("/history")] == [404]
    assert after[:-1] == before[:1] + before[2:]
    assert list(details_asked(gmail.log[begin:])) == [after[-1]]


def test_what_leaves_the_inbox_by_its_label_and_comes_back(gmail, mailbox, serve):
    popgate = serve(gmail.route())
    before = unique_ids(popgate, mailbox)
    gmail.relabel(mailbox[0], 1, remove=["INBOX"])
    gmail.relabel(mailbox[0], 2, add=["TRASH"], remove=["INBOX"])
    assert unique_ids(popgate, mailbox) == [each for number, each in enumerate(before) if number not in (1, 3)]
    gmail.put_back(mailbox[0], MESSAGES[1])
    gmail.put_back(mailbox[0], MESSAGES[3])
    with log_in(popgate, mailbox) as pop3:
        assert list(pop3.uidl().values()) == before
        assert [pop3.retr(number) for number in range(1, 6)] == MESSAGES


def test_sizes_are_learned_when_a_message_has_passed(gmail, mailbox, serve):
    popgate = serve(gmail.route())
    with log_in(popgate, mailbox) as pop3:
        estimates = pop3.list()
        assert estimates[4] != len(MESSAGES[3])
        assert pop3.retr(4) == MESSAGES[3]
        pop3.quit()
    with log_in(popgate, mailbox) as pop3:
        assert pop3.list() == {**estimates, 4: len(MESSAGES[3])}


# --- what becomes of what is deleted

def folders(gmail, user):
    return gmail.messages(user), gmail.folder(user, "trash"), gmail.folder(user, "archive")


@pytest.mark.parametrize("on_delete, expected", [
    ("delete", (but(2, 5), [], [])),
    ("purge", (but(2, 5), [], [])),
    ("trash", (but(2, 5), [MESSAGES[1], MESSAGES[4]], [])),
    ("archive", (but(2, 5), [], [MESSAGES[1], MESSAGES[4]])),
    ("mark-read", (MESSAGES, [], [])),
    ("keep", (MESSAGES, [], [])),
])
def test_what_is_deleted_goes_where_the_route_says(on_delete, expected, gmail, mailbox, serve):
    popgate = serve(gmail.route(on_delete=on_delete))
    ids = unique_ids(popgate, mailbox)
    assert delete(popgate, mailbox, 2, 5).startswith("+OK 2 messages removed, 3 left")
    assert folders(gmail, mailbox[0]) == expected
    if len(expected[0]) == len(MESSAGES):
        seen = [gmail.is_seen(mailbox[0], index) for index in range(5)]
        assert seen == [on_delete == "mark-read" and index in (1, 4) for index in range(5)]
    assert unique_ids(popgate, mailbox) == [ids[0], ids[2], ids[3]]


def test_delete_with_a_token_that_may_only_modify_is_the_trash(gmail, mailbox, serve):
    gmail.scopes[mailbox[1]] = MODIFY
    popgate = serve(gmail.route())
    assert delete(popgate, mailbox, 2, 5).startswith("+OK 2 messages removed, 3 left")
    assert folders(gmail, mailbox[0]) == (but(2, 5), [MESSAGES[1], MESSAGES[4]], [])
    [warning] = popgate.wait_for("gmail_trash", user=mailbox[0])
    assert "https://mail.google.com/" in warning["text"]


@pytest.mark.parametrize("scope, on_delete", [(MODIFY, "purge"), (READONLY, "purge"), (READONLY, "delete"),
                                              (READONLY, "trash"), (READONLY, "archive"), (READONLY, "mark-read")])
def test_a_token_that_may_not_removes_nothing(scope, on_delete, gmail, mailbox, serve):
    gmail.scopes[mailbox[1]] = scope
    popgate = serve(gmail.route(on_delete=on_delete))
    with log_in(popgate, mailbox) as pop3:
        assert pop3.retr(1) == MESSAGES[0]
        assert pop3.command("DELE", 2).startswith("+OK")
        reply = pop3.quit()
    assert reply.startswith("-ERR [SYS/PERM]"), reply
    assert folders(gmail, mailbox[0]) == (MESSAGES, [], [])
    assert len(unique_ids(popgate, mailbox)) == 5


@pytest.mark.parametrize("fault", GMAIL_FAULTS)
def test_faults_at_each_request(fault, gmail, serve):
    popgate = serve(gmail.route(command_timeout="1500ms", connect_timeout="1500ms"), limits={"workers": 1})
    assert at_each_request(gmail, popgate, fault) > 0
    if fault != "vanished":  # a server that keeps to it is believed
        from_each_request_on(gmail, popgate, fault, step=3)
