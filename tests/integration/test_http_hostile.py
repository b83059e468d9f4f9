"""HTTP upstreams that are broken or mean, and clients that are, before the real program."""

import json
import re
import time

import pytest
from support.gmail_fake import GmailFake
from support.graph_fake import GraphFake
from support.http_fake import Response
from support.jmap_fake import JmapFake
from support.pop3 import Pop3
from support.tampered import Tampered, encode

MESSAGES = [b"Subject: %d\r\n\r\n" % number + b"0123456789 and so on\r\n" * 300 for number in range(1, 5)]
FAKES = {"gmail": GmailFake, "graph": GraphFake, "jmap": JmapFake}


def filled(kind):
    upstream = Tampered(FAKES[kind]())
    upstream.user, upstream.password = upstream.fake.new_user()
    for message in MESSAGES:
        upstream.fake.deliver(upstream.user, message)
    return upstream


@pytest.fixture(params=FAKES)
def upstream(request):
    with filled(request.param) as server:
        server.kind = request.param
        yield server


@pytest.fixture
def gmail():
    with filled("gmail") as server:
        yield server


@pytest.fixture
def graph():
    with filled("graph") as server:
        yield server


@pytest.fixture
def jmap():
    with filled("jmap") as server:
        yield server


def quick(upstream, **keys):
    return upstream.route(command_timeout="2s", connect_timeout="2s", **keys)


def is_message(request):
    return "format=raw" in request.target and request.method == "GET" or "$value" in request.target \
        or "/blob/" in request.target


def login(popgate, upstream):
    pop3 = Pop3(popgate.port())
    return pop3, pop3.login(upstream.user, upstream.password)


def fetch(pop3, number):
    """The message; None where it did not come whole, and the client was told so."""
    try:
        if not pop3.command("RETR", number).startswith("+OK"):
            return None
        return pop3.multiline()
    except EOFError:
        return None


# --- what is shown is whole


def test_details_without_labels_are_no_empty_mailbox(gmail, serve):
    def tamper(request, ask):
        if request.path == "/batch/gmail/v1":
            return encode(Response(200, re.sub(rb',? ?"labelIds": \[[^]]*\]', b"", ask().body), ask().content_type))
        return None

    gmail.tamper = tamper
    popgate = serve(quick(gmail))
    pop3, reply = login(popgate, gmail)
    with pop3:
        assert reply.startswith("-ERR [SYS/TEMP]") or pop3.stat()[0] == len(MESSAGES)


def test_a_message_of_no_octets_is_none(upstream, serve):
    def tamper(request, ask):
        if not is_message(request):
            return None
        return encode(Response(200, b'{"raw": ""}' if upstream.kind == "gmail" else b"", ask().content_type))

    upstream.tamper = tamper
    popgate = serve(quick(upstream))
    pop3, reply = login(popgate, upstream)
    with pop3:
        assert reply.startswith("+OK")
        assert fetch(pop3, 1) is None


def test_an_error_in_json_is_no_message(graph, serve):
    graph.tamper = lambda request, ask: encode(
        Response.of({"error": {"code": "generalException"}})) if is_message(request) else None
    popgate = serve(quick(graph))
    pop3, reply = login(popgate, graph)
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

    popgate = serve(quick(jmap))
    jmap.tamper = tamper
    pop3, reply = login(popgate, jmap)
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
    popgate = serve(quick(graph))
    with Pop3(popgate.port(), timeout=10) as pop3:
        assert pop3.login(graph.user, graph.password).startswith("-ERR [SYS/TEMP]")
    assert len(asked) < 100


def test_a_message_that_never_begins_does_not_keep_a_session(gmail, serve):
    """Blanks are JSON, too."""
    def tamper(request, ask):
        if not is_message(request):
            return None

        def blanks():
            yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            yield b"1\r\n{\r\n"
            end = time.monotonic() + 20
            while time.monotonic() < end:
                yield b"1000\r\n" + b" " * 4096 + b"\r\n"
                time.sleep(0.01)
            yield Tampered.HANG_UP

        return blanks()

    gmail.tamper = tamper
    popgate = serve(quick(gmail))
    pop3, reply = login(popgate, gmail)
    with pop3:
        assert reply.startswith("+OK")
        pop3.socket.settimeout(10)
        assert fetch(pop3, 1) is None
