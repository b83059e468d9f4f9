#!/usr/bin/python3
"""A real Dovecot of our own on loopback: free ports, its own certificate, Maildirs in a temporary directory.

Any user name may log in with the one password. Speaks the configuration of Dovecot 2.3 and of 2.4.

As a program it serves until its standard input ends, after one line of JSON that tells where:
    tests/support/dovecot.py --serve
"""

import argparse
import base64
import grp
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # started as a program
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.certs import Certificates
from support.mail_server import MailServer
from support.net import HOST, PATIENCE, free_port, wait_until
from support.token_endpoint import TokenEndpoint

# Dovecot counts a peer with its own address as secure, clear text or not. Towards this one we are a stranger.
STRANGER_HOST = "127.0.0.2"

# What both versions offer by default, as far as popgate cares; for `capability` less the words to be hidden.
CAPABILITY = ("IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ UIDPLUS MOVE UNSELECT NAMESPACE ESEARCH CONDSTORE"
              " QRESYNC LIST-EXTENDED SPECIAL-USE")


def capability_without(*words):
    return " ".join(word for word in CAPABILITY.split() if word not in words)


def version():
    """(2, 3) or (2, 4): their settings are spelt differently."""
    text = subprocess.run(["dovecot", "--version"], check=True, capture_output=True, text=True).stdout
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _encoded(password):
    return "{PLAIN.b64}" + base64.b64encode(password.encode()).decode()


@dataclass(frozen=True)
class Introspection:
    """Where Dovecot asks about a token (RFC 7662), and as whom.

    A token opens the mailbox of its `username`; with `application`, a client's id, it is that client's tokens which
    open any mailbox, and no others do.
    """

    url: str
    ca_file: Path
    client_id: str = "mail-server"
    client_secret: str = "secret"
    application: str = ""

    def settings(self, user, format_name):
        """The lines that both versions have; `user` is Dovecot's variable for who logs in."""
        attribute = "client_id" if self.application else "username"
        active = ("client_id", self.application) if self.application else ("active", "true")
        # A format without a variable is equal to itself: it takes every user.
        return f"""
introspection_url = {self.url}
introspection_mode = post
client_id = {self.client_id}
client_secret = {self.client_secret}
username_attribute = {attribute}
{format_name} = {self.application or user}
active_attribute = {active[0]}
active_value = {active[1]}
"""

    @classmethod
    def at(cls, provider, **more):
        """At an OidcProvider or a TokenEndpoint."""
        client = {"client_id": provider.resource_id, "client_secret": provider.client_secret}
        return cls(provider.introspection_endpoint, Path(provider.ca_file), **client, **more)


class Dovecot(MailServer):
    """Runs Dovecot from start() to stop(), or for the time of a `with` block.

    password            that of every user
    certificate         what it shows (certs.Certificate); by default a good one from `certificates`
    pop3                serve POP3 too
    capability          replaces the IMAP capabilities that it offers, see capability_without()
    special_use         it has a folder for trash, and one for an archive, and says so
    cleartext_login     False: no login in clear text (for peers that come to `stranger_host`)
    sessions_a_process  more than 1 fits thousands of idle sessions into memory
    settings            {name: value} of more settings, such as pop3_uidl_format
    oauth               Introspection: nothing but a token opens a mailbox (XOAUTH2, OAUTHBEARER), no password does
    master              (name, password) of somebody who opens any mailbox by SASL PLAIN with an authorization identity
    """

    def __init__(self, certificates=None, *, password="correct horse", certificate=None, pop3=False, capability=None,
                 special_use=True, cleartext_login=True, sessions_a_process=1, settings=None,
                 oauth=None, master=None):
        self.directory = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self.directory.chmod(0o755)  # the mail processes run as somebody else when we are root
        certificates = certificates or Certificates(self.directory / "certs")
        self.ca_file = certificates.ca
        self.password = password
        self.maildir_root = self.directory / "mail"
        self.host, self.stranger_host = HOST, STRANGER_HOST
        self.imap_port = self.imaps_port = self.pop3_port = self.pop3s_port = None
        self._certificate = certificate or certificates.server
        self._pop3 = pop3
        self._capability = capability
        self._special_use = special_use
        self._cleartext_login = cleartext_login
        self._sessions_a_process = sessions_a_process
        self._settings = settings or {}
        self._oauth = oauth
        self._master = master
        self._process = None
        self.mail_user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.maildir_root.mkdir()
        self.give_to_mail_user(self.maildir_root)

    # --- running it

    def start(self):
        for attempt in range(3):  # another process may take a port between our look and Dovecot's
            self._choose_ports()
            try:
                self._run()
                return self
            except (ChildProcessError, TimeoutError) as problem:
                self._end_process()
                if attempt == 2:
                    raise RuntimeError(f"{problem}\n{self.log()}") from problem

    def restart(self):
        """The same mail on the same ports, and whatever else its attributes say by now."""
        self._end_process()
        self._run()

    def _run(self):
        configuration = self.directory / "dovecot.conf"
        configuration.write_text(self._configuration())
        self._write_what_it_refers_to()
        self._process = subprocess.Popen(["dovecot", "-F", "-c", configuration], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        wait_until(self._answers, "Dovecot's greeting")

    def stop(self):
        self._end_process()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def log(self):
        path = self.directory / "dovecot.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _choose_ports(self):
        self.imap_port, self.imaps_port = free_port(), free_port()
        if self._pop3:
            self.pop3_port, self.pop3s_port = free_port(), free_port()

    def _answers(self):
        if self._process.poll() is not None:
            raise ChildProcessError(f"Dovecot ended: {self._process.stderr.read().decode(errors='replace')}")
        try:
            with socket.create_connection((HOST, self.imap_port), PATIENCE) as connection:
                return connection.recv(4) == b"* OK"
        except OSError:
            return False

    def _end_process(self):
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stderr.close()
        self._process = None

    def plain_credential(self, user):
        if not self._master:
            return super().plain_credential(user)
        name, password = self._master
        return f"{user}\0{name}\0{password}"

    # --- configuration

    def _configuration(self):
        if version() >= (2, 4):
            return self._heading_2_4() + self._common(reuse="restart_request_count = unlimited")
        return self._heading_2_3() + self._common(reuse="service_count = 0")

    def _heading_2_3(self):
        return f"""
ssl_cert = <{self._certificate.certificate}
ssl_key = <{self._certificate.key}
disable_plaintext_auth = {"no" if self._cleartext_login else "yes"}
mail_location = maildir:~/Maildir
{self._passdbs_2_3()}
userdb {{
  driver = static
  args = uid={self.mail_user.pw_uid} gid={self.mail_user.pw_gid} home={self.maildir_root}/%u
}}
"""

    def _heading_2_4(self):
        return f"""
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
ssl_server_cert_file = {self._certificate.certificate}
ssl_server_key_file = {self._certificate.key}
auth_allow_cleartext = {"yes" if self._cleartext_login else "no"}
mail_driver = maildir
mail_path = ~/Maildir
{self._passdbs_2_4()}
userdb static {{
  fields {{
    uid = {self.mail_user.pw_uid}
    gid = {self.mail_user.pw_gid}
    home = {self.maildir_root}/%{{user}}
  }}
}}
"""

    def _passdbs_2_3(self):
        master = f"""
passdb {{
  driver = passwd-file
  master = yes
  args = {self.directory}/masters
}}
"""
        oauth = f"""
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {self.directory}/oauth2.conf
}}
"""
        # Without one that knows passwords, Dovecot takes a wrong one for a trouble of its own.
        nobody = f"""
passdb {{
  driver = static
  mechanisms = plain login
  args = password={_encoded(secrets.token_hex())}
}}
"""
        static = f"""
passdb {{
  driver = static
  args = password={self._encoded_password()}
}}
"""
        if not self._oauth:
            return (master if self._master else "") + static
        return (master + nobody if self._master else "") + oauth

    def _passdbs_2_4(self):
        master = f"""
passdb passwd-file {{
  master = yes
  passwd_file_path = {self.directory}/masters
}}
"""
        oauth = f"""
passdb oauth2 {{
  mechanisms_filter = xoauth2 oauthbearer
}}
oauth2 {{
  {self._oauth.settings("%{user}", "username_validation_format")}
  ssl_client_ca_file = {self.directory}/issuer_ca.pem
}}
""" if self._oauth else ""
        nobody = f"""
passdb static {{
  mechanisms_filter = plain login
  password = "{_encoded(secrets.token_hex())}"
}}
"""
        static = f"""
passdb static {{
  password = "{self._encoded_password()}"
}}
"""
        if not self._oauth:
            return (master if self._master else "") + static
        return (master + nobody if self._master else "") + oauth

    def _write_what_it_refers_to(self):
        """Dovecot reads these as a user who sees nothing but this directory."""
        if self._master:
            name, password = self._master
            self._write("masters", f"{name}:{_encoded(password)}\n")
        if self._oauth:
            self._write("issuer_ca.pem", self._oauth.ca_file.read_text())
            self._write("oauth2.conf", self._oauth.settings("%u", "username_format") +
                        f"tls_ca_cert_file = {self.directory}/issuer_ca.pem\n")

    def _write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o644)

    def _encoded_password(self):
        return _encoded(self.password)

    def _common(self, reuse):
        """`reuse` lets a process serve more than one connection in its life."""
        reuse = reuse if self._sessions_a_process > 1 else ""
        return f"""
base_dir = {self.directory}/run
state_dir = {self.directory}/run
log_path = {self.directory}/dovecot.log
listen = {HOST}, {STRANGER_HOST}
protocols = imap {"pop3" if self._pop3 else ""}
ssl = yes
auth_mechanisms = {"xoauth2 oauthbearer" if self._oauth else ""} {"plain login" if self._master or not self._oauth else ""}
auth_failure_delay = 0
first_valid_uid = 1
mail_max_userip_connections = 0
default_client_limit = 8192
default_process_limit = 1024
default_vsz_limit = 4G
{f'imap_capability = {self._capability}' if self._capability else ''}
# As Dovecot's IMAP does it, so that both roads give the same octets.
pop3_client_workarounds = outlook-no-nuls
{self._more_settings()}
{self._users_without_root()}
namespace inbox {{
  inbox = yes
  separator = /
  {self._special_folders() if self._special_use else ""}
}}
# No growing delay for wrong passwords.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap {{
  client_limit = {self._sessions_a_process}
  {reuse}
}}
{self._login_service("imap", self.imap_port, self.imaps_port, reuse)}
{self._login_service("pop3", self.pop3_port, self.pop3s_port, reuse) if self._pop3 else ""}
"""

    @staticmethod
    def _special_folders():
        return """
  mailbox Trash {
    special_use = \\Trash
    auto = create
  }
  mailbox Archive {
    special_use = \\Archive
    auto = create
  }
"""

    @staticmethod
    def _login_service(protocol, port, tls_port, reuse):
        chroot = "" if os.geteuid() == 0 else "chroot ="
        return f"""
service {protocol}-login {{
  process_min_avail = 1
  process_limit = 1024
  {reuse}
  {chroot}
  inet_listener {protocol} {{
    port = {port}
  }}
  inet_listener {protocol}s {{
    port = {tls_port}
    ssl = yes
  }}
}}
"""

    def _more_settings(self):
        return "\n".join(f"{name} = {value}" for name, value in self._settings.items())

    def _users_without_root(self):
        if os.geteuid() == 0:
            return ""
        return f"""
default_internal_user = {self.mail_user.pw_name}
default_login_user = {self.mail_user.pw_name}
default_internal_group = {grp.getgrgid(self.mail_user.pw_gid).gr_name}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", required=True, help="serve until standard input ends")
    parser.add_argument("--password", default="correct horse")
    parser.add_argument("--pop3", action="store_true", help="serve POP3 too")
    parser.add_argument("--no-special-use", action="store_true", help="name no folders for trash and archive")
    parser.add_argument("--hide", nargs="*", metavar="WORD", help="capabilities not to offer, such as UIDPLUS MOVE")
    parser.add_argument("--sessions-a-process", type=int, default=1)
    parser.add_argument("--oauth", action="store_true", help="nothing but a token opens a mailbox; one is told, for all")
    parser.add_argument("--master", action="store_true", help="a user that is told opens every mailbox")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that Dovecot ends with us
    capability = capability_without(*options.hide) if options.hide else None
    master = ("gate-keeper", "m4ster key") if options.master else None
    with ExitStack() as running:
        oauth, token = None, ""
        if options.oauth:
            certificates = Certificates(running.enter_context(tempfile.TemporaryDirectory(prefix="popgate-")))
            provider = running.enter_context(TokenEndpoint(certificates.server, ca_file=certificates.ca))
            oauth = Introspection.at(provider, application="popgate")
            token = provider.access_token()
        dovecot = running.enter_context(
            Dovecot(password=options.password, pop3=options.pop3, capability=capability,
                    special_use=not options.no_special_use, sessions_a_process=options.sessions_a_process, oauth=oauth,
                    master=master))
        print(json.dumps({"host": dovecot.host, "imap": dovecot.imap_port, "imaps": dovecot.imaps_port,
                          "pop3": dovecot.pop3_port, "pop3s": dovecot.pop3s_port, "password": dovecot.password,
                          "ca_file": str(dovecot.ca_file), "maildir_root": str(dovecot.maildir_root), "token": token,
                          "master": master or ("", "")}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
