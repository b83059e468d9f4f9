"""What sslscan and `openssl s_client` find out about the listeners' TLS."""

import re
import subprocess

import pytest
from support.net import HOST, PATIENCE
from support.popgate import Popgate
from support.proxies import HAProxy
from support.setups import configuration

KINDS = ["implicit", "starttls"]


@pytest.fixture(scope="module")
def listening(certificates):
    """{name: port} of a listener of each kind, behind HAProxy too; "old" takes what nobody should."""
    listen = [{"address": f"{HOST}:0", "tls": tls} for tls in KINDS]
    behind = [{**one, "proxy_protocol": True, "trusted_proxies": HOST} for one in listen]
    route = {"match": "*", "backend": f"imaps://{HOST}:9"}
    with Popgate(configuration(certificates, route, listen=listen)) as popgate, \
            Popgate(configuration(certificates, route, listen=behind)) as proxied, \
            Popgate(configuration(certificates, route, listen=[{**listen[0], "min_tls": "1.0"}])) as old, \
            HAProxy(proxied.port("implicit"), "send-proxy-v2") as implicit, \
            HAProxy(proxied.port("starttls"), "send-proxy") as starttls:
        yield {**{tls: popgate.port(tls) for tls in KINDS}, "old": old.port(),
               "implicit behind HAProxy": implicit.port, "starttls behind HAProxy": starttls.port}


LISTENERS = pytest.mark.parametrize("name", [*KINDS, *(f"{kind} behind HAProxy" for kind in KINDS)])


def scan(port, *, starttls):
    arguments = ["--no-colour", "--no-groups", "--no-check-certificate", *(["--starttls-pop3"] if starttls else [])]
    return subprocess.run(["sslscan", *arguments, f"{HOST}:{port}"], capture_output=True, text=True, check=True,
                          timeout=4 * PATIENCE).stdout


def protocols(report):
    """{"TLSv1.2": "enabled"}"""
    return dict(re.findall(r"^((?:SSL|TLS)v[\d.]+) +(enabled|disabled)$", report, re.MULTILINE))


@LISTENERS
def test_sslscan_finds_nothing_old(name, listening):
    report = scan(listening[name], starttls=name.startswith("starttls"))
    assert protocols(report) == {**dict.fromkeys(["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"], "disabled"),
                                 **dict.fromkeys(["TLSv1.2", "TLSv1.3"], "enabled")}, report
    assert "Server supports TLS Fallback SCSV" in report
    assert "Session renegotiation not supported" in report
    assert "Compression enabled" not in report
    assert "vulnerable to heartbleed" in report and not re.search(r"(?<!not )vulnerable to heartbleed", report), report
    suites = re.findall(r"^(?:Preferred|Accepted) +TLSv1\.(\d) +(\d+) bits +(\S+)", report, re.MULTILINE)
    assert {version for version, *_ in suites} == {"2", "3"}, report
    for version, bits, suite in suites:
        assert int(bits) >= 128 and not re.search("RC4|DES|NULL|MD5|EXP|anon|ADH", suite), suite
        assert version == "3" or suite.startswith("ECDHE-"), f"no forward secrecy with {suite}"


def test_sslscan_would_find_what_is_old(listening):
    report = scan(listening["old"], starttls=False)
    assert protocols(report)["TLSv1.0"] == protocols(report)["TLSv1.1"] == "enabled", report


def s_client(port, *arguments, starttls, says=b""):
    """What is printed about a session that ends when the input does."""
    arguments = [*arguments, *(["-starttls", "pop3"] if starttls else [])]
    done = subprocess.run(["openssl", "s_client", "-connect", f"{HOST}:{port}", *arguments], input=says,
                          capture_output=True, timeout=PATIENCE, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


@LISTENERS
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_s_client_gets_no_old_version(version, name, listening):
    said = s_client(listening[name], version, "-cipher", "ALL:@SECLEVEL=0", starttls=name.startswith("starttls"))
    assert "alert protocol version" in said and "Cipher is (NONE)" in said, said


@LISTENERS
def test_s_client_gets_no_renegotiation(name, listening):
    """The command R asks for one."""
    said = s_client(listening[name], "-tls1_2", starttls=name.startswith("starttls"), says=b"R\n")
    assert "RENEGOTIATING" in said and "no renegotiation" in said, said


@LISTENERS
def test_s_client_gets_no_compression(name, listening):
    said = s_client(listening[name], "-tls1_2", "-comp", starttls=name.startswith("starttls"))
    assert "Cipher is ECDHE-" in said and "Compression: NONE" in said, said
