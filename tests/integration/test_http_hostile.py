"""HTTP upstreams that are broken or mean, and clients that are, before the real program."""

import random
import re
import threading

import pytest
from support.http_fake import HttpFake, Response
from support.net import PATIENCE
from support.pop3 import Pop3
from support.popgate import Popgate
from support.setups import configuration
from support.tampered import FAKES, MESSAGES, Tampered, encode, fetch, is_message

@pytest.fixture(params=FAKES)
def upstream(request):
    with Tampered(request.param) as server:
        yield server


@pytest.fixture
def gmail():
    with Tampered("gmail") as server:
        yield server


@pytest.fixture
def graph():
    with Tampered("graph") as server:
        yield server


@pytest.fixture
def jmap():
    with Tampered("jmap") as server:
        yield server


@pytest.fixture
def wildduck():
    with Tampered("wildduck") as server:
        yield server


# --- what is shown is whole


def test_details_without_labels_are_no_empty_mailbox(gmail, serve):
    def tamper(request, ask):
        if request.path == "/batch/gmail/v1":
            return encode(Response(200, re.sub(rb',? ?"labelIds": \[[^]]*\]', b"", ask().body), ask().content_type))
        return None

    gmail.tamper = tamper
    popgate = serve(gmail.route())
    pop3, reply = gmail.login(popgate)
    with pop3:
        assert reply.startswith("-ERR [SYS/TEMP]") or pop3.stat()[0] == len(MESSAGES)


def test_a_message_of_no_octets_is_none(upstream, serve):
    def tamper(request, ask):
        if not is_message(request):
            return None
        return encode(Response(200, b'{"raw": ""}' if upstream.kind == "gmail" else b"", ask().content_type))

    upstream.tamper = tamper
    popgate = serve(upstream.route())
    pop3, reply = upstream.login(popgate)
    with pop3:
        assert reply.startswith("+OK")
        assert fetch(pop3, 1) is None


def test_an_error_in_json_is_no_message(graph, serve):
    graph.tamper = lambda request, ask: encode(
        Response.of({"error": {"code": "generalException"}})) if is_message(request) else None
    popgate = serve(graph.route())
    pop3, reply = graph.login(popgate)
    with pop3:
        assert reply.startswith("+OK")
        assert fetch(pop3, 1) is None


def test_nothing_is_removed_that_was_not_asked_for(jmap, serve):
    everything = {}

    def tamper(request, ask):
        if request.path != "/jmap/api" or b"Email/get" not in request.body:
            return None
        said = ask().json()
        for name, arguments, _ in said["methodResponses"]:
            if name == "Email/get" and arguments["list"] and "mailboxIds" in arguments["list"][0]:
                for each in arguments["list"]:
                    everything[each["id"]] = each
                arguments["list"] = list(everything.values())
        return encode(Response.of(said))

    popgate = serve(jmap.route())
    jmap.tamper = tamper
    pop3, reply = jmap.login(popgate)
    with pop3:
        assert reply.startswith("+OK"), reply
        assert pop3.command("DELE", 2).startswith("+OK")
        pop3.command("QUIT")
    left = jmap.fake.messages(jmap.user)
    assert [each for each in MESSAGES if each not in left] in ([], [MESSAGES[1]])


# --- a session ends


def test_pages_that_lead_to_each_other_end(graph, serve):
    asked = []

    def tamper(request, ask):
        if "/messages/delta" not in request.path:
            return None
        asked.append(request.target)
        said = {"value": [{"id": "x", "receivedDateTime": "2026-01-01T00:00:00Z"}]}
        said["@odata.nextLink"] = f"{graph.fake.origin}/v1.0/me/mailFolders/inbox/messages/delta?$skiptoken=" + \
            ("a" if len(asked) % 2 else "b")
        return encode(Response.of(said))

    graph.tamper = tamper
    popgate = serve(graph.route())
    with Pop3(popgate.port(), timeout=5) as pop3:
        assert pop3.login(graph.user, graph.password).startswith("-ERR [SYS/TEMP]")
    assert len(asked) < 100


def test_a_message_that_never_begins_does_not_keep_a_session(gmail, serve):
    """Blanks are JSON, too."""
    over = threading.Event()

    def tamper(request, ask):
        if not is_message(request):
            return None

        def blanks():
            yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            yield b"1\r\n{\r\n"
            while not over.wait(0.01):
                yield b"1000\r\n" + b" " * 4096 + b"\r\n"

        return blanks()

    gmail.tamper = tamper
    popgate = serve(gmail.route())
    pop3, reply = gmail.login(popgate)
    with pop3:
        assert reply.startswith("+OK")
        pop3.socket.settimeout(6)
        try:
            assert fetch(pop3, 1) is None
        finally:
            over.set()


# --- what was not deleted is not gone, and what is said of it is true


def test_a_page_is_no_removal(wildduck, serve):
    page = encode(Response(200, b"<html><body>Log in to this network first</body></html>", "text/html"))
    wildduck.tamper = lambda request, ask: page if request.method == "DELETE" else None
    popgate = serve(wildduck.route())
    pop3, reply = wildduck.login(popgate)
    with pop3:
        assert reply.startswith("+OK")
        assert pop3.command("DELE", 1).startswith("+OK")
        assert pop3.command("QUIT").startswith("-ERR")


@pytest.mark.parametrize("message_id", [".", ".."])
def test_an_id_leads_nowhere_else(message_id, wildduck, serve):
    asked = []

    def tamper(request, ask):
        asked.append(request.target.partition("?")[0])
        if "/messages?" in request.target:
            return encode(Response.of({"success": True, "total": 1, "results": [{"id": message_id, "size": 3}]}))
        return None if request.method == "GET" else encode(Response.of({"success": True}))

    wildduck.tamper = tamper
    popgate = serve(wildduck.route())
    pop3, reply = wildduck.login(popgate)
    with pop3:
        if reply.startswith("+OK"):
            pop3.command("DELE", 1)
            pop3.command("QUIT")
    assert not [each for each in asked if each.endswith((f"/{message_id}", f"/{message_id}/message.eml"))]


# --- what is one account's is no other's


def test_what_comes_late_is_no_other_accounts(upstream, serve):
    """Mail of one account, which is on its way on a kept connection when another account asks for something there."""
    asked_by = {}

    def tamper(request, ask):
        who = request.header("authorization") or request.header("x-access-token")
        before = asked_by.setdefault(request.connection, who)
        late = encode(Response(200, b"Subject: not yours\r\n\r\n", "message/rfc822")) if before != who else b""
        return late + encode(ask())

    upstream.tamper = tamper
    popgate = serve(upstream.route(), limits={"workers": 1})
    for _ in range(3):
        upstream.user, upstream.password = upstream.new_user()
        pop3, reply = upstream.login(popgate)
        with pop3:
            assert reply.startswith("+OK"), reply
            assert fetch(pop3, 1) == MESSAGES[0]
            pop3.command("QUIT")


# --- credentials stay at home


class Elsewhere(HttpFake):
    public = ("/",)

    def respond(self, request, user):
        return Response.of({"emails": [], "messages": [], "value": [], "results": []})


def test_redirects_take_no_credential_along(upstream, serve):
    with Elsewhere() as elsewhere:
        port, own = elsewhere.port, upstream.fake.port
        places = [f"http://127.0.0.1:{port}/x", f"//127.0.0.1:{port}/x", f"HTTP://127.0.0.1:{port}", f"http://localhost:{own}/",
                  f"http://127.0.0.1:{own}@127.0.0.1:{port}/", f"http://user:pw@127.0.0.1:{port}/", f"http://[::1]:{port}/",
                  f"http://127.0.0.1.:{port}/", f"http://127.0.0.1:{port}\\@127.0.0.1:{own}/", "http:/x", "https://", "ftp://x/",
                  f"http://127.0.0.1:{port}/\r\nX: y", "http://127.0.0.1:99999/", "javascript:alert(1)", ""]
        popgate = serve(upstream.route())
        for status in (301, 302, 303, 307, 308):
            for place in places:
                answer = encode(Response(status, b"", headers={"Location": place}))
                upstream.tamper = lambda request, ask, answer=answer: answer
                pop3, reply = upstream.login(popgate)
                with pop3:
                    assert reply.startswith("-ERR [SYS/"), (status, place, reply)
        for request in elsewhere.log:
            assert not {"authorization", "x-access-token", "referer", "cookie"} & set(request.headers)
        assert upstream.password not in popgate.log_text()


# --- many at once, and killed


def test_killed_while_it_removes(upstream, certificates, tmp_path):
    chance = random.Random(upstream.kind)
    setup = configuration(certificates, upstream.route(), state={"url": f"sqlite:{tmp_path}/state.db"})
    for _ in range(5):
        before = upstream.fake.messages(upstream.user)
        popgate = Popgate(setup).start()
        removing = threading.Event()

        def tamper(request, ask, removing=removing):
            if request.method != "GET":
                removing.set()
            return None

        marked, reply = [], ""
        pop3, reply = upstream.login(popgate)
        with pop3:
            assert reply.startswith("+OK")
            assert pop3.stat()[0] == len(before)
            marked = chance.sample(range(len(before)), 2)
            for index in marked:
                assert pop3.command("DELE", index + 1).startswith("+OK")
            upstream.tamper = tamper
            reply = ""
            pop3.send(b"QUIT\r\n")
            removing.wait(PATIENCE)
            threading.Event().wait(chance.random() * 0.03)
            popgate.kill()
            try:
                reply = pop3.line()
            except EOFError:
                pass
        upstream.tamper = lambda request, ask: None
        kept = [each for index, each in enumerate(before) if index not in marked]
        with Popgate(setup) as popgate:
            pop3, again = upstream.login(popgate)
            with pop3:
                assert again.startswith("+OK")
                shown = [fetch(pop3, number) for number in pop3.list()]
        left = upstream.fake.messages(upstream.user)
        assert shown == left
        assert [each for each in left if each in kept] == kept, "a message is lost that nobody has deleted"
        if reply.startswith("+OK"):
            assert left == kept
        for number in range(4 - len(left)):
            upstream.fake.deliver(upstream.user, b"Subject: more %d\r\n\r\n%d\r\n" % (number, chance.getrandbits(60)))


def test_many_sessions_among_faults(upstream, serve):
    """200 sessions of 50 accounts, each mailbox shared, while answers are cut, put off, late or of another kind."""
    chance = random.Random(1)
    accounts = [upstream.fake.new_user() for _ in range(50)]
    mail = {user: [b"Subject: %b %d\r\n\r\n" % (user.encode(), number) + b"line\r\n" * 500 for number in range(3)]
            for user, _ in accounts}
    for user, messages in mail.items():
        for message in messages:
            upstream.fake.deliver(user, message)
    faults = [None] * 30 + ["hang up", "cut", "503", "500", "page"]

    def tamper(request, ask):
        fault = chance.choice(faults)
        if fault == "hang up":
            return [END]
        if fault == "cut":
            whole = encode(ask())
            return [whole[:len(whole) * 2 // 3], END]
        if fault in ("503", "500"):
            return encode(upstream.fake.error(int(fault)))
        # Not for what is changed: see test_a_page_is_no_removal.
        if fault == "page" and request.method == "GET":
            return encode(Response(200, b"<html></html>", "text/html"))
        return None

    upstream.tamper = tamper
    popgate = serve(upstream.route(lock="shared"), limits={"workers": 2, "max_sessions_per_address": 1000})
    wrong, well = [], []

    def session(user, password):
        try:
            with Pop3(popgate.port()) as pop3:
                if not pop3.login(user, password).startswith("+OK"):
                    return
                if pop3.stat()[0] != 3:
                    wrong.append((user, "a mailbox of another length"))
                for number in range(1, 4):
                    if fetch(pop3, number) not in (mail[user][number - 1], None):
                        wrong.append((user, number))
                well.append(pop3.command("QUIT"))
        except (EOFError, BrokenPipeError):
            pass
        except Exception as error:  # told by the test's own thread
            wrong.append((user, repr(error)))

    threads = [threading.Thread(target=session, args=accounts[number % 50]) for number in range(200)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(4 * PATIENCE)
        assert not each.is_alive()
    upstream.tamper = lambda request, ask: None
    assert wrong == []
    assert well
    for user, messages in mail.items():
        assert upstream.fake.messages(user) == messages
