"""The Gmail API v1 as far as a mailbox needs it, with the limits and the moods of the real one."""

import base64
import collections
import re
import time
from email.parser import BytesHeaderParser

from support.http_fake import HttpFake, Request, Response

FULL = "https://mail.google.com/"
MODIFY = "https://www.googleapis.com/auth/gmail.modify"
READONLY = "https://www.googleapis.com/auth/gmail.readonly"

# Faults that only Gmail has, for FaultPlan: a refusal for asking too fast that is a 403; a page without messages that is
# not the last; a message told twice; a page that lacks what was on it a moment ago; a message that is gone when it is
# asked for; sizes that are nonsense.
GMAIL_FAULTS = ("rate 403", "daily 403", "empty page", "repeated id", "shrinking page", "vanished", "lying size",
                "inner 429")

# What Google charges, by (method, what the path ends in).
_UNITS = (("GET", "/messages", 5), ("GET", "/messages/", 5), ("GET", "/history", 2), ("GET", "/labels/", 1),
          ("GET", "/labels", 1), ("GET", "/profile", 1), ("POST", "/modify", 5), ("POST", "/trash", 5),
          ("POST", "/batchModify", 50), ("POST", "/batchDelete", 50), ("DELETE", "/messages/", 10))

# As Google's errors name what HTTP has numbers for.
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
           429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


class _Message:
    def __init__(self, number, raw, labels, date):
        self.id = f"{0x18C0000000000000 + number * 0x10001:016x}"
        self.raw = raw
        self.labels = set(labels)
        self.date = date


class _Mailbox:
    def __init__(self):
        self.messages = {}      # id -> _Message, in the order of delivery
        self.history = []       # (id, kind, message, labels)
        self.history_id = 1000
        self.history_floor = 0  # what is older is forgotten
        self.labels = {name: name for name in ("INBOX", "TRASH", "UNREAD", "SPAM", "SENT", "DRAFT", "STARRED")}
        self.spent = collections.deque()  # (time, units)
        self.spent_units = 0    # of those
        self.lists = {}         # page token -> ids

    def note(self, kind, message, labels=()):
        self.history_id += 1
        self.history.append((self.history_id, kind, message, sorted(labels)))


class GmailFake(HttpFake):
    """units_per_minute is enforced in a window of `window` seconds; `exceeded` counts the requests that went over it,
    which are refused with quota_status: 403 or 429."""

    tells_gone = False  # batchDelete and batchModify have no word about the single message

    most_refused = 1

    def __init__(self, certificate=None, *, ca_file=None, units_per_minute=None, window=60.0, quota_status=403,
                 scope=FULL, most_at_once_in_batch=50, padding=True):
        super().__init__(certificate)
        self.mailboxes = {}
        self.scope = scope
        self.scopes = {}  # token -> scope, where it is another one
        self.units_per_minute = units_per_minute
        self.window = window
        self.quota_status = quota_status
        self.exceeded = 0
        self.units_spent = 0
        self.undescribed = set()
        self.most_at_once_in_batch = most_at_once_in_batch
        self.padding = padding
        self.backend = f"gmail:{self.origin}"
        self.options = {"ca_file": str(ca_file)} if ca_file else {}
        self._clock = 1_700_000_000_000
        self._tokens = 0

    # --- what tests do

    def new_user(self):
        user = self.name_user()
        with self.lock:
            self.mailboxes[user] = _Mailbox()
        return user, self.new_token(user)

    def deliver(self, user, raw, labels=("INBOX", "UNREAD")):
        if not raw:
            raise self.Refused("a message without a header")
        with self.lock:
            mailbox = self.mailboxes[user]
            # Google keeps lines as CRLF.
            raw = re.sub(rb"\r?\n", b"\r\n", raw)
            self._clock += 1000
            message = _Message(self._clock // 1000 - 1_700_000_000, raw, labels, self._clock)
            mailbox.messages[message.id] = message
            mailbox.note("messagesAdded", message)
            return raw

    def inbox(self, user):
        return [each for each in self.mailboxes[user].messages.values() if "INBOX" in each.labels]

    def messages(self, user):
        with self.lock:
            return [each.raw for each in self.inbox(user)]

    def remove(self, user, index):
        with self.lock:
            self._delete(self.mailboxes[user], self.inbox(user)[index].id)

    def relabel(self, user, index, add=(), remove=()):
        """What its owner does in another program."""
        with self.lock:
            self._modify(self.mailboxes[user], self.inbox(user)[index], add, remove)

    def put_back(self, user, raw):
        """Its owner moves a message that has left the inbox back into it."""
        with self.lock:
            mailbox = self.mailboxes[user]
            message = next(each for each in mailbox.messages.values() if each.raw == raw and "INBOX" not in each.labels)
            self._modify(mailbox, message, ["INBOX"], ["TRASH"])

    def never_describes(self, user, index):
        """The details of this message are an error of the server's, for ever."""
        with self.lock:
            self.undescribed.add(self.inbox(user)[index].id)

    def is_seen(self, user, index):
        with self.lock:
            return "UNREAD" not in self.inbox(user)[index].labels

    def folder(self, user, which):
        with self.lock:
            everything = self.mailboxes[user].messages.values()
            if which == "trash":
                return [each.raw for each in everything if "TRASH" in each.labels]
            return [each.raw for each in everything if not each.labels & {"TRASH", "INBOX", "SPAM"}]

    def forget_history(self, user):
        with self.lock:
            self.mailboxes[user].history_floor = self.mailboxes[user].history_id + 1
            self.mailboxes[user].history.clear()
            self.mailboxes[user].history_id += 2

    # --- what the API does

    def gzips(self, request):
        return super().gzips(request) and "gzip" in request.header("user-agent")

    def error(self, status, reason="", message=""):
        domain = "usageLimits" if "Limit" in reason else "global"
        return Response.of({"error": {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN"),
                                      "errors": [{"domain": domain, "reason": reason, "message": message}]}},
                           status, content_type="application/json; charset=UTF-8")

    def _charge(self, mailbox, request):
        units = next((cost for method, end, cost in _UNITS if method == request.method
                      and (request.path.endswith(end) or (end.endswith("/") and end in request.path))), 0)
        now = time.monotonic()
        while mailbox.spent and mailbox.spent[0][0] <= now - self.window:
            mailbox.spent_units -= mailbox.spent.popleft()[1]
        self.units_spent += units
        if self.units_per_minute is not None:
            allowed = self.units_per_minute * self.window / 60
            if mailbox.spent_units + units > allowed:
                self.exceeded += 1
                reason = "userRateLimitExceeded" if self.quota_status == 403 else "rateLimitExceeded"
                return self.error(self.quota_status, reason, "User-rate limit exceeded.")
        mailbox.spent.append((now, units))
        mailbox.spent_units += units
        return None

    def respond(self, request, user):
        for fault, reason in (("rate 403", "userRateLimitExceeded"), ("daily 403", "dailyLimitExceeded")):
            if fault in request.faults:
                return self.error(403, reason, "Limit exceeded.")
        mailbox = self.mailboxes[user]
        if request.path == "/batch/gmail/v1" and request.method == "POST":
            return self._batch(request, user)
        match = re.fullmatch(r"/gmail/v1/users/([^/]+)/(.*)", request.path)
        if not match or match[1] not in ("me", user):
            return self.error(404, "notFound", "Requested entity was not found.")
        if (refusal := self._charge(mailbox, request)):
            return refusal
        token = request.header("authorization").removeprefix("Bearer ")
        return self._resource(request, mailbox, match[2], self.scopes.get(token, self.scope))

    def _resource(self, request, mailbox, rest, scope):
        words = rest.split("/")
        denied = self.error(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
        key = (request.method, words[0], len(words))
        if key == ("GET", "profile", 1):
            return Response.of({"emailAddress": "x", "messagesTotal": len(mailbox.messages), "threadsTotal": 1,
                                "historyId": str(mailbox.history_id)})
        if key == ("GET", "labels", 1):
            return Response.of({"labels": [{"id": each, "name": name,
                                            "type": "system" if each == name else "user"}
                                           for each, name in mailbox.labels.items()]})
        if key == ("GET", "labels", 2):
            return self._label(mailbox, words[1])
        if key == ("GET", "messages", 1):
            return self._list(request, mailbox)
        if key == ("GET", "messages", 2):
            return self._get(request, mailbox, words[1])
        if key == ("GET", "history", 1):
            return self._history(request, mailbox)
        if scope == READONLY:
            return denied
        if key == ("POST", "messages", 2) and words[1] == "batchModify":
            order = request.json()
            if len(order["ids"]) > 1000:
                return self.error(400, "invalidArgument", "Too many ids")
            for each in order["ids"]:
                if each in mailbox.messages:
                    self._modify(mailbox, mailbox.messages[each], order.get("addLabelIds", ()),
                                 order.get("removeLabelIds", ()))
            return Response(204)
        if key == ("POST", "messages", 3) and words[2] == "trash":
            if words[1] not in mailbox.messages:
                return self.error(404, "notFound", "Requested entity was not found.")
            self._modify(mailbox, mailbox.messages[words[1]], ["TRASH"], ["INBOX"])
            return Response.of({"id": words[1], "threadId": words[1]})
        if scope != FULL:
            return denied
        if key == ("POST", "messages", 2) and words[1] == "batchDelete":
            for each in request.json()["ids"]:
                self._delete(mailbox, each)
            return Response(204)
        if key == ("DELETE", "messages", 2):
            if words[1] not in mailbox.messages:
                return self.error(404, "notFound", "Requested entity was not found.")
            self._delete(mailbox, words[1])
            return Response(204)
        return self.error(404, "notFound", "Not Found")

    @staticmethod
    def _modify(mailbox, message, add, remove):
        added, removed = set(add) - message.labels, set(remove) & message.labels
        if added:
            message.labels |= added
            mailbox.note("labelsAdded", message, added)
        if removed:
            message.labels -= removed
            mailbox.note("labelsRemoved", message, removed)

    @staticmethod
    def _delete(mailbox, message_id):
        if message := mailbox.messages.pop(message_id, None):
            mailbox.note("messagesDeleted", message)

    def _label(self, mailbox, label):
        if label not in mailbox.labels:
            return self.error(404, "notFound", "Requested entity was not found.")
        labelled = [each for each in mailbox.messages.values() if label in each.labels]
        return Response.of({"id": label, "name": mailbox.labels[label], "type": "system",
                            "messagesTotal": len(labelled), "threadsTotal": len(labelled),
                            "messagesUnread": sum("UNREAD" in each.labels for each in labelled),
                            "threadsUnread": 0})

    def _list(self, request, mailbox):
        size = min(int(request.value("maxResults", "100")), 500)
        token = request.value("pageToken")
        if token is None:
            wanted = set(request.query.get("labelIds", ()))
            ids = [each.id for each in reversed(mailbox.messages.values())
                   if wanted <= each.labels and ("TRASH" not in each.labels or "TRASH" in wanted)]
        elif token in mailbox.lists:
            ids = mailbox.lists[token]
        else:
            return self.error(400, "invalidArgument", "Invalid pageToken")
        page, rest = ids[:size], ids[size:]
        if "empty page" in request.faults:
            page, rest = [], ids
        if "repeated id" in request.faults and page:
            page = [*page, page[0]]
        if "shrinking page" in request.faults and page:
            page = page[:-1]
        answer = {"resultSizeEstimate": 201 if page else 0}
        if page:
            answer["messages"] = [{"id": each, "threadId": each} for each in page]
        if rest:
            self._tokens += 1
            answer["nextPageToken"] = f"{self._tokens:020d}+/="
            mailbox.lists[answer["nextPageToken"]] = rest
        return Response.of(_only(answer, request.value("fields")))

    def _get(self, request, mailbox, message_id):
        if not re.fullmatch("[0-9a-f]{1,16}", message_id):
            return self.error(400, "invalidArgument", "Invalid id value")
        message = mailbox.messages.get(message_id)
        if message is None or "vanished" in request.faults:
            return self.error(404, "notFound", "Requested entity was not found.")
        if message_id in self.undescribed and request.value("format") != "raw":
            return self.error(500, "backendError", "Backend Error")
        size = len(message.raw) * 9 // 10 + 7
        answer = {"id": message.id, "threadId": message.id, "labelIds": sorted(message.labels), "snippet": "...",
                  "historyId": str(mailbox.history_id), "internalDate": str(message.date),
                  "sizeEstimate": 4_000_000_000 if "lying size" in request.faults else size}
        kind = request.value("format", "full")
        if kind == "raw":
            raw = base64.urlsafe_b64encode(message.raw).decode()
            answer["raw"] = raw if self.padding else raw.rstrip("=")
        elif kind in ("full", "metadata"):
            headers = BytesHeaderParser().parsebytes(message.raw).items()
            wanted = {each.lower() for each in request.query.get("metadataHeaders", ())} if kind == "metadata" else None
            answer["payload"] = {"headers": [{"name": name, "value": str(value)} for name, value in headers
                                             if not wanted or name.lower() in wanted]}
        return Response.of(_only(answer, request.value("fields")))

    def _history(self, request, mailbox):
        start = int(request.value("startHistoryId"))
        if not mailbox.history_floor <= start <= mailbox.history_id:
            return self.error(404, "notFound", "Requested entity was not found.")
        kinds = {"messageAdded": "messagesAdded", "messageDeleted": "messagesDeleted", "labelAdded": "labelsAdded",
                 "labelRemoved": "labelsRemoved"}
        wanted = {kinds[each] for each in request.query.get("historyTypes", kinds)}
        label = request.value("labelId")
        size = min(int(request.value("maxResults", "100")), 500)
        first = int(request.value("pageToken", str(start)).removeprefix("h"))
        records = [each for each in mailbox.history if each[0] > first and each[1] in wanted
                   and (label is None or label in each[2].labels or label in each[3])]
        answer = {"historyId": str(mailbox.history_id)}
        page = records[:size]
        if "empty page" in request.faults:
            page = []
            answer["nextPageToken"] = f"h{first}"
        elif len(records) > size:
            answer["nextPageToken"] = f"h{page[-1][0]}"
        if page:
            answer["history"] = [self._record(*each) for each in page]
        return Response.of(_only(answer, request.value("fields")))

    @staticmethod
    def _record(number, kind, message, labels):
        told = {"id": message.id, "threadId": message.id, "labelIds": sorted(message.labels)}
        change = {"message": told}
        if labels:
            change["labelIds"] = labels
        return {"id": str(number), "messages": [{"id": message.id, "threadId": message.id}], kind: [change]}

    def _batch(self, request, user):
        boundary = re.search(r'boundary="?([^";]+)"?', request.header("content-type"))[1].encode()
        parts = request.body.split(b"--" + boundary)[1:-1]
        if len(parts) > 100:
            return self.error(400, "badRequest",
                              f"Inner request count exceeds the limit. Received: {len(parts)}, Limit: 100")
        answers = []
        for number, part in enumerate(parts, 1):
            head, _, inner = part.strip(b"\r\n").partition(b"\r\n\r\n")
            content_id = re.search(rb"(?i)content-id:\s*<([^>]*)>", head)[1].decode()
            line, _, rest = inner.partition(b"\r\n")
            method, target = line.decode().split()[:2]
            assert target.startswith("/"), "an inner request has a path only"
            headers = dict(request.headers)
            asked = Request(method, target, headers, rest.partition(b"\r\n\r\n")[2],
                            faults=[each for each in request.faults if each in ("vanished", "lying size")])
            if number > self.most_at_once_in_batch or ("inner 429" in request.faults and number % 2 == 0):
                answer = self.error(429, "rateLimitExceeded", "Too many concurrent requests for user.")
            else:
                answer = self.respond(asked, user)
            answers.append((content_id, answer))
        body = b""
        for content_id, answer in answers:
            body += (f"--batch_x{len(answers)}\r\nContent-Type: application/http\r\n"
                     f"Content-ID: <response-{content_id}>\r\n\r\nHTTP/1.1 {answer.status} OK\r\n"
                     f"Content-Type: application/json; charset=UTF-8\r\nVary: Origin\r\n"
                     f"Content-Length: {len(answer.body)}\r\n\r\n").encode() + answer.body + b"\r\n"
        body += f"--batch_x{len(answers)}--\r\n".encode()
        return Response(200, body, f"multipart/mixed; boundary=batch_x{len(answers)}")


def _only(answer, fields):
    """The partial answer that `fields` asks for: "a,b/c,d(e,f)"; a name that is not there gives nothing."""
    if not fields or fields == "*":
        return answer
    if isinstance(answer, list):
        return [_only(each, fields) for each in answer]
    chosen = {}
    for name, inner in _split(fields):
        if name in answer:
            chosen[name] = _only(answer[name], inner) if inner else answer[name]
    return chosen


def _split(fields):
    depth, begin, parts = 0, 0, []
    for place, letter in enumerate(fields):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(fields[begin:place])
            begin = place + 1
    parts.append(fields[begin:])
    for part in parts:
        name, slash, rest = part.partition("/")
        if "(" in name:
            name, _, inner = part.partition("(")
            yield name, inner[:-1]
        else:
            yield name, rest if slash else ""
