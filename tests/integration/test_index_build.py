"""The first listing of a mailbox whose server must be asked about every single message."""

import json
import re
import signal
import subprocess
import time

import pytest
from support.gmail_fake import GmailFake
from support.net import wait_until
from support.pop3 import Pop3
from support.popgate import Popgate, binary, run
from support.setups import configuration

MANY = 120
SO_FAR = re.compile(r"-ERR \[SYS/TEMP\] the mailbox is being read for the first time: (\d+) of (\d+) messages so far, "
                    r"please wait and retry")


class SlowGmail(GmailFake):
    pause = 0.0  # a message

    def answer(self, request):
        time.sleep(request.body.count(b"GET /") * self.pause)
        return super().answer(request)


@pytest.fixture
def gmail(certificates):
    with SlowGmail(certificates.server, ca_file=certificates.ca) as server:
        yield server


@pytest.fixture
def mailbox(gmail):
    user, token = gmail.new_user()
    for i in range(MANY):
        gmail.deliver(user, b"Subject: %d\r\n\r\nbody\r\n" % i)
    return user, token


@pytest.fixture
def configured(certificates, gmail, tmp_path):
    return configuration(certificates, gmail.route(), state={"url": f"sqlite:{tmp_path}/state.db"})


def answer_to_login(popgate, user, token):
    """The numbers of the progress that it tells; nothing once the mailbox is open."""
    with Pop3(popgate.port(), timeout=60) as pop3:
        reply = pop3.login(user, token)
        if reply.startswith("+OK"):
            return None
        told = SO_FAR.fullmatch(reply.strip())
        assert told, reply
        return int(told[1]), int(told[2])


def test_it_goes_on_without_the_client_and_who_asks_meanwhile_hears_how_far_it_is(gmail, mailbox, configured):
    user, token = mailbox
    gmail.pause = 0.25
    with Popgate(configured) as popgate:
        first = answer_to_login(popgate, user, token)
        assert 0 < first[0] < MANY and first[1] == MANY
        asked = time.monotonic()
        assert answer_to_login(popgate, user, token)[0] >= first[0]
        assert time.monotonic() - asked < 5, "it does not list once more"
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(user, "wrong").startswith("-ERR [AUTH]"), "only who has the password hears it"
        popgate.wait_for("index_build_ended", timeout=60, messages=MANY)
        assert len(popgate.log("index_build_started")) == 1
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(user, token).startswith("+OK")
            assert len(pop3.uidl()) == MANY
        assert token not in popgate.log_text()


def test_a_drain_does_not_wait_for_it_and_it_goes_on_there(gmail, mailbox, configured):
    user, token = mailbox
    gmail.pause = 0.25
    with Popgate(configured) as popgate:
        first = answer_to_login(popgate, user, token)
        popgate.wait_for("index_build_started")
        began = time.monotonic()
        popgate.terminate()
        popgate.wait()
        assert time.monotonic() - began < 3
    gmail.pause = 0.0
    made = run("mailbox", "show", user, "--config", popgate.configuration_file, "--json")
    shown = json.loads(made.stdout)
    assert (shown["messages"], shown["still_to_come"]) == (first[0], MANY - first[0])
    with Popgate(configured) as popgate:
        assert answer_to_login(popgate, user, token) is None


def test_the_command_reads_it_ahead_of_time(gmail, mailbox, configured):
    user, token = mailbox
    with Popgate(configured) as popgate:
        made = run("mailbox", "index", user, "--config", popgate.configuration_file, stdin=token.encode() + b"\n")
        assert (made.returncode, made.stdout, made.stderr) == (0, b"%s: %d messages\n" % (user.encode(), MANY), b"")
        gmail.pause = 10.0  # and is not asked about any message again
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(user, token).startswith("+OK")
            assert len(pop3.uidl()) == MANY
        refused = run("mailbox", "index", user, "--config", popgate.configuration_file, stdin=b"wrong\n")
        assert refused.returncode == 1 and b"wrong" not in refused.stdout + refused.stderr


def test_an_interrupted_command_keeps_what_it_read(gmail, mailbox, configured):
    user, token = mailbox
    gmail.pause = 0.25
    with Popgate(configured) as popgate:
        command = [binary(), "mailbox", "index", user, "--config", popgate.configuration_file, "--json"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdin.write(token.encode() + b"\n")
            process.stdin.close()

            def kept():
                made = run("mailbox", "show", user, "--config", popgate.configuration_file, "--json")
                return json.loads(made.stdout)["messages"]

            wait_until(lambda: kept() > 0, "the first part to be saved")
            process.send_signal(signal.SIGINT)
            told = json.loads(process.stdout.read())
            assert process.wait(timeout=30) == 130
        assert not told["whole"] and 0 < told["messages"] < MANY
        assert kept() == told["messages"]
