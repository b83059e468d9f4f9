"""The upstream's certificate: chain, dates and name are verified before a password goes out."""

import re

import pytest
from support.dovecot import CAPABILITY, Dovecot
from support.pop3 import Pop3
from support.setups import PASSWORD, imaps_route, log_in

USER = "u@x"

BAD = {  # certificate: what the log must say of it
    "expired": "expired",
    "other_host": "host ?name|other.example|mismatch",
    "self_signed": "self.signed",
}


def starttls_route(dovecot, **keys):
    return {"match": "*", "backend": f"imap://127.0.0.1:{dovecot.imap_port}", "ca_file": str(dovecot.ca_file), **keys}


ROUTES = pytest.mark.parametrize("make_route", [imaps_route, starttls_route], ids=["imaps", "starttls"])


def assert_refused(popgate, reason):
    with Pop3(popgate.port()) as pop3:
        assert pop3.login(USER, PASSWORD).startswith("-ERR [SYS/")
    assert re.search(reason, popgate.session(user=USER)["error"], re.IGNORECASE)


@pytest.fixture(scope="module", params=BAD)
def bad(request, certificates):
    """A Dovecot with a bad certificate, and what is wrong with that."""
    with Dovecot(certificates, password=PASSWORD, certificate=getattr(certificates, request.param)) as dovecot:
        yield dovecot, BAD[request.param]


@ROUTES
def test_a_bad_certificate_is_refused_by_name(make_route, bad, serve):
    dovecot, reason = bad
    assert_refused(serve(make_route(dovecot)), reason)
    assert f"user=<{USER}>" not in dovecot.log()  # nobody tried to log in


@ROUTES
def test_verification_can_be_switched_off_and_that_is_said_aloud(make_route, bad, serve):
    dovecot, _ = bad
    user = f"{make_route.__name__}@x"
    popgate = serve(make_route(dovecot, verify_certificate=False))
    log_in(popgate, user).quit()
    assert any(record["level"] == "warning" and "verify_certificate" in str(record) for record in popgate.log())


@ROUTES
def test_a_certificate_of_another_authority_is_refused(make_route, dovecot, certificates, serve):
    popgate = serve(make_route(dovecot, ca_file=str(certificates.other_ca)))
    assert_refused(popgate, "issuer|self.signed certificate in|unable to")


@ROUTES
def test_the_authorities_of_the_system_do_not_know_a_private_one(make_route, dovecot, serve):
    route = make_route(dovecot)
    del route["ca_file"]
    assert_refused(serve(route), "issuer|self.signed certificate in|unable to")


@ROUTES
def test_each_route_has_its_own_authority(make_route, dovecot, certificates, serve):
    popgate = serve([make_route(dovecot, match="*@good"),
                     make_route(dovecot, match="*", ca_file=str(certificates.other_ca))])
    log_in(popgate, "u@good").quit()
    assert_refused(popgate, "issuer|self.signed certificate in|unable to")


def test_a_host_name_is_verified_as_a_name(dovecot, serve):
    log_in(serve(imaps_route(dovecot, backend=f"imaps://localhost:{dovecot.imaps_port}")), USER).quit()


def test_a_server_that_takes_no_login_in_clear_is_given_none(certificates, serve):
    with Dovecot(certificates, password=PASSWORD, cleartext_login=False) as dovecot:
        route = {"match": "*", "backend": f"imap://{dovecot.stranger_host}:{dovecot.imap_port}", "starttls": "none"}
        assert_refused(serve(route), "no password here")
        assert f"user=<{USER}>" not in dovecot.log()


def test_authenticate_plain_where_login_is_disabled(certificates, serve):
    with Dovecot(certificates, password=PASSWORD, capability=f"{CAPABILITY} LOGINDISABLED") as dovecot:
        log_in(serve(imaps_route(dovecot)), USER).quit()
