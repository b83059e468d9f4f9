"""The image of docker/Dockerfile, built by buildah and run by podman in a storage of its own, without any registry.

What the image is built on is made of Debian's packages by mmdebstrap, once, and kept below build/. The program is the ready
one: it takes the place of the Dockerfile's stage that builds from source.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

from support.debian_packages import BUILD
from support.net import PATIENCE, wait_until

# What Debian's own slim images leave out.
_SLIM = [f"path-exclude=/usr/share/{folder}/*" for folder in ("doc", "info", "locale", "man")]
_SLIM.append("path-include=/usr/share/doc/*/copyright")

SOURCES = Path(__file__).resolve().parents[2]
IMAGE = "localhost/popgate"
USER = 10001


def _run(*command, timeout=10 * PATIENCE, good=(0,)):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False,
                          env={**os.environ, "DISABLE_HC_SYSTEMD": "true"})  # no timers: the tests ask for themselves
    if good is not None and done.returncode not in good:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done


def _libraries_of(program):
    return sorted(re.findall(r"/\S+", _run("ldd", program).stdout))


def _packages_of(libraries):
    # Debian 12 names some of them below /lib, others below /usr/lib: asked for by both names.
    owners = _run("dpkg-query", "-S", *libraries, *map(os.path.realpath, libraries), good=(0, 1))
    found = dict(reversed(line.split(": ", 1)) for line in owners.stdout.splitlines())
    missing = [path for path in libraries if path not in found and os.path.realpath(path) not in found]
    assert not missing, owners.stderr
    return sorted({package.partition(":")[0] for package in found.values()})


def base_archive(program):
    """A tar of this Debian with little more than a program's libraries; made once for each list of these."""
    libraries = _libraries_of(program)
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    cache = BUILD / "image"
    name = hashlib.sha256(" ".join([*libraries, *_SLIM]).encode()).hexdigest()[:16]
    archive = cache / f"{suite}-{platform.machine()}-{name}.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:  # other tests may want it at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            with tempfile.TemporaryDirectory(dir=cache) as directory:
                fresh = Path(directory) / "base.tar"
                packages = ",".join([*_packages_of(libraries), "ca-certificates"])
                # In a namespace of its own, so that no mount is left behind, however it ends.
                _run("unshare", "--mount", "env", f"TMPDIR={directory}", "mmdebstrap", "--quiet", "--variant=minbase",
                     f"--include={packages}", *(f"--dpkgopt={option}" for option in [*_SLIM, "force-unsafe-io"]), suite,
                     fresh, timeout=40 * PATIENCE)
                fresh.rename(archive)
    return archive


class Storage:
    """Images and containers that go with this object: a `with` block."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="popgate-storage-"))
        self._where = ["--root", self.directory / "root", "--runroot", self.directory / "run"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.podman("rm", "--force", "--all", "--volumes", "--time", "0", good=None)
        def remove():
            # What the storage keeps mounted for itself; a process of podman's that is still ending may mount it once more.
            mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
            for mount in reversed([each for each in mounts if each.startswith(f"{self.directory}/")]):
                _run("umount", "--lazy", mount, good=None)
            try:
                shutil.rmtree(self.directory)
            except OSError:
                return False
            return True

        wait_until(remove, "an end of the storage")

    def buildah(self, command, *arguments, **more):
        return _run("buildah", *self._where, command, *arguments, **more)

    def podman(self, command, *arguments, **more):
        return _run("podman", *self._where, "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend",
                    "none", "--tmpdir", self.directory / "tmp", command, *arguments, **more)

    def build(self, program):
        """The image, of this program."""
        working = self.buildah("from", "scratch").stdout.strip()
        self.buildah("add", "--quiet", working, base_archive(program), "/")
        with tempfile.TemporaryDirectory() as directory:
            staged = Path(directory) / "usr/bin/popgate"
            staged.parent.mkdir(parents=True)
            _run("install", "--strip", program, staged)
            self.buildah("copy", "--quiet", working, directory, "/staging")
        self.buildah("commit", "--quiet", "--rm", working, "localhost/popgate-built")
        # chroot: a RUN needs no more, and gets no more where the tests run in a container themselves.
        self.buildah("build", "--isolation", "chroot", "--format", "docker", "--build-context",
                     "build=container-image://localhost/popgate-built", "--file", SOURCES / "docker/Dockerfile", "--tag", IMAGE, SOURCES)

    def octets(self, image):
        return int(self.podman("image", "inspect", "--format", "{{.Size}}", image).stdout)

    def image(self, image=IMAGE):
        """What the image says of itself."""
        return json.loads(self.podman("image", "inspect", image).stdout)[0]


class Container:
    """`popgate serve` in a container as careful people run it, for the time of a `with` block: a root that nothing can
    write to, no capability, no new privileges.

    environment   variables
    files         {path in the container: path here}, mounted read-only
    arguments     what the image does otherwise, if anything
    """

    def __init__(self, storage, *arguments, environment=None, files=None):
        self._storage = storage
        self._options = [f"--env={name}={value}" for name, value in (environment or {}).items()]
        self._options += [f"--volume={here}:{there}:ro" for there, here in (files or {}).items()]
        self._arguments = arguments
        self.name = None

    def __enter__(self):
        # podman's own are more than it may grant where it lacks CAP_SYS_RESOURCE itself.
        limits = {"nofile": min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 20_000), "nproc": 4096}
        self.name = self._storage.podman(
            "run", "--detach", "--network", "host", "--log-driver", "k8s-file", "--read-only", "--read-only-tmpfs=false",
            "--cap-drop", "all", "--security-opt", "no-new-privileges",
            *(f"--ulimit={name}={most}:{most}" for name, most in limits.items()),
            *self._options, IMAGE, *self._arguments).stdout.strip()
        return self

    def __exit__(self, *_):
        self._storage.podman("rm", "--force", "--volumes", "--time", "0", self.name)

    def log(self, event=None):
        """The JSON lines so far, as dicts."""
        done = self._storage.podman("logs", self.name)
        records = [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]
        return [record for record in records if event in (None, record["event"])]

    def port(self):
        """Of the first listener."""
        def listening():
            assert self.state()["Running"], self._storage.podman("logs", self.name)
            return self.log("listening")

        return int(wait_until(listening, "a listener", interval=0.2)[0]["address"].rpartition(":")[2])

    def state(self):
        return json.loads(self._storage.podman("inspect", self.name).stdout)[0]["State"]

    def status(self):
        """/proc/PID/status of the program, a dict of strings."""
        lines = Path(f"/proc/{self.state()['Pid']}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def run(self, *command):
        """Runs a command in there; what came of it."""
        return self._storage.podman("exec", self.name, *command, good=None)

    def volume(self, path):
        """Where a volume lies here."""
        mounts = json.loads(self._storage.podman("inspect", self.name).stdout)[0]["Mounts"]
        return Path(next(mount["Source"] for mount in mounts if mount["Destination"] == path))

    def healthy(self):
        """What the image's own health check says."""
        return self._storage.podman("healthcheck", "run", self.name, good=(0, 1)).returncode == 0

    def signal(self, name):
        self._storage.podman("kill", "--signal", name, self.name)

    def stop(self, patience):
        """As `podman stop`: its STOPSIGNAL, and after so many seconds the end."""
        self._storage.podman("stop", "--time", int(patience), self.name)

    def exit_code(self):
        return int(self._storage.podman("wait", self.name).stdout)
