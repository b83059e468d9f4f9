"""Certificates for the tests, made when they run: nothing to expire in the repository, no key in it."""

import datetime
import subprocess
from dataclasses import dataclass
from pathlib import Path

LOCALHOST = "DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path


def _openssl(*arguments, directory):
    subprocess.run(["openssl", *map(str, arguments)], cwd=directory, check=True, capture_output=True)


class Certificates:
    """A private CA and the server certificates of one test run, as PEM files in `directory`.

    server       good: for localhost and 127.0.0.1
    expired      for localhost, but its time is over
    other_host   in date, but for other.example
    self_signed  for localhost, vouched for by nobody
    ca           what a client must trust; `other_ca` signed nothing that a server here shows
    """

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ca = self._authority("ca").certificate
        self.other_ca = self._authority("other_ca").certificate
        self.server = self._signed("server", LOCALHOST)
        self.expired = self._signed("expired", LOCALHOST, start="20200101000000Z", end="20200201000000Z")
        self.other_host = self._signed("other_host", "DNS:other.example")
        self.self_signed = self._self_signed("self_signed", "-addext", f"subjectAltName={LOCALHOST}")

    def ending(self, name, days):
        """A good one for localhost whose time is over an hour before so many days, made when it is asked for."""
        now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        start, end = (f"{now + datetime.timedelta(days=offset):%Y%m%d%H%M%SZ}" for offset in (-1, days))
        return self._signed(name, LOCALHOST, start=start, end=end)

    def client(self, name, common_name, *, addresses=(), authority="ca", usage="clientAuth"):
        """A client's certificate, made when it is asked for; `addresses` are the e-mail addresses in it."""
        alternatives = ",".join(f"email:{address}" for address in addresses) or "URI:urn:popgate:test"
        return self._signed(name, alternatives, common_name=common_name, authority=authority, usage=usage)

    def server_for(self, name, *hosts, key="ec"):
        """A server's certificate for these host names, made when it is asked for; `key` is "ec" or "rsa"."""
        return self._signed(name, ",".join(f"DNS:{host}" for host in hosts), key=key)

    def _files(self, name):
        return Certificate(self.directory / f"{name}.pem", self.directory / f"{name}.key")

    def _self_signed(self, name, *extensions):
        made = self._files(name)
        _openssl("req", "-x509", *self._new_key(made), "-days", 30, "-out", made.certificate,
                 "-subj", f"/CN=popgate test {name}", *extensions, directory=self.directory)
        return made

    def _authority(self, name):
        return self._self_signed(name, "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _signed(self, name, names, start=None, end=None, *, common_name=None, authority="ca", usage="serverAuth",
                key="ec"):
        made = self._files(name)
        request = self.directory / f"{name}.csr"
        _openssl("req", *self._new_key(made, key), "-out", request, "-utf8", "-subj",
                 f"/CN={common_name or 'popgate test ' + name}", directory=self.directory)
        # `openssl x509` cannot sign for the past, `openssl ca` can, but wants its little database.
        (self.directory / f"{name}.index").write_text("")
        (self.directory / f"{name}.cnf").write_text(f"""
[ca]
default_ca = this
[this]
database = {name}.index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
extendedKeyUsage = {usage}
subjectAltName = {names}
""")
        dates = ["-startdate", start, "-enddate", end] if end else ["-days", 30]
        _openssl("ca", "-batch", "-notext", "-config", f"{name}.cnf", *dates, "-cert", f"{authority}.pem",
                 "-keyfile", f"{authority}.key", "-in", request, "-out", made.certificate, directory=self.directory)
        return made

    @staticmethod
    def _new_key(made, key="ec"):
        kind = ["rsa:2048"] if key == "rsa" else ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        return ["-newkey", *kind, "-nodes", "-keyout", made.key]
