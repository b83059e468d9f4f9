"""A message of 64 MiB from each kind of HTTP upstream does not pass through memory. Run with the release build alone: a
sanitizer keeps freed memory, and takes minutes."""

import pytest
from support import corpus
from support.http_kinds import KINDS, open_kind
from support.pop3 import Pop3


@pytest.mark.parametrize("kind", KINDS)
def test_64_mib_do_not_pass_through_memory(kind, certificates, serve):
    with open_kind(kind, certificates) as upstream:
        user, password = upstream.new_user()
        upstream.deliver(user, b"Subject: small\r\n\r\nbody\r\n")
        expected = corpus.digest(corpus.as_pop3(upstream.deliver(user, corpus.huge_message())))
        popgate = serve(upstream.route())
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(user, password).startswith("+OK")
            pop3.retr(1)
            popgate.forget_memory_peak()
            before = popgate.memory()["VmHWM"]
            for command in ("RETR 2", "TOP 2 99999999"):
                assert pop3.command(command).startswith("+OK")
                assert corpus.digest(pop3.multiline()) == expected
            grown = popgate.memory()["VmHWM"] - before
            print(f"{kind}: {grown} KiB more")
            assert grown < 8 * 1024
            # Whoever wants the first lines does not wait for, and does not hold, the rest.
            assert len(pop3.top(2, 1)) < 1000
            pop3.quit()
