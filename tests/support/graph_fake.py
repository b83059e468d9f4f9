"""Mail in Microsoft Graph v1.0 as far as a mailbox needs it, with the limits and the moods of the real one."""

import datetime
import hashlib
import json
import random
import re
import time
from urllib.parse import parse_qs, quote, unquote, urlsplit

from support.http_fake import HttpFake, Request, Response

# Faults that only Graph has, for FaultPlan: a page without messages that is not the last; a message told twice; a page
# that lacks what was on it a moment ago; a next page at another origin; a message that is gone when it is asked for; a
# size that is nonsense, and one that is missing; a message that can never be given; a page that takes too long.
GRAPH_FAULTS = ("empty page", "repeated id", "shrinking page", "link away", "vanished", "lying size", "no size",
                "no conversion", "slow page", "inner 429", "inner 503", "inner lost")

WELL_KNOWN = ("inbox", "deleteditems", "archive", "drafts", "sentitems", "junkemail")


class _Message:
    def __init__(self, number, raw, folder, date):
        digest = hashlib.sha256(b"%d" % number).hexdigest()
        self.id = "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A" + digest[:30] + "AA"  # immutable: 68 characters
        assert len(self.id) == 68
        self.raw = raw
        self.folder = folder
        self.date = date
        self.is_read = False
        self.moves = 0
        self.changed = 0  # which change it was last part of

    def ordinary_id(self):
        """Another one after each move."""
        return "AAMkAD" + hashlib.sha512(f"{self.id}{self.moves}".encode()).hexdigest()[:128] + "AABnzAwAAA=="


class _Mailbox:
    def __init__(self, user):
        self.user = user
        self.folders = {name: (f"AQMkAD{name.upper():_<20}AAA=", name.title(), None) for name in WELL_KNOWN}
        self.messages = {}  # by immutable id, in the order of delivery
        self.removed = []   # (change, folder, message): has left the folder
        self.change = 0
        self.unconvertible = set()
        self.under_way = 0

    def folder_of(self, word):
        """A folder's name here, of a well-known name or an id; None when there is none."""
        for name, (folder_id, _, _) in self.folders.items():
            if word == folder_id or word.lower() == name:
                return name
        return None


class GraphFake(HttpFake):
    """refused_for_concurrency counts the requests that came while others of the mailbox were under way."""

    most_concurrent = 4

    most_refused = 1

    def __init__(self, certificate=None, *, ca_file=None, read_only=False, has_permanent_delete=True):
        super().__init__(certificate)
        self.mailboxes = {}
        self.read_only = read_only
        self.has_permanent_delete = has_permanent_delete
        self.most_of_a_mailbox = 0
        self.pause = 0.0                 # that each request takes, in seconds
        self.without_immutable_ids = []  # requests that forgot the Prefer header
        self.first_delta = 0             # tokens of before are not known any more
        self.backend = f"graph:{self.origin}"
        self.options = {"ca_file": str(ca_file)} if ca_file else {}
        self._clock = 1_700_000_000
        self._random = random.Random(1)

    # --- what tests do

    def new_user(self):
        user = self.name_user()
        with self.lock:
            self.mailboxes[user] = _Mailbox(user)
        return user, self.new_token(user)

    def new_folder(self, user, name, parent=None):
        with self.lock:
            folders = self.mailboxes[user].folders
            folders[name] = (f"AQMkADfolder{len(folders)}AAA=", name, parent)

    def deliver(self, user, raw, folder="inbox"):
        if not raw:
            raise self.Refused("a message without a header")
        with self.lock:
            mailbox = self.mailboxes[user]
            raw = re.sub(rb"\r?\n", b"\r\n", raw)  # MIME is made with CRLF
            self._clock += 1
            message = _Message(self._clock, raw, folder, self._clock)
            mailbox.messages[message.id] = message
            self._changed(mailbox, message)
            return raw

    def inbox(self, user):
        return [each for each in self.mailboxes[user].messages.values() if each.folder == "inbox"]

    def messages(self, user):
        with self.lock:
            return [each.raw for each in self.inbox(user)]

    def remove(self, user, index):
        with self.lock:
            self._leave(self.mailboxes[user], self.inbox(user)[index], None)

    def move(self, user, index, folder):
        with self.lock:
            self._leave(self.mailboxes[user], self.inbox(user)[index], folder)

    def is_seen(self, user, index):
        with self.lock:
            return self.inbox(user)[index].is_read

    def folder(self, user, which):
        name = {"trash": "deleteditems", "archive": "archive"}.get(which, which)
        with self.lock:
            return [each.raw for each in self.mailboxes[user].messages.values() if each.folder == name]

    def never_converts(self, user, index):
        with self.lock:
            self.mailboxes[user].unconvertible.add(self.inbox(user)[index].id)

    def expire_deltas(self):
        with self.lock:
            self.first_delta = max(each.change for each in self.mailboxes.values()) + 1

    # --- what the API does

    @staticmethod
    def _changed(mailbox, message):
        mailbox.change += 1
        message.changed = mailbox.change

    def _leave(self, mailbox, message, folder):
        self._changed(mailbox, message)
        mailbox.removed.append((mailbox.change, message.folder, message))
        if folder is None:
            del mailbox.messages[message.id]
        else:
            message.folder = folder
            message.moves += 1
            # In the other folder it is the newest of the changes, and the last in the order of arrival there.
            mailbox.messages[message.id] = mailbox.messages.pop(message.id)

    def error(self, status, reason="", message=""):
        code = {401: "InvalidAuthenticationToken", 403: "ErrorAccessDenied", 404: "ErrorItemNotFound",
                429: "ApplicationThrottled", 503: "serviceNotAvailable"}.get(status, reason or "generalException")
        return Response.of({"error": {"code": code, "message": message or reason or "An error.",
                                      "innerError": {"date": "2026-01-02T03:04:05", "request-id": "x",
                                                     "client-request-id": "y"}}}, status)

    def answer(self, request):
        # Counted before anything is looked at: so are the real one's.
        mailbox = self.mailboxes.get(self.user_of(request))
        if mailbox is None:
            return super().answer(request)
        with self.lock:
            mailbox.under_way += 1
            self.most_of_a_mailbox = max(self.most_of_a_mailbox, mailbox.under_way)
            too_many = mailbox.under_way > self.most_concurrent
        try:
            time.sleep(self.pause)
            if too_many:
                return self.error(429, "", "Application is over its MailboxConcurrency limit.")
            return super().answer(request)
        finally:
            with self.lock:
                mailbox.under_way -= 1

    def respond(self, request, user):
        if request.path == "/v1.0/$batch" and request.method == "POST":
            return self._batch(request, user)
        if not request.path.startswith("/v1.0/"):
            return self.error(404, "ResourceNotFound")
        return self._resource(request, user, request.path.removeprefix("/v1.0"))

    def _batch(self, request, user):
        orders = request.json()["requests"]
        if len(orders) > 20:
            return self.error(400, "BadRequest", "Too many requests in a batch")
        answers = []
        for number, order in enumerate(orders, 1):
            headers = {name.lower(): value for name, value in order.get("headers", {}).items()}
            body = json.dumps(order["body"]).encode() if "body" in order else b""
            if "inner 429" in request.faults and number % 2:
                answer = self.error(429)
                answer.headers["Retry-After"] = "1"
            elif "inner 503" in request.faults and number % 2:
                answer = self.error(503)
            elif body and "application/json" not in headers.get("content-type", ""):
                answer = self.error(400, "BadRequest", "Write request id : %s does not contain Content-Type header")
            else:
                target = urlsplit(order["url"])
                inner = Request(order["method"], order["url"], headers, body, faults=request.faults)
                answer = self._resource(inner, user, unquote(target.path))
            if "inner lost" in request.faults and number % 2:
                continue
            one = {"id": order["id"], "status": answer.status,
                   "headers": {"Content-Type": answer.content_type, **answer.headers}}
            if answer.body:
                one["body"] = json.loads(answer.body)
            answers.append(one)
        self._random.shuffle(answers)
        return Response.of({"responses": answers})

    def _resource(self, request, user, path):
        immutable = 'IdType="ImmutableId"' in request.header("prefer")
        if not immutable:
            self.without_immutable_ids.append(request.target)
        match = re.fullmatch(r"/(?:me|users/([^/]+))/(.*)", path)
        if not match:
            return self.error(404, "ResourceNotFound")
        mailbox = self.mailboxes.get(match[1] or user)
        if mailbox is None:
            return self.error(404, "ErrorInvalidUser")
        words = match[2].split("/")
        if words[0] == "mailFolders":
            return self._folders(request, mailbox, words[1:], immutable)
        if words[0] == "messages" and len(words) >= 2:
            message = self._find(mailbox, words[1], immutable)
            if message is None or "vanished" in request.faults:
                return self.error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
            return self._message(request, mailbox, message, words[2:], immutable)
        return self.error(404, "ResourceNotFound")

    @staticmethod
    def _find(mailbox, message_id, immutable):
        if immutable:
            return mailbox.messages.get(message_id)
        return next((each for each in mailbox.messages.values() if each.ordinary_id() == message_id), None)

    def _folder_json(self, mailbox, name):
        folder_id, display, parent = mailbox.folders[name]
        count = sum(each.folder == name for each in mailbox.messages.values())
        parent_id = mailbox.folders[parent][0] if parent else "AQMkADroot"
        children = sum(each[2] == name for each in mailbox.folders.values())
        return {"id": folder_id, "displayName": display, "parentFolderId": parent_id, "childFolderCount": children,
                "totalItemCount": count, "unreadItemCount": 0}

    def _folders(self, request, mailbox, words, immutable):
        if not words or (len(words) == 2 and words[1] == "childFolders"):
            parent = mailbox.folder_of(words[0]) if words else None
            if words and parent is None:
                return self.error(404)
            listed = [self._folder_json(mailbox, name) for name, each in mailbox.folders.items() if each[2] == parent]
            wanted = re.fullmatch(r"displayName eq '(.*)'", request.value("$filter", ""))
            if wanted:
                listed = [each for each in listed if each["displayName"] == wanted[1].replace("''", "'")]
            return self._page(request, listed, lambda each: self._select(each, request))
        name = mailbox.folder_of(words[0])
        if name is None:
            return self.error(404)
        if len(words) == 1:
            return Response.of(self._select(self._folder_json(mailbox, name), request))
        if words[1:] == ["messages"]:
            messages = [each for each in mailbox.messages.values() if each.folder == name]
            if request.value("$filter") == "isRead eq false":
                messages = [each for each in messages if not each.is_read]
            messages.sort(key=lambda each: each.date, reverse=not (request.value("$orderby", "").endswith("asc")))
            return self._page(request, messages, lambda each: self._message_json(each, mailbox, request, immutable))
        if words[1:] == ["messages", "delta"]:
            return self._delta(request, mailbox, name, immutable)
        return self.error(404, "ResourceNotFound")

    @staticmethod
    def _select(whole, request):
        chosen = request.value("$select")
        if not chosen:
            return whole
        return {name: value for name, value in whole.items() if name == "id" or name in chosen.split(",")}

    def _message_json(self, message, mailbox, request, immutable):
        date = datetime.datetime.fromtimestamp(message.date, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        told = self._select({"id": message.id if immutable else message.ordinary_id(), "receivedDateTime": date,
                             "isRead": message.is_read, "subject": "x",
                             "parentFolderId": mailbox.folders[message.folder][0]}, request)
        told["@odata.etag"] = f'W/"{message.changed}"'
        expand = request.value("$expand", "")
        if "singleValueExtendedProperties" in expand and "no size" not in request.faults:
            assert re.search(r"'(Integer|Long) 0x0E08'", expand, re.IGNORECASE), expand
            size = 4_000_000_000 if "lying size" in request.faults else len(message.raw) + 1234
            told["singleValueExtendedProperties"] = [{"id": "Integer 0xe08", "value": str(size)}]
        return told

    def _page(self, request, values, told):
        """told() of each value on it. By position, as the real one's; nextLinks are absolute."""
        preferred = re.search(r"odata\.maxpagesize=(\d+)", request.header("prefer"))
        size = min(int(request.value("$top", preferred[1] if preferred else "10")), 1000)
        skip = int(request.value("$skip", "0"))
        if "slow page" in request.faults and size > 50:
            return self.error(504, "UnknownError")
        page = [told(each) for each in values[skip:skip + size]]
        rest = len(values) > skip + size
        if "empty page" in request.faults:
            page, rest, size = [], bool(values[skip:]), 0
        if "repeated id" in request.faults and page:
            page = [*page, page[0]]
        if "shrinking page" in request.faults and page:
            page = page[:-1]
        answer = {"@odata.context": f"{self.origin}/v1.0/$metadata#x"}
        if request.value("$count") == "true":
            answer["@odata.count"] = len(values)
        answer["value"] = page
        if rest:
            origin = self.faults.elsewhere if "link away" in request.faults else self.origin
            split = urlsplit(request.target)
            query = {name: each[0] for name, each in parse_qs(split.query).items()}
            query["$skip"] = str(skip + size)
            query["$top"] = str(size or 10)
            text = "&".join(f"{quote(name, safe='$')}={quote(each, safe='')}" for name, each in query.items())
            answer["@odata.nextLink"] = f"{origin}{split.path}?{text}"
        return Response.of(answer)

    def _delta(self, request, mailbox, name, immutable):
        since = request.value("$deltatoken") or request.value("$skiptoken")
        split = urlsplit(request.target)
        kept = "&".join(f"{key}={quote(request.value(key), safe='')}" for key in ("$select", "$expand")
                        if request.value(key))
        if since is None:
            start, upto, skip = -1, mailbox.change, 0
        else:
            # Opaque to clients: "from.to.skip"; a deltaLink has no end.
            start, upto, skip = (int(each) for each in since.split("."))
            if start >= 0 and start < self.first_delta:
                return self.error(410, "syncStateNotFound", "The sync state generation is not found.")
            if request.value("$deltatoken"):
                upto = mailbox.change
        changes = [(each.changed, each) for each in mailbox.messages.values()
                   if each.folder == name and start < each.changed]
        if start >= 0:
            changes += [(change, {"id": each.id if immutable else each.ordinary_id(),
                                  "@removed": {"reason": "changed" if each.id in mailbox.messages else "deleted"}})
                        for change, folder, each in mailbox.removed
                        if folder == name and change > start and each.folder != name or
                        (folder == name and change > start and each.id not in mailbox.messages)]
        changes.sort(key=lambda each: each[0])
        values = [each for _, each in changes]
        preferred = re.search(r"odata\.maxpagesize=(\d+)", request.header("prefer"))
        size = int(preferred[1]) if preferred else 10
        if "slow page" in request.faults and size > 50:
            return self.error(504, "UnknownError")
        page, rest = values[skip:skip + size], len(values) > skip + size
        page = [each if isinstance(each, dict) else self._message_json(each, mailbox, request, immutable)
                for each in page]
        if "empty page" in request.faults:
            page, rest, size = [], bool(values[skip:]), 0
        if "repeated id" in request.faults and page:
            page = [*page, page[0]]
        if "shrinking page" in request.faults and page:
            page = page[:-1]
        origin = self.faults.elsewhere if "link away" in request.faults else self.origin
        answer = {"@odata.context": f"{self.origin}/v1.0/$metadata#x", "value": page}
        if rest:
            answer["@odata.nextLink"] = f"{origin}{split.path}?{kept}&$skiptoken={start}.{upto}.{skip + size}"
        else:
            answer["@odata.deltaLink"] = f"{origin}{split.path}?{kept}&$deltatoken={upto}.{upto}.0"
        return Response.of(answer)

    def _message(self, request, mailbox, message, words, immutable):
        if request.method == "GET" and words == ["$value"]:
            if message.id in mailbox.unconvertible or "no conversion" in request.faults:
                return self.error(500, "ErrorMimeContentConversionFailed", "MIME content conversion failed.")
            return Response(200, message.raw, "text/plain", chunked=True)
        if request.method == "GET" and not words:
            return Response.of(self._message_json(message, mailbox, request, immutable))
        if self.read_only:
            return self.error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if request.method == "PATCH" and not words:
            message.is_read = request.json().get("isRead", message.is_read)
            self._changed(mailbox, message)
            return Response.of(self._message_json(message, mailbox, request, immutable))
        if request.method == "POST" and words == ["move"]:
            target = mailbox.folder_of(request.json()["destinationId"])
            if target is None:
                return self.error(404, "ErrorItemNotFound")
            self._leave(mailbox, message, target)
            return Response.of(self._message_json(message, mailbox, request, immutable), 201)
        if request.method == "DELETE" and not words:
            self._leave(mailbox, message, None)
            return Response(204)
        if request.method == "POST" and words == ["permanentDelete"] and self.has_permanent_delete:
            self._leave(mailbox, message, None)
            return Response(204)
        return self.error(405, "Request_BadRequest", "Specified HTTP method is not allowed.")
