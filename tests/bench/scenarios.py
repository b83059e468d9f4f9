"""What is measured, one entry a scenario."""

from dataclasses import dataclass, field, replace

ALL = ("popgate", "peer", "raw", "relay")
GATEWAYS = ("popgate", "peer")


@dataclass(frozen=True)
class Sizes:
    """Of mailboxes in messages, and how often things are done."""

    small: int = 50
    middle: int = 5000
    large: int = 100_000
    drain: int = 2000
    far: int = 200
    huge_octets: int = 64 << 20
    sessions: int = 500
    polls: int = 50
    idle: int = 200
    crowd: int = 5000
    slow: int = 50
    beside: int = 400


QUICK = Sizes(small=5, middle=20, large=60, drain=20, far=5, huge_octets=1 << 20, sessions=16, polls=4, idle=10,
              crowd=30, slow=5, beside=16)


@dataclass(frozen=True)
class Scenario:
    """name      for --only
    title     for people
    unit      what the rate counts: sessions, openings, messages or MB, all a second
    load      arguments of the load generator
    raw       those that differ for the raw client
    contenders  who takes part
    site      which of Sites
    tls       clients speak TLS
    prepare   called with (bench, scenario, contender, round) before each run, outside of what is measured
    rounds    at most so many
    kind      "load"; "memory", "beside": see run
    goals     {metric: text} of what is wanted, for the report
    """

    name: str
    title: str
    unit: str
    load: tuple
    raw: tuple = ()
    contenders: tuple = ALL
    site: str = "near"
    tls: bool = False
    prepare: object = None
    rounds: int = 1000
    kind: str = "load"
    baseline: int = 0
    goals: dict = field(default_factory=dict)


def _new_mailbox(bench, scenario, contender, round_number):
    """An account that nobody has seen, of the large mailbox; the store has, and its indexes are warm."""
    user = bench.first_user(scenario, round_number)
    bench.mail.same(user, "large-0")
    contender.forget(user)


def _refill(bench, _scenario, _contender, _round):
    bench.mail.fill("take-0", bench.sizes.drain // 4)
    bench.raw("open", "--user", "take-0")


def _with_tls(scenario, resume=False, **goals):
    suffix, words = ("-tls-resumed", "over TLS, resumed") if resume else ("-tls", "over TLS")
    more = ("--resume",) if resume else ()
    return replace(scenario, name=scenario.name + suffix, title=f"{scenario.title}, {words}", tls=True,
                   load=scenario.load + more, goals=goals)


def scenarios(sizes):
    login = ("login", "--user", "small-%")
    several = ("--clients", 8, "--sessions", sizes.sessions)
    one = ("--clients", 1, "--sessions", max(1, sizes.sessions // 2))

    def poll(user, messages, sessions):
        return ("poll", "--user", user, "--expect", messages, "--sessions", sessions)

    def drain(clients, *more):
        return ("drain", "--user", "drain-%", "--expect", sizes.drain, "--clients", clients, "--sessions", clients, *more)

    def big(clients):
        return ("big", "--user", "huge-%", "--clients", clients, "--sessions", clients * 3)

    login_1 = Scenario("login-1", "login, one client", "sessions", login + one,
                       goals={"rate": "≥ 2.5", "cpu": "≤ 0.25", "raw": "≥ 0.8"})
    login_8 = Scenario("login-8", "login, 8 clients", "sessions", login + several, goals=login_1.goals)
    poll_small = Scenario("poll-50", f"poll, {sizes.small:,} messages, 8 clients", "sessions",
                          poll("small-%", sizes.small, sizes.sessions) + ("--clients", 8), goals=login_1.goals)
    poll_middle = Scenario("poll-5000", f"poll, {sizes.middle:,} messages", "sessions",
                           poll("middle-%", sizes.middle, sizes.polls), goals=login_1.goals)
    poll_large = Scenario("poll-100k", f"poll, {sizes.large:,} messages", "sessions",
                          poll("large-%", sizes.large, max(1, sizes.polls // 10)), goals=login_1.goals)
    first = Scenario("first-100k", f"first opening, {sizes.large:,} messages", "openings",
                     ("open", "--user", "first", "--expect", sizes.large), contenders=("popgate", "peer", "raw"), prepare=_new_mailbox, rounds=1,
                     goals={"rate": "≥ 100", "raw": "≥ 0.5"})
    again = Scenario("again-100k", f"opened again, {sizes.large:,} messages", "openings",
                     ("open", "--user", "large-%", "--expect", sizes.large, "--sessions", max(1, sizes.polls // 10)),
                     goals={"rate": "≥ 8", "raw": "> 1"})
    drain_1 = Scenario("drain-1", "drain, one client", "messages", drain(1),
                       goals={"rate": "≥ 4", "cpu": "≤ 0.33"})
    drain_8 = Scenario("drain-8", "drain, 8 clients", "messages", drain(8), goals={"rate": "≥ 2", "cpu": "≤ 0.33"})
    pipelined = Scenario("drain-pipelined", "drain, one client, RETR pipelined", "messages",
                         drain(1, "--window", 20), goals={"rate": "≥ 4", "cpu": "≤ 0.33"})
    bulk = Scenario("drain-bulk", "drain, one client, against one FETCH of all", "messages", drain(1),
                    raw=drain(1, "--window", 0))
    take = Scenario("delete", "RETR and DELE of all, one client", "messages", ("take", "--user", "take-0"),
                    prepare=_refill)
    big_1 = Scenario("big-1", "64 MiB message, one client", "MB", big(1),
                     goals={"rate": "≥ 3", "cpu": "≤ 0.2", "first octet": "≤ 5 ms"})
    big_4 = Scenario("big-4", "64 MiB message, 4 clients", "MB", big(4), goals={"rate": "≥ 4", "cpu": "≤ 0.2"})
    far = Scenario("drain-50ms", "drain, 50 ms to the store", "messages",
                   ("drain", "--user", "far-0", "--expect", sizes.far), contenders=("popgate", "peer", "raw"),
                   site="far", goals={"rate": "≥ 15"})
    idle = Scenario("idle", "idle session", "sessions", ("hold", "--user", "idle-%", "--clients", 4), site="crowd",
                    contenders=GATEWAYS, kind="memory", baseline=20, rounds=1, goals={"memory": "≤ 25 kB"})
    slow = Scenario("slow-reader", "slow reader of a 64 MiB message", "sessions",
                    ("stall", "--user", "slow-%", "--clients", 4), site="crowd", contenders=GATEWAYS, kind="memory",
                    baseline=2, rounds=1, goals={"memory": "≤ 150 kB"})
    return [
        login_1, _with_tls(login_1, rate="≥ 1.5"),
        login_8, _with_tls(login_8, rate="≥ 1.5"), _with_tls(login_8, resume=True, rate="≥ 1.5"),
        poll_small, _with_tls(poll_small, rate="≥ 1.5"), poll_middle, _with_tls(poll_middle, rate="≥ 1.5"),
        poll_large, _with_tls(poll_large, rate="≥ 1.5"), first, _with_tls(first), again, _with_tls(again),
        drain_1, _with_tls(drain_1), drain_8, _with_tls(drain_8), pipelined, _with_tls(pipelined), bulk, take,
        big_1, big_4, _with_tls(big_1, rate="≥ 2"), _with_tls(big_4, rate="≥ 2"), far,
        idle, _with_tls(idle, memory="≤ 55 kB"), slow,
        Scenario("crowd-tls", f"{sizes.crowd:,} sessions at once over TLS", "sessions",
                 ("hold", "--user", "idle-%", "--clients", 8), site="crowd", tls=True, contenders=("popgate",),
                 kind="memory", baseline=20, rounds=1),
        Scenario("beside-slow", f"normal clients beside {sizes.slow} slow readers", "sessions",
                 ("drain", "--user", "small-%", "--messages", 5, "--clients", 8, "--sessions", sizes.beside), site="crowd",
                 contenders=("popgate",), kind="beside", goals={"p99": "≤ 1.2"}),
    ]
