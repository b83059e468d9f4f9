"""Tokens that another program writes: the client's password is its own, and it never hears of the upstream's."""

import os

import pytest
from support.http_kinds import FAKES, open_kind
from support.pop3 import Pop3
from support.popgate import run
from support.setups import PASSWORD

MESSAGES = [b"Subject: %d\r\n\r\nx\r\n" % number for number in range(1, 4)]


@pytest.fixture(scope="module", params=[kind for kind in FAKES if not kind.startswith("rest")])
def upstream(request, certificates):
    with open_kind(request.param, certificates) as server:
        yield server


@pytest.fixture
def user(upstream):
    name, _ = upstream.new_user()
    for message in MESSAGES:
        upstream.deliver(name, message)
    return name


@pytest.fixture
def route(upstream, user, tmp_path):
    """With a token_file for each user, and the users `user` and two others in the password file."""
    hashed = run("hash-password", stdin=PASSWORD.encode() + b"\n").stdout.decode().strip()
    (tmp_path / "passwords").write_text("".join(f"{each}:{hashed}\n" for each in (user, "a@x", "b@x")))
    return upstream.route(http_auth="bearer", auth="password-file", password_file=str(tmp_path / "passwords"),
                          token_file=str(tmp_path / "token-%u"))


def write_token(path, token):
    beside = path.with_suffix(".new")
    beside.write_text(token + "\n")
    beside.chmod(0o600)
    os.replace(beside, path)


def log_in(popgate, user, password=PASSWORD):
    pop3 = Pop3(popgate.port())
    return pop3, pop3.login(user, password)


def test_a_token_that_is_renewed_in_the_middle(upstream, user, route, serve, tmp_path):
    token_file = tmp_path / f"token-{user}"
    write_token(token_file, upstream.new_token(user))
    popgate = serve(route)
    pop3, reply = log_in(popgate, user)
    with pop3:
        assert reply.startswith("+OK"), reply
        assert pop3.retr(1) == MESSAGES[0]
        upstream.end_tokens()
        write_token(token_file, upstream.new_token(user))
        assert pop3.retr(2) == MESSAGES[1]
        assert pop3.command("DELE", 1).startswith("+OK")
        upstream.end_tokens()
        write_token(token_file, upstream.new_token(user))
        assert pop3.quit().startswith("+OK 1 ")
    assert upstream.messages(user) == MESSAGES[1:]
    record = popgate.session(user=user)
    assert not record.get("error"), record
    assert "token-" not in popgate.log_text().replace(str(token_file), "")


def test_a_token_that_ends_and_no_other_comes(upstream, user, route, serve, tmp_path):
    token_file = tmp_path / f"token-{user}"
    write_token(token_file, upstream.new_token(user))
    popgate = serve(route)
    pop3, reply = log_in(popgate, user)
    with pop3:
        assert reply.startswith("+OK"), reply
        assert pop3.command("DELE", 1).startswith("+OK")
        upstream.end_tokens()
        assert pop3.command("RETR", 2).startswith("-ERR [SYS/TEMP] ")
        assert pop3.quit().startswith("-ERR [SYS/TEMP] ")
    assert log_in(popgate, user)[1].startswith("-ERR [SYS/TEMP] ")
    token_file.unlink()
    assert log_in(popgate, user)[1].startswith("-ERR [SYS/TEMP] ")
    assert log_in(popgate, user, "wrong")[1].startswith("-ERR [AUTH] ")
    assert upstream.messages(user) == MESSAGES

    write_token(token_file, upstream.new_token(user))
    pop3, reply = log_in(popgate, user)
    with pop3:
        assert reply.startswith("+OK"), reply
        assert pop3.retr(1) == MESSAGES[0]


def test_one_token_for_all_is_one_mailbox(upstream, user, route, serve, tmp_path):
    write_token(tmp_path / "token", upstream.new_token(user))
    popgate = serve({**route, "token_file": str(tmp_path / "token")})
    pop3, reply = log_in(popgate, "a@x")
    with pop3:
        assert reply.startswith("+OK"), reply
        assert log_in(popgate, "b@x")[1].startswith("-ERR [IN-USE] ")
        assert pop3.command("DELE", 2).startswith("+OK")
        assert pop3.quit().startswith("+OK 1 ")
    pop3, reply = log_in(popgate, "b@x")
    with pop3:
        assert reply.startswith("+OK"), reply
        assert pop3.stat()[0] == 2


def test_whoever_has_the_token_needs_the_password(route, tmp_path):
    config = tmp_path / "popgate.toml"
    config.write_text('[[listen]]\naddress = "127.0.0.1:110"\ntls = "none"\n[[route]]\nmatch = "*"\n'
                      f'backend = "{route["backend"]}"\nhttp_auth = "bearer"\ntoken_file = "{tmp_path}/token"\n')
    made = run("check", "--config", config)
    assert made.returncode == 2 and b"checks no password itself with a token_file" in made.stdout
