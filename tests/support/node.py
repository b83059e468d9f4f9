"""The vendors' own libraries for Node.js, from tests/node: installed below build/ as the lock file says, and the
programs there that use them."""

import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path

from support import npm
from support.net import PATIENCE
from support.npm import SOURCES


def installed(package="."):
    return npm.installed(package)


def _environment(package=".", **more):
    return {**os.environ, "NODE_PATH": str(installed(package) / "node_modules"), **more}


def run(name, *, package=".", stdin=""):
    """What tests/node/<name> prints, which is JSON."""
    done = subprocess.run(["node", SOURCES / name], env=_environment(package), input=stdin, capture_output=True,
                          text=True, timeout=4 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Library:
    """A program of tests/node that does one thing for each line of JSON that it is told, with one vendor's library.

    ca_file   what it trusts; the other arguments are its first line
    package   the folder of tests/node whose lock file names its libraries
    """

    def __init__(self, name, *, ca_file, package=".", **arguments):
        environment = _environment(package, NODE_EXTRA_CA_CERTS=str(ca_file), NODE_NO_WARNINGS="1")
        self._process = subprocess.Popen(["node", SOURCES / name], env=environment, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        self._tell(arguments)

    def _tell(self, value):
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def ask(self, what, *arguments):
        """What came of it."""
        answer = self._answer(what, *arguments)
        assert not isinstance(answer, dict) or "error" not in answer, answer
        return answer

    def refusal(self, what, *arguments):
        """What the library has thrown."""
        answer = self._answer(what, *arguments)
        assert isinstance(answer, dict) and "error" in answer, answer
        return answer["error"]

    def _answer(self, *order):
        self._tell(order)
        deadline = threading.Timer(PATIENCE, self._process.kill)
        deadline.start()
        try:
            line = self._process.stdout.readline()
        finally:
            deadline.cancel()
        assert line, f"{self._process.args[1].name} has ended, or said nothing for {PATIENCE:g} s"
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def type_errors(source, package="."):
    """What the TypeScript compiler has against this source, which may import the types of the libraries."""
    root = installed(package)
    with tempfile.TemporaryDirectory(dir=root) as directory:
        path = Path(directory) / "recorded.mts"
        path.write_text(source)
        options = ["--noEmit", "--strict", "--skipLibCheck", "--pretty", "false", "--target", "es2022", "--module",
                   "nodenext", "--allowImportingTsExtensions"]
        done = subprocess.run(["node", root / "node_modules/typescript/lib/tsc.js", *options, path], cwd=directory,
                              env=_environment(package), capture_output=True, text=True, timeout=8 * PATIENCE, check=False)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert (done.returncode == 0) == (not errors), done
    return errors
