"""The fakes of Gmail, Microsoft Graph and JMAP are tried with what we did not write: the vendors' own libraries, their
types and their published addresses."""

import base64
from types import SimpleNamespace

import pytest
from support import node, published_urls, typed_answers
from support.cyrus import BearerProxy
from support.gmail_fake import MODIFY, READONLY, GmailFake
from support.graph_fake import GraphFake
from support.http_fake import Request
from support.jmap_fake import JmapFake

MESSAGES = [b"From: a@example.org\r\nSubject: %d\r\n\r\ntext %d \xe4\r\n" % (number, number) for number in range(12)]
IMMUTABLE = 'IdType="ImmutableId"'


def octets(text):
    """Of base64, in either alphabet, with padding or without."""
    return base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4))


@pytest.fixture
def with_library(certificates):
    """with_library(fake, program): MESSAGES in a new mailbox of the fake, and the vendor's library before it."""
    opened = []

    def start(fake, program, **more):
        opened.append(fake)
        user, token = fake.new_user()
        for raw in MESSAGES:
            fake.deliver(user, raw)
        library = node.Library(program, ca_file=certificates.ca, origin=fake.origin, token=token, **more)
        opened.append(library)
        recorder = typed_answers.Recorder(fake)
        return SimpleNamespace(fake=fake, user=user, token=token, recorder=recorder, ask=library.ask,
                               refusal=library.refusal, call=lambda name, **parameters: library.ask(
                                   "call", name, {key: each for key, each in parameters.items() if each is not None}))

    yield start
    for each in reversed(opened):
        each.__exit__()


@pytest.fixture
def gmail(certificates, with_library):
    return with_library(GmailFake(certificates.server, ca_file=certificates.ca), "gmail.cjs")


@pytest.fixture
def graph(certificates, with_library):
    return with_library(GraphFake(certificates.server, ca_file=certificates.ca), "graph.cjs", prefer=IMMUTABLE)


@pytest.fixture(params=["fake", "cyrus"])
def jmap(request, certificates, with_library):
    if request.param == "cyrus":
        return with_library(BearerProxy(certificates), "jmap.cjs")
    return with_library(JmapFake(certificates.server, ca_file=certificates.ca, bearer=True), "jmap.cjs")


# --- Gmail, with @googleapis/gmail


def gmail_ids(gmail, **parameters):
    ids, token = [], None
    while True:
        page = gmail.call("messages.list", labelIds=["INBOX"], maxResults=5, pageToken=token, **parameters)
        ids += [each["id"] for each in page.get("messages", ())]
        token = page.get("nextPageToken")
        if not token:
            return ids


def test_gmail_listing_and_reading(gmail):
    gmail.fake.faults.at(2, "empty page")
    ids = gmail_ids(gmail)
    assert len(ids) == len(set(ids)) == len(MESSAGES)
    assert gmail.call("labels.get", id="INBOX")["messagesTotal"] == len(MESSAGES)
    raw = {}
    for padding in (True, False):
        gmail.fake.padding = padding
        for each in ids:
            whole = gmail.call("messages.get", id=each, format="raw")
            raw[int(whole["internalDate"])] = octets(whole["raw"])
    assert [raw[date] for date in sorted(raw)] == MESSAGES
    told = gmail.call("messages.get", id=ids[0], format="minimal", fields="id,sizeEstimate,internalDate,labelIds")
    assert set(told) == {"id", "sizeEstimate", "internalDate", "labelIds"}
    told = gmail.call("messages.get", id=ids[0], format="metadata", metadataHeaders=["Subject"])
    assert [each["name"] for each in told["payload"]["headers"]] == ["Subject"]
    assert "gzip" in gmail.fake.log[-1].header("user-agent"), "Google's library asks for what the fake compresses"
    assert published_urls.check(gmail.fake.log) == []


def test_gmail_removing_and_history(gmail):
    start = gmail.call("getProfile")["historyId"]
    ids = gmail_ids(gmail)
    assert "history" not in gmail.call("history.list", startHistoryId=start)
    gmail.call("messages.batchModify",
               requestBody={"ids": ids[:3], "addLabelIds": ["TRASH"], "removeLabelIds": ["INBOX"]})
    gmail.call("messages.trash", id=ids[3])
    gmail.call("messages.delete", id=ids[4])
    gmail.call("messages.batchDelete", requestBody={"ids": [ids[5], "18c0000000000bad"]})
    assert len(gmail.fake.messages(gmail.user)) == len(MESSAGES) - 6
    assert len(gmail.fake.folder(gmail.user, "trash")) == 4
    gmail.fake.deliver(gmail.user, MESSAGES[0])
    kinds, token = set(), None
    while True:
        page = gmail.call("history.list", startHistoryId=start, maxResults=2, pageToken=token,
                          historyTypes=["messageAdded", "messageDeleted", "labelAdded", "labelRemoved"])
        kinds |= {name for each in page.get("history", ()) for name in each} - {"id", "messages"}
        token = page.get("nextPageToken")
        if not token:
            break
    assert kinds == {"messagesAdded", "messagesDeleted", "labelsAdded", "labelsRemoved"}
    gmail.fake.forget_history(gmail.user)
    assert gmail.refusal("call", "history.list", {"startHistoryId": start})["status"] == 404
    assert published_urls.check(gmail.fake.log) == []


def test_gmail_refusals(gmail):
    one = gmail_ids(gmail)[0]

    def refusal(name, **parameters):
        error = gmail.refusal("call", name, parameters)
        return error["status"], error["reason"]

    assert refusal("messages.get", id="18c0000000000bad") == (404, "notFound")
    assert refusal("messages.get", id="no id")[0] == 400
    for scope, allowed in ((READONLY, ()), (MODIFY, ("messages.trash",))):
        gmail.fake.scopes[gmail.token] = scope
        for name in ("messages.trash", "messages.delete"):
            if name in allowed:
                assert gmail.call(name, id=one)["id"] == one
            else:
                assert refusal(name, id=one) == (403, "insufficientPermissions")
    gmail.fake.faults.always("rate 403", times=1)
    assert refusal("messages.get", id=one) == (403, "userRateLimitExceeded")
    gmail.fake.faults.always("429", times=1)  # Google's library tries once more by itself
    assert gmail.call("messages.get", id=one)["id"] == one
    gmail.fake.units_per_minute = 1
    assert refusal("messages.delete", id=one) == (403, "userRateLimitExceeded")
    gmail.fake.quota_status = 429
    assert refusal("messages.delete", id=one) == (429, "rateLimitExceeded")
    assert gmail.fake.exceeded > 2, "Google's library has tried again"
    gmail.fake.units_per_minute = None
    gmail.fake.end_tokens()
    assert refusal("messages.get", id=one) == (401, "authError")


def gmail_batch(gmail, count):
    ids = gmail_ids(gmail)
    parts = "".join(f"--b\r\nContent-Type: application/http\r\nContent-ID: <{number}>\r\n\r\n"
                    f"GET /gmail/v1/users/me/messages/{ids[number % len(ids)]}?format=minimal\r\n\r\n\r\n"
                    for number in range(count))
    headers = {"authorization": f"Bearer {gmail.token}", "content-type": "multipart/mixed; boundary=b"}
    request = Request("POST", "/batch/gmail/v1", headers, (parts + "--b--\r\n").encode())
    return request, gmail.fake.answer(request)


def test_gmail_batches_are_multipart_for_others_too(gmail):
    gmail.fake.most_at_once_in_batch = 5
    request, response = gmail_batch(gmail, 7)
    parts = list(typed_answers.batch_parts(response))
    assert [content_id for content_id, _, _ in parts] == [f"<response-{number}>" for number in range(7)]
    assert [status for _, status, _ in parts] == [200] * 5 + [429] * 2
    assert all("id" in value for _, _, value in parts[:5])
    assert len(list(published_urls.requests_of(request))) == 7
    assert published_urls.check([request]) == []
    assert gmail_batch(gmail, 101)[1].status == 400


# --- Graph, with @microsoft/microsoft-graph-client

SIZE = "singleValueExtendedProperties($filter=id%20eq%20'Integer%200x0E08')"
INBOX = f"/me/mailFolders/inbox/messages?$select=id,receivedDateTime&$expand={SIZE}"


def graph_ids(graph):
    return [each["id"] for each in graph.ask("pages", INBOX + "&$top=5&$orderby=receivedDateTime%20asc")["values"]]


def test_graph_listing_and_reading(graph):
    graph.fake.faults.at(2, "empty page")
    listed = graph.ask("pages", INBOX + "&$top=5&$orderby=receivedDateTime%20asc")["values"]
    ids = [each["id"] for each in listed]
    assert len(ids) == len(set(ids)) == len(MESSAGES)
    assert {len(each) for each in ids} == {68}
    assert [octets(graph.ask("octets", f"/me/messages/{each}/$value")) for each in ids] == MESSAGES
    size = listed[0]["singleValueExtendedProperties"]
    assert [each["id"] for each in size] == ["Integer 0xe08"] and int(size[0]["value"]) > len(MESSAGES[0])
    assert graph.ask("get", "/me/mailFolders/inbox?$select=totalItemCount")["totalItemCount"] == len(MESSAGES)
    assert graph.ask("get", INBOX + "&$top=1&$count=true")["@odata.count"] == len(MESSAGES)
    assert graph.ask("get", f"/users/{graph.user}/mailFolders?$top=100")["value"]
    graph.fake.never_converts(graph.user, 0)
    error = graph.refusal("octets", f"/me/messages/{ids[0]}/$value")
    assert error["status"] == 500
    assert graph.fake.without_immutable_ids == []
    assert published_urls.check(graph.fake.log) == []


def test_graph_removing(graph):
    ids = graph_ids(graph)
    moved = graph.ask("post", f"/me/messages/{ids[0]}/move", {"destinationId": "deleteditems"})
    assert moved["id"] == ids[0], "immutable ids stay"
    graph.ask("delete", f"/me/messages/{ids[1]}")
    graph.ask("post", f"/me/messages/{ids[2]}/permanentDelete", {})
    graph.ask("patch", f"/me/messages/{ids[3]}", {"isRead": True})
    assert graph.fake.is_seen(graph.user, 0)
    assert graph.fake.folder(graph.user, "trash") == MESSAGES[:1]
    assert graph.fake.messages(graph.user) == MESSAGES[3:]
    error = graph.refusal("delete", f"/me/messages/{ids[1]}")
    assert (error["status"], error["code"]) == (404, "ErrorItemNotFound")
    graph.fake.read_only = True
    error = graph.refusal("delete", f"/me/messages/{ids[4]}")
    assert (error["status"], error["code"]) == (403, "ErrorAccessDenied")
    assert published_urls.check(graph.fake.log) == []


def test_graph_batches(graph):
    ids = graph_ids(graph)
    orders = [{"method": "POST", "path": f"/me/messages/{each}/move", "body": {"destinationId": "deleteditems"}}
              for each in ids[:6]]
    orders += [{"method": "DELETE", "path": f"/me/messages/{each}"} for each in (ids[6], "none")]
    graph.fake.faults.at(graph.fake.faults.seen + 1, "inner 429")
    answers = graph.ask("batch", orders)
    statuses = [answers[str(number)][0] for number in range(len(orders))]
    assert statuses == [429, 201] * 3 + [429, 404]
    assert answers["0"][1]["error"]["code"] == "ApplicationThrottled"
    answers = graph.ask("batch", orders)
    assert [answers[str(number)][0] for number in range(len(orders))] == [201] * 6 + [204, 404]
    assert len(graph.fake.folder(graph.user, "trash")) == 6
    assert graph.fake.without_immutable_ids == []
    assert published_urls.check(graph.fake.log) == []


def test_graph_deltas(graph):
    first = graph.ask("pages", f"/me/mailFolders/inbox/messages/delta?$select=id&$expand={SIZE}")
    ids = [each["id"] for each in first["values"]]
    assert len(ids) == len(MESSAGES)
    graph.fake.remove(graph.user, 0)
    graph.fake.move(graph.user, 0, "archive")
    graph.fake.deliver(graph.user, MESSAGES[0])
    later = graph.ask("pages", first["deltaLink"])
    assert {each["id"]: each["@removed"]["reason"] for each in later["values"] if "@removed" in each} == \
        {ids[0]: "deleted", ids[1]: "changed"}
    assert len(later["values"]) == 3
    graph.fake.expire_deltas()
    error = graph.refusal("get", first["deltaLink"])
    assert (error["status"], error["code"]) == (410, "syncStateNotFound")
    assert published_urls.check(graph.fake.log) == []


def test_graph_ids_change_without_the_header(certificates, with_library):
    graph = with_library(GraphFake(certificates.server, ca_file=certificates.ca), "graph.cjs")
    before = graph_ids(graph)
    assert all(len(each) > 136 and each.endswith("=") for each in before)
    moved = graph.ask("post", f"/me/messages/{before[0]}/move", {"destinationId": "archive"})
    assert moved["id"] not in before
    assert graph.fake.without_immutable_ids


@pytest.mark.parametrize("fault", ["429 later", "429", "503 later"])
def test_graph_refusals_are_understood(fault, graph):
    graph.fake.faults.always(fault, times=1)  # Microsoft's library waits and tries again
    assert graph.ask("get", "/me/mailFolders/inbox")["displayName"]
    assert [fault for _, fault in graph.fake.faults.shown] == [fault]
    graph.fake.end_tokens()
    error = graph.refusal("get", "/me/mailFolders/inbox")
    assert (error["status"], error["code"]) == (401, "InvalidAuthenticationToken")


# --- JMAP, with jmap-jam: the fake and Cyrus must be the same to it


def test_jmap(jmap):
    account = jmap.ask("account")
    mailboxes = jmap.ask("request", "Mailbox/get", {"accountId": account, "ids": None})["list"]
    roles = {each["role"]: each["id"] for each in mailboxes if each["role"]}
    query = {"accountId": account, "filter": {"inMailbox": roles["inbox"]}, "calculateTotal": True,
             "sort": [{"property": "receivedAt", "isAscending": True}]}
    answers = jmap.ask("list", query, ["id", "blobId", "size", "receivedAt"])
    emails = answers["emails"]["list"]
    assert answers["ids"]["total"] == len(MESSAGES)
    assert [each["size"] for each in emails] == [len(each) for each in MESSAGES]
    assert [octets(jmap.ask("octets", account, each["blobId"])) for each in emails] == MESSAGES
    state = answers["emails"]["state"]
    ids = [each["id"] for each in emails]
    done = jmap.ask("request", "Email/set", {"accountId": account, "destroy": [ids[0], "Mnone"],
                                             "update": {ids[1]: {"mailboxIds": {roles["trash"]: True}}}})
    assert ids[0] in done["destroyed"] and ids[1] in done["updated"]
    assert "Mnone" in [*done["destroyed"], *(done["notDestroyed"] or ())]
    assert jmap.fake.messages(jmap.user) == MESSAGES[2:]
    assert jmap.fake.folder(jmap.user, "trash") == [MESSAGES[1]]
    changes = jmap.ask("request", "Email/changes", {"accountId": account, "sinceState": state})
    assert changes["destroyed"] == [ids[0]] and changes["updated"] == [ids[1]]
    assert jmap.refusal("request", "Email/none", {"accountId": account})["type"] == "unknownMethod"
    assert jmap.refusal("octets", account, "Gnone")
    is_real = isinstance(jmap.fake, BearerProxy)
    assert typed_answers.type_errors(jmap.recorder.answers(), may_add=is_real) == []


# --- types and addresses


def every_gmail_answer(gmail):
    ids = gmail_ids(gmail)
    for kind in ("minimal", "metadata", "raw", "full"):
        gmail.call("messages.get", id=ids[0], format=kind)
    start = gmail.call("getProfile")["historyId"]
    gmail.call("labels.list")
    gmail.call("labels.get", id="INBOX")
    gmail.call("messages.trash", id=ids[0])
    gmail.call("messages.batchDelete", requestBody={"ids": ids[1:3]})
    gmail.fake.deliver(gmail.user, MESSAGES[0])
    gmail.call("history.list", startHistoryId=start)
    gmail_batch(gmail, 3)
    gmail.call("messages.batchDelete", requestBody={"ids": ids})
    gmail.call("messages.list", labelIds=["SENT"])


def every_graph_answer(graph):
    ids = graph_ids(graph)
    graph.ask("get", f"/me/messages/{ids[0]}")
    graph.ask("get", "/me/mailFolders/inbox")
    graph.ask("get", "/me/mailFolders")
    graph.ask("patch", f"/me/messages/{ids[0]}", {"isRead": True})
    delta = graph.ask("pages", f"/me/mailFolders/inbox/messages/delta?$expand={SIZE}")["deltaLink"]
    graph.ask("batch", [{"method": "POST", "path": f"/me/messages/{each}/move", "body": {"destinationId": "archive"}}
                        for each in ids[:3]])
    graph.ask("delete", f"/me/messages/{ids[3]}")
    graph.ask("pages", delta)


EVERY_ANSWER = {"gmail": every_gmail_answer, "graph": every_graph_answer}


def recorded(request, service):
    vendor = request.getfixturevalue(service)
    EVERY_ANSWER[service](vendor)
    answers = vendor.recorder.answers()
    assert len({each.type for each in answers}) >= 4
    return answers


@pytest.mark.parametrize("service", EVERY_ANSWER)
def test_answers_are_of_the_vendors_types(service, request):
    assert typed_answers.type_errors(recorded(request, service)) == []


# Where a fake might drift: the type of an answer, and what is done to it.
DRIFTS = {
    "gmail": [
        ("gmail_v1.Schema$Message", {"internalDate": 1}),
        ("gmail_v1.Schema$Message", {"sizeEstimate": "1"}),
        ("gmail_v1.Schema$ListMessagesResponse", {"nextToken": "x"}),
        ("gmail_v1.Schema$ListHistoryResponse", {"history": [{"id": 1}]}),
        ("gmail_v1.Schema$Label", {"messagesTotal": "1"}),
    ],
    "graph": [
        ("Message", {"singleValueExtendedProperties": [{"id": "Integer 0xe08", "value": 4096}]}),
        ("Message", {"read": True}),
        ("MailFolder", {"totalItemCount": "1"}),
        ("MessageCollectionResponse", {"nextLink": "https://x"}),
        ("DeltaGetResponse", {"value": [{"id": "x", "@removed": True}]}),
    ],
}


@pytest.mark.parametrize("service", EVERY_ANSWER)
def test_a_fake_that_drifts_is_noticed(service, request):
    answers = recorded(request, service)
    drifted = []
    for kind, change in DRIFTS[service]:
        value = next(each.value for each in answers if each.type == kind)
        drifted.append(typed_answers.Answer(str(change), kind, {**value, **change}))
    noticed = [each for each, _ in typed_answers.type_errors(answers + drifted)]
    assert [each for each in drifted if each not in noticed] == []
    assert [each for each in noticed if each not in drifted] == []
