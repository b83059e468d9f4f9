"""What becomes of sessions when another Redis is made the master."""

import pytest
from support.fleet import Fleet
from support.fleet_checks import IN_USE, keeps_its_maildrop, message, subjects
from support.redis import RedisWithSentinels
from support.setups import imaps_route


@pytest.fixture
def mail(dovecot, user):
    dovecot.deliver(user, *map(message, range(1, 5)))
    return dovecot


@pytest.mark.parametrize("how", ["fail_over", "hand_over"])
def test_who_is_there_keeps_his_maildrop_at_another_master(how, certificates, mail, user):
    with RedisWithSentinels(replicas=2) as redis:  # so that the new master has one at once
        life = 10  # longer than that takes
        state = {"lock_expiry": f"{life}s", "replicas": 1}
        with Fleet(certificates, imaps_route(mail), url=redis.url(), names="ab", state=state) as fleet:
            fleet.settle(user)
            keeps_its_maildrop(fleet, mail, user, getattr(redis, how), life)


def test_an_old_master_that_comes_back_grants_nothing(certificates, mail, user):
    """Until the Sentinels tell it what it is now, it believes that it is the master, and remembers no lock since."""
    with RedisWithSentinels() as redis:
        with Fleet(certificates, imaps_route(mail), url=redis.url(), names="ab", state={"lock_expiry": "2s"}) as fleet:
            fleet["a"].open(user).quit()
            old = redis.master()
            redis.fail_over()
            with fleet["a"].open(user) as pop3:
                old.start()
                assert old.info("replication")["role"] == "master"
                while old.info("replication")["role"] == "master":
                    assert fleet["b"].login(user).startswith(IN_USE)
                pop3.command("DELE 1")
                assert pop3.quit().startswith("+OK 1 messages removed")
            fleet["b"].open(user).quit()
    assert subjects(mail, user) == [2, 3, 4]
