"""Three nodes on one Redis, behind HAProxy, are one POP3 server: what they show, and who may have a maildrop."""

import re
import urllib.error
import urllib.request

import pytest
from support.fleet import Fleet
from support.fleet_checks import PUT_OFF, message, subjects
from support.gate import SERVER, Gate
from support.net import HOST, PATIENCE, wait_until
from support.pop3 import Pop3
from support.redis import Redis, RedisCluster, RedisWithSentinels
from support.setups import PASSWORD, clear_route, imaps_route

LOCK_EXPIRY = 2
STATE = {"lock_expiry": f"{LOCK_EXPIRY}s"}
IN_USE = re.compile(r"-ERR \[IN-USE\] .* (\d+) s, please wait and retry$")


@pytest.fixture
def mail(dovecot, user):
    """Five messages of `user`."""
    dovecot.deliver(user, *map(message, range(1, 6)))
    return dovecot


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def three_nodes(certificates, dovecot, redis):
    with Fleet(certificates, imaps_route(dovecot), redis=redis, state=STATE, admin={"listen": f"{HOST}:0"}) as nodes:
        yield nodes


@pytest.fixture
def fleet(three_nodes, mail, user):
    """They are well, whatever the test before has done to them, and let in the user."""
    for node in three_nodes.nodes:
        node.heal()
    return three_nodes.settle(user)


def look(pop3):
    """The very octets of UIDL and LIST."""
    return tuple(pop3.command(word).encode() + b"\r\n" + pop3.multiline() for word in ("UIDL", "LIST"))


def look_through(port, user, nodes):
    """What each of so many sessions in a row is shown, through HAProxy."""
    shown = []
    for _ in range(nodes):
        with Pop3(port) as pop3:
            assert pop3.login(user, PASSWORD).startswith("+OK")
            shown.append(look(pop3))
            pop3.quit()
    return shown


def test_who_is_thrown_to_another_node_at_each_login_sees_the_same_octets(fleet, mail, redis, user):
    first = look_through(fleet.port, user, 9)
    assert len(set(first)) == 1 and first[0][0].count(b"\n") == 6
    mail.deliver(user, message(6))
    with Pop3(fleet.port) as pop3:
        assert pop3.login(user, PASSWORD).startswith("+OK")
        pop3.command("DELE 2")
        assert pop3.quit().startswith("+OK")
    second = look_through(fleet.port, user, 9)
    assert len(set(second)) == 1
    old, new = (dict(line.split()[::-1] for line in shown[0][0].splitlines()[1:]) for shown in (first, second))
    assert list(new)[:4] == [unique_id for unique_id, number in old.items() if number != b"2"]
    assert len(new) == 5
    # What a Redis forgets is learned again.
    redis.flush()
    for node in fleet.nodes:
        with node.open(user) as pop3:
            assert look(pop3) == second[0]
            pop3.quit()
    for node in fleet.nodes:
        assert len(wait_until(lambda at=node: at.popgate.log("session"), f"sessions of {node.name}")) >= 3


def test_a_session_keeps_others_out_on_every_node(fleet, mail, user):
    with fleet["a"].open(user) as pop3:
        for node in fleet.nodes:
            reply = node.login(user)
            assert 1 <= int(IN_USE.match(reply)[1]) <= LOCK_EXPIRY, reply
            # Only who knows the password learns that somebody is there.
            if node.name == "b":
                assert node.login(user, "wrong").startswith("-ERR [AUTH] ")
        fleet["b"].open(f"other-{user}").quit()
        pop3.close()
    fleet["c"].open(user).quit()
    assert subjects(mail, user) == [1, 2, 3, 4, 5]


def test_who_has_read_the_reply_to_quit_may_log_in_at_another_node_at_once(fleet, mail, user):
    sessions = []
    for number, node in enumerate([*fleet.nodes, fleet["a"]], 1):
        sessions.append(Pop3(node.port))
        assert sessions[-1].login(user, PASSWORD).startswith("+OK")
        assert sessions[-1].command("DELE 1").startswith("+OK")
        assert sessions[-1].command("QUIT").startswith(f"+OK 1 messages removed, {5 - number} left")
    for session in sessions:
        session.close()
    assert subjects(mail, user) == [5]


def test_a_long_session_keeps_its_lock(fleet, redis, user):
    """Much longer than a lock lives that is not renewed."""
    with fleet["a"].open(user) as pop3:
        renewed_often(redis)
        assert IN_USE.match(fleet["b"].login(user))
        pop3.command("DELE 1")
        assert pop3.quit().startswith("+OK 1 messages removed")


def renewed_often(redis):
    """Waits until the one lock there is has been renewed so often that it would have ended twice."""
    lock, = locks(redis)
    lived = [int(redis.command("PTTL", lock))]
    while sum(later > sooner for sooner, later in zip(lived, lived[1:])) < 6:
        lived.append(int(redis.command("PTTL", lock)))
        assert 0 < lived[-1] <= LOCK_EXPIRY * 1000


def locks(redis):
    return redis.keys("*:lock:*")


def test_a_node_that_died_frees_its_maildrops_when_their_locks_expire(fleet, mail, user):
    with fleet["a"].open(user) as pop3:
        pop3.command("DELE 1")
        fleet["a"].kill()
        assert IN_USE.match(fleet["b"].login(user))
        with fleet["b"].open(user) as other:
            assert other.list() == {number: len(message(number)) for number in range(1, 6)}
            other.quit()
    fleet["a"].restart()
    fleet["a"].open(user).quit()
    assert subjects(mail, user) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("others", ["nobody", "has had it", "has it"])
@pytest.mark.parametrize("asked", ["while it was stopped", "when it went on"])
def test_a_node_that_slept_past_the_locks_end_removes_nothing(others, asked, fleet, mail, redis, user):
    node = fleet["a"]
    with node.open(user) as pop3:
        for number in (1, 2):
            assert pop3.retr(number) == message(number)
            assert pop3.command("DELE", number).startswith("+OK")
        node.stop()
        if others == "nobody":
            wait_until(lambda: not locks(redis), "the lock's end")
        else:
            other = fleet["b"].open(user)
            assert other.retr(1) == message(1)
            if others == "has had it":
                assert other.quit().startswith("+OK")
        if asked == "while it was stopped":
            pop3.send(b"QUIT\r\n")
            node.go_on()
            reply = pop3.line()
        else:
            node.go_on()
            reply = pop3.command("QUIT")
        assert reply.startswith(PUT_OFF), reply
    assert subjects(mail, user) == [1, 2, 3, 4, 5]
    if others == "has it":
        assert other.command("DELE 5").startswith("+OK")
        assert other.quit().startswith("+OK 1 messages removed")
        assert subjects(mail, user) == [1, 2, 3, 4]
    fleet["c"].open(user).quit()


def test_a_node_that_slept_while_it_removed_does_not_go_on_with_it(certificates, mail, redis, user):
    """It has had its lock confirmed and has begun; what it has not asked for by then it does not ask for any more."""
    with Gate(mail.imap_port) as gate, Fleet(certificates, clear_route(gate.port), redis=redis,
                                             names="ab", state=STATE) as fleet:
        fleet.settle(user)
        node = fleet["a"]
        with node.open(user) as pop3:
            assert pop3.command("DELE 1").startswith("+OK")
            rule = gate.stall(SERVER, rb" OK Store")
            pop3.send(b"QUIT\r\n")
            rule.wait()
            node.stop()
            rule.release()
            with fleet["b"].open(user) as other:
                assert len(other.list()) == 5
                node.go_on()
                assert pop3.line().startswith(PUT_OFF)
                assert other.retr(1) == message(1)
                other.quit()
        assert subjects(mail, user) == [1, 2, 3, 4, 5]


def test_a_node_that_drains_keeps_the_locks_of_who_is_still_there(fleet, mail, redis, user):
    node = fleet["a"]
    with node.open(user) as pop3:
        pop3.command("DELE 1")
        node.popgate.terminate()
        node.popgate.wait_for("draining")
        renewed_often(redis)
        assert IN_USE.match(fleet["b"].login(user))
        assert pop3.quit().startswith("+OK 1 messages removed")
    node.popgate.wait()
    for _ in range(6):  # HAProxy has seen it
        assert len(look_through(fleet.port, user, 1)) == 1
    assert subjects(mail, user) == [2, 3, 4, 5]


def test_a_node_sees_by_itself_that_its_redis_is_away_and_back(fleet, redis):
    """A balancer sends nobody to a node that is not ready, so nobody's login could tell."""
    address = fleet["a"].popgate.wait_for("web_listening")[-1]["address"]

    def is_ready():
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=PATIENCE) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False

    wait_until(is_ready, "a node that is ready")
    redis.kill()
    wait_until(lambda: not is_ready(), "a node that knows that its Redis is away")
    redis.start()
    wait_until(is_ready, "a node that knows that its Redis is back")


def test_metrics_tell_the_node(fleet):
    for node in fleet.nodes:
        address = node.popgate.wait_for("web_listening")[-1]["address"]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE) as answer:
            assert f'popgate_node_info{{node="{node.name}"}} 1\n' in answer.read().decode()


class Addresses:
    """Every way to name a Redis: (what runs it, what [state] says of it)."""

    @staticmethod
    def one(certificates):
        server = Redis(password="s3cret")
        return server, {"url": server.url()}

    @staticmethod
    def password_file(certificates):
        server = Redis(password="s3cret")
        path = server.directory / "password"
        path.write_text("s3cret\n")
        path.chmod(0o600)
        return server, {"url": server.url().replace(":s3cret@", ""), "password_file": str(path)}

    @staticmethod
    def socket(certificates):
        server = Redis(unix_socket=True)
        return server, {"url": server.url("redis+unix")}

    @staticmethod
    def tls(certificates):
        server = Redis(certificates=certificates, password="s3cret")
        return server, {"url": server.url("rediss"), "ca_file": str(certificates.ca)}

    @staticmethod
    def sentinels(certificates):
        server = RedisWithSentinels(password="s3cret")
        return server, {"url": server.url(), "replicas": 1}

    @staticmethod
    def cluster(certificates):
        server = RedisCluster(password="s3cret")
        return server, {"url": server.url()}


@pytest.mark.parametrize("kind", [name for name in vars(Addresses) if not name.startswith("_")])
def test_every_kind_of_redis(kind, certificates, mail, user):
    server, state = getattr(Addresses, kind)(certificates)
    with server, Fleet(certificates, imaps_route(mail), names="ab", state={**STATE, **state}) as fleet:
        users = [user, *(f"{number}-{user}" for number in range(4))]  # in several slots
        for each in users:
            fleet.settle(each)
            with fleet["a"].open(each) as pop3:
                assert IN_USE.match(fleet["b"].login(each))
                if each == user:
                    known = pop3.uidl()
                    assert pop3.command("DELE 1").startswith("+OK")
                assert pop3.quit().startswith("+OK")
        with fleet["b"].open(user) as pop3:
            assert list(pop3.uidl().values()) == list(known.values())[1:]
            pop3.quit()
    assert subjects(mail, user) == [2, 3, 4, 5]
