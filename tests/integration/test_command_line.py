"""The program itself: its commands, its complaints, and serving without a file."""

import os
import re
import socket
import subprocess

from support.net import HOST
from support.popgate import Popgate, binary, run, to_toml, with_state
from support.setups import configuration, imaps_route, log_in


def check(tmp_path, text):
    file = tmp_path / "popgate.toml"
    file.write_text(text)
    made = run("check", "--config", file)
    return made.returncode, (made.stdout + made.stderr).decode().replace(str(file), "FILE")


def test_version():
    made = run("--version")
    assert made.returncode == 0 and re.match(rb"popgate \d+\.\d+", made.stdout)


def test_a_good_file(tmp_path, certificates, dovecot):
    status, output = check(tmp_path, to_toml(configuration(certificates, imaps_route(dovecot))))
    assert status == 0, output


def test_every_problem_is_told_with_its_line_and_key(tmp_path):
    status, output = check(tmp_path, """[[listen]]
adress = "127.0.0.1:0"
tls = "sometimes"
[limits]
idle_timeout = "ten"
[[route]]
match = "*"
backend = "gopher://x"
lokc = "shared"
""")
    assert status == 2
    lines = {int(found[1]): found[0] for found in re.finditer(r"^FILE:(\d+): .*$", output, re.MULTILINE)}
    assert {2, 3, 5, 8, 9} <= set(lines), output
    assert "address" in lines[2] and "lock" in lines[9]  # the nearest known key


def test_a_file_that_is_no_toml(tmp_path):
    status, output = check(tmp_path, "[[listen]\n")
    assert status == 2 and "FILE:1: " in output


def test_a_file_that_is_not_there():
    assert run("check", "--config", "/nonexistent/popgate.toml").returncode == 2
    assert run("serve", "--config", "/nonexistent/popgate.toml").returncode == 2


def test_serve_without_a_file(dovecot, user):
    arguments = ["--backend", f"imaps://127.0.0.1:{dovecot.imaps_port}", "--listen", "127.0.0.1:0",
                 "--ca-file", dovecot.ca_file, "--log-format", "json"]
    with Popgate(arguments=arguments) as popgate:
        log_in(popgate, user).quit()


def test_serve_without_a_file_in_clear(dovecot, user):
    arguments = ["--backend", f"imap://127.0.0.1:{dovecot.imap_port}", "--listen", "127.0.0.1:0", "--starttls", "none",
                 "--log-format", "json"]
    with Popgate(arguments=arguments) as popgate:
        log_in(popgate, user).quit()


def test_policies_without_a_file(dovecot, user, tmp_path):
    arguments = ["--backend", f"imaps://127.0.0.1:{dovecot.imaps_port}", "--listen", "127.0.0.1:0",
                 "--ca-file", dovecot.ca_file, "--log-format", "json", "--state", f"sqlite:{tmp_path}/own.db",
                 "--sizes", "exact", "--on-delete", "keep", "--view", "last 7 days", "--order", "newest-first",
                 "--unique-ids", "native"]
    with Popgate(arguments=arguments) as popgate:
        log_in(popgate, user).quit()


def test_a_bad_option_is_told_by_its_name():
    for option, value, words in [
            ("--state", "mysql://:secret@host", 'this version does not have "mysql:"'),
            ("--state", "sqlite:state.db", "holds no absolute path"),
            ("--view", "new", '"new" is no view; write one as "all"'),
            ("--on-delete", "shred", "shred"),
            ("--order", "random", "random"),
            ("--sizes", "roughly", "roughly")]:
        made = run("serve", "--backend", "imaps://imap.example.com", "--listen", "127.0.0.1:0", option, value)
        said = made.stderr.decode()
        assert made.returncode == 2 and option in said and words in said and "secret" not in said, said


def test_a_policy_that_does_not_fit_is_told_by_its_option(tmp_path):
    users = tmp_path / "users"
    users.touch(0o600)
    made = run("serve", "--backend", "mbox:/var/mail/%u", "--password-file", users, "--on-delete", "trash",
               "--view", "unread")
    said = made.stderr.decode()
    assert made.returncode == 2
    assert 'popgate: --on-delete: "trash" needs' in said and 'popgate: --view: "unread" cannot be told' in said


def test_the_state_of_a_user_lies_at_home():
    def default(**variables):
        environment = {**os.environ, "HOME": "/home/x", "XDG_STATE_HOME": "", **variables}
        said = subprocess.run([binary(), "serve", "--help"], capture_output=True, text=True, env=environment,
                              timeout=60, check=True).stdout
        return re.search(r"sqlite:\S+/state\.db", said)[0]

    is_root = os.geteuid() == 0
    assert default() == f"sqlite:{'/var/lib' if is_root else '/home/x/.local/state'}/popgate/state.db"
    assert default(XDG_STATE_HOME="/s") == f"sqlite:{'/var/lib' if is_root else '/s'}/popgate/state.db"


def test_an_address_that_is_taken_is_a_clear_error(certificates, dovecot, tmp_path):
    with socket.create_server((HOST, 0)) as taken:
        address = f"{HOST}:{taken.getsockname()[1]}"
        file = tmp_path / "popgate.toml"
        listen = [{"address": f"{HOST}:0", "tls": "none"}, {"address": address, "tls": "none"}]
        file.write_text(to_toml(with_state(configuration(certificates, imaps_route(dovecot), listen=listen), tmp_path)))
        made = run("serve", "--config", file)
    assert made.returncode not in (0, -6, -11)
    assert address in made.stderr.decode() and b"in use" in made.stderr


def test_two_popgates_do_not_share_a_port_by_accident(certificates, dovecot, tmp_path, serve):
    """SO_REUSEPORT is for our own threads."""
    first = serve(imaps_route(dovecot))
    file = tmp_path / "popgate.toml"
    listen = [{"address": f"{HOST}:{first.port()}", "tls": "none"}]
    file.write_text(to_toml(with_state(configuration(certificates, imaps_route(dovecot), listen=listen), tmp_path)))
    assert run("serve", "--config", file).returncode != 0


def test_hash_password():
    hashes = {run("hash-password", stdin=b"secret\n").stdout for _ in range(2)}
    assert len(hashes) == 2  # salted
    assert all(re.fullmatch(rb"\$[a-z0-9]+\$[^:\s]+\n", made) for made in hashes)


def test_the_text_log_has_a_line_a_session(certificates, dovecot, user, tmp_path):
    file = tmp_path / "popgate.toml"
    listen = [{"address": "127.0.0.1:0", "tls": "none"}]
    file.write_text(to_toml({**with_state(configuration(certificates, imaps_route(dovecot), listen=listen), tmp_path),
                             "log": {"format": "text", "level": "info"}}))
    process = subprocess.Popen([binary(), "serve", "--config", file], stderr=subprocess.PIPE, text=True)
    port = int(re.search(r"127\.0\.0\.1:(\d+)", next(line for line in process.stderr if "listening" in line))[1])
    with socket.create_connection((HOST, port), 30) as connection:
        connection.sendall(b"USER x\x1b[2J\r\nPASS wrong\r\nQUIT\r\n")
        while connection.recv(1000):
            pass
    process.terminate()
    lines = process.stderr.read().splitlines()
    assert process.wait(30) == 0
    [line] = [line for line in lines if "session" in line and "reason" in line]
    assert line.isprintable() and "127.0.0.1" in line
