"""What is measured: Dovecot as the store, popgate, Dovecot as its peer, and HAProxy, all of one benchmark run."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from support.dovecot import Dovecot, version
from support.net import HOST, PATIENCE, free_port, wait_until
from support.popgate import to_toml
from support.proxies import HAProxy

PASSWORD = "benchmark"


def _ready_processes(protocol, sessions_a_process=1):
    """Dovecot's services as a busy site has them: no process is started for a session."""
    reuse = "restart_request_count = unlimited" if version() >= (2, 4) else "service_count = 0"
    return f"""
service {protocol}-login {{
  {reuse}
  client_limit = 15000
  process_min_avail = {os.cpu_count()}
}}
service {protocol} {{
  {reuse}
  client_limit = {sessions_a_process}
  process_min_avail = 8
  process_limit = 2048
}}
"""


class Store(Dovecot):
    """Where the mail is: Maildirs, whose indexes know every size. IMAP for all gateways, POP3 for the TCP relay.

    mail                another store's maildir_root, to serve the same mail
    sessions_a_process  more than 1 fits thousands of sessions into memory
    """

    def __init__(self, certificates, *, mail=None, sessions_a_process=1):
        super().__init__(certificates, password=PASSWORD, pop3=True, special_use=False,
                         settings={"mail_fsync": "never", "maildir_very_dirty_syncs": "yes", "login_trusted_networks": HOST})
        if mail:
            self.maildir_root.rmdir()
            self.maildir_root.symlink_to(mail)
        self._sessions = sessions_a_process

    def _configuration(self):
        return (super()._configuration() + _ready_processes("imap", self._sessions) +
                _ready_processes("pop3", self._sessions))


class Peer(Dovecot):
    """Dovecot's POP3 with imapc storage: as it is documented for a proxy, and tuned. Its index is on disk."""

    name = "peer"
    imap = False

    def __init__(self, certificates, upstream_port):
        super().__init__(certificates, password=PASSWORD, pop3=True, special_use=False, settings={
            "imapc_host": HOST, "imapc_port": upstream_port,
            "imapc_features": "rfc822.size fetch-headers",
            "pop3_no_flag_updates": "yes", "mail_prefetch_count": 20})
        self._upstream_port = upstream_port

    def _configuration(self):
        return super()._configuration() + _ready_processes("pop3")

    def _heading_2_3(self):
        return super()._heading_2_3().replace("maildir:~/Maildir", "imapc:~/imapc")

    def _heading_2_4(self):
        return (super()._heading_2_4().replace("mail_driver = maildir", "mail_driver = imapc")
                .replace("mail_path = ~/Maildir", "mail_path = ~/imapc"))

    def _passdbs_2_3(self):
        return f"""
passdb {{
  driver = imap
  args = host={HOST} port={self._upstream_port}
  default_fields = userdb_imapc_user=%u userdb_imapc_password=%w
}}
"""

    def _passdbs_2_4(self):
        return """
passdb imap {
  fields {
    userdb_imapc_user = %{user}
    userdb_imapc_password = %{password}
  }
}
"""

    def port_for(self, tls):
        return self.pop3s_port if tls else self.pop3_port

    def forget(self, user):
        shutil.rmtree(self.maildir_root / user, ignore_errors=True)

    @property
    def pid(self):
        return self._process.pid


class Raw:
    """No gateway: a client that says to the store what a gateway has to say."""

    name = "raw"
    imap = True
    pid = None

    def __init__(self, port, tls_port):
        self._port, self._tls_port = port, tls_port

    def port_for(self, tls):
        return self._tls_port if tls else self._port

    def forget(self, user):
        """It never remembers."""


class Popgate:
    """As an admin gets it: nothing but addresses, certificate and upstream, and limits for so many sessions of one host."""

    name = "popgate"
    imap = False

    def __init__(self, binary, certificates, upstream_port, *, state=None):
        self.directory = Path(tempfile.mkdtemp(prefix="popgate-"))
        self._binary = binary
        self._ports = {False: free_port(), True: free_port()}
        self._configuration = self.directory / "popgate.toml"
        listen = [{"address": f"{HOST}:{port}", "tls": "implicit" if tls else "none"}
                  for tls, port in self._ports.items()]
        self._configuration.write_text(to_toml({
            "listen": listen,
            "tls": {"certificate": str(certificates.server.certificate), "key": str(certificates.server.key)},
            "limits": {"max_sessions_per_address": 10000, "drain_timeout": "1s"},
            "log": {"file": str(self.directory / "popgate.log")},
            "state": state or {"url": f"sqlite:{self.directory}/state.db"},
            "process": {"user": "root"} if os.geteuid() == 0 else {},
            "route": [{"match": "*", "backend": f"imap://{HOST}:{upstream_port}", "starttls": "none"}]}))
        self._process = None

    def __enter__(self):
        with (self.directory / "stderr").open("wb") as errors:
            self._process = subprocess.Popen([self._binary, "serve", "--config", self._configuration],
                                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            wait_until(self._is_up, "popgate to listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.directory)

    def _is_up(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"popgate ended: {(self.directory / 'stderr').read_text()}")
        log = self.directory / "popgate.log"
        return log.exists() and log.read_text().count("listening") >= len(self._ports)

    def port_for(self, tls):
        return self._ports[tls]

    def forget(self, user):
        """Nothing to do: who has not logged in yet is not known."""

    @property
    def pid(self):
        return self._process.pid


class Relay(HAProxy):
    """Passes octets on to the store's own POP3, and ends TLS."""

    name = "relay"
    imap = False

    def __init__(self, certificates, pop3_port):
        super().__init__(pop3_port, "")
        self._pop3_port, self._tls_port = pop3_port, free_port()
        both = certificates.server.certificate.read_text() + certificates.server.key.read_text()
        self._tls_bind = f"{HOST}:{self._tls_port} ssl crt {self._write('server.pem', both)} ssl-min-ver TLSv1.2"

    def port_for(self, tls):
        return self._tls_port if tls else self.port

    def _command(self):
        configuration = self._write("haproxy.cfg", f"""
global
    maxconn 5000
    nbthread {os.cpu_count()}
defaults
    mode tcp
    timeout connect 10s
    timeout client 10m
    timeout server 10m
listen pop3
    bind {HOST}:{self.port}
    bind {self._tls_bind}
    server store {HOST}:{self._pop3_port}
""")
        return ["haproxy", "-db", "-f", configuration]

    @property
    def pid(self):
        return self._process.pid
