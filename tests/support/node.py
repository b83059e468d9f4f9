"""The vendors' own libraries for Node.js, from tests/node: installed below build/ as the lock file says, and the
programs there that use them."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from support.debian_packages import BUILD
from support.net import PATIENCE

SOURCES = Path(__file__).resolve().parents[1] / "node"


def installed():
    """The folder with node_modules; made once for each state of the lock file."""
    files = [SOURCES / name for name in ("package.json", "package-lock.json")]
    cache = BUILD / "node"
    root = cache / hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:  # other tests may want it at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            with tempfile.TemporaryDirectory(dir=cache) as directory:
                fresh = Path(directory) / "root"
                fresh.mkdir()
                for each in files:
                    shutil.copy(each, fresh)
                _npm_ci(fresh)
                fresh.rename(root)
    return root


def _npm_ci(directory):
    if not shutil.which("npm") or not shutil.which("node"):
        raise RuntimeError("node and npm are missing: deploy/install-dependencies --tests installs them")
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=20 * PATIENCE)
    if done.returncode != 0:
        raise RuntimeError(f"npm could not install what tests/node/package-lock.json names:\n{done.stderr[-2000:]}")


def _environment(**more):
    return {**os.environ, "NODE_PATH": str(installed() / "node_modules"), **more}


def run(name):
    """What tests/node/<name> prints, which is JSON."""
    done = subprocess.run(["node", SOURCES / name], env=_environment(), capture_output=True, text=True,
                          timeout=4 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Library:
    """A program of tests/node that does one thing for each line of JSON that it is told, with one vendor's library.

    ca_file   what it trusts; the other arguments are its first line
    """

    def __init__(self, name, *, ca_file, **arguments):
        self._process = subprocess.Popen(["node", SOURCES / name], env=_environment(NODE_EXTRA_CA_CERTS=str(ca_file)),
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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


def type_errors(source):
    """What the TypeScript compiler has against this source, which may import the types of the libraries."""
    root = installed()
    with tempfile.TemporaryDirectory(dir=root) as directory:
        path = Path(directory) / "recorded.mts"
        path.write_text(source)
        options = ["--noEmit", "--strict", "--skipLibCheck", "--pretty", "false", "--target", "es2022", "--module",
                   "nodenext", "--allowImportingTsExtensions"]
        done = subprocess.run(["node", root / "node_modules/typescript/lib/tsc.js", *options, path], cwd=directory,
                              env=_environment(), capture_output=True, text=True, timeout=8 * PATIENCE, check=False)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert (done.returncode == 0) == (not errors), done
    return errors
