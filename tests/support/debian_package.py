"""The Debian package of a release build, and a small Debian of its own to install it in."""

import fcntl
import hashlib
import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path

from support.debian_packages import BUILD
from support.popgate import binary

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def run(*command, good=(0,), **more):
    """Standard output and error, as one text."""
    made = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, stdin=subprocess.DEVNULL, env=_ENVIRONMENT, **more)
    assert made.returncode in good, f"{' '.join(map(str, command))} ended with {made.returncode}:\n{made.stdout}"
    return made.stdout


def build(directory, version=None):
    """The path of the package, made from the build that the tested program is of; of another version where one is given."""
    tree = Path(binary()).resolve().parents[1]
    as_version = ["-D", f"CPACK_PACKAGE_VERSION={version}"] if version else []
    run("cpack", "-G", "DEB", "--config", tree / "CPackConfig.cmake", "-B", directory, *as_version, cwd=tree)
    [package] = Path(directory).glob("*.deb")
    return package


def field(package, name):
    return run("dpkg-deb", "-f", package, name).strip()


def _names(dependencies):
    """Of the packages, the first of each alternative."""
    return [re.split(r"[ |(]", each.strip())[0] for each in dependencies.split(",")]


def _archive(packages):
    """A tar file of the running Debian's smallest system with these packages; made once."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    cache = BUILD / "debian-root"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = ",".join(sorted(packages))
    archive = cache / f"{suite}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}.tar"
    with open(cache / "lock", "w") as lock:  # other tests may want it at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            with tempfile.TemporaryDirectory(dir=cache) as directory:
                fresh = Path(directory) / "root.tar"
                run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={wanted}", suite, fresh)
                fresh.rename(archive)
    return archive


class Chroot:
    """A Debian without systemd in `directory`, with all that the package depends on. Only root can have one."""

    def __init__(self, directory, package):
        self.root = Path(directory) / "root"
        self.root.mkdir()
        run("tar", "-C", self.root, "--numeric-owner", "-xf", _archive(_names(field(package, "Depends"))))

    def run(self, *command, **more):
        return run("chroot", self.root, *command, **more)

    def install(self, package, *options):
        (self.root / "popgate.deb").write_bytes(Path(package).read_bytes())
        said = self.run("dpkg", *options, "--install", "/popgate.deb")
        (self.root / "popgate.deb").unlink()
        return said

    def path(self, name):
        return self.root / str(name).lstrip("/")

    def owner_and_mode(self, name):
        """As "root:popgate 750", with the names that the accounts have in there."""
        return self.run("stat", "-c", "%U:%G %a", name).strip()

    def files(self):
        """Every path in it."""
        found = set()
        for folder, folders, files in os.walk(self.root):
            found.update(os.path.relpath(os.path.join(folder, name), self.root) for name in folders + files)
        return found

    def program(self, path):
        """Writes a script that runs the installed program as its unit would, as the user popgate; gives its name."""
        runtime = self.path("/run/popgate")
        runtime.mkdir(exist_ok=True)
        self.run("chown", "popgate:popgate", "/run/popgate")
        path.write_text(f'#!/bin/sh\nexec chroot --userspec=popgate:popgate {self.root} /usr/bin/popgate "$@"\n')
        path.chmod(0o755)
        return path
