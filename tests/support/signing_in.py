"""`popgate account login`, with somebody who does what it says."""

import re
import subprocess
import threading

from support.net import PATIENCE
from support.popgate import binary

APP_PASSWORD = re.compile(r"App password, shown this once: (\S+)")


def account(*arguments, config=None, stdin=b""):
    """A `popgate account` command that needs nobody."""
    where = ["--config", config] if config else []
    return subprocess.run([binary(), "account", *map(str, arguments), *map(str, where)], input=stdin,
                          capture_output=True, timeout=4 * PATIENCE, check=False)


class Login:
    """The command, running: read_until() waits for what it says on standard error, type() answers, finish() gives its
    exit code, its output and its complaints."""

    def __init__(self, *arguments):
        self._process = subprocess.Popen([binary(), "account", "login", *map(str, arguments)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                         encoding="utf-8")
        self.said = ""
        self._deadline = threading.Timer(4 * PATIENCE, self._process.kill)
        self._deadline.start()

    def read_until(self, pattern):
        while not (found := re.search(pattern, self.said)):
            line = self._process.stderr.readline()
            assert line, f"it has ended without {pattern}: {self.said}"
            self.said += line
        return found.group(1)

    def type(self, text):
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def finish(self):
        output, rest = self._process.communicate(timeout=4 * PATIENCE)
        self._deadline.cancel()
        self.said += rest
        return self._process.returncode, output, self.said


def by_device(provider, user, *arguments, who=None):
    """Signs in on "another device"; the app password, if one was made."""
    login = Login(user, "--device", *arguments)
    code = login.read_until(r"enter the code\s+(\S+)")
    provider.approve_device(code, who or user)
    status, output, said = login.finish()
    assert status == 0, output + said
    assert "Connected: " in output, output
    made = APP_PASSWORD.search(output)
    return made.group(1) if made else None


def by_browser(provider, user, *arguments, pasted=True):
    """Signs in with a browser on another computer, whose last address is pasted; or on this one."""
    login = Login(user, "--browser", *arguments)
    url = login.read_until(r"sign in:\s+(https://\S+)")
    where = provider.sign_in(url, user)
    if pasted:
        login.type(where)
    else:
        import urllib.request
        page = urllib.request.urlopen(where, timeout=PATIENCE).read().decode()
        assert "You can close this window" in page
    status, output, said = login.finish()
    assert status == 0, output + said
    made = APP_PASSWORD.search(output)
    return made.group(1) if made else None
