"""A session in which things may go wrong, and what must hold whatever they are: an upstream in trouble is never an empty
or a shorter mailbox, a message that came in part never ends in ".", what QUIT says is true, and nothing but what was
deleted is gone.
"""

import os

from support.http_fake import HttpFake, Response
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

    @property
    def went_well(self):
        return bool(self.quit and self.quit.startswith("+OK") and not self.broken)


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
    """A session with MESSAGES of a new user, checked; plan(faults) says what goes wrong, counted from its first request."""
    upstream.faults.clear()
    user, password = upstream.new_user()
    for message in MESSAGES:
        upstream.deliver(user, message)
    served = upstream.messages(user)
    upstream.faults.clear()
    plan(upstream.faults)
    session = Session(popgate, user, password, served)
    upstream.faults.clear()
    popgate.session(user=user)
    check(upstream, user, session)
    return session


def requests_of_a_session(upstream, popgate):
    """How many there are when nothing goes wrong."""
    before = len(upstream.log)
    assert one_session(upstream, popgate, lambda _: None).went_well
    return len(upstream.log) - before


def at_each_request(upstream, popgate, fault):
    """A session for each request that this fault can be at; gives how many went well."""
    requests = requests_of_a_session(upstream, popgate)
    return sum(one_session(upstream, popgate, lambda faults: faults.at(number, fault)).went_well
               for number in range(1, requests + 1))


def from_each_request_on(upstream, popgate, fault, step):
    """The same with the fault at all requests from there on, and at every `step`th of them."""
    requests = requests_of_a_session(upstream, popgate)
    return sum(one_session(upstream, popgate, lambda faults: faults.from_on(number, fault)).went_well
               for number in range(1, requests + 1, step))
