"""Real HAProxy, nginx and stunnel on loopback, before a popgate that is told by them who its client is."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from support.net import HOST, PATIENCE, free_port, wait_until

_NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def _is_listening(port):
    """Whether somebody listens there, seen without a connection: that would be passed on."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                return True
    return False


class _Proxy:
    """Runs for the time of a `with` block. `port` is for clients."""

    def __init__(self, host=HOST):
        self.directory = Path(tempfile.mkdtemp(prefix="proxy-"))
        self.port = free_port(host)
        self._process = None

    def _command(self):
        raise NotImplementedError

    def __enter__(self):
        self._log = (self.directory / "log").open("wb")
        self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        try:
            wait_until(self._is_up, f"{type(self).__name__} to listen")
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
        self._log.close()
        shutil.rmtree(self.directory)

    def _is_up(self):
        assert self._process.poll() is None, (self.directory / "log").read_text()
        return _is_listening(self.port)

    def _write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path


class HAProxy(_Proxy):
    """send         what is written behind the server's address: "send-proxy", "send-proxy-v2 check check-send-proxy"
    certificate  ends TLS here and shows this one (certs.Certificate)
    client_ca    asks clients for a certificate of this authority; what does not verify is passed on as such
    """

    def __init__(self, upstream, send, *, host=HOST, certificate=None, client_ca=None):
        super().__init__(host)
        self._upstream = upstream
        self._send = send
        self._bind = f"{f'[{host}]' if ':' in host else host}:{self.port}"
        if certificate:
            both = self._write("server.pem", certificate.certificate.read_text() + certificate.key.read_text())
            self._bind += f" ssl crt {both} ssl-min-ver TLSv1.2"
        if client_ca:
            self._bind += f" verify optional ca-file {client_ca} ca-ignore-err all crt-ignore-err all"

    def _command(self):
        configuration = self._write("haproxy.cfg", f"""
global
    maxconn 200
    nbthread 1
    tune.ssl.default-dh-param 2048
defaults
    mode tcp
    timeout connect 10s
    timeout client 5m
    timeout server 5m
    timeout check 10s
listen pop3
    bind {self._bind}
    server popgate {HOST}:{self._upstream} {self._send}
""")
        return ["haproxy", "-db", "-f", configuration]


class Balancer(_Proxy):
    """HAProxy that gives each connection to the next of several popgates, {name: port}, which is well: it greets. They are
    told by a PROXY header who the client is."""

    def __init__(self, upstreams):
        super().__init__()
        self._upstreams = upstreams

    def _command(self):
        servers = "\n".join(f"    server {name} {HOST}:{port}" for name, port in self._upstreams.items())
        configuration = self._write("haproxy.cfg", f"""
global
    maxconn 4000
    nbthread 1
defaults
    mode tcp
    balance roundrobin
    option redispatch 1
    retries 3
    timeout connect 2s
    timeout client 5m
    timeout server 5m
    timeout check 1s
    option tcp-check
    tcp-check expect rstring ^\\+OK
    default-server check check-send-proxy send-proxy-v2 inter 500ms fastinter 100ms fall 2 rise 1
listen pop3
    bind {HOST}:{self.port}
{servers}
""")
        return ["haproxy", "-db", "-f", configuration]


class Nginx(_Proxy):
    """Its stream module; `proxy_protocol on` sends version 1."""

    def __init__(self, upstream):
        super().__init__()
        self._upstream = upstream

    def _command(self):
        module = f"load_module {_NGINX_STREAM};" if _NGINX_STREAM.exists() else ""
        configuration = self._write("nginx.conf", f"""
{module}
daemon off;
master_process off;
pid {self.directory}/pid;
error_log stderr;
events {{ worker_connections 200; }}
stream {{
    server {{
        listen {HOST}:{self.port};
        proxy_pass {HOST}:{self._upstream};
        proxy_protocol on;
    }}
}}
""")
        return ["nginx", "-e", "stderr", "-p", self.directory, "-c", configuration]


class Stunnel(_Proxy):
    """Ends TLS; `protocol = proxy` sends version 1, which says nothing of that."""

    def __init__(self, upstream, certificate):
        super().__init__()
        self._upstream = upstream
        self._certificate = certificate

    def _command(self):
        configuration = self._write("stunnel.conf", f"""
foreground = yes
pid =
syslog = no
[pop3s]
accept = {HOST}:{self.port}
connect = {HOST}:{self._upstream}
cert = {self._certificate.certificate}
key = {self._certificate.key}
protocol = proxy
""")
        return ["stunnel4", configuration]
