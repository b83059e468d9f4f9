"""A real MailDev: one mailbox for everybody who knows its password, filled over SMTP, read over its REST API."""

import base64
import http.client
import json
import smtplib
import subprocess
import tempfile

from support.http_fake import MailboxServer
from support.net import HOST, PATIENCE, free_port, wait_until
from support.npm import installed


class MailDev(MailboxServer):
    has_trash = False
    most_changed = 9  # SMTP ends every message with CRLF, one that ends with LF too
    user = "user@example.org"
    password = "s3cret pass"

    def __init__(self, certificates=None):
        self._counted = 0
        self._smtp = None
        self._directory = tempfile.TemporaryDirectory(prefix="popgate-maildev-")
        self.port, self._smtp_port = free_port(), free_port()
        program = installed("maildev") / "node_modules/maildev/bin/maildev"
        # Without a mail directory it makes one, which stays behind.
        self._process = subprocess.Popen(
            ["node", program, "--ip", HOST, "--smtp", str(self._smtp_port), "--web", str(self.port), "--web-user",
             self.user, "--web-pass", self.password, "--mail-directory", self._directory.name, "--silent"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.backend = f"rest:http://{HOST}:{self.port}"
        self.options = {"rest_api": "maildev"}
        try:
            wait_until(self._is_ready, "MailDev to answer")
        except BaseException:
            self.stop()
            raise

    def _is_ready(self):
        assert self._process.poll() is None, "MailDev has ended"
        try:
            with smtplib.SMTP(HOST, self._smtp_port, timeout=PATIENCE):
                return self.ask("GET", "/healthz").status == 200
        except OSError:
            return False

    def ask(self, method, path):
        """The answer, with its `octets`."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)
        try:
            credential = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            connection.request(method, path, headers={"Authorization": f"Basic {credential}"})
            answer = connection.getresponse()
            answer.octets = answer.read()
            return answer
        finally:
            connection.close()

    def _connected(self):
        """To its SMTP server, which makes each new connection wait for a tenth of a second."""
        try:
            if self._smtp and self._smtp.noop()[0] == 250:
                return self._smtp
        except smtplib.SMTPServerDisconnected:
            pass
        self._hang_up()
        self._smtp = smtplib.SMTP(HOST, self._smtp_port, timeout=PATIENCE)
        return self._smtp

    def _hang_up(self):
        if self._smtp:
            self._smtp.close()
            self._smtp = None

    def _list(self, skip=0):
        """With all that is in the messages, so that a list is as large as they are."""
        return json.loads(self.ask("GET", f"/email?skip={skip}").octets)

    def _count(self):
        """How many there are; the whole list is asked for only when some have gone."""
        skip = max(self._counted - 1, 0)
        rest = self._list(skip)
        if not rest and skip:
            skip, rest = 0, self._list()
        self._counted = skip + len(rest)
        return self._counted

    def _source(self, message_id):
        return self.ask("GET", f"/email/{message_id}/source").octets

    def new_user(self):
        """Always the same one, whose mailbox is emptied."""
        # One by one: what deletes all of them goes on in the background, and takes what comes next along.
        for each in self._list():
            assert self.ask("DELETE", f"/email/{each['id']}").status == 200
        return self.user, self.password

    def deliver(self, user, raw):
        before = self._count()
        self._connected().sendmail("from@example.org", [self.user], raw)
        # It has said yes before the message is in its list.
        messages = wait_until(lambda: self._list(before), "MailDev to list what it was given")
        assert len(messages) == 1
        # And it lists a message before its file is whole.
        served = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
        wait_until(lambda: self._source(messages[0]["id"]) == served, "MailDev to write what it was given")
        return served

    def messages(self, user):
        return [self._source(each["id"]) for each in self._list()]

    def remove(self, user, index):
        assert self.ask("DELETE", f"/email/{self._list()[index]['id']}").status == 200

    def stop(self):
        self._hang_up()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._directory.cleanup()
