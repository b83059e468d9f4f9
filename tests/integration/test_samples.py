"""What deploy/ and docker/ have for other programs is judged by those programs, and the proxies' samples are run."""

import json
import os
import re
import shutil
import socket
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from support import node
from support.net import HOST, PATIENCE, free_port, wait_until
from support.pop3 import Pop3, tls_context
from support.popgate import binary
from support.setups import PASSWORD, imaps_route

SOURCES = Path(__file__).resolve().parents[2]
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


def run(*command, **environment):
    return subprocess.run([str(word) for word in command], env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=4 * PATIENCE, check=False)


def check(*arguments, **variables):
    """`popgate check` finds nothing that keeps it from running."""
    done = run(binary(), "check", *arguments, **variables)
    assert done.returncode == 0, done
    return done.stdout + done.stderr


def here(certificates, text):
    """Paths of a sample's certificates become those of the tests."""
    for pattern, path in ((r"/\S*(fullchain\.pem|tls\.crt)", certificates.server.certificate),
                          (r"/\S*(privkey\.pem|tls\.key)", certificates.server.key)):
        text = re.sub(pattern, str(path), text)
    return text


# --- Kubernetes

def kustomized(certificates, folder, name):
    """What kubectl makes of deploy/NAME."""
    for each in ("kubernetes", "kubernetes-fleet"):
        shutil.copytree(SOURCES / "deploy" / each, folder / each)
    shutil.copy(certificates.server.certificate, folder / "kubernetes/tls.crt")
    shutil.copy(certificates.server.key, folder / "kubernetes/tls.key")
    for each in ("redis.password", "secrets.key"):
        (folder / "kubernetes-fleet" / each).write_text("x\n")
    done = run("kubectl", "kustomize", folder / name)
    assert done.returncode == 0, done
    made = list(yaml.safe_load_all(done.stdout))
    for each in made:
        if each["kind"] == "Secret":  # kubectl folds its lines, which the schema does not allow
            each["data"] = {name: "".join(value.split()) for name, value in each["data"].items()}
    return made


@pytest.fixture(scope="module")
def manifests(certificates, tmp_path_factory):
    return kustomized(certificates, tmp_path_factory.mktemp("kubernetes"), "kubernetes")


def one(manifests, kind):
    found = [each for each in manifests if each["kind"] == kind]
    assert len(found) == 1, f"{len(found)} of {kind}"
    return found[0]


def test_the_manifests_are_what_kubernetes_takes(manifests):
    assert sorted(each["kind"] for each in manifests) == [
        "ConfigMap", "Deployment", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget", "Secret", "Service"]
    # The schemas know formats and what is required, the types also what does not exist.
    assert node.run("kubernetes/validate.cjs", package="kubernetes", stdin=json.dumps(manifests)) == []
    assert node.type_errors(typed(manifests), "kubernetes") == []


def test_many_nodes_in_kubernetes(certificates, tmp_path):
    manifests = kustomized(certificates, tmp_path, "kubernetes-fleet")
    assert not [each for each in manifests if each["kind"] == "PersistentVolumeClaim"], "nothing is kept in a pod"
    assert node.run("kubernetes/validate.cjs", package="kubernetes", stdin=json.dumps(manifests)) == []
    assert node.type_errors(typed(manifests), "kubernetes") == []
    spec = one(manifests, "Deployment")["spec"]
    assert spec["replicas"] == 3 and spec["strategy"]["type"] == "RollingUpdate"
    pod = spec["template"]["spec"]
    mounts = {each["name"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounts == {each["name"] for each in pod["volumes"]} == {"config", "run", "shared"}
    text = one(manifests, "ConfigMap")["data"]["popgate.toml"]
    shared = tmp_path / "kubernetes-fleet"
    config = tmp_path / "popgate.toml"
    config.write_text(here(certificates, text).replace("/etc/popgate-shared", str(shared)))
    assert "warning" not in check("--config", config)


def test_a_misspelt_key_of_a_manifest_would_be_found(manifests):
    text = json.dumps(manifests).replace("readOnlyRootFilesystem", "readOnlyRootFileSystem")
    assert any("readOnlyRootFileSystem" in error for error in node.type_errors(typed(json.loads(text)), "kubernetes"))
    text = json.dumps(manifests).replace('"1Gi"', '"much"')
    assert node.run("kubernetes/validate.cjs", package="kubernetes", stdin=text) != []


def typed(manifests):
    """A TypeScript source of these objects under their types."""
    lines = []
    for number, each in enumerate(manifests):
        lines.append(f'import type {{ I{each["kind"]} as T{number} }} from "kubernetes-models/{each["apiVersion"]}";')
        lines.append(f"export const object{number}: T{number} = {json.dumps(each)};")
    return "\n".join(lines)


def test_the_manifests_agree_with_the_configuration(manifests, certificates, tmp_path):
    text = one(manifests, "ConfigMap")["data"]["popgate.toml"]
    file = tmp_path / "popgate.toml"
    file.write_text(here(certificates, text))
    assert "warning" not in check("--config", file)
    configuration = tomllib.loads(text)

    deployment = one(manifests, "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    container = pod["containers"][0]
    drain = int(re.fullmatch(r"(\d+)s", configuration["limits"]["drain_timeout"])[1])
    assert pod["terminationGracePeriodSeconds"] > drain
    assert pod["enableServiceLinks"] is False  # their variables would begin with POPGATE_
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (1, "Recreate")

    listens = [each["address"] for each in configuration["listen"]] + configuration["admin"]["listen"].split()
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert set(ports.values()) == {int(each.rpartition(":")[2]) for each in listens if not each.startswith("unix:")}
    socket = next(each for each in listens if each.startswith("unix:")).removeprefix("unix:")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["exec"]["command"][-2:] == ["--socket", socket]
    assert {each["targetPort"] for each in one(manifests, "Service")["spec"]["ports"]} < set(ports)
    policy = one(manifests, "NetworkPolicy")["spec"]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == set(ports)

    mounts = [each["mountPath"] for each in container["volumeMounts"]]
    for path in (socket, *configuration["tls"].values(), "/var/lib/popgate/state.db"):
        assert any(path.startswith(f"{mount}/") for mount in mounts), path


def test_the_pod_needs_nothing_that_it_could_do_harm_with(manifests):
    pod = one(manifests, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert pod["automountServiceAccountToken"] is False


# --- compose

@pytest.mark.parametrize("name", ["compose.yaml", "compose.upstream.yaml"])
def test_a_compose_file_is_good_and_its_variables_are_popgates(name, certificates):
    done = run("docker-compose", "-f", SOURCES / "docker" / name, "config", UPSTREAM="imaps://imap.example.com",
               CERTIFICATES="/etc/popgate/tls")
    assert done.returncode == 0, done
    service = yaml.safe_load(done.stdout)["services"]["popgate"]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    variables = {name: here(certificates, value) for name, value in service["environment"].items()}
    said = check(**variables)
    # A first try is in clear, on loopback and a network of its own.
    assert "warning" not in said or name == "compose.yaml"


def test_the_compose_file_for_an_upstream_asks_for_it():
    done = run("docker-compose", "-f", SOURCES / "docker/compose.upstream.yaml", "config", CERTIFICATES="/x")
    assert done.returncode != 0 and "UPSTREAM" in done.stderr


# --- proxies

class Proxy:
    """HAProxy or nginx with its sample from deploy/, before popgates on this machine."""

    def __init__(self, program, directory, certificates, popgates):
        self.ports = {port: free_port() for port in ("110", "995", "9995")}
        text = (SOURCES / "deploy" / program / {"haproxy": "haproxy.cfg", "nginx": "nginx.conf"}[program]).read_text()
        text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        for number, popgate in enumerate(popgates, 11):
            for port, listener in (("1110", "starttls"), ("1995", "implicit"), ("1996", "none")):
                text = text.replace(f"10.0.0.{number}:{port}", f"{HOST}:{popgate.port(listener)}")
        assert "10.0.0." not in text
        self._command = getattr(self, f"_{program}")(directory, certificates, text)
        self._directory = directory

    def _haproxy(self, directory, certificates, text):
        both = directory / "site.pem"
        both.write_text(certificates.server.certificate.read_text() + certificates.server.key.read_text())
        text = text.replace("/etc/haproxy/certs/site.pem", str(both)).replace("/dev/log", "stderr")
        # No more descriptors than a test may have.
        text = text.replace("/run/haproxy/", f"{directory}/").replace("maxconn 20000", "maxconn 200")
        if os.geteuid() != 0:
            text = re.sub(r"^\s+(user|group) .*\n", "", text, flags=re.M)
        text = re.sub(r"bind :(\d+)", lambda match: f"bind {HOST}:{self.ports[match[1]]}", text)
        file = directory / "haproxy.cfg"
        file.write_text(text + "\n")
        done = run("haproxy", "-c", "-f", file)
        assert done.returncode == 0 and "WARNING" not in done.stderr, done
        return ["haproxy", "-db", "-f", file]

    def _nginx(self, directory, certificates, text):
        text = here(certificates, text).replace("/run/nginx.pid", f"{directory}/pid")
        text = text.replace("/var/log/nginx", str(directory))
        text = re.sub(r"(worker_rlimit_nofile|worker_connections) \d+", r"\1 400", text)
        text = re.sub(r"listen (\d+)", lambda match: f"listen {HOST}:{self.ports[match[1]]}", text)
        if os.geteuid() != 0:
            text = re.sub(r"^user .*\n", "", text, flags=re.M)
        file = directory / "nginx.conf"
        file.write_text(text + "\n")
        done = run("nginx", "-t", "-c", file)
        assert done.returncode == 0 and "[warn]" not in done.stderr, done
        return ["nginx", "-g", "daemon off;", "-c", file]

    def __enter__(self):
        with open(self._directory / "output", "wb") as output:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(self._answers, "the proxy")
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answers(self):
        assert self._process.poll() is None, (self._directory / "output").read_text()
        try:
            with Pop3(self.ports["110"]) as pop3:
                return pop3.greeting.startswith("+OK")
        except (EOFError, OSError):
            return False


@pytest.fixture
def popgates(serve, dovecot):
    listen = [{"address": f"{HOST}:0", "tls": tls, "proxy_protocol": True, "trusted_proxies": f"{HOST}/32"}
              for tls in ("starttls", "implicit", "none")]
    return [serve(imaps_route(dovecot), listen=listen, limits={"drain_timeout": "30s"}) for _ in range(2)]


def read_through(proxy, port, certificates, user, source):
    """Reads the first message from a client at `source`."""
    context = tls_context(certificates.ca)
    with Pop3(proxy.ports[port], tls=None if port == "110" else context, source=source) as pop3:
        if port == "110":
            pop3.stls(context)
        assert pop3.login(user, PASSWORD).startswith("+OK")
        assert pop3.retr(1) == MESSAGE
        assert pop3.quit().startswith("+OK")


def session_of(popgates, user):
    """The popgate that had a session of this user, and what it says of it."""
    def found():
        return [(popgate, record) for popgate in popgates for record in popgate.log("session") if record["user"] == user]

    return wait_until(found, "a session")[-1]


def is_closed(port):
    try:
        socket.create_connection((HOST, port), PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("port", ["110", "995", "9995"])
@pytest.mark.parametrize("program", ["haproxy", "nginx"])
def test_a_sample_tells_the_clients_address(program, port, popgates, dovecot, certificates, user, tmp_path):
    dovecot.deliver(user, MESSAGE)
    with Proxy(program, tmp_path, certificates, popgates) as proxy:
        read_through(proxy, port, certificates, user, "127.0.0.77")
    _, record = session_of(popgates, user)
    assert record["from"].startswith("127.0.0.77:")


@pytest.mark.parametrize("program", ["haproxy", "nginx"])
def test_behind_a_sample_one_popgate_can_be_drained(program, popgates, dovecot, certificates, user, tmp_path):
    dovecot.deliver(user, MESSAGE)
    with Proxy(program, tmp_path, certificates, popgates) as proxy:
        read_through(proxy, "995", certificates, user, HOST)
        drained, _ = session_of(popgates, user)
        with Pop3(proxy.ports["995"], tls=tls_context(certificates.ca), source=HOST) as session:
            assert session.login(user, PASSWORD).startswith("+OK")
            drained.terminate()
            wait_until(lambda: is_closed(drained.port("implicit")), "a closed listener")
            # Who comes from the same address now gets to the other one, and who was there goes on.
            newcomer = f"newcomer-{user}"
            dovecot.deliver(newcomer, MESSAGE)
            read_through(proxy, "995", certificates, newcomer, HOST)
            assert session_of(popgates, newcomer)[0] is not drained
            assert session.retr(1) == MESSAGE
            assert session.quit().startswith("+OK")
        drained.wait()
        assert session_of([drained], user)
