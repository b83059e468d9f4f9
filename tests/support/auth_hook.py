"""A web hook as nginx's mail proxy asks it (ngx_mail_auth_http_module): a small HTTP server that a test tells what to
say."""

import hashlib
import hmac
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from support.net import HOST, wait_until


class AuthHook:
    """Runs for the time of a `with` block.

    passwords   {user: password}; whoever shows that, in clear or by APOP or CRAM-MD5, is let in
    more        {user: headers} that go with the yes, such as Auth-Server
    status      of each answer; with 200 go the headers above
    instead     headers of each answer, whoever asks; None: as the passwords say
    asked       what was asked so far: {header: value}, decoded
    """

    def __init__(self):
        self.passwords = {}
        self.more = {}
        self.status = 200
        self.instead = None
        self.body = b""
        self.asked = []
        self._let_go = threading.Event()
        self._let_go.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hook._serve(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_port}/auth"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def hold(self):
        """From now on nobody is answered until release()."""
        self._let_go.clear()

    def release(self):
        self._let_go.set()

    def wait_until_asked(self, times):
        wait_until(lambda: len(self.asked) >= times, f"{times} questions to the hook, not {len(self.asked)}")

    def _serve(self, handler):
        asked = {name: unquote(value) for name, value in handler.headers.items()}
        self.asked.append(asked)
        self._let_go.wait()
        headers = self.instead
        if headers is None:
            user = asked.get("Auth-User", "")
            headers = ({"Auth-Status": "OK", **self.more.get(user, {})} if self._is_right(user, asked) else
                       {"Auth-Status": "Invalid login or password"})
        handler.send_response(self.status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(self.body)))
        handler.end_headers()
        handler.wfile.write(self.body)

    def _is_right(self, user, asked):
        password = self.passwords.get(user)
        if password is None:
            return False
        salt = asked.get("Auth-Salt", "")
        expected = {"plain": password,
                    "apop": hashlib.md5((salt + password).encode()).hexdigest(),
                    "cram-md5": hmac.new(password.encode(), salt.encode(), "md5").hexdigest()}
        return bool(asked.get("Auth-Pass")) and asked["Auth-Pass"] == expected.get(asked["Auth-Method"])
