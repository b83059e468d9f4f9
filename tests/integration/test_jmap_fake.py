"""The fake of JMAP beside a real Cyrus: the same requests get answers of the same shape."""

import base64
import http.client
import json
import ssl

import pytest
from support.cyrus import Cyrus
from support.jmap_fake import CORE, MAIL, JmapFake

MESSAGES = [b"From: a@example.org\r\nSubject: %d\r\n\r\ntext %d\r\n" % (number, number) for number in range(3)]


class _Client:
    """One mailbox with MESSAGES in it."""

    def __init__(self, server, port, certificates):
        self._port = port
        self._context = ssl.create_default_context(cafile=str(certificates.ca))
        self.user, self._password = server.new_user()
        for raw in MESSAGES:
            server.deliver(self.user, raw)
        self.session = self.ask("GET", "/jmap/" if isinstance(server, Cyrus) else "/jmap/session")[1]
        self.account = self.session["primaryAccounts"][MAIL]
        mailboxes = self.call(["Mailbox/get", {"ids": None}])[1]["list"]
        self.inbox = next(each["id"] for each in mailboxes if each["role"] == "inbox")
        self.trash = next(each["id"] for each in mailboxes if each["role"] == "trash")

    def ask(self, method, path, value=None):
        connection = http.client.HTTPSConnection("localhost", self._port, context=self._context, timeout=30)
        credential = base64.b64encode(f"{self.user}:{self._password}".encode()).decode()
        connection.request(method, path, None if value is None else json.dumps(value),
                           {"Authorization": f"Basic {credential}", "Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        kind = answer.getheader("Content-Type", "").partition(";")[0]
        return answer.status, json.loads(body) if "json" in kind else body, kind

    def post(self, *calls, using=(CORE, MAIL)):
        calls = [[name, {"accountId": self.account, **arguments}, str(number)]
                 for number, (name, arguments) in enumerate(calls)]
        return self.ask("POST", self.session["apiUrl"], {"using": list(using), "methodCalls": calls})

    def call(self, *calls):
        """[name, arguments, call id] of the last response."""
        return self.post(*calls)[1]["methodResponses"][-1]

    def ids(self):
        return self.call(["Email/query", {"filter": {"inMailbox": self.inbox}}])[1]["ids"]


@pytest.fixture(scope="module")
def clients(certificates):
    with Cyrus(certificates) as cyrus, JmapFake(certificates.server) as fake:
        yield _Client(fake, fake.port, certificates), _Client(cyrus, cyrus.tls_port, certificates)


def shape(value):
    """Names and JSON types; a list is the shape of its first element."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def assert_within(fake, real, at="$"):
    """All that the fake says, the real one says too, and of the same type."""
    if isinstance(fake, dict) and isinstance(real, dict):
        assert set(fake) <= set(real), f"{at}: {set(fake) - set(real)} only in the fake"
        for name in fake:
            assert_within(fake[name], real[name], f"{at}.{name}")
    elif isinstance(fake, list) and isinstance(real, list):
        if fake and real:
            assert_within(fake[0], real[0], f"{at}[0]")
    else:
        assert fake == real, f"{at}: {fake} instead of {real}"


LIST = {"sort": [{"property": "receivedAt", "isAscending": True}], "position": 0, "limit": 2, "calculateTotal": True}
PROPERTIES = ["id", "blobId", "size", "receivedAt"]

REQUESTS = {
    "Mailbox/get": lambda c: ["Mailbox/get", {"ids": None, "properties": ["id", "name", "role", "parentId"]}],
    "Email/query": lambda c: ["Email/query", {"filter": {"inMailbox": c.inbox}, **LIST}],
    "Email/get": lambda c: ["Email/get", {"ids": c.ids(), "properties": PROPERTIES}],
    "Email/get, unknown": lambda c: ["Email/get", {"ids": ["Mnone"], "properties": PROPERTIES}],
    "keyword": lambda c: ["Email/set", {"update": {c.ids()[0]: {"keywords/$seen": True}}}],
    "unknown method": lambda c: ["Email/none", {}],
    "all ids": lambda c: ["Email/get", {"ids": None}],
    "unknown sort": lambda c: ["Email/query", {"sort": [{"property": "none"}]}],
    "foreign account": lambda c: ["Email/query", {"accountId": "nobody"}],
    "old state": lambda c: ["Email/set", {"ifInState": "1", "destroy": []}],
}


@pytest.mark.parametrize("name", REQUESTS)
def test_answers_have_the_shape_of_cyrus(clients, name):
    fake, real = [each.call(REQUESTS[name](each)) for each in clients]
    assert fake[0] == real[0]
    if fake[0] == "error":
        assert fake[1]["type"] == real[1]["type"]
    else:
        ids = {each for client in clients for each in client.ids()}

        def anonymous(value):  # ids are keys in answers to Email/set
            if isinstance(value, dict):
                return {"ID" if key in ids else key: anonymous(each) for key, each in value.items()}
            return [anonymous(each) for each in value] if isinstance(value, list) else value

        assert_within(shape(anonymous(fake[1])), shape(anonymous(real[1])))


def test_session_objects_are_alike(clients):
    fake, real = [each.session for each in clients]
    names = ("capabilities", "accounts", "primaryAccounts", "username", "apiUrl", "downloadUrl", "uploadUrl", "state")
    assert {name: type(fake[name]) for name in names} == {name: type(real[name]) for name in names}
    assert_within(shape(fake["capabilities"][CORE]), shape(real["capabilities"][CORE]))


def test_request_level_errors_are_alike(clients):
    fake, real = [[each.post(["Core/echo", {}], using=[CORE, "urn:none"]),
                   each.ask("POST", each.session["apiUrl"], "no request"),
                   each.post(*[["Core/echo", {}]] * 60)] for each in clients]
    assert [(status, value["type"], value.get("limit"), kind) for status, value, kind in fake] == \
        [(status, value["type"], value.get("limit"), kind) for status, value, kind in real]


@pytest.fixture
def strict(certificates):
    """What the fake shows and Cyrus does not."""
    with JmapFake(certificates.server, limits={"maxObjectsInGet": 2}, clamp=2, absolute=True) as fake:
        yield fake, _Client(fake, fake.port, certificates)


def test_strict_limits(strict):
    fake, client = strict
    assert client.call(["Email/get", {"ids": ["a", "b", "c"]}])[1]["type"] == "requestTooLarge"
    page = client.call(["Email/query", {"limit": 500, "calculateTotal": True}])[1]
    assert (len(page["ids"]), page["limit"], page["total"]) == (2, 2, 3)
    assert client.session["apiUrl"].startswith(fake.origin)
    assert client.ask("GET", "/.well-known/jmap")[0] == 301


def test_strict_removal_and_changes(strict):
    fake, client = strict
    state = client.call(["Email/get", {"ids": []}])[1]["state"]
    first, second = client.ids()
    fake.faults.always("rateLimit", times=1)
    answer = client.call(["Email/set", {"destroy": [first, second, "Mnone"]}])[1]
    assert answer["destroyed"] == [second]
    assert {name: each["type"] for name, each in answer["notDestroyed"].items()} == \
        {first: "rateLimit", "Mnone": "notFound"}
    client.call(["Email/set", {"destroy": [first]}])
    answer = client.call(["Email/changes", {"sinceState": state, "maxChanges": 1}])[1]
    assert (answer["destroyed"], answer["hasMoreChanges"]) == ([second], True)
    assert client.call(["Email/changes", {"sinceState": "999"}])[1]["type"] == "cannotCalculateChanges"
