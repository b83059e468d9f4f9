"""What the tests do with a mail server of their own, whichever it is: store mail, look at it, remove it."""

import imaplib
import os
from contextlib import contextmanager
from pathlib import Path

from support.net import HOST, PATIENCE

imaplib._MAXLINE = 100_000_000


class MailServer:
    """Needs from the class that runs one: imap_port, password, maildir_root, and mail_user, as whom mail is read (an
    entry of pwd, or None for ourselves)."""

    imap_port = None
    password = None
    maildir_root: Path
    mail_user = None
    _deliveries = 0

    @contextmanager
    def imap(self, user):
        """A logged-in imaplib connection: the other client that a mailbox may have."""
        connection = imaplib.IMAP4(HOST, self.imap_port, timeout=PATIENCE)
        try:
            connection.authenticate("PLAIN", lambda _: self.plain_credential(user).encode())
            yield connection
        finally:
            connection.shutdown()

    def plain_credential(self, user):
        """What SASL PLAIN says to open the mailbox."""
        return f"\0{user}\0{self.password}"

    def append(self, user, raw, *, folder="INBOX", flags=""):
        """Stores a message over IMAP. The server makes its line ends CRLF."""
        with self.imap(user) as imap:
            if folder != "INBOX":
                imap.create(_quoted(folder))
            status, answer = imap.append(_quoted(folder), flags, None, raw)
            assert status == "OK", answer

    def deliver(self, user, *messages):
        """Writes messages into the Maildir as they are, whatever their bytes; their order is that of the UIDs."""
        for raw in messages:
            path = self._new_message_path(user)
            written = path.parents[1] / "tmp" / path.name
            written.write_bytes(raw)
            self.give_to_mail_user(written)
            written.rename(path)

    def deliver_links(self, user, paths):
        """As deliver(), of files that hold a message each, and without copying them."""
        for path in paths:
            self.give_to_mail_user(path)
            os.link(path, self._new_message_path(user))

    def remove_all(self, user):
        with self.imap(user) as imap:
            imap.select()
            imap.uid("STORE", "1:*", "+FLAGS.SILENT", r"(\Deleted)")
            imap.expunge()

    def messages(self, user, folder="INBOX"):
        """{uid: octets as IMAP gives them}, in order. The truth that POP3 clients are compared with."""
        with self.imap(user) as imap:
            assert imap.select(_quoted(folder), readonly=True)[0] == "OK"
            return {uid: self._body(imap, uid) for uid in self._uids(imap)}

    def uids(self, user, folder="INBOX", criterion="ALL"):
        with self.imap(user) as imap:
            assert imap.select(_quoted(folder), readonly=True)[0] == "OK"
            return self._uids(imap, criterion)

    def make_maildir(self, user):
        assert user == user.lower(), "Dovecot makes user names lower-case"
        maildir = self.maildir_root / user / "Maildir"
        for directory in (maildir.parent, maildir, *(maildir / name for name in ("cur", "new", "tmp"))):
            if not directory.exists():
                directory.mkdir()
                self.give_to_mail_user(directory)
        return maildir

    def give_to_mail_user(self, path):
        if self.mail_user and os.geteuid() == 0:
            os.chown(path, self.mail_user.pw_uid, self.mail_user.pw_gid)

    @staticmethod
    def _uids(imap, criterion="ALL"):
        return [int(uid) for uid in imap.uid("SEARCH", criterion)[1][0].split()]

    @staticmethod
    def _body(imap, uid):
        [(_, body), *_] = imap.uid("FETCH", str(uid), "(BODY.PEEK[])")[1]
        return body

    def _new_message_path(self, user):
        # The file's name begins with a time of delivery: servers give UIDs in that order.
        self._deliveries += 1
        return self.make_maildir(user) / "new" / f"{1_600_000_000 + self._deliveries}.M1P1.localhost"


def _quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
