"""A client that reads in order from an HTTP mailbox has several requests under way, within the API's limits; and nobody
sees another difference. Requests at one time are counted, not how long they take.
"""

import threading
import time

import pytest
from support.http_kinds import FAKES, open_kind
from support.net import wait_until
from support.pop3 import Pop3

MESSAGES = [b"Subject: %d\r\n\r\n" % number + b"body of %d\r\n" % number * (number % 7 * 40 + 1) for number in range(1, 25)]


class Distance:
    """The fake is so many seconds away, from now on; counts what is under way at one time."""

    def __init__(self, fake, seconds):
        self._lock = threading.Lock()
        self._under_way = 0
        self.requests = 0
        self.most = 0
        self.waits = 0  # how often something was asked for while nothing was under way: round trips
        answer = fake.answer

        def answer_late(request):
            with self._lock:
                self.requests += 1
                self.waits += self._under_way == 0
                self._under_way += 1
                self.most = max(self.most, self._under_way)
            time.sleep(seconds)  # the way there and back; nothing is timed by it
            try:
                return answer(request)
            finally:
                with self._lock:
                    self._under_way -= 1

        fake.answer = answer_late


@pytest.fixture(params=FAKES)
def upstream(request, certificates):
    with open_kind(request.param, certificates) as server:
        yield server


@pytest.fixture
def account(upstream):
    user, password = upstream.new_user()
    served = [upstream.deliver(user, message) for message in MESSAGES]
    return user, password, served


def log_in(popgate, account):
    pop3 = Pop3(popgate.port())
    assert pop3.login(*account[:2]).startswith("+OK")
    return pop3


def test_a_drain_does_not_wait_for_each_message(upstream, account, serve):
    popgate = serve(upstream.route(), limits={"workers": 1})
    with log_in(popgate, account) as pop3:
        distance = Distance(upstream, 0.05)
        for number, expected in enumerate(account[2], 1):
            assert pop3.retr(number) == expected
        print(distance.requests, "requests,", distance.waits, "waits,", distance.most, "at once")
        assert distance.requests <= len(MESSAGES) + 2, "each message once"
        assert distance.waits <= len(MESSAGES) * 2 // 3
        assert distance.most == 3, "one of four slots is left to others"
        pop3.quit()


def test_only_what_was_retrieved_is_marked_as_read(upstream, account, serve):
    popgate = serve(upstream.route(), limits={"workers": 1})
    with log_in(popgate, account) as pop3:
        before = len(upstream.log)
        for number in range(1, 6):
            assert pop3.retr(number) == account[2][number - 1]
        wait_until(lambda: len(upstream.log) - before > 7, "more that was asked for")
        assert pop3.command("DELE 2").startswith("+OK")
        pop3.quit()
    popgate.wait_for("session", user=account[0], retrieved=5)
    assert upstream.messages(account[0]) == [each for each in account[2] if each != account[2][1]]
    for place in range(len(MESSAGES) - 1):
        assert upstream.is_seen(account[0], place) in (place < 4, None), place


@pytest.mark.parametrize("keys", ({"read_ahead": 0}, {"concurrent_requests": 1}), ids=("off", "one at a time"))
def test_a_route_may_have_none(upstream, account, serve, keys):
    popgate = serve(upstream.route(**keys), limits={"workers": 1})
    with log_in(popgate, account) as pop3:
        distance = Distance(upstream, 0.005)
        for number, expected in enumerate(account[2][:10], 1):
            assert pop3.retr(number) == expected
        assert distance.most == 1 and distance.requests <= 12
        pop3.quit()


def test_elsewhere_and_back(upstream, account, serve):
    popgate = serve(upstream.route(), limits={"workers": 1})
    with log_in(popgate, account) as pop3:
        for number in (1, 2, 3, 20, 21, 22, 23, 5, 5, 6, 7, 24, 23, 22, 1, 2, 4, 3, 2):
            assert pop3.retr(number) == account[2][number - 1]
            if number == 22:
                assert pop3.top(20, 0).startswith(b"Subject: 20\r\n")
        pop3.quit()


@pytest.mark.parametrize("fault", ("429", "503 later", "hang up"))
def test_a_passing_fault_while_reading_ahead_is_not_the_clients(upstream, account, serve, fault):
    popgate = serve(upstream.route(), limits={"workers": 1})
    with log_in(popgate, account) as pop3:
        assert pop3.retr(1) == account[2][0]
        upstream.faults.clear()
        upstream.faults.at(2, fault)  # mostly what is read ahead, else what is asked for again
        for number in range(2, 15):
            assert pop3.retr(number) == account[2][number - 1]
        assert upstream.faults.shown == [(2, fault)]
        pop3.quit()


def test_the_end_of_the_process_does_not_wait_for_what_is_under_way(upstream, account, serve):
    popgate = serve(upstream.route(command_timeout="300s"), limits={"drain_timeout": "200ms", "workers": 1})
    with log_in(popgate, account) as pop3:
        assert pop3.retr(1) == account[2][0]
        asked = len(upstream.log)
        upstream.faults.always("silence")
        pop3.send(b"RETR 2\r\n")
        wait_until(lambda: len(upstream.log) >= asked + 3, "the second message, and two that are read ahead")
        popgate.stop()


def test_a_client_that_hangs_up_leaves_nothing_behind(upstream, account, serve):
    popgate = serve(upstream.route(command_timeout="300s"), limits={"workers": 1})
    with log_in(popgate, account) as pop3:
        assert pop3.retr(1) == account[2][0]
        asked = len(upstream.log)
        upstream.faults.clear()
        upstream.faults.from_on(2, "silence")
        assert pop3.retr(2) == account[2][1]
        wait_until(lambda: len(upstream.log) >= asked + 3, "two that are read ahead")
    popgate.wait_for("session", user=account[0], retrieved=2)
    upstream.faults.clear()
    with log_in(popgate, account) as pop3:
        for number, expected in enumerate(account[2], 1):
            assert pop3.retr(number) == expected
        pop3.quit()
