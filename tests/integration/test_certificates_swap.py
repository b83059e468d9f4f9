"""The server's own certificates: which one a client is shown, and what happens when their files change."""

import os
import re
import shutil
import signal
import ssl
import subprocess
import threading

import pytest
from support.certs import Certificate
from support.net import HOST, PATIENCE, wait_until
from support.pop3 import Pop3, tls_context
from support.setups import PASSWORD, log_in, make_maildir, maildir_route

SWAPS = int(os.environ.get("POPGATE_TEST_SWAPS", "200"))
CLIENTS = 4
LISTEN = [{"address": f"{HOST}:0", "tls": tls} for tls in ("implicit", "starttls")]
BOTH = pytest.mark.parametrize("listener", ["implicit", "starttls"])


@pytest.fixture
def route(tmp_path):
    """To a Maildir of each client's."""
    hashed = subprocess.run(["openssl", "passwd", "-5", "-stdin"], input=PASSWORD.encode(), capture_output=True,
                            check=True).stdout.decode().strip()
    users = tmp_path / "users"
    users.write_text("".join(f"ann{number}:{hashed}\n" for number in range(CLIENTS + 1)))
    users.chmod(0o600)
    for number in range(CLIENTS + 1):
        make_maildir(tmp_path / "mail", f"ann{number}", b"Subject: one\r\n\r\nbody\r\n")
    return maildir_route(tmp_path / "mail", auth="password-file", password_file=str(users))


@pytest.fixture(scope="module")
def named(certificates):
    """Certificates for other names than localhost, and one more for the same with another type of key."""
    return {"org": certificates.server_for("org", "mail.example.org", "pop.example.org"),
            "wild": certificates.server_for("wild", "*.example.net"),
            "rsa": certificates.server_for("rsa", "mail.example.org", key="rsa")}


class Files:
    """The pair of files that popgate is told of; what they hold is put there as a careful program does it."""

    def __init__(self, directory):
        directory.mkdir()
        self.pair = Certificate(directory / "fullchain.pem", directory / "privkey.pem")
        self.tls = {"certificate": str(self.pair.certificate), "key": str(self.pair.key), "check_every": "20ms"}

    def put(self, made):
        for source, target in ((made.certificate, self.pair.certificate), (made.key, self.pair.key)):
            shutil.copy(source, f"{target}.new")
            os.replace(f"{target}.new", target)
        return made


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path / "tls")


def section(certificate, **keys):
    return {"certificate": str(certificate.certificate), "key": str(certificate.key), **keys}


def serial_of(certificate):
    """Of a PEM file, in hexadecimal digits."""
    return subprocess.run(["openssl", "x509", "-in", str(certificate.certificate), "-noout", "-serial"],
                          capture_output=True, check=True).stdout.decode().strip().removeprefix("serial=")


def s_client(popgate, listener, *arguments):
    """What `openssl s_client` says of a session that ends at once."""
    starttls = ["-starttls", "pop3"] if listener == "starttls" else []
    done = subprocess.run(["openssl", "s_client", "-connect", f"{HOST}:{popgate.port(listener)}", *starttls,
                           "-nocommands", "-ign_eof", "-crlf", *arguments], input=b"QUIT\n", capture_output=True,
                          timeout=PATIENCE, check=False)
    return done.stdout.decode(errors="replace")


def shown(popgate, listener, *arguments):
    """The serial number of the certificate that it was shown."""
    pem = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", s_client(popgate, listener, *arguments),
                    re.DOTALL)
    assert pem, s_client(popgate, listener, *arguments)
    done = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem[0].encode(), capture_output=True,
                          check=True)
    return done.stdout.decode().strip().removeprefix("serial=")


def serial_now(popgate, context):
    """The same through Python, which is faster."""
    with Pop3(popgate.port("implicit"), tls=context) as pop3:
        serial = pop3.socket.getpeercert()["serialNumber"]
        pop3.quit()
        return serial


@BOTH
def test_the_servers_name_decides(listener, serve, route, certificates, named):
    popgate = serve(route, listen=LISTEN, certificate=[section(named["org"]), section(named["wild"]),
                                                       section(certificates.other_host, names="given.example")])
    default = serial_of(certificates.server)
    for name, certificate in (("localhost", certificates.server), ("mail.example.org", named["org"]),
                              ("pop.example.org", named["org"]), ("POP.Example.ORG", named["org"]),
                              ("pop.example.net", named["wild"]), ("given.example", certificates.other_host)):
        assert shown(popgate, listener, "-servername", name) == serial_of(certificate), name
    for name in ("other.example", "example.net", "a.b.example.net", "192.0.2.1", "x" * 250):
        assert shown(popgate, listener, "-servername", name) == default, name
    assert shown(popgate, listener, "-noservername") == default


@BOTH
def test_a_name_may_have_a_certificate_for_each_type_of_key(listener, serve, route, named):
    popgate = serve(route, listen=LISTEN, certificate=[section(named["org"]), section(named["rsa"])])
    for algorithms, name in (("ECDSA+SHA256", "org"), ("rsa_pss_rsae_sha256:RSA+SHA256", "rsa")):
        for version in ("-tls1_2", "-tls1_3"):
            assert shown(popgate, listener, "-servername", "mail.example.org", "-sigalgs", algorithms,
                         version) == serial_of(named[name]), (name, version)


def test_without_a_default_the_first_of_the_list_is_it(serve, route, certificates, named):
    popgate = serve(route, listen=LISTEN, tls={}, certificate=[section(named["org"]), section(certificates.server)])
    assert shown(popgate, "implicit", "-noservername") == serial_of(named["org"])
    assert shown(popgate, "implicit", "-servername", "localhost") == serial_of(certificates.server)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_resume_after_swap_and_reload_and_elsewhere(version, tmp_path, serve, route, files, certificates):
    files.put(certificates.server)
    popgate = serve(route, listen=LISTEN, tls=files.tls)
    session = str(tmp_path / "session")
    assert "\nNew, " in s_client(popgate, "implicit", version, "-sess_out", session)
    assert "\nReused, " in s_client(popgate, "implicit", version, "-sess_in", session)
    files.put(certificates.other_host)
    popgate.wait_for("certificate_changed")
    assert "\nReused, " in s_client(popgate, "implicit", version, "-sess_in", session)
    assert "\nReused, " in s_client(popgate, "starttls", version, "-sess_in", session)
    popgate.terminate(signal.SIGHUP)
    popgate.wait_for("reloaded")
    assert "\nReused, " in s_client(popgate, "implicit", version, "-sess_in", session)


def test_files_are_watched_after_a_reload(serve, route, files, certificates, named):
    files.put(certificates.server)
    popgate = serve(route, listen=LISTEN, tls=files.tls)
    popgate.terminate(signal.SIGHUP)
    popgate.wait_for("reloaded")
    files.put(named["org"])
    popgate.wait_for("certificate_changed")
    assert shown(popgate, "starttls") == serial_of(named["org"])


def test_a_ticket_is_no_client_certificate(tmp_path, serve, route, certificates):
    listen = [{"address": f"{HOST}:0", "tls": "implicit"},
              {"address": f"{HOST}:0", "tls": "starttls", "client_certificates": "required",
               "client_ca_file": str(certificates.ca)}]
    popgate = serve(route, listen=listen)
    session = str(tmp_path / "session")
    assert "\nNew, " in s_client(popgate, "implicit", "-sess_out", session)
    said = s_client(popgate, "starttls", "-sess_in", session)
    assert "Reused" not in said
    assert "+OK" not in said.partition("SSL handshake has read")[2]


def broken(certificates, directory):
    """What may lie there instead of a good pair: (certificate, key, what is said of it)."""
    good = certificates.server
    empty, half = directory / "empty", directory / "half"
    empty.write_bytes(b"")
    half.write_bytes(good.certificate.read_bytes()[:-100])
    return [(Certificate(certificates.other_host.certificate, good.key), "does not belong"),
            (Certificate(empty, good.key), "no certificate"),
            (Certificate(half, good.key), "no certificate"),
            (Certificate(good.certificate, empty), "no PEM private key")]


def test_a_broken_pair_keeps_the_old_one_and_is_told_once(tmp_path, serve, route, files, certificates):
    files.put(certificates.server)
    popgate = serve(route, listen=LISTEN, tls=files.tls)
    old = serial_of(certificates.server)
    for count, (made, words) in enumerate(broken(certificates, tmp_path), 1):
        files.put(made)
        refused = popgate.wait_for("certificate_refused", count=count)[-1]
        assert words in refused["error"] and refused["certificate"] == files.tls["certificate"]
        assert shown(popgate, "implicit") == old
    # What is refused stays so for any number of looks: this one is taken at a later look than all of those.
    files.put(certificates.other_host)
    popgate.wait_for("certificate_changed")
    assert len(popgate.log("certificate_refused")) == len(broken(certificates, tmp_path))
    assert shown(popgate, "implicit") == serial_of(certificates.other_host)


class Load:
    """Clients that log in over TLS one time after another, each in its own way, until the block ends."""

    def __init__(self, popgate, certificates):
        self._popgate = popgate
        self._contexts = [tls_context(certificates.ca, version=version)
                          for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]
        self.sessions = [0] * CLIENTS
        self.failures = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number):
        context = self._contexts[number % 2]
        while not self._over.is_set():
            try:
                self._session(number, context)
                self.sessions[number] += 1
            except (OSError, EOFError, AssertionError) as error:
                self.failures.append(repr(error))

    def _session(self, number, context):
        listener = ("implicit", "starttls")[number // 2 % 2]
        with Pop3(self._popgate.port(listener), tls=context if listener == "implicit" else None) as pop3:
            if listener == "starttls":
                pop3.stls(context)
            reply = pop3.login(f"ann{number}", PASSWORD)
            assert reply.startswith("+OK"), reply
            assert pop3.stat()[0] == 1
            assert pop3.quit().startswith("+OK")


def test_no_session_fails_while_certificates_are_swapped(serve, route, files, certificates):
    pairs = [certificates.server_for(f"swap{number}", "localhost", key="rsa" if number % 5 == 0 else "ec")
             for number in range(20)]
    serials = [serial_of(pair) for pair in pairs]
    context = tls_context(certificates.ca)
    files.put(certificates.server)
    popgate = serve(route, listen=LISTEN, tls=files.tls)
    with log_in(popgate, f"ann{CLIENTS}", listener="implicit", tls=context) as kept, Load(popgate, certificates) as load:
        for swap in range(SWAPS):
            files.put(pairs[swap % len(pairs)])
            serial = serials[swap % len(pairs)]
            popgate.wait_for("certificate_changed", count=swap + 1)
            wait_until(lambda serial=serial: serial_now(popgate, context) == serial, f"certificate {serial}")
            if swap % 50 == 0:
                assert kept.stat()[0] == 1
        assert kept.stat()[0] == 1
        assert kept.quit().startswith("+OK")
    print(f"{SWAPS} swaps, {sum(load.sessions)} sessions, {len(load.failures)} failed")
    assert load.failures == []
    assert min(load.sessions) > 0 and sum(load.sessions) >= SWAPS
    assert len(popgate.log("certificate_changed")) == SWAPS
    reasons = {record["reason"] for record in popgate.log("session")}
    assert reasons == {"quit"}
