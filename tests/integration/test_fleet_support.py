"""What the tests of fleets stand on: Redis servers that do as they are told, and a checker that finds each fault."""

import pytest
from support.fleet_checker import History, faults_of
from support.fleet_clients import SessionLog
from support.redis import Redis, RedisCluster, RedisWithSentinels

BODIES = {name: b"Subject: %s\r\n\r\nx\r\n" % name.encode() for name in ("one", "two", "new")}


def session(opened, ids, *, client="desk", got=(), marked=(), quit_sent=None, answer="+OK", left=None):
    """One that was opened at this time and saw these unique-ids; got is what it fetched: {unique-id: name}."""
    log = SessionLog("box", client, address="127.0.0.1:1", asked=opened - 0.1, opened=opened, listed=opened + 0.1,
                     shown={each: len(BODIES["one"]) for each in ids})
    log.got = [(opened + 0.2, unique_id, BODIES[name]) for unique_id, name in dict(got).items()]
    log.marked = list(marked)
    log.last_heard = opened + 0.3
    log.left = left
    if quit_sent is not None:
        log.quit_sent, log.answer, log.answered = quit_sent, answer, quit_sent + 0.1
    return log


def judge(sessions, left, *, excuse=lambda _: None):
    delivered = {name: (0, BODIES[name]) for name in ("one", "two")}
    return faults_of(History(delivered, [BODIES[name] for name in left], sessions, excuse))


GOT_ALL = {"1": "one", "2": "two"}


def test_nothing_is_wrong_with_what_is_right():
    first = session(1, "12", got=GOT_ALL, marked="1", quit_sent=2)
    assert not judge([first, session(3, "2", quit_sent=4)], ["two"])
    assert not judge([first, session(3, "2", client="phone", got={"2": "two"}, marked="2", quit_sent=4)], [])
    # Who did not wait for the answer may have been heard, or not.
    silent = session(1, "12", got=GOT_ALL, marked="1", quit_sent=2, answer=None)
    assert not judge([silent], ["two"]) and not judge([silent], ["one", "two"])
    unsure = session(1, "12", got=GOT_ALL, marked="1", quit_sent=2, answer="-ERR [SYS/TEMP] It is not known whether 1 of 1 …")
    assert not judge([unsure], ["two"]) and not judge([unsure], ["one", "two"])
    assert judge([unsure, session(3, "12", quit_sent=4)], ["two"]), "it was there after that QUIT"
    # A node whose lock had run out has said so.
    late = session(1, "12", got=GOT_ALL, marked="1", quit_sent=6, answer="-ERR [SYS/TEMP] lost")
    assert not judge([late, session(5, "12", quit_sent=5.5)], ["one", "two"], excuse=lambda each: 1.5)


@pytest.mark.parametrize("word, sessions, left", [
    ("two sessions at a time", [session(1, "12", quit_sent=3), session(2, "12", client="phone", quit_sent=4)],
     ["one", "two"]),
    ("two sessions at a time", [session(1, "12", left=3), session(2, "12", client="phone", quit_sent=4)], ["one", "two"]),
    ("lost", [session(1, "12", quit_sent=2)], ["two"]),
    ("lost", [session(1, "12", marked="1", quit_sent=2), session(3, "2", client="phone", got={"2": "two"})], ["two"]),
    ("removed without QUIT", [session(1, "12", got=GOT_ALL, marked="1", left=2)], ["two"]),
    ("removed in spite of -ERR", [session(1, "12", got=GOT_ALL, marked="1", quit_sent=2, answer="-ERR [SYS/TEMP]")],
     ["two"]),
    ("removed too late", [session(1, "12", got=GOT_ALL, marked="1", quit_sent=2, answer=None), session(3, "12")], ["two"]),
    ("not removed", [session(1, "12", got=GOT_ALL, marked="1", quit_sent=2)], ["one", "two"]),
    ("not what was delivered", [session(1, "12")], ["one", "two", "two"]),
    ("given twice", [session(1, "12", got=GOT_ALL, left=2), session(3, "34", got={"3": "one"})], ["one", "two"]),
    ("another unique-id", [session(1, "12", got=GOT_ALL, left=2), session(3, "34", client="phone", got={"3": "one"})],
     ["one", "two"]),
    ("another message under", [session(1, "12", got={"1": "one"}, left=2),
                               session(3, "12", client="phone", got={"1": "two"})], ["one", "two"]),
    ("a message that never was", [session(1, "12", got={"1": "new"})], ["one", "two"]),
    ("not shown", [session(1, "1")], ["one", "two"]),
    ("not shown", [session(1, "12", got=GOT_ALL, left=2), session(3, "13")], ["one", "two"]),
    ("shown, but gone", [session(1, "123")], ["one", "two"]),
    ("shown, but gone", [session(1, "12", got=GOT_ALL, marked="1", quit_sent=2), session(3, "12")], ["two"]),
    ("another order", [session(1, "12", left=2), session(3, "21")], ["one", "two"]),
])
def test_the_checker_finds(word, sessions, left):
    assert any(fault.startswith(word) for fault in judge(sessions, left)), judge(sessions, left)


def test_the_checker_finds_a_removal_without_the_lock():
    """What a stop of the node excuses is that another session begins, not that it removes something afterwards."""
    late = session(1, "12", got=GOT_ALL, marked="1", quit_sent=6)
    faults = judge([late, session(5, "12", client="phone", quit_sent=5.5)], ["two"], excuse=lambda each: 1.5)
    assert any(fault.startswith("removed without the lock") for fault in faults), faults


def test_the_checker_finds_sizes_that_are_not_so():
    wrong = session(1, "12", got=GOT_ALL)
    wrong.shown["1"] += 1
    assert any(fault.startswith("a wrong size") for fault in judge([wrong], ["one", "two"]))
    other = session(3, "12")
    other.shown["2"] += 1
    assert any(fault.startswith("another size") for fault in judge([session(1, "12"), other], ["one", "two"]))


def test_a_redis_keeps_what_it_is_to_keep(certificates):
    with Redis(password="secret", unix_socket=True, certificates=certificates) as redis:
        assert redis.url() == f"redis://:secret@127.0.0.1:{redis.port}/0"
        redis.command("SET", "a", 1)
        redis.kill()
        redis.start()
        assert redis.command("GET", "a") == "1"
        redis.end()
        redis.start()
        assert redis.keys() == ["a"]
        redis.flush()
        assert redis.keys() == []
        assert redis.socket.is_socket() and redis.tls_port != redis.port
    with Redis(append_only=False) as redis:
        redis.command("SET", "a", 1)
        redis.kill()
        redis.start()
        assert redis.keys() == []
    assert not redis.directory.exists()


def test_sentinels_make_another_master():
    with RedisWithSentinels(password="secret") as redis:
        first = redis.master()
        first.command("SET", "a", 1)
        assert first.command("WAIT", 1, 5000) == "1"
        second = redis.fail_over()
        assert second is not first and second.command("GET", "a") == "1"
        second.command("SET", "b", 2)
        redis.heal()
        assert redis.master() is second
        assert first.info("replication")["role"] == "slave" and first.command("GET", "b") == "2"


def test_a_cluster_shares_the_slots():
    with RedisCluster() as redis:
        answers = [node.cli("SET", "{%d}" % number, 1) for node in redis.servers for number in range(20)]
        assert sum(each.stdout == "OK\n" for each in answers) == 20
        assert sum(each.stderr.startswith("MOVED ") for each in answers) == 40
