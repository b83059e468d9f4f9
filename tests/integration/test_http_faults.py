"""Each fault that an HTTP upstream can show, at each request of a session: see support/faulty_session.py for what must
hold. And no credential reaches another origin.
"""

import pytest
from support import faulty_session, published_urls
from support.faulty_session import ALL, Elsewhere, one_session
from support.http_fake import HTTP_FAULTS
from support.http_kinds import FAKES, PUBLISHED, open_kind

SLOW = ("429", "429 later", "503", "503 later", "silence")


@pytest.fixture(scope="module")
def elsewhere():
    with Elsewhere() as fake:
        yield fake


@pytest.fixture(scope="module", params=FAKES)
def upstream(request, certificates):
    with open_kind(request.param, certificates) as server:
        yield server
        if request.param in PUBLISHED:
            assert published_urls.check(server.log) == []


@pytest.fixture
def popgate(serve, upstream):
    return serve(upstream.route(command_timeout="1500ms", connect_timeout="1500ms"), limits={"workers": 1})


@pytest.fixture(name="requests_of_a_session")
def _requests_of_a_session(upstream, popgate):
    return faulty_session.requests_of_a_session(upstream, popgate)


@pytest.mark.parametrize("fault", HTTP_FAULTS)
def test_once_at_each_request(fault, upstream, popgate, requests_of_a_session, elsewhere):
    heard = len(elsewhere.log)
    outcomes = []
    for number in range(1, requests_of_a_session + 1, 4 if fault in SLOW and not ALL else 1):
        def plan(faults):
            faults.elsewhere = elsewhere.origin + "/"
            faults.at(number, fault)

        session = one_session(upstream, popgate, plan)
        outcomes.append("well" if session.went_well else "ill")
    print(fault, requests_of_a_session, outcomes)
    for request in elsewhere.log[heard:]:
        assert "authorization" not in request.headers and "x-access-token" not in request.headers


@pytest.mark.parametrize("fault", HTTP_FAULTS)
def test_from_each_request_on(fault, upstream, popgate, requests_of_a_session, elsewhere):
    for number in range(1, requests_of_a_session + 1, 6 if fault in SLOW and not ALL else 3):
        def plan(faults):
            faults.elsewhere = elsewhere.origin + "/"
            faults.from_on(number, fault)

        session = one_session(upstream, popgate, plan)
        assert not (session.quit and session.quit.startswith("+OK")) or number > 1
    for request in elsewhere.log:
        assert "authorization" not in request.headers and "x-access-token" not in request.headers


def test_a_credential_that_dies_in_the_middle(upstream, popgate, requests_of_a_session):
    for number in range(2, requests_of_a_session + 1):
        def plan(faults):
            faults.from_on(number, "401")

        session = one_session(upstream, popgate, plan)
        # Who has logged in is not asked for another password.
        if session.login.startswith("+OK") and session.quit:
            assert "[AUTH]" not in session.quit


def test_a_server_that_wants_a_long_pause_is_left_alone(upstream, popgate):
    def plan(faults):
        faults.later = "3600"
        faults.always("429 later")

    session = one_session(upstream, popgate, plan)
    assert session.login.startswith("-ERR [SYS/TEMP]") and "please wait and retry" in session.login
