"""TLS towards the clients: STLS, implicit, the floor of versions, ALPN."""

import socket
import ssl

import pytest
from support.net import HOST
from support.pop3 import Pop3, tls_context
from support.setups import PASSWORD, imaps_route, log_in


@pytest.fixture
def context(certificates):
    return tls_context(certificates.ca)


def test_stls_then_login(gateway, context, user):
    with Pop3(gateway.port("starttls")) as pop3:
        assert "STLS" in pop3.capa()
        pop3.stls(context)
        capabilities = pop3.capa()
        assert "STLS" not in capabilities and "USER" in capabilities
        assert pop3.login(user, PASSWORD).startswith("+OK")
        assert pop3.command("STLS").startswith("-ERR")
        pop3.quit()
        assert gateway.session(user=user)["tls"].startswith("TLSv1.3 ")


@pytest.mark.parametrize("behind", [b"USER x\r\n", b"USE", b"NOOP\r\nNOOP\r\n", b"\r\n"])
def test_what_comes_in_clear_after_stls_is_never_obeyed(behind, gateway, context):
    with Pop3(gateway.port("starttls")) as pop3:
        pop3.send(b"STLS\r\n" + behind)
        try:
            if pop3.line().startswith("+OK"):
                pop3.start_tls(context)
                # A half command in clear would make one of this, and so would a name that was given there.
                assert pop3.command("R x").startswith("-ERR")
                assert pop3.command("PASS", PASSWORD).startswith("-ERR")
        except (OSError, EOFError):
            pass  # closed: fine


def test_what_was_said_before_stls_is_forgotten(gateway, serve, dovecot, context, user):
    popgate = serve(imaps_route(dovecot), listen=[{"address": "127.0.0.1:0", "tls": "starttls", "require_tls": False}])
    with Pop3(popgate.port()) as pop3:
        assert pop3.command("USER", user).startswith("+OK")
        pop3.stls(context)
        assert pop3.command("PASS", PASSWORD).startswith("-ERR")
        assert pop3.login(user, PASSWORD).startswith("+OK")


@pytest.mark.parametrize("line", ["STLS x", "STLS STLS"])
def test_stls_with_arguments(line, gateway, context):
    with Pop3(gateway.port("starttls")) as pop3:
        assert pop3.command(line).startswith("-ERR")
        pop3.stls(context)
        assert "USER" in pop3.capa()


def test_stls_where_there_is_none(gateway, context):
    for listener in ("none", "implicit"):
        with Pop3(gateway.port(listener), tls=context if listener == "implicit" else None) as pop3:
            assert "STLS" not in pop3.capa()
            assert pop3.command("STLS").startswith("-ERR")


def test_login_in_clear_where_tls_is_only_offered(serve, dovecot, user):
    popgate = serve(imaps_route(dovecot), listen=[{"address": "127.0.0.1:0", "tls": "starttls", "require_tls": False}])
    with log_in(popgate, user) as pop3:
        pop3.quit()
    assert popgate.session(user=user)["tls"] == "none"


OLD = [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1]
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")


@pytest.mark.parametrize("version", OLD, ids=lambda version: version.name)
def test_old_tls_is_refused(version, gateway, certificates):
    with pytest.raises(OSError):
        Pop3(gateway.port("implicit"), tls=tls_context(certificates.ca, version=version))


@pytest.mark.parametrize("version", [*OLD, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3],
                         ids=lambda version: version.name)
def test_a_listener_can_take_old_tls_and_says_so(version, dovecot, certificates, serve, user):
    popgate = serve(imaps_route(dovecot), listen=[{"address": "127.0.0.1:0", "tls": "implicit", "min_tls": "1.0"}])
    log_in(popgate, user, tls=tls_context(certificates.ca, version=version)).quit()
    name = version.name.replace("_", ".")
    assert popgate.session(user=user)["tls"].split()[0] in (name, name + ".0")
    assert any(record["level"] == "warning" and "min_tls" in str(record) for record in popgate.log())


def test_tls_1_3_alone(dovecot, certificates, serve, user):
    popgate = serve(imaps_route(dovecot), listen=[{"address": "127.0.0.1:0", "tls": "implicit", "min_tls": "1.3"}])
    log_in(popgate, user, tls=tls_context(certificates.ca)).quit()
    with pytest.raises(OSError):
        Pop3(popgate.port(), tls=tls_context(certificates.ca, version=ssl.TLSVersion.TLSv1_2))


def test_alpn(gateway, certificates):
    with Pop3(gateway.port("implicit"), tls=tls_context(certificates.ca, alpn=["http/1.1", "pop3"])) as pop3:
        assert pop3.socket.selected_alpn_protocol() == "pop3"


@pytest.mark.parametrize("protocols", [["http/1.1"], ["h2", "imap"]])
def test_alpn_for_another_protocol_is_refused(protocols, gateway, certificates):
    """ALPACA: a browser must not be led to us."""
    with pytest.raises(OSError):
        Pop3(gateway.port("implicit"), tls=tls_context(certificates.ca, alpn=protocols))


@pytest.mark.parametrize("garbage", [b"USER x\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, b"\x80\x2e\x01\0\2", b"\0" * 1000])
def test_a_handshake_of_garbage_ends_the_connection(garbage, gateway, context):
    with Pop3(gateway.port("implicit"), greet=False) as pop3:
        try:
            pop3.send(garbage)
            pop3.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        assert b"+OK" not in pop3.rest()
    Pop3(gateway.port("implicit"), tls=context).quit()


def test_a_handshake_that_never_comes_is_not_waited_for(serve, dovecot):
    popgate = serve(imaps_route(dovecot), listen=[{"address": "127.0.0.1:0", "tls": "implicit"}],
                    limits={"login_timeout": "300ms"})
    with socket.create_connection((HOST, popgate.port()), 30) as connection:
        assert connection.recv(1000) == b""
