"""One session before an HTTP upstream in trouble, and what must hold whatever happens: an upstream in trouble is never an
empty or a shorter mailbox, a message that came in part never ends in ".", what QUIT says is true, and nothing but what
was deleted is gone."""

from support.http_fake import HttpFake, Response
from support.pop3 import Pop3

_MESSAGES = [b"Subject: %d\r\n\r\n" % number + b"0123456789 and so on\r\n" * 3000 for number in range(1, 5)]
_DELETED = 2  # this message number is


class Elsewhere(HttpFake):
    """Another origin, which hears what it should not."""

    public = ("/",)

    def respond(self, request, user):
        return Response.of({"emails": [], "messages": [], "value": []})


class _Session:
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
                assert pop3.command("DELE", _DELETED).startswith("+OK")
                self.said_quit = True
                self.quit = pop3.command("QUIT")
            except EOFError:
                self.broken += 1


def _check(upstream, user, session):
    left = upstream.messages(user)
    expected = [message for number, message in enumerate(_MESSAGES, 1) if number != _DELETED]
    kept = [message for message in left if message in expected]
    assert kept == expected, "something is gone that nobody deleted"
    is_gone = _MESSAGES[_DELETED - 1] not in left
    if session.quit and session.quit.startswith("+OK"):
        assert is_gone, f"{session.quit}, but the message is still there"
    if not session.said_quit:
        assert not is_gone, "a message went without QUIT"


def one_session(upstream, popgate, plan):
    """A session of a new user, at which plan(faults) may have faults shown. Gives what the client saw."""
    upstream.faults.clear()
    user, password = upstream.new_user()
    for message in _MESSAGES:
        upstream.deliver(user, message)
    served = [message for message in upstream.messages(user)]
    upstream.faults.clear()
    plan(upstream.faults)
    session = _Session(popgate, user, password, served)
    upstream.faults.clear()
    popgate.session(user=user)
    _check(upstream, user, session)
    return session
