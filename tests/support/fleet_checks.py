"""What several tests of fleets look at."""

import re
import time

PUT_OFF = "-ERR [SYS/TEMP] "
IN_USE = "-ERR [IN-USE] "


def message(number):
    return b"Subject: %d\r\n\r\n%s\r\n" % (number, b"x" * 100 * number)


def subjects(dovecot, user):
    """The numbers of the message()s that are there."""
    return [int(re.match(rb"Subject: (\d+)", raw)[1]) for raw in dovecot.messages(user).values()]


def keeps_its_maildrop(fleet, mail, user, happen, life):
    """Somebody marks the first of his four messages, something happens to the Redis, and nobody else is let in until he has
    gone; `life` is that of a lock."""
    with fleet["a"].open(user) as pop3:
        pop3.command("DELE 1")
        began = time.monotonic()
        happen()
        reply = fleet["b"].login(f"new-{user}")
        assert reply.startswith(PUT_OFF) or time.monotonic() > began + life, f"a Redis that is new to its locks: {reply}"
        began = time.monotonic()
        replies = []
        while not (replies and replies[-1].startswith(IN_USE) and time.monotonic() > began + 1.5 * life):
            replies.append(fleet["b"].login(user))
            assert replies[-1].startswith((PUT_OFF, IN_USE)), replies
            assert pop3.retr(2) == message(2)
            assert time.monotonic() < began + 10 * life, replies
        # It is only for so long that nobody new is let in.
        fleet["b"].open(f"new-{user}").quit()
        assert pop3.quit().startswith("+OK 1 messages removed")
    assert subjects(mail, user) == [2, 3, 4]
    with fleet["b"].open(user) as pop3:
        assert pop3.retr(1) == message(2)
        pop3.quit()
