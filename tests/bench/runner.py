"""Runs scenarios: the contenders in turn, the order turned by one each round."""

import json
import subprocess
import time
from dataclasses import dataclass, field

from bench.measure import cpu_seconds, memory
from bench.servers import PASSWORD
from support.net import PATIENCE, wait_until


@dataclass
class Result:
    scenario: object
    rounds: list = field(default_factory=list)  # {contender: {metric: value}} a round


class Bench:
    def __init__(self, sites, load, sizes, *, rounds, contenders=None, pause=False):
        self.sites, self.mail, self.sizes = sites, sites.mail, sizes
        self._load, self._rounds, self._contenders, self._pause = load, rounds, contenders, pause
        self._filled = set()

    def measure(self, scenario, tell):
        """A Result; `tell(scenario, round, figures)` hears of each round."""
        self._fill_for(scenario)
        names = [name for name in scenario.contenders if not self._contenders or name in self._contenders]
        # What served others before keeps memory that new sessions use.
        site = self.sites.restarted(scenario.site) if scenario.kind == "memory" else self.sites[scenario.site]
        if self._pause and "popgate" in names:
            input(f"{scenario.name}: popgate is process {site['popgate'].pid}; Enter goes on ")
        how = {"load": self._time, "memory": self._weigh, "beside": self._beside}[scenario.kind]
        if scenario.kind == "load" and not scenario.prepare:
            for name in names:
                self._warm_up(scenario, site[name])
        result = Result(scenario)
        for number in range(min(self._rounds, scenario.rounds)):
            turn = number % len(names)
            figures = {name: how(scenario, site[name], number) for name in names[turn:] + names[:turn]}
            result.rounds.append(figures)
            tell(scenario, number, figures)
        return result

    def raw(self, *arguments):
        """The raw client, for what is not measured."""
        return self._finish(self._start(self.sites["near"]["raw"], False, arguments))

    @staticmethod
    def first_user(scenario, round_number):
        return f"{scenario.name}-{round_number}"

    # --- mailboxes

    def _fill_for(self, scenario):
        """The mailboxes that its users have, filled once, and their indexes warm."""
        sizes = self.sizes
        user = scenario.load[scenario.load.index("--user") + 1].partition("-")[0]
        user = {"first": "large", "idle": "small", "slow": "huge"}.get(user, user)
        wanted = {user} | ({"huge"} if scenario.kind == "beside" else set())
        for each in wanted - self._filled:
            mailboxes, messages = {"small": (8, sizes.small), "middle": (1, sizes.middle), "large": (1, sizes.large),
                                   "drain": (8, sizes.drain), "far": (1, sizes.far), "huge": (4, 2)}.get(each, (0, 0))
            for number in range(mailboxes):
                fill = self.mail.fill_huge if each == "huge" else self.mail.fill
                fill(f"{each}-{number}", messages)
                self.raw("open", "--user", f"{each}-{number}", "--expect", messages)
            self._filled.add(each)
        for others, count, as_user in (("idle", sizes.crowd + 100, "small-0"), ("slow", sizes.slow + 100, "huge-0")):
            if user == as_user.partition("-")[0] and others not in self._filled and scenario.site == "crowd":
                for number in range(count):
                    self.mail.same(f"{others}-{number}", as_user)
                self._filled.add(others)

    def _warm_up(self, scenario, contender):
        arguments = list(self._arguments(scenario, contender, 0))
        if scenario.unit in ("sessions", "openings") and "--sessions" in arguments:
            clients = arguments[arguments.index("--clients") + 1] if "--clients" in arguments else 1
            arguments[arguments.index("--sessions") + 1] = clients
        self._finish(self._start(contender, scenario.tls, arguments))

    # --- kinds of scenarios

    def _time(self, scenario, contender, number):
        if scenario.prepare:
            scenario.prepare(self, scenario, contender, number)
        before = cpu_seconds(contender.pid)
        told = self._finish(self._start(contender, scenario.tls, self._arguments(scenario, contender, number)))
        cpu = cpu_seconds(contender.pid) - before
        done = {"sessions": told["sessions"], "openings": told["sessions"], "messages": told["messages"], "MB": told["octets"] / 1e6}[scenario.unit]
        figures = {"rate": done / told["seconds"], "seconds": told["seconds"], "resumed": told["resumed"],
                   "load cpu": told["own_cpu"]}
        if contender.pid:
            figures["cpu"] = cpu / done * 1000  # of 1,000 sessions or messages, or of a GB
        if told["first_octet_ms"]["max"]:
            figures["first octet"] = told["first_octet_ms"]["p50"]
        return figures

    def _weigh(self, scenario, contender, _number):
        """Memory that sessions add to some others: what the first ones need for all is there already."""
        sizes = self.sizes
        count = {"idle": sizes.idle, "idle-tls": sizes.idle, "slow-reader": max(4, sizes.slow // 5),
                 "crowd-tls": sizes.crowd}[scenario.name]
        if scenario.name.startswith("idle") and contender.name == "popgate":
            count *= 3
        began = time.monotonic()

        def weigh():
            return self._settled(contender)

        def weigh_more():
            before = weigh()
            return self._hold(scenario, contender, count, weigh, first=scenario.baseline)[0] - before

        grown, _ = self._hold(scenario, contender, scenario.baseline, weigh_more)
        # With few sessions what is given back meanwhile can be more than what they need.
        return {"memory": max(grown / count, 1), "count": count, "seconds": time.monotonic() - began}

    def _beside(self, scenario, contender, number):
        def normal():
            return self._finish(self._start(contender, False, self._arguments(scenario, contender, number)))

        alone = normal()
        beside, _ = self._hold(scenario, contender, self.sizes.slow, normal,
                               arguments=("stall", "--user", "slow-%", "--clients", 4))
        return {"p99": beside["session_ms"]["p99"] / alone["session_ms"]["p99"],
                "p99 alone ms": alone["session_ms"]["p99"], "p99 beside ms": beside["session_ms"]["p99"]}

    def _hold(self, scenario, contender, count, meanwhile, *, first=0, arguments=None):
        """Has so many sessions open while something is done; gives that and what the load generator told."""
        load = self._start(contender, scenario.tls, (*(arguments or scenario.load), "--sessions", count, "--first", first),
                           hold=True)
        try:
            line = load.stdout.readline()
            if not line:
                raise RuntimeError(f"{scenario.name}, {contender.name}: {load.stderr.read()}")
            done = meanwhile()
            load.stdin.close()
        except BaseException:
            load.kill()
            load.wait()
            raise
        return done, self._finish(load)

    @staticmethod
    def _settled(contender):
        """Memory once it no longer shrinks: sessions give back what they do not need while nothing moves."""
        readings = [memory(contender.pid)]

        def is_steady():
            readings.append(memory(contender.pid))
            return len(readings) > 5 and readings[-1] >= 0.998 * readings[-5]

        wait_until(is_steady, "memory that is steady", timeout=PATIENCE, interval=0.5)
        return readings[-1]

    # --- the load generator

    def _arguments(self, scenario, contender, number):
        arguments = scenario.raw if contender.name == "raw" and scenario.raw else scenario.load
        return [self.first_user(scenario, number) if each == "first" else each for each in arguments]

    def _start(self, contender, tls, arguments, hold=False):
        command = [self._load, *arguments, "--port", contender.port_for(tls), "--password", PASSWORD]
        command += ["--imap"] if contender.imap else []
        command += ["--tls", self.sites.certificates.ca] if tls else []
        return subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE if hold else subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def _finish(load):
        output, errors = load.stdout.read(), load.stderr.read()
        load.stdout.close()
        load.stderr.close()
        if load.wait() != 0:
            raise RuntimeError(f"{' '.join(load.args)}\n{errors}")
        return json.loads(output.splitlines()[-1])
