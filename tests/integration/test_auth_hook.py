"""auth = "http": a web hook is asked about each login, as nginx's mail proxy asks it."""

import subprocess

import pytest
from support.auth_hook import AuthHook
from support.net import HOST, PATIENCE, free_port
from support.pop3 import Pop3
from support.setups import PASSWORD, clear_route, imaps_route, log_in, maildir_route, make_maildir, try_to_log_in

MESSAGE = b"Subject: hello\r\n\r\ntext\r\n"


@pytest.fixture
def hook():
    with AuthHook() as server:
        server.passwords["ann"] = PASSWORD
        yield server


@pytest.fixture
def mail(tmp_path):
    make_maildir(tmp_path, "ann", MESSAGE)
    make_maildir(tmp_path, "box-7", MESSAGE, MESSAGE)
    return tmp_path


def hooked(hook, mail, **keys):
    return maildir_route(mail, auth="http", auth_url=hook.url, **keys)


def test_yes_and_no(hook, mail, serve):
    popgate = serve(hooked(hook, mail))
    log_in(popgate, "ann").quit()
    assert hook.asked[0].items() >= {"Auth-Method": "plain", "Auth-User": "ann", "Auth-Pass": PASSWORD, "Auth-Protocol": "pop3",
                                     "Auth-Login-Attempt": "1", "Client-IP": HOST}.items()
    wrong, unknown = try_to_log_in(popgate, [("ann", "wrong"), ("nobody", PASSWORD)])
    assert wrong == unknown and wrong.startswith("-ERR [AUTH] ")
    assert "Invalid login" in popgate.session(user="nobody")["error"]


def test_attempts_of_a_session_are_counted(hook, mail, serve):
    with Pop3(serve(hooked(hook, mail)).port()) as pop3:
        pop3.login("ann", "wrong")
        assert pop3.login("ann", PASSWORD).startswith("+OK 1 ")
    assert [each["Auth-Login-Attempt"] for each in hook.asked] == ["1", "2"]


@pytest.mark.parametrize("options", [("AUTH=+APOP", "apop"), ("AUTH=CRAM-MD5", "cram-md5"), ("AUTH=PLAIN", "plain")],
                         ids=lambda each: each[1])
def test_curl(options, hook, mail, serve):
    login_options, method = options
    popgate = serve(hooked(hook, mail), listen=[{"address": f"{HOST}:0", "tls": "none", "apop": True, "cram_md5": True}])
    got = subprocess.run(["curl", "--silent", "--show-error", "--login-options", login_options, "--user", f"ann:{PASSWORD}",
                          f"pop3://{HOST}:{popgate.port()}/1"], capture_output=True, timeout=PATIENCE, check=True).stdout
    assert got == MESSAGE
    assert [each["Auth-Method"] for each in hook.asked] == [method]
    assert hook.asked[0].get("Auth-Salt", "<@>").startswith("<")


@pytest.mark.parametrize("named", ["user", "password", "server"])
def test_the_hook_names_what_is_upstream(named, hook, dovecot, user, serve):
    """The user, the password and the server, each by itself where the rest is right already."""
    dovecot.deliver(user, MESSAGE)
    hook.passwords = {"ann": "hers", user: PASSWORD if named != "password" else "hers"}
    route = imaps_route(dovecot, auth="http", auth_url=hook.url)
    if named == "user":
        hook.more["ann"] = {"Auth-User": user, "Auth-Pass": PASSWORD}
        login = "ann", "hers"
    elif named == "password":
        hook.more[user] = {"Auth-Pass": PASSWORD}
        login = user, "hers"
    else:
        route["backend"] = f"imaps://{HOST}:{free_port()}"
        hook.more[user] = {"Auth-Server": HOST, "Auth-Port": str(dovecot.imaps_port)}
        login = user, PASSWORD
    popgate = serve(route)
    for _ in range(2):
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(*login).startswith("+OK 1 ")
            assert pop3.retr(1).endswith(b"text\r\n")
            pop3.quit()


def test_a_server_that_is_named_is_verified_as_the_route_says(hook, dovecot, certificates, serve, user):
    hook.passwords[user] = PASSWORD
    hook.more[user] = {"Auth-Server": HOST, "Auth-Port": str(dovecot.imaps_port)}
    popgate = serve(imaps_route(dovecot, auth="http", auth_url=hook.url, ca_file=str(certificates.other_ca)))
    with Pop3(popgate.port()) as pop3:
        assert pop3.login(user, PASSWORD).startswith("-ERR [SYS/")
    assert f"user=<{user}>" not in dovecot.log()


def test_an_upstream_that_refuses_what_the_hook_gave_is_no_wrong_password(hook, dovecot, user, serve):
    hook.passwords[user] = "hers"
    hook.more[user] = {"Auth-Pass": "not the upstream's"}
    with Pop3(serve(imaps_route(dovecot, auth="http", auth_url=hook.url)).port()) as pop3:
        assert pop3.login(user, "hers").startswith("-ERR [SYS/PERM] ")


@pytest.mark.parametrize("trouble", ["500", "503", "404", "redirect", "no status", "page", "later", "nobody there"])
def test_trouble_is_later(trouble, hook, mail, serve):
    elsewhere = AuthHook()
    if trouble.isdigit():
        hook.status = int(trouble)
    elif trouble == "redirect":
        hook.status, hook.instead = 302, {"Location": elsewhere.url, "Auth-Status": "OK"}
    elif trouble == "no status":
        hook.instead = {}
    elif trouble == "page":
        hook.instead, hook.body = {"Content-Type": "text/html"}, b"<html>OK</html>"
    elif trouble == "later":
        hook.instead = {"Auth-Status": "Temporary server problem, try again later", "Auth-Error-Code": "451 4.3.0"}
    route = hooked(hook, mail)
    if trouble == "nobody there":
        route["auth_url"] = f"http://{HOST}:{free_port()}/auth"
    popgate = serve(route)
    with elsewhere, Pop3(popgate.port()) as pop3:
        assert pop3.login("ann", PASSWORD).startswith("-ERR [SYS/TEMP] ")
        if trouble != "nobody there":
            hook.status, hook.instead, hook.body = 200, None, b""
            assert pop3.login("ann", PASSWORD).startswith("+OK 1 "), "that was no failure of hers"
        assert elsewhere.asked == []


def test_names_and_passwords_end_no_header(hook, mail, serve):
    popgate = serve(hooked(hook, mail))
    names = ["ann\tAuth-Status: OK", "ann%0d%0aAuth-Pass: x", "änn", "a b", "x" * 300]
    for name in names:
        with Pop3(popgate.port()) as pop3:
            pop3.command("USER", name)
            pop3.send(f"PASS {name} password\r\nQUIT\r\n".encode())
            hook.wait_until_asked(names.index(name) + 1)
    assert [(each["Auth-User"], each["Auth-Pass"]) for each in hook.asked] == [(name, f"{name} password") for name in names]
    assert all(set(each) <= {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection", "Auth-Method", "Auth-User",
                             "Auth-Pass", "Auth-Protocol", "Auth-Login-Attempt", "Client-IP"} for each in hook.asked), hook.asked


def test_three_tries_of_one_program_are_one_question(hook, mail, serve):
    """Thunderbird's: one password by PLAIN, LOGIN and USER/PASS."""
    popgate = serve(hooked(hook, mail))
    with Pop3(popgate.port()) as pop3:
        assert pop3.command("AUTH PLAIN AGFubgB3cm9uZw==").startswith("-ERR [AUTH] ")
        pop3.command("AUTH LOGIN YW5u")
        assert pop3.command("d3Jvbmc=").startswith("-ERR [AUTH] ")
        assert pop3.login("ann", "wrong").startswith("-ERR [AUTH] ")
    assert len(hook.asked) == 1
    log_in(popgate, "ann").quit()


def test_a_hook_that_is_silent_holds_up_nobody_else(hook, mail, serve):
    popgate = serve(hooked(hook, mail), limits={"workers": 1})
    hook.hold()
    with Pop3(popgate.port()) as waiting:
        waiting.command("USER ann")
        waiting.send(f"PASS {PASSWORD}\r\n".encode())
        hook.wait_until_asked(1)
        with Pop3(popgate.port()) as other:
            assert other.capa()
        hook.release()
        assert waiting.line().startswith("+OK 1 ")


def test_a_hook_that_gives_no_password_opens_no_upstream_with_an_empty_one(hook, serve):
    """By APOP the client has shown none."""
    listen = [{"address": f"{HOST}:0", "tls": "none", "apop": True}]
    hook.instead = {"Auth-Status": "OK"}
    popgate = serve(clear_route(free_port(), auth="http", auth_url=hook.url), listen=listen)
    with Pop3(popgate.port()) as pop3:
        assert pop3.command("APOP ann c4c9334bac560ecc979e58001b3e22fb").startswith("-ERR [SYS/PERM] ")
