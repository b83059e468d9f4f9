"""A real Cyrus with JMAP on loopback, from Debian packages that are unpacked and not installed, and before it, where a
test wants that, a proxy that takes Bearer tokens, which Debian's Cyrus does not."""

import base64
import grp
import http.client
import imaplib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

from support import debian_packages
from support.http_fake import HttpFake, MailboxServer, Response
from support.net import HOST, PATIENCE, free_port, wait_until

PACKAGES = ["cyrus-common", "cyrus-caldav", "cyrus-imapd", "sasl2-bin"]
LIBRARIES = re.compile(r"^lib(ical|pcre|shp|wrap|xapian|zephyr|cap-ng|chardet|sqlite3-)\d[\w-]*$")

_PASSWORD = "correct horse"
_MAIL = "urn:ietf:params:jmap:mail"
_USING = ["urn:ietf:params:jmap:core", _MAIL]

_IMAPD_CONF = """
configdirectory: {d}/conf
defaultpartition: default
partition-default: {d}/data
proc_path: {d}/proc
mboxname_lockpath: {d}/lock
lmtpsocket: {d}/sock/lmtp
idlesocket: {d}/sock/idle
notifysocket: {d}/sock/notify
sievedir: {d}/sieve
cyrus_user: {user}
cyrus_group: {group}
servername: localhost
admins: cyrusadmin
altnamespace: yes
unixhierarchysep: yes
virtdomains: off
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {d}/sasldb2
sasl_mech_list: PLAIN LOGIN
httpmodules: jmap
conversations: yes
conversations_db: twoskip
search_engine: none
duplicatesuppression: no
specialusealways: yes
autocreate_quota: 0
autocreate_post: yes
autocreate_inbox_folders: Drafts | Sent | Trash | Archive
xlist-drafts: Drafts
xlist-sent: Sent
xlist-trash: Trash
xlist-archive: Archive
{tls}
{more}
"""

_CYRUS_CONF = """
START {{
  recover cmd="{b}/ctl_cyrusdb -C {d}/imapd.conf -r"
}}
SERVICES {{
  http cmd="{b}/httpd -C {d}/imapd.conf" listen="{host}:{port}" prefork=0
  https cmd="{b}/httpd -s -C {d}/imapd.conf" listen="{host}:{tls_port}" prefork=0
  lmtpunix cmd="{b}/lmtpd -C {d}/imapd.conf" listen="{d}/sock/lmtp" prefork=0
  imap cmd="{b}/imapd -C {d}/imapd.conf" listen="{host}:{imap_port}" prefork=0
}}
EVENTS {{
}}
"""


class Cyrus(MailboxServer):
    """settings: lines of imapd.conf, {"jmap_max_objects_in_get": "5"}."""

    folds_copies = True
    gives_moved = False
    gives_removed = True
    tells_gone = False  # ids that never were are reported as destroyed
    most_refused = 40   # Email/import wants proper lines: no bare LF, no NUL

    def __init__(self, certificates, settings=None):
        self._root = debian_packages.unpacked("cyrus", PACKAGES, LIBRARIES)
        self._programs = next(path.parent for path in self._root.rglob("ctl_cyrusdb"))
        self.directory = Path(tempfile.mkdtemp(prefix="cyrus-"))
        self.port, self.tls_port, self.imap_port = free_port(), free_port(), free_port()
        self.options = {"ca_file": str(certificates.ca)}
        self.backend = f"jmaps://localhost:{self.tls_port}"
        self._most_in_get = int((settings or {}).get("jmap_max_objects_in_get", 500))
        self._users = 0
        self._clock = 1_700_000_000
        self._accounts = {}  # user -> (account, {role: mailbox id}, upload URL)
        as_user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        group = grp.getgrgid(pwd.getpwnam(as_user).pw_gid).gr_name
        values = {"d": self.directory, "b": self._programs, "user": as_user, "group": group, "host": HOST,
                  "port": self.port, "tls_port": self.tls_port, "imap_port": self.imap_port,
                  "tls": f"tls_server_cert: {self.directory}/cert.pem\ntls_server_key: {self.directory}/key.pem",
                  "more": "\n".join(f"{name}: {value}" for name, value in (settings or {}).items())}
        for name in ("conf", "data", "proc", "lock", "sock", "sieve"):
            (self.directory / name).mkdir()
        shutil.copy(certificates.server.certificate, self.directory / "cert.pem")
        shutil.copy(certificates.server.key, self.directory / "key.pem")
        (self.directory / "imapd.conf").write_text(_IMAPD_CONF.format(**values))
        (self.directory / "cyrus.conf").write_text(_CYRUS_CONF.format(**values))
        self._owner = as_user
        self._add_sasl_user("cyrusadmin")
        self._give(self.directory)
        self._run_master()

    # --- running it

    def _environment(self):
        folders = sorted({str(path.parent) for path in self._root.rglob("*.so*")})
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}

    def _run(self, program, *arguments, stdin=b""):
        path = next((each for each in (self._programs / program, *self._root.rglob(program)) if each.is_file()))
        return subprocess.run([path, *map(str, arguments)], input=stdin, env=self._environment(), check=True,
                              capture_output=True, timeout=PATIENCE)

    def _run_master(self):
        pid_file = self.directory / "master.pid"
        subprocess.run([self._programs / "master", "-C", self.directory / "imapd.conf", "-M",
                        self.directory / "cyrus.conf", "-p", pid_file, "-d", "-L", self.directory / "master.log"],
                       env=self._environment(), check=True, timeout=PATIENCE)
        wait_until(self._answers, "Cyrus", timeout=2 * PATIENCE)

    def _answers(self):
        try:
            connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)
            connection.request("GET", "/jmap/")
            return connection.getresponse().status == 401
        except OSError:
            return False

    def stop(self):
        try:
            os.kill(int((self.directory / "master.pid").read_text()), signal.SIGTERM)
            wait_until(lambda: not self._children(), "the end of Cyrus")
        finally:
            for process in self._children():
                os.kill(process, signal.SIGKILL)
            shutil.rmtree(self.directory, ignore_errors=True)

    def _children(self):
        found = subprocess.run(["pgrep", "-f", str(self.directory / "imapd.conf")], capture_output=True, text=True,
                               check=False)
        return [int(word) for word in found.stdout.split()]

    def _give(self, path):
        if os.geteuid() != 0:
            return
        shutil.chown(path, self._owner)
        for each in Path(path).rglob("*"):
            shutil.chown(each, self._owner)

    def _add_sasl_user(self, user):
        self._run("saslpasswd2", "-p", "-c", "-f", self.directory / "sasldb2", "-u", "localhost", user,
                  stdin=_PASSWORD.encode())
        self._give(self.directory / "sasldb2") if os.geteuid() != 0 else shutil.chown(self.directory / "sasldb2",
                                                                                      self._owner)

    # --- what tests do

    def new_user(self):
        self._users += 1
        user = f"user{self._users}"
        self._add_sasl_user(user)
        # The first delivery makes the mailboxes; the message goes again.
        self._run("deliver", "-C", self.directory / "imapd.conf", "-r", "a@example.org", user,
                  stdin=b"Subject: first\r\n\r\nfirst\r\n")
        session = self._get(user, "/jmap/")
        account = session["primaryAccounts"][_MAIL]
        self._accounts[user] = (account, {}, session["uploadUrl"].replace("{accountId}", account))
        mailboxes = self.call(user, ["Mailbox/get", {"ids": None}])["list"]
        self._accounts[user][1].update({each["role"]: each["id"] for each in mailboxes if each["role"]})
        self._accounts[user][1].update({each["name"].lower(): each["id"] for each in mailboxes if not each["role"]})
        self._destroy(user, self.ids(user))
        return user, _PASSWORD

    def call(self, user, *calls):
        """The arguments of the last call's response."""
        account = self._accounts[user][0]
        body = {"using": _USING,
                "methodCalls": [[name, {"accountId": account, **arguments}, str(number)]
                                for number, (name, arguments) in enumerate(calls)]}
        answer = json.loads(self._post(user, "/jmap/", json.dumps(body).encode(), "application/json"))
        name, arguments, _ = answer["methodResponses"][-1]
        assert name != "error", arguments
        return arguments

    def deliver(self, user, raw):
        account, mailboxes, upload = self._accounts[user]
        raw = re.sub(rb"\r?\n", b"\r\n", raw)
        try:
            blob = json.loads(self._post(user, upload, raw, "message/rfc822"))["blobId"]
        except urllib.error.HTTPError as error:
            raise self.Refused(error) from error
        self._clock += 1
        received = datetime.fromtimestamp(self._clock, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        email = {"blobId": blob, "mailboxIds": {mailboxes["inbox"]: True}, "receivedAt": received}
        answer = self.call(user, ("Email/import", {"emails": {"1": email}}))
        if not (answer.get("created") or {}).get("1"):
            refusal = (answer.get("notCreated") or {}).get("1")
            raise self.Refused(refusal)
        return raw

    def ids(self, user, role="inbox"):
        """Of the Emails in a folder, the oldest first."""
        order = {"filter": {"inMailbox": self._accounts[user][1][role]},
                 "sort": [{"property": "receivedAt", "isAscending": True}]}
        return self.call(user, ("Email/query", order))["ids"]

    def _emails(self, user, role):
        ids, emails = self.ids(user, role), []
        for begin in range(0, len(ids), self._most_in_get):
            got = self.call(user, ("Email/get", {"ids": ids[begin:begin + self._most_in_get],
                                                 "properties": ["id", "blobId", "keywords", "receivedAt"]}))["list"]
            emails += got
        return sorted(emails, key=lambda each: (each["receivedAt"], each["id"]))

    def _raw(self, user, email):
        account = self._accounts[user][0]
        return self._request(user, "GET", f"/jmap/download/{account}/{email['blobId']}/x?accept=message%2Frfc822")

    def messages(self, user):
        return [self._raw(user, each) for each in self._emails(user, "inbox")]

    def _destroy(self, user, ids):
        if ids:
            self.call(user, ("Email/set", {"destroy": ids}))

    def file(self, user, email_id, *folders):
        """Its owner files an Email in these folders and no other."""
        mailboxes = {self._accounts[user][1][each]: True for each in folders}
        answer = self.call(user, ("Email/set", {"update": {email_id: {"mailboxIds": mailboxes}}}))
        assert email_id in answer["updated"], answer

    def new_folder(self, user, name, parent=None):
        mailboxes = self._accounts[user][1]
        order = {"name": name, "parentId": parent and mailboxes[parent]}
        mailboxes[name.lower()] = self.call(user, ("Mailbox/set", {"create": {"1": order}}))["created"]["1"]["id"]

    def share(self, user, other):
        """`other` may do all with the mailboxes of `user`."""
        with imaplib.IMAP4(HOST, self.imap_port, timeout=PATIENCE) as imap:
            imap.login(user, _PASSWORD)
            for mailbox in ("INBOX", "Trash", "Archive"):
                assert imap.setacl(mailbox, other, "lrswipkxtecdan")[0] == "OK"

    def remove(self, user, index):
        self._destroy(user, [self.ids(user)[index]])

    def is_seen(self, user, index):
        return "$seen" in (self._emails(user, "inbox")[index]["keywords"] or {})

    def folder(self, user, which):
        return [self._raw(user, each) for each in self._emails(user, which)]

    def _get(self, user, path):
        return json.loads(self._request(user, "GET", path))

    def _post(self, user, path, body, content_type):
        return self._request(user, "POST", path, body, {"Content-Type": content_type})

    def _request(self, user, method, path, body=None, headers=None):
        credential = base64.b64encode(f"{user}:{_PASSWORD}".encode()).decode()
        request = urllib.request.Request(f"http://{HOST}:{self.port}{path}", data=body, method=method,
                                         headers={"Authorization": f"Basic {credential}", **(headers or {})})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read()


class BearerProxy(HttpFake):
    """Takes Bearer tokens and speaks Basic to the Cyrus behind it."""

    def __init__(self, certificates, settings=None):
        self.cyrus = Cyrus(certificates, settings)
        super().__init__(certificates.server)
        self.backend = f"jmaps://localhost:{self.port}"
        self.options = {"ca_file": str(certificates.ca), "http_auth": "bearer"}

    folds_copies, tells_gone, most_refused = Cyrus.folds_copies, Cyrus.tells_gone, Cyrus.most_refused
    gives_moved, gives_removed = Cyrus.gives_moved, Cyrus.gives_removed

    def stop(self):
        super().stop()
        self.cyrus.stop()

    def new_user(self):
        user, _ = self.cyrus.new_user()
        return user, self.new_token(user)

    def __getattr__(self, name):
        return getattr(self.cyrus, name)

    def deliver(self, user, raw):
        return self.cyrus.deliver(user, raw)

    def messages(self, user):
        return self.cyrus.messages(user)

    def remove(self, user, index):
        self.cyrus.remove(user, index)

    def is_seen(self, user, index):
        return self.cyrus.is_seen(user, index)

    def folder(self, user, which):
        return self.cyrus.folder(user, which)

    def gzips(self, request):
        return False

    def respond(self, request, user):
        credential = base64.b64encode(f"{user}:{_PASSWORD}".encode()).decode()
        headers = {name: value for name, value in request.headers.items()
                   if name not in ("authorization", "connection", "accept-encoding", "content-length")}
        connection = http.client.HTTPConnection(HOST, self.cyrus.port, timeout=PATIENCE)
        connection.request(request.method, request.target, request.body or None,
                           {**headers, "Authorization": f"Basic {credential}"})
        answer = connection.getresponse()
        body = answer.read()
        kept = {name: value for name, value in answer.getheaders() if name.lower() in ("location", "www-authenticate")}
        if "Location" in kept:
            kept["Location"] = kept["Location"].replace("http:", "https:")
        return Response(answer.status, body, answer.getheader("Content-Type") or "text/plain", kept)
