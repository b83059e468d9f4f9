"""The fakes' common base, tested: a fault that is not shown would prove nothing about who bears it."""

import gzip
import http.client
import ssl

import pytest
from support.http_fake import HttpFake, Response
from support.net import HOST

BODY = b'{"text": "' + b"0123456789" * 2000 + b'"}'


class _Echo(HttpFake):
    def respond(self, request, user):
        return Response(200, BODY)


@pytest.fixture
def fake():
    with _Echo() as server:
        yield server


def connect(fake):
    return http.client.HTTPConnection(HOST, fake.port, timeout=10)


def get(fake, connection=None, token=None, **headers):
    connection = connection or connect(fake)
    connection.request("GET", "/x", headers={"Authorization": f"Bearer {token or fake.new_token('a')}", **headers})
    answer = connection.getresponse()
    return answer, answer.read()


def test_keeps_a_connection_and_a_log(fake):
    connection = connect(fake)
    assert get(fake, connection)[1] == BODY
    socket = connection.sock
    assert get(fake, connection)[1] == BODY
    assert socket is not None and connection.sock is socket
    assert [(each.method, each.path, each.status) for each in fake.log] == [("GET", "/x", 200)] * 2


def test_compresses_only_when_asked(fake):
    answer, body = get(fake, **{"Accept-Encoding": "gzip"})
    assert answer.getheader("Content-Encoding") == "gzip" and gzip.decompress(body) == BODY
    assert get(fake)[0].getheader("Content-Encoding") is None


def test_tls(certificates):
    with _Echo(certificates.server) as fake:
        context = ssl.create_default_context(cafile=str(certificates.ca))
        assert get(fake, http.client.HTTPSConnection("localhost", fake.port, context=context, timeout=10))[1] == BODY


def test_a_token_that_dies(fake):
    token = fake.new_token("a")
    assert get(fake, token=token)[0].status == 200
    fake.end_tokens()
    assert [get(fake, token=token)[0].status for _ in range(2)] == [401, 401]
    assert get(fake, token=fake.new_token("a"))[0].status == 200


@pytest.mark.parametrize("fault, status, kind, later", [
    ("401", 401, "application/json", None), ("429", 429, "application/json", None),
    ("429 later", 429, "application/json", "1"), ("503", 503, "application/json", None),
    ("503 later", 503, "application/json", "1"), ("500", 500, "application/json", None),
    ("html 500", 502, "text/html", None), ("html 200", 200, "text/html", None)])
def test_a_fault_at_the_second_request_alone(fake, fault, status, kind, later):
    fake.faults.at(2, fault)
    answers = [get(fake)[0] for _ in range(3)]
    assert [each.status for each in answers] == [200, status, 200]
    assert (answers[1].getheader("Content-Type"), answers[1].getheader("Retry-After")) == (kind, later)
    assert fake.faults.shown == [(2, fault)]


def test_faults_of_a_path(fake):
    fake.faults.always("500", path="/y").always("503", path="/x", times=2)
    assert [get(fake)[0].status for _ in range(3)] == [503, 503, 200]


def test_a_redirect_to_another_origin(fake):
    fake.faults.elsewhere = "https://other.example/"
    fake.faults.at(1, "redirect away")
    answer, _ = get(fake)
    assert (answer.status, answer.getheader("Location")) == (302, "https://other.example/")


@pytest.mark.parametrize("fault", ["cut", "cut chunked"])
def test_a_body_cut_short(fake, fault):
    fake.faults.at(1, fault)
    with pytest.raises(http.client.IncompleteRead):
        get(fake)


def test_a_gzip_stream_cut_in_whole_framing(fake):
    fake.faults.at(1, "cut gzip")
    _, body = get(fake, **{"Accept-Encoding": "gzip"})
    with pytest.raises(EOFError):
        gzip.decompress(body)


def test_hanging_up(fake):
    fake.faults.at(1, "hang up")
    with pytest.raises(http.client.RemoteDisconnected):
        get(fake)


def test_silence(fake):
    fake.faults.at(1, "silence")
    connection = http.client.HTTPConnection(HOST, fake.port, timeout=0.5)
    with pytest.raises(TimeoutError):
        get(fake, connection)
    connection.close()
