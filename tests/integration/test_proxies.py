"""Behind HAProxy, nginx and stunnel: who the client is, whom the limits count, and what a header may not do.

Clients come from addresses of their own, 127.0.0.2 and others; the proxies, from 127.0.0.1, which is trusted."""

import socket
import struct
import time
from base64 import b64encode

import pytest
from support.net import HOST, wait_until
from support.pop3 import Pop3, tls_context
from support.popgate import Popgate
from support.proxies import HAProxy, Nginx, Stunnel
from support.setups import PASSWORD, check_for_secrets, configuration, imaps_route, maildir_route, make_maildir

CLIENT = "127.0.0.2"
LINE = b"PROXY TCP4 192.0.2.7 127.0.0.1 54321 110\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton(HOST) + struct.pack("!HH", 54321, 110)


def block(command=0x21, family=0x11, rest=ADDRESSES, length=None):
    """A header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest) if length is None else length) + rest


def detail(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def listener(tls="none", **keys):
    return {"address": f"{HOST}:0", "tls": tls, "proxy_protocol": True, "trusted_proxies": "127.0.0.1/32 192.0.2.0/24", **keys}


@pytest.fixture(scope="module")
def behind(certificates, dovecot):
    """A popgate with a listener of each kind behind a proxy."""
    listen = [listener(tls) for tls in ("none", "starttls", "implicit")]
    with Popgate(configuration(certificates, imaps_route(dovecot), listen=listen)) as popgate:
        yield popgate
    check_for_secrets(popgate)


@pytest.fixture
def context(certificates):
    return tls_context(certificates.ca)


def direct(popgate, first, *, listener="none", **more):
    """A connection that says it is a proxy's."""
    return Pop3(popgate.port(listener), first=first, **more)


def read_through(popgate, port, user, **more):
    """A session from CLIENT through a proxy; what popgate logged of it."""
    with Pop3(port, source=CLIENT, **more) as pop3:
        own_port = pop3.socket.getsockname()[1]
        assert pop3.login(user, PASSWORD).startswith("+OK")
        pop3.quit()
    session = popgate.session(user=user)
    assert session["from"] == f"{CLIENT}:{own_port}"
    return session


def is_served(port, **more):
    """Whether a newcomer is greeted."""
    try:
        with Pop3(port, **more) as pop3:
            return pop3.greeting.startswith("+OK")
    except (EOFError, OSError):
        return False


def refused(popgate, octets, *, listener="none", source=None, end=False):
    """Sends these octets on a new connection, which must be closed without a word. Gives our own address."""
    with Pop3(popgate.port(listener), greet=False, source=source) as pop3:
        name = "%s:%d" % pop3.socket.getsockname()
        try:
            pop3.send(octets)
            if end:
                pop3.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed already
        assert pop3.rest() == b""
    return name


def refused_and_said(popgate, octets, **more):
    """As refused(), until a second comes whose line is about this one."""
    names = set()

    def said():
        names.add(refused(popgate, octets, **more))
        return [record for record in popgate.log("proxy_refused") if record["from"] in names]

    return wait_until(said, "a line about a refused proxy", interval=0.2)[0]


# --- real proxies


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn",
                                  "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"])
def test_haproxy_names_the_client(send, behind, user):
    with HAProxy(behind.port("none"), send) as proxy:
        assert read_through(behind, proxy.port, user)["tls"] == "none"


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_tls_passes_through_haproxy(send, behind, context, user):
    with HAProxy(behind.port("implicit"), send) as proxy:
        session = read_through(behind, proxy.port, user, tls=context)
        assert session["tls"].startswith("TLSv1.3 ") and "proxy" not in session["tls"]


def test_stls_through_haproxy(behind, context, user):
    with HAProxy(behind.port("starttls"), "send-proxy-v2") as proxy:
        with Pop3(proxy.port, source=CLIENT) as pop3:
            assert "STLS" in pop3.capa()
            assert pop3.command("USER", user).startswith("-ERR")
            pop3.stls(context)
            assert pop3.login(user, PASSWORD).startswith("+OK")
            pop3.quit()
        session = behind.session(user=user)
        assert session["from"].startswith(f"{CLIENT}:") and session["tls"].startswith("TLSv1.3 ")


@pytest.mark.parametrize("options", ["", " proxy-v2-options ssl-cipher"], ids=["without cipher", "with cipher"])
def test_tls_that_ended_at_haproxy_is_tls(options, behind, certificates, context, user):
    """On a listener that asks for STLS before a password."""
    with HAProxy(behind.port("starttls"), "send-proxy-v2-ssl-cn" + options, certificate=certificates.server) as proxy:
        with Pop3(proxy.port, source=CLIENT, tls=context) as pop3:
            capabilities = pop3.capa()
            assert "STLS" not in capabilities and "USER" in capabilities
            assert pop3.command("STLS").startswith("-ERR")
            assert pop3.login(user, PASSWORD).startswith("+OK")
            version, cipher = pop3.socket.version(), pop3.socket.cipher()[0]
            pop3.quit()
        session = behind.session(user=user)
        assert session["tls"] == (f"{version} {cipher} (proxy)" if options else f"{version} (proxy)")
        assert session["from"].startswith(f"{CLIENT}:")


def test_version_1_cannot_say_that_there_was_tls(behind, certificates, context, user):
    with HAProxy(behind.port("starttls"), "send-proxy", certificate=certificates.server) as proxy:
        with Pop3(proxy.port, tls=context) as pop3:
            assert pop3.command("USER", user).startswith("-ERR")


@pytest.fixture(scope="module")
def clients(certificates):
    return {"ann": certificates.client("proxied_ann", "ann"),
            "stranger": certificates.client("proxied_stranger", "ann", authority="other_ca")}


@pytest.mark.parametrize("who", ["ann", "stranger", None])
def test_a_certificate_that_haproxy_has_verified(who, serve, certificates, clients, tmp_path):
    make_maildir(tmp_path, "ann", b"Subject: hello\r\n\r\ntext\r\n")
    keys = {"client_certificates": "optional", "client_ca_file": str(certificates.ca)}
    popgate = serve(maildir_route(tmp_path, auth="certificate"), listen=[listener("starttls", **keys)])
    context = tls_context(certificates.ca)
    if who:
        context.load_cert_chain(clients[who].certificate, clients[who].key)
    with HAProxy(popgate.port(), "send-proxy-v2-ssl-cn", certificate=certificates.server,
                 client_ca=certificates.ca) as proxy:
        with Pop3(proxy.port, tls=context) as pop3:
            mechanisms = pop3.capa().get("SASL", [])
            reply = pop3.command("AUTH EXTERNAL", b64encode(b"ann"))
            if who == "ann":
                assert "EXTERNAL" in mechanisms and reply.startswith("+OK 1 ")
            else:
                assert "EXTERNAL" not in mechanisms and reply.startswith("-ERR")


@pytest.mark.parametrize("check", ["send-proxy-v2 check-send-proxy", "send-proxy-v2-ssl-cn check-send-proxy"])
def test_haproxys_own_checks_are_no_sessions(check, serve, dovecot, user):
    """They come every moment: at level info nothing is written of them."""
    popgate = serve(imaps_route(dovecot), listen=[listener()])
    with HAProxy(popgate.port(), f"{check} check inter 100ms") as proxy:
        checks = popgate.wait_for("session", count=3)
        assert all(record["level"] == "debug" and record["from"].startswith(f"{HOST}:") for record in checks)
        assert read_through(popgate, proxy.port, user)["level"] == "info"
    assert not popgate.log("proxy_refused")


def test_a_true_ipv6_client(behind, user):
    with HAProxy(behind.port("none"), "send-proxy-v2", host="::1") as proxy:
        with Pop3(proxy.port, host="::1") as pop3:
            own_port = pop3.socket.getsockname()[1]
            assert pop3.login(user, PASSWORD).startswith("+OK")
            pop3.quit()
        assert behind.session(user=user)["from"] == f"[::1]:{own_port}"


def test_nginx_names_the_client(behind, context, user):
    with Nginx(behind.port("none")) as proxy:
        assert read_through(behind, proxy.port, user)["tls"] == "none"
    with Nginx(behind.port("implicit")) as proxy:
        assert read_through(behind, proxy.port, "tls-" + user, tls=context)["tls"].startswith("TLSv1.3 ")


def test_stunnel_names_the_client(behind, certificates, context, user):
    with Stunnel(behind.port("none"), certificates.server) as proxy:
        assert read_through(behind, proxy.port, user, tls=context)["tls"] == "none"


# --- whom the limits count


def test_the_cap_of_an_address_is_the_true_clients(serve, dovecot):
    popgate = serve(imaps_route(dovecot), listen=[listener()], limits={"max_sessions_per_address": 2})
    with HAProxy(popgate.port(), "send-proxy-v2") as proxy:
        sessions = [Pop3(proxy.port, source=source) for source in (CLIENT, CLIENT, "127.0.0.3", "127.0.0.4")]
        assert all(session.greeting.startswith("+OK") for session in sessions)
        with Pop3(proxy.port, source=CLIENT, greet=False) as third:
            assert not third.rest().startswith(b"+OK")
        sessions[0].close()
        wait_until(lambda: is_served(proxy.port, source=CLIENT), "a place that became free")
        for session in sessions[1:]:
            session.close()


def test_the_cap_of_all_counts_those_who_have_not_said_a_header(serve, dovecot):
    popgate = serve(imaps_route(dovecot), listen=[listener()], limits={"max_sessions": 2, "proxy_timeout": "60s"})
    silent = [Pop3(popgate.port(), greet=False) for _ in range(2)]
    # Each acceptor takes its own clients, so that a later one may come in before them.
    wait_until(lambda: not is_served(popgate.port(), first=LINE), "no place for a third")
    for pop3 in silent:
        pop3.close()
    wait_until(lambda: is_served(popgate.port(), first=LINE), "a place that became free")


def test_guessing_is_slow_for_the_true_client(serve, dovecot, user):
    """By the order in which refusals are told, as test_the_wait_grows_for_one_user_from_one_address has it."""
    popgate = serve(imaps_route(dovecot), listen=[listener()])
    with HAProxy(popgate.port(), "send-proxy") as proxy:
        with Pop3(proxy.port, source=CLIENT) as pop3:
            for number in range(2):
                assert pop3.login(user, f"guess {number}").startswith("-ERR [AUTH] ")
        with Pop3(proxy.port, source=CLIENT) as third, Pop3(proxy.port, source="127.0.0.3") as elsewhere:
            third.command("USER", user)
            third.send(b"PASS guess 3\r\n")
            assert elsewhere.login(user, "typo").startswith("-ERR [AUTH] ")
            told = popgate.wait_for("login_failed", count=3)[2]
            assert told["from"].startswith("127.0.0.3:"), "the third guess still waits"
            assert third.line().startswith("-ERR [AUTH] ")


# --- headers by hand


@pytest.mark.parametrize("header", [LINE, block(), block(rest=ADDRESSES + detail(4, b"x" * 2000))], ids=["1", "2", "2 long"])
@pytest.mark.parametrize("listener", ["none", "implicit"])
def test_a_header_and_what_follows_in_one_segment(listener, header, behind, context, user):
    if listener == "implicit":
        with direct(behind, header, listener=listener, tls=context) as pop3:  # with the ClientHello
            assert pop3.login(user, PASSWORD).startswith("+OK")
            pop3.quit()
    else:
        with direct(behind, header + b"USER %s\r\nPASS %s\r\nQUIT\r\n" % (user.encode(), PASSWORD.encode())) as pop3:
            assert pop3.rest().count(b"+OK") == 3
    assert behind.session(user=user)["from"] == "192.0.2.7:54321"


@pytest.mark.parametrize("header", [LINE, block()], ids=["1", "2"])
@pytest.mark.parametrize("listener", ["none", "implicit"])
def test_a_header_octet_by_octet(listener, header, behind, context, user):
    with Pop3(behind.port(listener), greet=False) as pop3:
        pop3.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in header:
            pop3.send(bytes([octet]))
        if listener == "implicit":
            pop3.start_tls(context)
        assert pop3.line().startswith("+OK")
        assert pop3.login(user, PASSWORD).startswith("+OK")
        pop3.quit()
    assert behind.session(user=user)["from"] == "192.0.2.7:54321"


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", block(family=0, rest=b"")])
def test_who_is_not_named_is_the_proxy(header, behind, user):
    with direct(behind, header) as pop3:
        own_port = pop3.socket.getsockname()[1]
        assert pop3.login(user, PASSWORD).startswith("+OK")
        pop3.quit()
    session = behind.session(user=user)
    assert session["from"] == f"{HOST}:{own_port}" and session["level"] == "info"


@pytest.mark.parametrize("second", [LINE, b"PROXY UNKNOWN\r\n", block()], ids=["1", "1 unknown", "2"])
def test_a_forged_second_header_is_a_bad_command(second, behind, user):
    """A client behind the proxy may send what it likes, which is read as POP3."""
    with direct(behind, LINE) as pop3:
        pop3.send(second.replace(b"192.0.2.7", b"192.0.2.9") + b"NOOP\r\n")
        assert pop3.line().startswith("-ERR")
    with direct(behind, LINE) as pop3:
        assert pop3.command("PROXY TCP4 192.0.2.9 127.0.0.1 1 110").startswith("-ERR")
        assert pop3.login(user, PASSWORD).startswith("+OK")
        pop3.quit()
    assert behind.session(user=user)["from"] == "192.0.2.7:54321"


@pytest.mark.parametrize("octets", [LINE, block(), b"", b"USER x\r\n"], ids=["1", "2", "nothing", "POP3"])
@pytest.mark.parametrize("kind", ["none", "implicit"])
def test_a_peer_that_is_not_trusted_gets_nothing(kind, octets, behind):
    record = refused_and_said(behind, octets, listener=kind, source="127.0.0.5")
    assert record["level"] == "warning" and "trusted_proxies" in record["error"]


def test_trust_does_not_follow_from_a_header(behind):
    """192.0.2.7 is in a trusted network, but it is not the peer."""
    before = len(behind.log("session"))
    refused(behind, LINE, source="127.0.0.5")
    refused(behind, b"PROXY TCP4 127.0.0.1 127.0.0.1 1 110\r\n" * 2, source="127.0.0.5")
    assert len(behind.log("session")) == before


@pytest.mark.parametrize("begun", [b"", b"PROXY TCP4 192.0.2.7", block()[:15], block(length=400)], ids=len)
def test_a_header_has_to_come_in_time(begun, serve, dovecot):
    popgate = serve(imaps_route(dovecot), listen=[listener()], limits={"proxy_timeout": "300ms"})
    began = time.monotonic()
    refused(popgate, begun)
    assert 0.25 < time.monotonic() - began < 10
    assert "in time" in popgate.wait_for("proxy_refused")[0]["error"]


def test_dripping_does_not_move_the_deadline(serve, dovecot):
    popgate = serve(imaps_route(dovecot), listen=[listener()], limits={"proxy_timeout": "500ms"})
    began = time.monotonic()
    with Pop3(popgate.port(), greet=False) as pop3:
        try:
            for octet in b"PROXY UNKNOWN " + b"x" * 80:
                pop3.send(bytes([octet]))
                time.sleep(0.1)  # the drip itself
        except OSError:
            pass
    assert time.monotonic() - began < 5
    popgate.wait_for("proxy_refused")


BROKEN = {
    "POP3": b"USER joe\r\n",
    "TLS": b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03",
    "bare LF": LINE.replace(b"\r", b""),
    "leading zero": b"PROXY TCP4 192.0.2.7 127.0.0.1 054321 110\r\n",
    "wrong family": b"PROXY TCP6 192.0.2.7 127.0.0.1 54321 110\r\n",
    "a NUL": b"PROXY TCP4 192.0.2.7\0 127.0.0.1 54321 110\r\n",
    "108 octets": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "endless": b"PROXY TCP4 " + b"1" * 5000,
    "unknown version": block(0x31),
    "datagrams": block(family=0x12),
    "short for its addresses": block(rest=ADDRESSES[:11]),
    "too long": block(length=0xFFFF),
    "a detail that runs over": block(rest=ADDRESSES + b"\x04\x00\x09x"),
    "a wrong checksum": block(rest=ADDRESSES + detail(3, b"\0\0\0\0")),
}


@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN)
def test_a_broken_header_gets_nothing(octets, behind):
    record = refused_and_said(behind, octets)
    assert record["level"] == "warning" and "PROXY" in record["error"]


def test_a_header_that_is_cut_off(behind):
    record = refused_and_said(behind, LINE[:20], end=True)
    assert "complete" in record["error"]


def test_a_flood_of_broken_headers_is_no_flood_of_lines(serve, dovecot, user):
    popgate = serve(imaps_route(dovecot), listen=[listener()])
    began = time.monotonic()
    for _ in range(100):
        refused(popgate, b"USER x\r\n")
    lines = popgate.log("proxy_refused")
    assert 1 <= len(lines) <= time.monotonic() - began + 2
    refused_and_said(popgate, b"USER x\r\n")
    assert sum(record["connections"] for record in popgate.log("proxy_refused")) >= 100, "the others are counted"
    with direct(popgate, LINE) as pop3:
        assert pop3.login(user, PASSWORD).startswith("+OK")
        pop3.quit()
    popgate.session(user=user)


def test_nothing_is_left_of_those_who_were_refused(serve, dovecot, user):
    popgate = serve(imaps_route(dovecot), listen=[listener()])
    with direct(popgate, LINE) as pop3:
        pop3.login(user, PASSWORD)
        pop3.quit()
    popgate.session(user=user)
    before = popgate.descriptors()
    for octets in list(BROKEN.values()) * 3:
        refused(popgate, octets)
    popgate.wait_for_descriptors(before + 1)


# Without `proxy_protocol` a header is POP3, and bad at that.
@pytest.mark.parametrize("header", [LINE, block()], ids=["1", "2"])
def test_no_header_is_taken_where_none_is_wanted(header, gateway, user):
    with Pop3(gateway.port("none")) as pop3:
        pop3.send(header + b"NOOP\r\n")
        assert pop3.line().startswith("-ERR")
    with Pop3(gateway.port("none")) as pop3:
        own_port = pop3.socket.getsockname()[1]
        pop3.command("PROXY TCP4 192.0.2.7 127.0.0.1 54321 110")
        assert pop3.login(user, PASSWORD).startswith("+OK")
        pop3.quit()
    assert gateway.session(user=user)["from"] == f"{HOST}:{own_port}"
