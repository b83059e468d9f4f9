"""What popgate asks Gmail and Graph for is held against the addresses that their vendors publish, and what it hears
against the vendors' types."""

import pytest
from support import published_urls, typed_answers
from support.http_fake import Request
from support.http_kinds import FAKES, PUBLISHED, open_kind
from support.pop3 import Pop3

MESSAGES = [b"Subject: %d\r\n\r\ntext\r\n" % number for number in range(12)]


@pytest.mark.parametrize("target, problem", [
    ("GET /gmail/v1/users/me/messages?labelIds=INBOX&maxResults=500&fields=messages%2Fid", None),
    ("GET /gmail/v1/users/me/messages?label=INBOX", "label is no parameter"),
    ("GET /gmail/v1/me/messages", "no such address"),
    ("PUT /gmail/v1/users/me/messages/18c0", "no such address"),
    ("GET /v1.0/me/mailFolders/inbox/messages/delta?$deltatoken=x", None),
    ("GET /v1.0/users/a%40b/messages/AAA/$value", None),
    ("GET /v1.0/me/messages/AAA/$value?$top=1", "$top is no parameter"),
    ("GET /v1.0/me/mailFolders/inbox/messages?$pageSize=1", "$pageSize is no parameter"),
    ("POST /v1.0/me/messages/AAA/purge", "no such address"),
    ("GET /elsewhere", "no such address"),
])
def test_addresses_that_are_published_and_others(target, problem):
    problems = published_urls.check([Request(*target.split(), {}, b"")])
    assert len(problems) == (problem is not None)
    assert problem is None or problem in problems[0]


@pytest.mark.parametrize("policy", ["delete", "trash"])
@pytest.mark.parametrize("kind", [kind for kind in FAKES if not kind.startswith("rest")])
def test_popgate_asks_for_what_is_published_and_hears_what_is_typed(kind, policy, certificates, serve):
    with open_kind(kind, certificates) as fake:
        recorder = typed_answers.Recorder(fake)
        popgate = serve(fake.route(on_delete=policy))
        user, password = fake.new_user()
        for raw in MESSAGES:
            fake.deliver(user, raw)
        for _ in range(2):
            with Pop3(popgate.port()) as pop3:
                assert pop3.login(user, password).startswith("+OK")
                assert pop3.command("RETR", 1).startswith("+OK")
                pop3.multiline()
                for number in (1, 2):
                    assert pop3.command("DELE", number).startswith("+OK")
                assert pop3.command("QUIT").startswith("+OK")
        assert fake.messages(user) == MESSAGES[4:]
        answers = recorder.answers()
        assert answers
        assert typed_answers.type_errors(answers) == []
        if kind in PUBLISHED:
            assert published_urls.check(fake.log) == []
