"""What becomes of sessions and of logins when a Redis is away, comes back, or has forgotten."""

import time

import pytest
from support.fleet import Fleet
from support.fleet_checks import PUT_OFF, keeps_its_maildrop, message, subjects
from support.net import wait_until
from support.redis import Redis
from support.setups import imaps_route

LOCK_EXPIRY = 2
STATE = {"lock_expiry": f"{LOCK_EXPIRY}s"}


@pytest.fixture
def mail(dovecot, user):
    dovecot.deliver(user, *map(message, range(1, 5)))
    return dovecot


@pytest.fixture(scope="module")
def one_redis():
    with Redis() as server:
        yield server


@pytest.fixture
def redis(one_redis):
    """It is well, whatever the test before has done to it."""
    one_redis.heal()
    return one_redis


@pytest.fixture(scope="module")
def two_nodes(certificates, dovecot, one_redis):
    with Fleet(certificates, imaps_route(dovecot), redis=one_redis, names="ab", state=STATE) as nodes:
        yield nodes


@pytest.fixture
def fleet(two_nodes, redis, mail, user):
    for node in two_nodes.nodes:
        node.heal()
    return two_nodes.settle(user).settle(f"other-{user}")


@pytest.mark.parametrize("silently", [False, True], ids=["refused", "silent"])
def test_a_node_that_is_cut_off_serves_whom_it_has_and_removes_nothing(silently, fleet, mail, user):
    node = fleet["a"]
    with node.open(user) as pop3:
        node.cut_off(silently)
        assert pop3.retr(1) == message(1)
        assert pop3.command("DELE 1").startswith("+OK")
        refused = node.login(f"other-{user}")
        assert refused.startswith(PUT_OFF), refused
        assert fleet["b"].login(f"other-{user}").startswith("+OK"), "the other node has its Redis"
        with fleet["b"].open(user) as other:  # when the lock has run out
            assert pop3.retr(2) == message(2)
            assert other.retr(1) == message(1)
            reply = pop3.command("QUIT")
            assert reply.startswith(PUT_OFF), reply
            assert subjects(mail, user) == [1, 2, 3, 4]
            other.command("DELE 4")
            assert other.quit().startswith("+OK 1 messages removed")
    node.reconnect()
    with node.open(user) as pop3:
        assert list(pop3.list().values()) == [len(message(number)) for number in (1, 2, 3)]
        pop3.quit()


def test_quit_before_the_lock_has_run_out_tells_the_truth(fleet, mail, user):
    """Whether a node that is cut off may still remove is its own affair; what it says of that is not."""
    node = fleet["a"]
    with node.open(user) as pop3:
        pop3.command("DELE 1")
        node.cut_off()
        reply = pop3.command("QUIT")
        there = subjects(mail, user)
    assert there == [2, 3, 4] if reply.startswith("+OK") else (reply.startswith(PUT_OFF) and there == [1, 2, 3, 4]), reply


def test_a_cut_that_is_short_costs_nothing(fleet, mail, user):
    node = fleet["a"]
    with node.open(user) as pop3:
        pop3.command("DELE 1")
        node.cut_off()
        node.reconnect()
        wait_until(lambda: node.login(f"other-{user}").startswith("+OK"), "a login", timeout=LOCK_EXPIRY)
        assert pop3.quit().startswith("+OK 1 messages removed")
    assert subjects(mail, user) == [2, 3, 4]


@pytest.mark.parametrize("how", ["dead", "paused"])
def test_while_the_redis_is_away_sessions_go_on_and_logins_wait(how, fleet, mail, redis, user):
    with fleet["a"].open(user) as pop3, fleet["b"].open(f"idle-{user}") as idle:
        pop3.command("DELE 1")
        (redis.kill if how == "dead" else redis.pause)()
        began = time.monotonic()
        reply = fleet["b"].login(f"new-{user}")
        assert reply.startswith(PUT_OFF), reply
        wait_until(lambda: time.monotonic() > began + 1.5 * LOCK_EXPIRY, "the end of all locks")
        assert pop3.retr(2) == message(2)
        assert idle.stat() == (0, 0)
        assert idle.quit().startswith("+OK"), "nothing was to be removed"
        reply = pop3.command("QUIT")
        assert reply.startswith(PUT_OFF), reply
    (redis.start if how == "dead" else redis.resume)()
    for node in fleet.nodes:
        node.open(user).quit()
    assert subjects(mail, user) == [1, 2, 3, 4]


def test_where_it_is_so_configured_mail_can_be_read_without_the_redis(certificates, mail, redis, user):
    state = {**STATE, "lock_unavailable": "read-only", "index_unavailable": "serve", "throttle_unavailable": "local"}
    with Fleet(certificates, imaps_route(mail), redis=redis, names="ab", state=state) as fleet:
        with fleet["a"].open(user) as pop3:
            known = pop3.uidl()
            pop3.quit()
        redis.kill()
        for node in fleet.nodes:
            with node.open(user) as pop3:
                assert pop3.uidl() == known
                assert pop3.retr(2) == message(2)
                reply = pop3.command("DELE 2")
                assert reply.startswith(PUT_OFF), reply
                assert pop3.quit().startswith("+OK")
        assert subjects(mail, user) == [1, 2, 3, 4]
        redis.start()

        def removes():
            with fleet["b"].open(user) as pop3:
                return pop3.command("DELE 2").startswith("+OK") and pop3.quit().startswith("+OK 1 ")
        wait_until(removes, "sessions that may remove again")
    assert subjects(mail, user) == [1, 3, 4]


class Happenings:
    """What may happen to the Redis behind everybody's back, without anybody losing a lock."""

    @staticmethod
    def restarted(redis):
        redis.end()
        redis.start()

    @staticmethod
    def killed(redis):
        redis.kill()
        redis.start()

    @staticmethod
    def emptied(redis):
        redis.flush()

    @staticmethod
    def emptied_and_restarted(redis):
        redis.flush()
        redis.kill()
        redis.start()


@pytest.mark.parametrize("what", [name for name in vars(Happenings) if not name.startswith("_")])
def test_who_is_there_keeps_his_maildrop(what, fleet, mail, redis, user):
    keeps_its_maildrop(fleet, mail, user, lambda: getattr(Happenings, what)(redis), LOCK_EXPIRY)
