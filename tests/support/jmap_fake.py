"""JMAP (RFC 8620, RFC 8621) as far as a mailbox needs it: what a strict server does, and what Cyrus does not show."""

import datetime
import hashlib
import re

from support.http_fake import HttpFake, Response

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"

# Faults that only JMAP has, for FaultPlan; the methods they touch answer as RFC 8620 lets them.
JMAP_FAULTS = ("cannotCalculateChanges", "rateLimit", "requestTooLarge", "serverFail", "serverUnavailable",
               "limit 400", "vanished", "repeated id", "shrinking page", "other query state", "lying size",
               "blob gone", "no email", "api away")

_RIGHTS = ("mayReadItems", "mayAddItems", "mayRemoveItems", "maySetSeen", "maySetKeywords", "mayCreateChild",
           "mayRename", "mayDelete", "maySubmit")


FOLDERS = {"inbox": "mb-in", "trash": "mb-trash", "archive": "mb-arch", "work": "mb-work", "bills": "mb-bills"}


class _Email:
    def __init__(self, number, raw, mailboxes, date, content_ids):
        self.id = "M" + hashlib.sha1(raw).hexdigest()[:24] if content_ids else f"Me{number:08x}"
        self.blob = f"Gb{number:08x}"
        self.raw = raw
        self.mailboxes = set(mailboxes)
        self.keywords = {}
        self.date = date


class _Account:
    def __init__(self, user):
        self.id = "u" + re.sub(r"\W", "", user)
        self.emails = {}   # id -> _Email, in the order of delivery
        self.blobs = {}
        self.state = 1
        self.log = []      # (state, email id, "created" | "updated" | "destroyed")
        self.mailboxes = {"mb-in": ("Inbox", "inbox", None), "mb-trash": ("Trash", "trash", None),
                          "mb-arch": ("Archive", "archive", None), "mb-work": ("Work", None, None),
                          "mb-bills": ("Bills", None, "mb-work")}

    def note(self, email, what):
        self.state += 1
        self.log.append((self.state, email.id, what))


class _MethodError(Exception):
    def __init__(self, kind, description=""):
        super().__init__(kind)
        self.value = {"type": kind, "description": description}


class JmapFake(HttpFake):
    """limits       of the Session object, over the RFC's suggested minimums
    content_ids  an Email's id is made of its octets, as Cyrus makes it
    """

    public = ("/.well-known/jmap",)
    gives_moved = False  # popgate looks
    gives_removed = True  # by the blob

    most_refused = 1

    def __init__(self, certificate=None, *, ca_file=None, bearer=False, limits=None, absolute=False, clamp=None,
                 content_ids=False):
        super().__init__(certificate)
        self.limits = {"maxSizeUpload": 50_000_000, "maxConcurrentUpload": 4, "maxSizeRequest": 10_000_000,
                       "maxConcurrentRequests": 4, "maxCallsInRequest": 16, "maxObjectsInGet": 500,
                       "maxObjectsInSet": 500, "collationAlgorithms": ["i;ascii-casemap"], **(limits or {})}
        self.bearer = bearer
        self.absolute = absolute  # whether the Session object's URLs are
        self.clamp = clamp        # the largest limit of Email/query
        self.remembered = 10_000  # changes, after which cannotCalculateChanges
        self.folds_copies = self.content_ids = content_ids
        self.location = f"{self.origin}/jmap/session"  # where the Session object is, as the redirect to it says
        self.accounts = {}
        self.shared = {}          # user -> those who may open the user's mailbox
        scheme = "jmaps" if certificate else "jmap"
        self.backend = f"{scheme}://127.0.0.1:{self.port}"
        self.options = {"ca_file": str(ca_file)} if ca_file else {}
        if bearer:
            self.options["http_auth"] = "bearer"
        self._clock = 1_700_000_000
        self._number = 0

    # --- what tests do

    def new_user(self):
        user = self.name_user()
        with self.lock:
            self.accounts[user] = _Account(user)
            if self.bearer:
                return user, self.new_token(user)
            self.passwords[user] = f"password-of-{user}"
            return user, self.passwords[user]

    def deliver(self, user, raw, mailboxes=("mb-in",)):
        if not raw:
            raise self.Refused("a message without a header")
        with self.lock:
            account = self.accounts[user]
            self._clock += 1
            self._number += 1
            email = _Email(self._number, raw, mailboxes, self._clock, self.content_ids)
            if email.id in account.emails:
                raise self.Refused("alreadyExists")
            account.emails[email.id] = email
            account.blobs[email.blob] = raw
            account.note(email, "created")
            return raw

    def emails(self, user, mailbox="mb-in"):
        return [each for each in self.accounts[user].emails.values() if mailbox in each.mailboxes]

    def ids(self, user, folder="inbox"):
        with self.lock:
            return [each.id for each in self.emails(user, FOLDERS[folder])]

    def file(self, user, email_id, *folders):
        """Its owner files an Email in these folders and no other."""
        with self.lock:
            email = self.accounts[user].emails[email_id]
            email.mailboxes = {FOLDERS[each] for each in folders}
            self.accounts[user].note(email, "updated")

    def messages(self, user):
        with self.lock:
            return [each.raw for each in self.emails(user)]

    def remove(self, user, index):
        with self.lock:
            self._destroy(self.accounts[user], self.emails(user)[index])

    def is_seen(self, user, index):
        with self.lock:
            return "$seen" in self.emails(user)[index].keywords

    def folder(self, user, which):
        with self.lock:
            return [each.raw for each in self.emails(user, FOLDERS[which])]

    # --- what the API does

    @staticmethod
    def _destroy(account, email):
        del account.emails[email.id]
        account.note(email, "destroyed")

    def error(self, status, reason="", message=""):
        if status == 401:
            return Response(401, b"<html><body>Unauthorized</body></html>", "text/html")
        kind = {400: reason or f"{CORE.replace('jmap:core', 'jmap:error')}:limit"}.get(status, "about:blank")
        return Response.of({"type": kind, "status": status, "detail": message or reason}, status,
                           content_type="application/problem+json")

    def respond(self, request, user):
        if request.path == "/.well-known/jmap":
            return Response(301, b"", "text/html", {"Location": self.location})
        accounts = {self.accounts[each].id: self.accounts[each]
                    for each in (user, *(owner for owner, others in self.shared.items() if user in others))}
        if request.path == "/jmap/session":
            return Response.of(self._session(request, user, accounts))
        if request.path == "/jmap/api" and request.method == "POST":
            return self._api(request, accounts)
        if match := re.fullmatch(r"/jmap/blob/([^/]+)/([^/]+)/[^/]+", request.path):
            if match[1] not in accounts or match[2] not in accounts[match[1]].blobs or "blob gone" in request.faults:
                return Response(404, b"<html><body>Not Found</body></html>", "text/html")
            return Response(200, accounts[match[1]].blobs[match[2]], request.value("accept", "application/octet-stream"))
        return self.error(404, "notFound")

    def _session(self, request, user, accounts):
        own = self.accounts[user].id
        names = {self.accounts[each].id: each for each in self.accounts}
        base = self.origin if self.absolute else ""
        api = self.faults.elsewhere if "api away" in request.faults else base
        return {"capabilities": {CORE: self.limits, MAIL: {}},
                "accounts": {each: {"name": names[each], "isPersonal": each == own, "isReadOnly": False,
                                    "accountCapabilities": {MAIL: None}} for each in accounts},
                "primaryAccounts": {MAIL: own, "urn:ietf:params:jmap:contacts": own}, "username": user,
                "apiUrl": f"{api}/jmap/api", "uploadUrl": f"{base}/jmap/upload/{{accountId}}/",
                "downloadUrl": f"{base}/jmap/blob/{{accountId}}/{{blobId}}/{{name}}?accept={{type}}",
                "eventSourceUrl": f"{base}/jmap/event/?types={{types}}&closeafter={{closeafter}}&ping={{ping}}",
                "state": "0"}

    def _api(self, request, accounts):
        if "application/json" not in request.header("content-type"):
            return Response(415, b"<html><body>Unsupported Media Type</body></html>", "text/html")
        problem = "urn:ietf:params:jmap:error:"
        try:
            order = request.json()
            calls = order["methodCalls"]
        except (ValueError, KeyError, TypeError):
            return self.error(400, problem + "notJSON")
        if set(order["using"]) - {CORE, MAIL}:
            return self.error(400, problem + "unknownCapability")
        for name, found in (("maxCallsInRequest", len(calls)), ("maxSizeRequest", len(request.body))):
            if found > self.limits[name] or "limit 400" in request.faults:
                return Response.of({"type": problem + "limit", "limit": name, "status": 400}, 400,
                                   content_type="application/problem+json")
        responses = []
        for name, arguments, call_id in calls:
            try:
                arguments = self._resolve(arguments, responses)
                account = accounts.get(arguments.pop("accountId", None))
                if account is None:
                    raise _MethodError("accountNotFound")
                for fault in ("serverFail", "serverUnavailable"):
                    if fault in request.faults:
                        raise _MethodError(fault)
                method = getattr(self, "_" + name.replace("/", "_").lower(), None)
                if method is None:
                    raise _MethodError("unknownMethod")
                responses.append([name, {"accountId": account.id, **method(request, account, **arguments)}, call_id])
            except _MethodError as error:
                responses.append(["error", error.value, call_id])
            except TypeError as error:  # an argument that the method does not have
                responses.append(["error", {"type": "invalidArguments", "description": str(error)}, call_id])
        return Response.of({"methodResponses": responses, "sessionState": "0"})

    @staticmethod
    def _resolve(arguments, responses):
        """Arguments with their back-references (RFC 8620 §3.7) filled in."""
        resolved = {}
        for name, value in arguments.items():
            if not name.startswith("#"):
                resolved[name] = value
                continue
            found = [each[1] for each in responses if each[2] == value["resultOf"] and each[0] == value["name"]]
            if not found:
                raise _MethodError("invalidResultReference")
            at = found[0]
            words = value["path"].split("/")[1:]
            for place, word in enumerate(words):
                if word == "*":
                    at = [each[words[place + 1]] for each in at]
                    break
                at = at[word]
            resolved[name[1:]] = at
        return resolved

    def _check_count(self, request, ids, limit):
        if len(ids) > self.limits[limit] or "requestTooLarge" in request.faults:
            raise _MethodError("requestTooLarge")

    def _core_echo(self, request, account, **arguments):
        return arguments

    def _mailbox_get(self, request, account, ids=None, properties=None):
        found = []
        for key, (name, role, parent) in account.mailboxes.items():
            if ids is not None and key not in ids:
                continue
            emails = [each for each in account.emails.values() if key in each.mailboxes]
            whole = {"id": key, "name": name, "role": role, "parentId": parent, "sortOrder": 0, "isSubscribed": True,
                     "totalEmails": len(emails), "unreadEmails": sum("$seen" not in each.keywords for each in emails),
                     "totalThreads": len(emails), "unreadThreads": 0,
                     "myRights": {right: True for right in _RIGHTS}}
            found.append({name: value for name, value in whole.items() if properties is None or name == "id"
                          or name in properties})
        missing = [each for each in ids or () if each not in account.mailboxes]
        return {"state": str(account.state), "list": found, "notFound": missing}

    def _email_query(self, request, account, filter=None, sort=None, position=0, limit=None, calculateTotal=False,
                     anchor=None, collapseThreads=False):
        if any(each["property"] != "receivedAt" for each in sort or ()):
            raise _MethodError("unsupportedSort")
        mailbox = (filter or {}).get("inMailbox")
        if set(filter or {}) - {"inMailbox", "notKeyword", "hasKeyword"}:
            raise _MethodError("unsupportedFilter")
        emails = [each for each in account.emails.values() if mailbox is None or mailbox in each.mailboxes]
        if "notKeyword" in (filter or {}):
            emails = [each for each in emails if filter["notKeyword"] not in each.keywords]
        emails.sort(key=lambda each: each.date)
        if sort and not sort[0].get("isAscending", True):
            emails.reverse()
        ids = [each.id for each in emails]
        answer = {"queryState": f"q{account.state}", "canCalculateChanges": False, "position": position}
        if "other query state" in request.faults:
            answer["queryState"] += "x"
        if self.clamp and (limit is None or limit > self.clamp):
            limit = answer["limit"] = self.clamp
        page = ids[position:] if limit is None else ids[position:position + limit]
        if "repeated id" in request.faults and page:
            page = [*page[:-1], page[0]] if len(page) > 1 else page
        if "shrinking page" in request.faults:
            page = page[:-1]
        answer["ids"] = page
        if calculateTotal:
            answer["total"] = len(ids)
        return answer

    def _email_get(self, request, account, ids=None, properties=None, **_):
        if ids is None:
            raise _MethodError("requestTooLarge")
        self._check_count(request, ids, "maxObjectsInGet")
        found, missing = [], []
        for each in ids:
            email = account.emails.get(each)
            if email is None or ("vanished" in request.faults and each == ids[0]):
                missing.append(each)
                continue
            date = datetime.datetime.fromtimestamp(email.date, datetime.timezone.utc)
            size = 4_000_000_000 if "lying size" in request.faults else len(email.raw)
            whole = {"id": email.id, "blobId": email.blob, "threadId": "T" + email.id, "size": size,
                     "mailboxIds": {mailbox: True for mailbox in sorted(email.mailboxes)},
                     "keywords": dict(email.keywords), "receivedAt": date.strftime("%Y-%m-%dT%H:%M:%SZ")}
            found.append({name: value for name, value in whole.items() if properties is None or name == "id"
                          or name in properties})
        return {"state": str(account.state), "list": found, "notFound": missing}

    def _email_changes(self, request, account, sinceState, maxChanges=None):
        try:
            since = int(sinceState)
        except ValueError:
            raise _MethodError("cannotCalculateChanges") from None
        if not account.state - self.remembered <= since <= account.state or since < 1 \
                or "cannotCalculateChanges" in request.faults:
            raise _MethodError("cannotCalculateChanges")
        records = [each for each in account.log if each[0] > since]
        more = maxChanges is not None and len(records) > maxChanges
        if more:
            records = records[:maxChanges]
        new_state = records[-1][0] if records else account.state
        changes = {}  # email -> what it comes to
        for _, email, what in records:
            before = changes.get(email)
            if what == "destroyed":
                changes[email] = None if before == "created" else "destroyed"
            elif what == "created":
                changes[email] = "updated" if before == "destroyed" else "created"
            elif before is None and email not in changes:
                changes[email] = what
        answer = {"oldState": sinceState, "newState": str(new_state), "hasMoreChanges": more}
        for what in ("created", "updated", "destroyed"):
            answer[what] = [email for email, came_to in changes.items() if came_to == what]
        return answer

    def _email_set(self, request, account, ifInState=None, create=None, update=None, destroy=None):
        if ifInState is not None and ifInState != str(account.state):
            raise _MethodError("stateMismatch")
        self._check_count(request, [*(update or ()), *(destroy or ())], "maxObjectsInSet")
        answer = {"oldState": str(account.state), "created": {}, "notCreated": {}, "updated": {}, "notUpdated": {},
                  "destroyed": [], "notDestroyed": {}}
        limited = "rateLimit" in request.faults
        for number, (email_id, patch) in enumerate((update or {}).items()):
            email = account.emails.get(email_id)
            if email is None:
                answer["notUpdated"][email_id] = {"type": "notFound", "description": None}
            elif limited and number % 2 == 0:
                answer["notUpdated"][email_id] = {"type": "rateLimit", "description": "slow down"}
            elif (refusal := self._patch(account, email, patch)):
                answer["notUpdated"][email_id] = refusal
            else:
                account.note(email, "updated")
                answer["updated"][email_id] = None
        for number, email_id in enumerate(destroy or ()):
            email = account.emails.get(email_id)
            if email is None:
                answer["notDestroyed"][email_id] = {"type": "notFound", "description": None}
            elif limited and number % 2 == 0:
                answer["notDestroyed"][email_id] = {"type": "rateLimit", "description": "slow down"}
            else:
                self._destroy(account, email)
                answer["destroyed"].append(email_id)
        answer["newState"] = str(account.state)
        # Empty results are null, as Cyrus's.
        return {name: value or None if name not in ("oldState", "newState") else value
                for name, value in answer.items()}

    @staticmethod
    def _patch(account, email, patch):
        mailboxes, keywords = set(email.mailboxes), dict(email.keywords)
        for path, value in patch.items():
            name, _, key = path.partition("/")
            if name == "mailboxIds" and not key:
                mailboxes = {each for each, there in value.items() if there}
            elif name == "mailboxIds":
                (mailboxes.add if value else mailboxes.discard)(key)
            elif name == "keywords" and key:
                if value:
                    keywords[key] = True
                else:
                    keywords.pop(key, None)
            else:
                return {"type": "invalidPatch", "description": None}
        if not mailboxes or mailboxes - set(account.mailboxes):
            return {"type": "invalidProperties", "description": None, "properties": ["mailboxIds"]}
        email.mailboxes, email.keywords = mailboxes, keywords
        return None
