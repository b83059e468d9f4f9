"""auth = "pam": a service of PAM judges, which is two scripts here (pam_exec)."""

import os
import re
import stat
from pathlib import Path

import pytest
from support.net import HOST, wait_until
from support.pop3 import Pop3
from support.setups import PASSWORD, log_in, maildir_route, make_maildir, try_to_log_in

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can write a service for PAM")

# The script's answer becomes PAM's own refusal: what pam_exec says of a script that fails is "system error".
SERVICE = """
auth     [success=1 default=ignore]  pam_exec.so quiet expose_authtok {directory}/authenticate
auth     requisite                   pam_deny.so
auth     required                    pam_permit.so
account  [success=1 default=ignore]  pam_exec.so quiet {directory}/account
account  requisite                   pam_deny.so
account  required                    pam_permit.so
"""


class PamService:
    """Lets in ann, dora and "expired", who have one password; "expired" only as far as the account."""

    def __init__(self, directory):
        self.directory = directory
        self.name = f"popgate-test-{os.getpid()}"
        self.file = Path("/etc/pam.d") / self.name
        self.write(SERVICE)
        self._script("authenticate", f"""
            echo "$PAM_USER $PAM_RHOST $PAM_SERVICE" >> {directory}/asked
            while [ -e {directory}/hold ]; do sleep 0.02; done
            [ "$(tr -d '\\0')" = '{PASSWORD}' ] || exit 1
            case "$PAM_USER" in ann|dora|expired) exit 0 ;; esac
            exit 1
            """)
        self._script("account", '[ "$PAM_USER" != expired ]')

    def write(self, text):
        self.file.write_text(text.format(directory=self.directory))

    def _script(self, name, text):
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def asked(self):
        """[(user, client's address, service)] so far."""
        path = self.directory / "asked"
        return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []

    def hold(self):
        (self.directory / "hold").touch()

    def release(self):
        (self.directory / "hold").unlink(missing_ok=True)


@pytest.fixture
def service(tmp_path):
    made = PamService(tmp_path)
    yield made
    made.release()
    made.file.unlink()


@pytest.fixture
def route(service, tmp_path):
    for user in ("ann", "dora", "expired", "nobody"):
        make_maildir(tmp_path / "mail", user, b"Subject: 1\r\n\r\n")
    return maildir_route(tmp_path / "mail", auth="pam", pam_service=service.name)


def test_the_right_password(service, route, serve):
    log_in(serve(route), "ann").quit()
    assert service.asked() == [("ann", HOST, service.name)]


def test_what_is_refused_is_refused_alike(service, route, serve):
    popgate = serve(route)
    replies = try_to_log_in(popgate, [("ann", "wrong"), ("nobody", PASSWORD), ("unheard-of", PASSWORD), ("expired", PASSWORD)])
    assert len(set(replies)) == 1 and replies[0].startswith("-ERR [AUTH] ")
    assert len(service.asked()) == 4
    # To C the password would end at the NUL, and be right.
    with Pop3(popgate.port()) as pop3:
        pop3.command("USER dora")
        assert pop3.command("PASS", PASSWORD.encode() + b"\0x").startswith("-ERR")


def test_each_wrong_password_is_asked_about_once(service, route, serve):
    with Pop3(serve(route).port()) as pop3:
        assert pop3.login("ann", "wrong").startswith("-ERR [AUTH] ")
        assert pop3.login("ann", "wrong").startswith("-ERR [AUTH] ")
        assert pop3.login("ann", PASSWORD).startswith("+OK 1 ")
    assert len(service.asked()) == 2


@pytest.mark.parametrize("broken", ["auth required pam_exec.so quiet /bin/false\naccount required pam_permit.so\n",
                                    "auth required /nonexistent/pam_module.so\naccount required pam_permit.so\n",
                                    "auth required pam_permit.so\naccount required pam_exec.so quiet /bin/false\n"],
                         ids=["no answer", "no module", "no answer about the account"])
def test_trouble_is_no_wrong_password(broken, service, route, serve):
    service.write(broken)
    popgate = serve(route)
    with Pop3(popgate.port()) as pop3:
        assert pop3.login("ann", PASSWORD).startswith("-ERR [SYS/TEMP] ")
        service.write(SERVICE)
        assert pop3.login("ann", PASSWORD).startswith("+OK 1 "), "the service is read anew, and nothing was held against her"
    assert re.search("PAM", popgate.log("login_failed")[0]["error"])


def test_modules_that_wait_hold_up_nobody_else(service, route, serve):
    popgate = serve(route, limits={"workers": 1, "blocking_threads": 4})
    service.hold()
    waiting = [Pop3(popgate.port()) for _ in range(2)]
    for pop3, user in zip(waiting, ("ann", "dora")):
        pop3.command("USER", user)
        pop3.send(f"PASS {PASSWORD}\r\n".encode())
    wait_until(lambda: len(service.asked()) == 2, "two scripts that wait")
    with Pop3(popgate.port()) as other:
        assert other.capa()
    service.release()
    for pop3 in waiting:
        with pop3:
            assert pop3.line().startswith("+OK 1 ")


def test_pam_asks_for_no_delay_of_its_own(service, route, serve):
    """pam_faildelay wants ten minutes."""
    service.write("auth optional pam_faildelay.so delay=600000000\n" + SERVICE)
    with Pop3(serve(route).port()) as pop3:
        assert pop3.login("ann", "wrong").startswith("-ERR [AUTH] ")
