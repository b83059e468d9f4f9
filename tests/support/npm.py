"""Programs from npm: installed below build/ as a lock file of tests/node says."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from support.debian_packages import BUILD
from support.net import PATIENCE

SOURCES = Path(__file__).resolve().parents[1] / "node"


def installed(package):
    """The folder with node_modules for tests/node/<package>; made once for each state of its lock file."""
    files = [SOURCES / package / name for name in ("package.json", "package-lock.json")]
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
                          timeout=20 * PATIENCE, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"npm could not install what is in tests/node:\n{done.stderr[-2000:]}")
