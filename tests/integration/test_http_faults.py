"""Each fault that an HTTP upstream can show, at each request of a session.

Whatever happens: an upstream in trouble is never an empty or a shorter mailbox, a message that came in part never ends in
".", what QUIT says is true, nothing but what was deleted is gone, and no credential reaches another origin.
"""

import os

import pytest
from support import published_urls
from support.http_fake import HTTP_FAULTS, HttpFake, Response
from support.http_kinds import FAKES, PUBLISHED, open_kind
from support.pop3 import Pop3

MESSAGES = [b"Subject: %d\r\n\r\n" % number + b"0123456789 and so on\r\n" * 3000 for number in range(1, 5)]
DELETED = 2  # this message number is

# A quick look takes some of the places where a fault can be; POPGATE_TEST_ALL_FAULTS=1 takes all.
ALL = os.environ.get("POPGATE_TEST_ALL_FAULTS") == "1"


class Elsewhere(HttpFake):
    """Another origin, which hears what it should not."""

    public = ("/",)

    def respond(self, request, user):
        return Response.of({"emails": [], "messages": [], "value": []})


@pytest.fixture(scope="module")
def elsewhere():
    with Elsewhere() as fake:
        yield fake


@pytest.fixture(scope="module", params=FAKES)
def upstream(request, certificates):
    with open_kind(request.param, certificates) as server:
        yield server
        if request.param in PUBLISHED:
            assert published_urls.check(server.log) == []


@pytest.fixture
def popgate(serve, upstream):
    return serve(upstream.route(command_timeout="2s", connect_timeout="2s"), limits={"workers": 1})


class Session:
    """What a client sees of a session in which things may go wrong."""

    def __init__(self, popgate, user, password, upstream_messages):
        self.login = self.quit = None
        self.said_quit = False
        self.broken = 0
        with Pop3(popgate.port()) as pop3:
            self.login = pop3.login(user, password)
            if not self.login.startswith("+OK"):
                assert self.login.startswith(("-ERR [SYS/", "-ERR [AUTH]")), self.login
                return
            # The whole mailbox or none.
            assert pop3.stat()[0] == len(upstream_messages)
            assert len(pop3.list()) == len(pop3.uidl()) == len(upstream_messages)
            try:
                for number, expected in enumerate(upstream_messages, 1):
                    reply = pop3.command("RETR", number)
                    if reply.startswith("+OK"):
                        assert pop3.multiline() == expected
                    else:
                        assert reply.startswith("-ERR"), reply
                        self.broken += 1
                assert pop3.command("DELE", DELETED).startswith("+OK")
                self.said_quit = True
                self.quit = pop3.command("QUIT")
            except EOFError:
                self.broken += 1


def check(upstream, user, session):
    left = upstream.messages(user)
    expected = [message for number, message in enumerate(MESSAGES, 1) if number != DELETED]
    kept = [message for message in left if message in expected]
    assert kept == expected, "something is gone that nobody deleted"
    is_gone = MESSAGES[DELETED - 1] not in left
    if session.quit and session.quit.startswith("+OK"):
        assert is_gone, f"{session.quit}, but the message is still there"
    if not session.said_quit:
        assert not is_gone, "a message went without QUIT"


def one_session(upstream, popgate, plan):
    upstream.faults.clear()
    user, password = upstream.new_user()
    for message in MESSAGES:
        upstream.deliver(user, message)
    served = [message for message in upstream.messages(user)]
    upstream.faults.clear()
    plan(upstream.faults)
    session = Session(popgate, user, password, served)
    upstream.faults.clear()
    popgate.session(user=user)
    check(upstream, user, session)
    return session


@pytest.fixture
def requests_of_a_session(upstream, popgate):
    counted = []

    def plan(_):
        counted.append(len(upstream.log))

    session = one_session(upstream, popgate, plan)
    assert session.quit.startswith("+OK") and not session.broken
    return len(upstream.log) - counted[0]


@pytest.mark.parametrize("fault", HTTP_FAULTS)
def test_once_at_each_request(fault, upstream, popgate, requests_of_a_session, elsewhere):
    heard = len(elsewhere.log)
    outcomes = []
    slow = fault in ("429", "429 later", "503", "503 later", "silence")
    for number in range(1, requests_of_a_session + 1, 3 if slow and not ALL else 1):
        def plan(faults):
            faults.elsewhere = elsewhere.origin + "/"
            faults.at(number, fault)

        session = one_session(upstream, popgate, plan)
        outcomes.append("well" if session.quit and session.quit.startswith("+OK") and not session.broken else "ill")
    print(fault, requests_of_a_session, outcomes)
    for request in elsewhere.log[heard:]:
        assert "authorization" not in request.headers and "x-access-token" not in request.headers


@pytest.mark.parametrize("fault", HTTP_FAULTS)
def test_from_each_request_on(fault, upstream, popgate, requests_of_a_session, elsewhere):
    slow = fault in ("429", "429 later", "503", "503 later", "silence")
    for number in range(1, requests_of_a_session + 1, 4 if slow and not ALL else 2):
        def plan(faults):
            faults.elsewhere = elsewhere.origin + "/"
            for each in range(number, number + 200):
                faults.at(each, fault)

        session = one_session(upstream, popgate, plan)
        assert not (session.quit and session.quit.startswith("+OK")) or number > 1
    for request in elsewhere.log:
        assert "authorization" not in request.headers and "x-access-token" not in request.headers


def test_a_credential_that_dies_in_the_middle(upstream, popgate, requests_of_a_session):
    for number in range(2, requests_of_a_session + 1):
        def plan(faults):
            for each in range(number, number + 200):
                faults.at(each, "401")

        session = one_session(upstream, popgate, plan)
        # Who has logged in is not asked for another password.
        if session.login.startswith("+OK") and session.quit:
            assert "[AUTH]" not in session.quit


def test_a_server_that_wants_a_long_pause_is_left_alone(upstream, popgate):
    def plan(faults):
        faults.later = "3600"
        faults.always("429 later")

    session = one_session(upstream, popgate, plan)
    assert session.login.startswith("-ERR [SYS/TEMP]") and "please wait and retry" in session.login
