"""Headless Chromium, as tests of pages use it: see tests/node/browse.cjs for what it can do."""

import json
import os
import select
import subprocess

from support import npm
from support.net import PATIENCE


class Browser:
    """One Chromium for the time of a `with` block; each visitor has cookies of its own."""

    def __enter__(self):
        root = npm.installed("browser")
        self._process = subprocess.Popen(["node", str(npm.SOURCES / "browse.cjs")], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True,
                                         env={**os.environ, "NODE_PATH": str(root / "node_modules")})
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def visitor(self, **options):
        """`options` are those of Playwright's newContext(): locale, viewport, colorScheme, …"""
        return Visitor(self, self.step("visit", options=options))

    def step(self, what, **arguments):
        self._process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], 2 * PATIENCE)
        answer = json.loads(self._process.stdout.readline() if ready else '{"error": "no answer"}')
        if "error" in answer:
            raise AssertionError(f"{what} {arguments}: {answer['error']}")
        return answer["value"]


class Visitor:
    """Somebody with a browser: visitor.goto(url=…), visitor.click(role="button", name="Sign out"), …"""

    def __init__(self, browser, number):
        self._browser = browser
        self._number = number

    def __getattr__(self, what):
        return lambda **arguments: self._browser.step(what, visitor=self._number, **arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()
