"""What nodes know together of those who log in: guesses, login delays, app passwords, and who fetches a new token."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import signing_in
from support.dovecot import Dovecot, Introspection
from support.fleet import Fleet
from support.net import HOST, wait_until
from support.oidc import OidcProvider
from support.pop3 import Pop3
from support.popgate import run
from support.redis import Redis
from support.setups import imaps_route, make_maildir, maildir_route

STATE = {"lock_expiry": "2s"}
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
# The longest that a node may go by what it knew before. It looks at each login.
REVOKED_AFTER = 1


@pytest.fixture
def redis():
    with Redis() as server:
        yield server


@pytest.fixture
def mail(tmp_path):
    make_maildir(tmp_path / "mail", "ann", MESSAGE)
    return tmp_path / "mail"


def account(node, *arguments):
    made = signing_in.account(*arguments, config=node.popgate.configuration_file)
    assert made.returncode == 0, made
    return made.stdout.decode()


def app_password(fleet, user, device):
    """A new one, which works at every node by now, and its identifier."""
    made = account(fleet["a"], "add", user, "--app-password", device, "--json")
    password = json.loads(made.splitlines()[-1])["app_password"]
    fleet.settle(user, password)
    shown = account(fleet["b"], "show", user)
    return password, re.search(rf"^(\w{{8}})\s+{device}", shown, re.MULTILINE).group(1)


@pytest.fixture
def fleet(certificates, mail, redis, tmp_path):
    """Of accounts with app passwords."""
    with Fleet(certificates, maildir_route(mail, auth="app-passwords"), redis=redis, state=STATE,
               secrets={"key_file": f"{tmp_path}/secrets.key"}) as nodes:
        made = run("secrets", "create", "--config", nodes["a"].popgate.configuration_file)
        assert made.returncode == 0, made
        yield nodes


def test_what_a_guess_costs_grows_at_whichever_node(fleet):
    """By the order in which refusals are told: the third guess's comes after one from elsewhere that began later."""
    password, _ = app_password(fleet, "ann", "phone")
    for name in "ab":
        assert fleet[name].login("ann", f"guess at {name}").startswith("-ERR [AUTH] ")
    with Pop3(fleet["c"].port) as third, Pop3(fleet["c"].port, source="127.0.0.2") as elsewhere:
        third.command("USER ann")
        third.send(b"PASS guess at c\r\n")
        assert elsewhere.login("ann", "typo").startswith("-ERR [AUTH] ")
        assert refused_at(fleet["c"]) == ["127.0.0.2"]
        # The owner comes in from elsewhere meanwhile, at any node.
        with Pop3(fleet["b"].port, source="127.0.0.3") as owner:
            assert owner.login("ann", password).startswith("+OK 1 ")
            assert refused_at(fleet["c"]) == ["127.0.0.2"]
            owner.quit()
        assert third.line().startswith("-ERR [AUTH] ")


def refused_at(node):
    """From where the passwords came that this node has refused."""
    return [record["from"].partition(":")[0] for record in node.popgate.log("login_failed")
            if record["cause"] != "temporary"]


def test_the_right_password_ends_the_waiting_at_all_nodes(fleet):
    password, _ = app_password(fleet, "ann", "phone")
    for guess in ("1", "2"):
        assert fleet["a"].login("ann", guess).startswith("-ERR [AUTH] ")
    assert fleet["b"].login("ann", password).startswith("+OK 1 ")
    with Pop3(fleet["c"].port) as first, Pop3(fleet["b"].port, source="127.0.0.2") as elsewhere:
        assert elsewhere.login("ann", "3").startswith("-ERR [AUTH] ")
        elsewhere.command("USER ann")
        elsewhere.send(b"PASS 4\r\n")  # waits twice as long as a first one
        assert first.login("ann", "5").startswith("-ERR [AUTH] ")
        assert refused_at(fleet["b"]) == ["127.0.0.2"]
        assert elsewhere.line().startswith("-ERR [AUTH] ")


def test_an_app_password_that_is_revoked_works_nowhere(fleet):
    kept, _ = app_password(fleet, "ann", "phone")
    lost, identifier = app_password(fleet, "ann", "tablet")
    for node in fleet.nodes:
        for password in (kept, lost):
            assert node.login("ann", password).startswith("+OK 1 ")
    account(fleet["c"], "revoke", "ann", identifier)
    for node in fleet.nodes:
        wait_until(lambda at=node: at.login("ann", lost).startswith("-ERR [AUTH] "), "a refusal", timeout=REVOKED_AFTER)
        assert node.login("ann", kept).startswith("+OK 1 ")
    account(fleet["b"], "remove", "ann", "--yes")
    for node in fleet.nodes:
        assert node.login("ann", kept).startswith("-ERR [AUTH] ")


def test_a_login_delay_counts_at_all_nodes(certificates, dovecot, redis, user):
    dovecot.deliver(user, MESSAGE)
    with Fleet(certificates, imaps_route(dovecot, login_delay="1m", lock="shared"), redis=redis, state=STATE) as fleet:
        replies = [fleet.nodes[number % 3].login(user) for number in range(6)]
        assert all(reply.startswith("+OK") for reply in replies[:3]), replies  # login_burst
        assert all(reply.startswith("-ERR [LOGIN-DELAY] ") for reply in replies[3:]), replies
        for node in fleet.nodes:
            assert node.login(user).startswith("-ERR [LOGIN-DELAY] ")
            assert node.login(f"other-{user}").startswith("+OK")


@pytest.fixture(scope="module")
def provider(certificates):
    with OidcProvider(certificates, leeway=3600) as server:
        yield server


@pytest.fixture(scope="module")
def token_dovecot(certificates, provider):
    with Dovecot(certificates, oauth=Introspection.at(provider)) as server:
        yield server


def test_an_ended_token_is_fetched_anew_once_for_all_nodes(certificates, provider, token_dovecot, redis, tmp_path, user):
    token_dovecot.deliver(user, MESSAGE)
    route = {"match": "*", "backend": f"imaps://{HOST}:{token_dovecot.imaps_port}", "ca_file": str(token_dovecot.ca_file),
             "auth": "app-passwords", "oauth": "id", "lock": "shared"}
    oauth = [{"name": "id", "issuer": provider.issuer, "client_id": provider.client_id, "ca_file": str(provider.ca_file),
              "scopes": "mail offline_access"}]
    with Fleet(certificates, route, redis=redis, state=STATE, oauth=oauth,
               secrets={"key_file": f"{tmp_path}/secrets.key"}) as fleet:
        password = signing_in.by_device(provider, user, "--config", fleet["a"].popgate.configuration_file)

        def replies(count):
            with ThreadPoolExecutor(count) as pool:
                return list(pool.map(lambda number: fleet.nodes[number % 3].login(user, password), range(count)))

        assert all(reply.startswith("+OK 1 ") for reply in replies(3))
        provider.end_access_tokens_of(user)
        provider.forget_requests()
        heard = replies(12)
        # A busy machine has no time for so many, see test_oauth.py.
        assert all(reply.startswith(("+OK 1 ", "-ERR [SYS/TEMP]")) for reply in heard), heard
        assert sum(reply.startswith("+OK") for reply in heard) >= 6, heard
        assert provider.count("refresh_token") == 1
        assert provider.count("refresh_token", "ok") == 1
