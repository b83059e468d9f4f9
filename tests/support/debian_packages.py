"""Debian packages that are fetched and unpacked below build/, and not installed: servers that would conflict with others,
or that would start."""

import fcntl
import platform
import subprocess
import tempfile
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build"


def unpacked(name, packages, libraries, finish=lambda root: None):
    """The folder that the packages, and those of their libraries whose names match the pattern `libraries`, are unpacked
    in; fetched once. finish(root) may add to them."""
    system = f"{platform.freedesktop_os_release()['VERSION_CODENAME']}-{platform.machine()}"
    cache = BUILD / name
    root = cache / system
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:  # other tests may want it at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            with tempfile.TemporaryDirectory(dir=cache) as directory:
                directory = Path(directory)
                _fetch(directory, packages, libraries)
                for package in directory.glob("*.deb"):
                    subprocess.run(["dpkg-deb", "-x", package, directory / "root"], check=True)
                finish(directory / "root")
                (directory / "root").rename(root)
    return root


def _fetch(directory, packages, libraries):
    try:
        _download(directory, packages, libraries, [])
    except subprocess.CalledProcessError:
        # Package lists that are missing or too old: fresh ones of our own, for which nobody needs to be root.
        lists = directory / "lists"
        (lists / "partial").mkdir(parents=True)
        (directory / "archives" / "partial").mkdir(parents=True)
        options = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={directory}",
                   "-o", f"Dir::Cache::archives={directory}/archives", "-o", "Debug::NoLocking=1"]
        _run(directory, "apt-get", *options, "update")
        _download(directory, packages, libraries, options)


def _download(directory, packages, libraries, options):
    depends = _run(directory, "apt-cache", *options, "depends", "--important", *packages)
    chosen = {word for word in depends.split() if libraries.match(word)}
    _run(directory, "apt-get", *options, "-o", "APT::Sandbox::User=root", "download", *packages, *sorted(chosen))


def _run(directory, *command):
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout
