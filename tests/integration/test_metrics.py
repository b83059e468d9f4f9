"""What popgate tells Prometheus: readable by Prometheus itself, true, and all that the dashboard and the alerts ask for."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest
import yaml
from support.net import HOST, PATIENCE, free_port, wait_until
from support.pop3 import Pop3, tls_context
from support.setups import PASSWORD, clear_route, configuration, imaps_route, log_in
from support.popgate import Popgate

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus/alerts.yml"
DASHBOARD = DEPLOY / "grafana/popgate.json"
MESSAGES = [b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number) for number in range(1, 4)]
ALL_LISTENERS = [{"address": f"{HOST}:0", "tls": tls} for tls in ("none", "implicit", "starttls")]


class Scraped:
    """The metrics of a popgate at one moment: values by name and labels."""

    def __init__(self, popgate):
        address = popgate.wait_for("web_listening")[0]["address"]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE) as answer:
            self.content_type = answer.headers["Content-Type"]
            self.text = answer.read().decode()
        self.types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", self.text, re.M))
        self.labels = {}  # by metric and label: its values
        self._values = {}
        for name, labels, value in re.findall(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", self.text, re.M):
            pairs = re.findall(r'([a-z]+)="((?:[^"\\]|\\.)*)"', labels)
            self._values[name, frozenset(pairs)] = float(value)
            for label, text in pairs:
                self.labels.setdefault(name, {}).setdefault(label, set()).add(text)

    def __call__(self, name, **labels):
        return self._values[name, frozenset(labels.items())]

    def sum(self, name, **labels):
        return sum(value for (found, pairs), value in self._values.items()
                   if found == name and set(labels.items()) <= pairs)


@pytest.fixture(scope="module")
def observed(certificates, dovecot):
    with Popgate(configuration(certificates, imaps_route(dovecot), listen=ALL_LISTENERS,
                               admin={"listen": f"{HOST}:0"})) as popgate:
        yield popgate


@pytest.fixture
def growth(observed):
    """growth(name, labels…): how much it has grown since the beginning of the test; waits until it is `to`."""
    before = Scraped(observed)

    def grown(name, *, to, **labels):
        def is_there():
            return Scraped(observed)(name, **labels) - before(name, **labels) == to

        wait_until(is_there, f"{name} {labels} to have grown by {to}: {before(name, **labels)}")

    return grown


def test_prometheus_can_read_it(observed):
    scraped = Scraped(observed)
    assert scraped.content_type.startswith("text/plain; version=0.0.4")
    checked = subprocess.run(["promtool", "check", "metrics"], input=scraped.text, text=True, capture_output=True,
                             timeout=PATIENCE)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_prometheus_can_read_the_alerts():
    checked = subprocess.run(["promtool", "check", "rules", str(ALERTS)], text=True, capture_output=True,
                             timeout=PATIENCE)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def alert_expressions():
    return {rule["alert"]: rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"]
            for rule in group["rules"]}


def dashboard_expressions():
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["schemaVersion"] >= 30 and dashboard["title"] == "popgate"
    found = {f"{panel['title']} {target['refId']}": target["expr"]
             for panel in dashboard["panels"] for target in panel.get("targets", [])}
    for panel in dashboard["panels"]:
        assert (panel["type"] == "row") == (not panel.get("targets")), panel["title"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for annotation in dashboard["annotations"]["list"]:
        found[annotation["name"]] = annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found[variable["name"]] = re.sub(r"label_values\((.*), \w+\)", r"\1", variable["query"]["query"])
    return found


def test_the_dashboard_has_its_rows():
    rows = [panel["title"] for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] == "row"]
    assert rows == ["Service", "Logins", "Upstreams", "Mail", "Tokens", "Certificates"]


@pytest.mark.parametrize("expressions", [alert_expressions, dashboard_expressions])
def test_only_what_exists_is_asked_for(expressions, observed):
    scraped = Scraped(observed)
    series = {*scraped.labels, *scraped.types}
    asked = expressions()
    assert len(asked) > 10
    for title, expression in asked.items():
        names = re.findall(r"\b(?:popgate|process)_\w+", expression)
        assert names or "up{" in expression, title
        for name in names:
            assert name in series, f"{title}: {name}"
        for name, selectors in re.findall(r"\b((?:popgate|process)_\w+)\{([^}]*)\}", expression):
            for label, values in re.findall(r'(\w+)=~?"([^"]*)"', selectors):
                if label in ("job", "instance"):
                    continue
                known = scraped.labels[name][label]
                assert set(values.split("|")) <= known, f"{title}: {label} of {name}"


def test_every_expression_is_one(tmp_path):
    """As rules, because promtool takes these without a server."""
    rules = []
    for number, expression in enumerate(dashboard_expressions().values()):
        expression = expression.replace("$__rate_interval", "5m").replace("$job", "popgate").replace("$instance", ".*")
        rules.append({"record": f"popgate:expression:{number}", "expr": expression})
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = subprocess.run(["promtool", "check", "rules", str(file)], text=True, capture_output=True, timeout=PATIENCE)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_document_names_every_alert():
    document = (DEPLOY.parent / "docs/monitoring.md").read_text()
    told_of = set(re.findall(r"`(Popgate\w+)`", document))
    assert told_of == set(alert_expressions())


def test_a_session_moves_the_counters(observed, growth, dovecot, certificates, user):
    dovecot.deliver(user, *MESSAGES)
    with log_in(observed, user, listener="implicit", tls=tls_context(certificates.ca)) as pop3:
        assert Scraped(observed)("popgate_sessions", state="transaction") == 1
        pop3.uidl()
        pop3.retr(1)
        pop3.retr(2)
        pop3.top(3, 0)
        pop3.command("XYZZY")
        pop3.command("DELE 1")
        pop3.quit()
    growth("popgate_sessions_ended_total", reason="quit", to=1)
    growth("popgate_sessions_started_total", to=1)
    growth("popgate_tls_handshakes_total", outcome="done", version="TLSv1.3", to=1)
    growth("popgate_logins_total", outcome="admitted", to=1)
    growth("popgate_login_duration_seconds_count", to=1)
    for command, count in {"user": 1, "pass": 1, "uidl": 1, "retr": 2, "top": 1, "other": 1, "dele": 1, "quit": 1,
                           "list": 0, "auth": 0}.items():
        growth("popgate_commands_total", command=command, to=count)
    growth("popgate_messages_retrieved_total", to=2)
    growth("popgate_messages_removed_total", to=1)
    growth("popgate_index_opens_total", found="first", to=1)
    for operation, count in {"open": 1, "list": 1, "fetch": 2, "top": 1, "remove": 1}.items():
        growth("popgate_upstream_call_duration_seconds_count", backend="imap", operation=operation, to=count)
    growth("popgate_upstream_first_octet_seconds_count", backend="imap", to=3)
    for state in ("authorization", "transaction", "update"):
        wait_until(lambda: Scraped(observed)("popgate_sessions", state=state) == 0, f"no session in {state}")


def test_octets_are_those_of_the_client(observed, user):
    before = Scraped(observed)
    sent = received = 0
    with Pop3(observed.port(), greet=False) as pop3:
        for command in (b"", b"USER " + user.encode() + b"\r\n", b"PASS " + PASSWORD.encode() + b"\r\n", b"STAT\r\n",
                        b"QUIT\r\n"):
            pop3.send(command)
            received += len(command)
            sent += len(pop3.line()) + 2
    wait_until(lambda: Scraped(observed)("popgate_client_sent_bytes_total")
               == before("popgate_client_sent_bytes_total") + sent, f"{sent} octets sent")
    after = Scraped(observed)
    assert after("popgate_client_received_bytes_total") - before("popgate_client_received_bytes_total") == received


def test_a_second_look_finds_the_mailbox_unchanged_or_changed(observed, growth, dovecot, user):
    dovecot.deliver(user, *MESSAGES)
    for _ in range(3):
        with log_in(observed, user) as pop3:
            pop3.quit()
    dovecot.deliver(user, *MESSAGES)
    with log_in(observed, user) as pop3:
        pop3.quit()
    growth("popgate_index_opens_total", found="first", to=1)
    growth("popgate_index_opens_total", found="unchanged", to=2)
    growth("popgate_index_opens_total", found="changed", to=1)


def test_logins_by_what_clients_hear(observed, growth, dovecot, user):
    dovecot.deliver(user, *MESSAGES)
    with log_in(observed, user):
        with Pop3(observed.port()) as second:
            assert second.login(user, PASSWORD).startswith("-ERR [IN-USE]")
        with Pop3(observed.port()) as third:
            assert third.login(user, "a wrong one").startswith("-ERR [AUTH]")
    growth("popgate_logins_total", outcome="admitted", to=1)
    growth("popgate_logins_total", outcome="in_use", to=1)
    growth("popgate_logins_total", outcome="refused", to=1)
    growth("popgate_logins_total", outcome="temporary", to=0)
    growth("popgate_upstream_failures_total", backend="imap", error="auth", to=1)


def test_an_upstream_that_is_down(certificates, user):
    with Popgate(configuration(certificates, clear_route(free_port()), admin={"listen": f"{HOST}:0"})) as popgate:
        with Pop3(popgate.port()) as pop3:
            assert pop3.login(user, PASSWORD).startswith("-ERR [SYS/TEMP]")
        scraped = Scraped(popgate)
        assert scraped("popgate_logins_total", outcome="temporary") == 1
        assert scraped("popgate_upstream_failures_total", backend="imap", error="temporary") == 1
        assert scraped("popgate_upstream_call_duration_seconds_count", backend="imap", operation="open") == 1
        assert scraped("popgate_login_duration_seconds_count") == 0


def test_a_handshake_that_fails(observed, growth):
    with Pop3(observed.port("implicit"), greet=False) as pop3:
        pop3.send(b"CAPA\r\n")
        pop3.rest()
    growth("popgate_tls_handshakes_total", outcome="failed", version="none", to=1)
    growth("popgate_sessions_ended_total", reason="tls", to=1)


def test_who_is_turned_away(certificates, dovecot, user):
    config = configuration(certificates, imaps_route(dovecot), limits={"max_sessions_per_address": 1},
                           admin={"listen": f"{HOST}:0"})
    with Popgate(config) as popgate, Pop3(popgate.port()):
        with Pop3(popgate.port(), greet=False) as second:
            assert second.rest().startswith(b"-ERR [SYS/TEMP]")
        scraped = Scraped(popgate)
        assert scraped("popgate_connections_refused_total", cause="max_sessions_per_address") == 1
        assert scraped("popgate_connections_refused_total", cause="max_sessions") == 0


def test_what_is_so_from_the_start(observed, certificates):
    scraped = Scraped(observed)
    assert scraped.sum("popgate_info") == 1
    assert scraped("popgate_state_writable") == 1
    assert scraped("popgate_draining") == 0
    assert scraped("popgate_max_sessions") > 0
    assert scraped("process_start_time_seconds") <= scraped("popgate_config_last_success_timestamp_seconds") + 1
    wait_until(lambda: "popgate_certificate_expiry_timestamp_seconds" in Scraped(observed).labels, "certificates")


# Whatever clients and upstreams are called and say, there are as many series as before.
def test_nobody_makes_series(observed, dovecot, user):
    before = Scraped(observed)
    for number in range(20):
        with Pop3(observed.port()) as pop3:
            pop3.command(f"X{number}")
            pop3.command(f"USER somebody-{number}")
            pop3.command("QUIT")
    after = Scraped(observed)
    assert {name: value for name, value in after.labels.items() if "certificate" not in name} == \
        {name: value for name, value in before.labels.items() if "certificate" not in name}
