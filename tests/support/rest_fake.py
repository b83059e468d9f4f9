"""The REST APIs of WildDuck and Mailpit as far as a mailbox needs them, with their limits and moods."""

import base64
import re
import time

from support.http_fake import HttpFake, Response

# Faults that lists in pages have, for FaultPlan: a page without messages that is not the last; a message told twice; a
# page that lacks what was on it a moment ago; one that leads to itself; an element that is no message; sizes that are
# nonsense; a message that is gone when it is asked for.
REST_FAULTS = ("empty page", "repeated id", "shrinking page", "same page", "stray element", "lying size", "vanished")


class _Message:
    def __init__(self, message_id, raw, date):
        self.id = message_id
        self.raw = raw
        self.date = date
        self.seen = False

    @property
    def rfc3339(self):
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.date))


class _RestFake(HttpFake):
    def __init__(self, certificate=None, *, ca_file=None):
        super().__init__(certificate)
        self.backend = f"rest:{self.origin}"
        self.options = {"rest_api": self.api} | ({"ca_file": str(ca_file)} if ca_file else {})
        self._numbers = 0
        self._clock = 1_700_000_000

    def _new_message(self, raw):
        self._numbers += 1
        self._clock += 1
        # Both give lines that end in CRLF.
        return _Message(self._number_as_id(), re.sub(rb"\r?\n", b"\r\n", raw), self._clock)

    def deliver(self, user, raw):
        with self.lock:
            message = self._new_message(raw)
            self.inbox(user).append(message)
            return message.raw

    def messages(self, user):
        with self.lock:
            return [each.raw for each in self.inbox(user)]

    def remove(self, user, index):
        with self.lock:
            del self.inbox(user)[index]

    def is_seen(self, user, index):
        with self.lock:
            return self.inbox(user)[index].seen

    def _told(self, faults, page):
        """A page's messages with what is wrong with it; each may be of this kind or None."""
        page = list(page)
        if "empty page" in faults:
            page = []
        if "repeated id" in faults and page:
            page.append(page[0])
        if "shrinking page" in faults:
            page = page[:-1]
        if "stray element" in faults and page:
            page[-1] = None
        return page


class WildDuckFake(_RestFake):
    """Tokens instead of passwords, ids that are numbers within a folder, sizes that lack the last line end."""

    api = "wildduck"

    def __init__(self, certificate=None, **more):
        self.accounts = {}  # user -> {folder id: [_Message]}
        self.page_limit = 250  # a test may have fewer in a page than were asked for
        super().__init__(certificate, **more)

    def _number_as_id(self):
        return self._numbers  # of the whole server, where the real one counts in each folder

    def _folder_id(self, user, name):
        number = list(self.accounts).index(user)
        return f"{number:020x}" + {"INBOX": "0001", "Trash": "0002", "Archive": "0003"}[name]

    def new_user(self):
        user = self.name_user()
        with self.lock:
            self.accounts[user] = {}
            for name in ("INBOX", "Trash", "Archive"):
                self.accounts[user][self._folder_id(user, name)] = []
        return user, self.new_token(user)

    def inbox(self, user):
        return self.accounts[user][self._folder_id(user, "INBOX")]

    def folder(self, user, which):
        with self.lock:
            return [each.raw for each in self.accounts[user].get(self._folder_id(user, which.capitalize()), ())]

    def remove_folder(self, user, which):
        with self.lock:
            del self.accounts[user][self._folder_id(user, which.capitalize())]

    def user_of(self, request):
        return self.tokens.get(request.header("x-access-token"))

    def error(self, status, reason="", message=""):
        return Response.of({"error": message or reason, "code": reason}, status)

    def unauthorized(self):
        return self.error(403, "InvalidToken", "Invalid API Token")

    def respond(self, request, user):
        folders = self.accounts[user]
        match = re.fullmatch(r"/users/me/mailboxes(?:/([0-9a-f]{24})/messages(?:/(\d+)(/message\.eml)?)?)?", request.path)
        if not match:
            return self.error(404, "ResourceNotFound", f"{request.path} does not exist")
        folder_id, number, eml = match.groups()
        if folder_id is None:
            uses = {"0001": None, "0002": "\\Trash", "0003": "\\Archive"}
            names = {"0001": "INBOX", "0002": "Trash", "0003": "Archive"}
            return Response.of({"success": True, "results": [
                {"id": each, "name": names[each[-4:]], "path": names[each[-4:]], "specialUse": uses[each[-4:]],
                 "modifyIndex": 1, "subscribed": True, "hidden": False} for each in folders]})
        if folder_id not in folders:
            return self.error(404, "NoSuchMailbox", "This mailbox does not exist")
        if number is None:
            return self._list(request, folder_id, folders[folder_id])
        message = next((each for each in folders[folder_id] if each.id == int(number)), None)
        if message is None or "vanished" in request.faults:
            return self.error(404, "MessageNotFound", "Message was not found")
        if request.method == "GET" and eml:
            return Response(200, message.raw, "message/rfc822", chunked=True)
        if request.method == "DELETE" and not eml:
            folders[folder_id].remove(message)
            return Response.of({"success": True})
        if request.method == "PUT" and not eml:
            return self._update(request.json(), folders, folder_id, message)
        return self.error(405, "MethodNotAllowed", f"{request.method} is not allowed")

    def _list(self, request, folder_id, messages):
        limit = request.value("limit", "20")
        if not limit.isdigit() or not 1 <= int(limit) <= 250 or request.value("order", "asc") not in ("asc", "desc"):
            return self.error(400, "InputValidationError", "\"limit\" must be less than or equal to 250")
        cursor = request.value("next")
        after = int(base64.urlsafe_b64decode(cursor)) if cursor else 0
        rest = [each for each in messages if each.id > after]
        page = rest[:min(int(limit), self.page_limit)]
        told = self._told(request.faults, page)
        goes_on = len(rest) > len(page)
        last = page[-1].id if page else after
        if "empty page" in request.faults or "same page" in request.faults:
            last, goes_on = after, True
        return Response.of({
            "success": True, "total": len(messages), "page": 1, "previousCursor": False,
            "nextCursor": base64.urlsafe_b64encode(str(last).encode()).decode() if goes_on else False,
            "specialUse": False, "results": [each and {
                "id": each.id, "mailbox": folder_id, "seen": each.seen, "idate": each.rfc3339, "date": each.rfc3339,
                "subject": "", "intro": "", "deleted": False, "flagged": False,
                "size": 4_000_000_000 if "lying size" in request.faults
                else len(each.raw) - (2 if each.raw.endswith(b"\n") else 0)} for each in told]})

    def _update(self, order, folders, folder_id, message):
        if "moveTo" in order:
            if order["moveTo"] not in folders:
                return self.error(404, "NoSuchMailbox", "Target mailbox was not found")
            folders[folder_id].remove(message)
            old = message.id
            self._numbers += 1
            message.id = self._numbers
            folders[order["moveTo"]].append(message)
            return Response.of({"success": True, "mailbox": order["moveTo"], "id": [[old, message.id]]})
        message.seen = order.get("seen", message.seen)
        return Response.of({"success": True, "updated": 1})


class MailpitFake(_RestFake):
    """One mailbox for everybody, newest first, deleted in batches: without ids that is all of it."""

    api = "mailpit"
    has_trash = False
    tells_gone = False

    def __init__(self, certificate=None, **more):
        self.all = []
        super().__init__(certificate, **more)

    def _number_as_id(self):
        return base64.b32encode(self._numbers.to_bytes(13, "big") + b"pit").decode().rstrip("=")

    def new_user(self):
        """Another one of the same mailbox, which is emptied."""
        user = self.name_user()
        with self.lock:
            self.all.clear()
            self.passwords[user] = f"secret of {user}"
            return user, self.passwords[user]

    def inbox(self, _user):
        return self.all

    def error(self, status, reason="", message=""):
        return Response(status, f"{message or reason}\n".encode(), "text/plain; charset=utf-8")

    def unauthorized(self):
        answer = self.error(401, "Unauthorised.")
        answer.headers["WWW-Authenticate"] = 'Basic realm="Login"'
        return answer

    def respond(self, request, user):
        if request.path == "/api/v1/messages":
            if request.method == "GET":
                return self._list(request)
            order = request.json() if request.body else {}
            chosen = [each for each in self.all if each.id in order["IDs"]] if order.get("IDs") else list(self.all)
            if request.method == "DELETE":
                self.all[:] = [each for each in self.all if each not in chosen]
                return Response(200, b"ok", "text/plain")
            if request.method == "PUT":
                for each in chosen:
                    each.seen = order.get("Read", False)
                return Response(200, b"ok", "text/plain")
        match = re.fullmatch("/api/v1/message/([^/]+)/raw", request.path)
        message = next((each for each in self.all if match and each.id == match[1]), None)
        if message is None or request.method != "GET" or "vanished" in request.faults:
            return self.error(404, "404 page not found")
        return Response(200, message.raw, "text/plain; charset=utf-8")

    def _list(self, request):
        start, limit = int(request.value("start", "0")), int(request.value("limit", "50"))
        if "same page" in request.faults:
            start = 0
        page = self.all[::-1][start:start + limit]
        told = self._told(request.faults, page)
        unread = sum(not each.seen for each in self.all)
        return Response.of({
            "total": len(self.all), "unread": unread, "count": len(page), "messages_count": len(self.all),
            "messages_unread": unread, "start": start, "tags": [], "messages": [each and {
                "ID": each.id, "MessageID": f"{each.id}@example.org", "Read": each.seen, "From": None, "To": [],
                "Cc": [], "Bcc": [], "ReplyTo": [], "Subject": "", "Created": each.rfc3339, "Tags": [],
                "Size": 4_000_000_000 if "lying size" in request.faults else len(each.raw), "Attachments": 0,
                "Snippet": ""} for each in told]})
