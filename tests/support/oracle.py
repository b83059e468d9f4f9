"""What is true of one mailbox while everything around it goes wrong, and a client whose view is held against it.

A Truth knows each message that was ever delivered, what it was called, and where it is now. A Visit is one POP3 session
at random; whatever it is told must agree with the truth, and what it is not told it must be able to ask for again.
"""

import re

from support.pop3 import Pop3
from support.reference_pop3 import top

# What a client may hear at login while things go wrong.
_TROUBLE = re.compile(r"-ERR \[(SYS/TEMP|SYS/PERM|AUTH|IN-USE)\] ")


class Wrong(AssertionError):
    """popgate told something that is not so."""


def demand(condition, text):
    if not condition:
        raise Wrong(text)


class Truth:
    """messages   {name: octets as a POP3 client must get them}, of those that are there, in their order
    name_of       finds a message's name in its octets
    """

    def __init__(self, name_of):
        self._name_of = name_of
        self.messages = {}
        self.gone = {}       # likewise, of those that were removed
        self.ids = {}        # {unique-id: name}, for ever
        self.fetched = set()  # names that the client has got whole

    def deliver(self, name, octets):
        self.messages[name] = octets

    def remove(self, name):
        self.gone[name] = self.messages.pop(name)

    def learn_id(self, unique_id, name):
        known = self.ids.setdefault(unique_id, name)
        demand(known == name, f"the unique-id {unique_id} was that of {known}, and is that of {name} now")
        others = [each for each, owner in self.ids.items() if owner == name]
        demand(others == [unique_id], f"{name} has several unique-ids: {others}")

    def identify(self, octets):
        """The message that this is the beginning of; one that was never delivered is a lie."""
        name = self._name_of(octets)
        demand(name in self.messages or name in self.gone, f"a message that never was: {octets[:200]!r}")
        return name, self.messages.get(name, self.gone.get(name))

    def settle(self, there, marked, said_quit, reply, removed_by_others=()):
        """After a session: `there` is what the upstream itself has now."""
        lost = self.messages.keys() - there - set(removed_by_others)
        demand(not there - self.messages.keys(), f"came back: {there - self.messages.keys()}")
        demand(said_quit or not lost, f"removed without QUIT: {lost}")
        demand(lost <= marked, f"removed, and nobody deleted it: {lost - marked}")
        if reply and reply.startswith("+OK"):
            demand(not marked & there, f"{reply}, but still there: {marked & there}")
        for name in lost | (set(removed_by_others) & self.messages.keys()):
            self.remove(name)


class Visit:
    """One session of a client that does a bit of everything. `vanish(name)` is called between its commands now and then,
    and removes a message behind its back, or does nothing; it returns whether it did."""

    def __init__(self, truth, numbers, vanish=lambda name: False):
        self._truth = truth
        self._numbers = numbers
        self._vanish = vanish
        self.vanished = set()
        self.marked = set()      # names
        self.said_quit = False
        self.reply = None        # to QUIT
        self.outcome = "broken off"
        self.transcript = []

    def hold(self, port, user, password):
        try:
            with Pop3(port) as pop3:
                self._run(pop3, user, password)
        except EOFError:
            pass  # the connection may be broken off at any time
        except OSError as problem:
            demand(not isinstance(problem, TimeoutError), "popgate has nothing to say for too long")

    def _say(self, pop3, *command):
        reply = pop3.command(*command)
        self.transcript.append(f"{' '.join(map(str, command))}: {reply}")
        return reply

    def _run(self, pop3, user, password):
        self._say(pop3, "USER", user)
        reply = pop3.command("PASS", password)
        self.transcript.append(f"PASS: {reply}")
        if not reply.startswith("+OK"):
            demand(_TROUBLE.match(reply), reply)
            self.outcome = "refused"
            return
        ids = self._look_at_all(pop3)
        names = {}  # {number: name} as far as known
        for number, unique_id in ids.items():
            if unique_id in self._truth.ids:
                names[number] = self._truth.ids[unique_id]
        for _ in range(self._numbers.randrange(12)):
            if not ids:
                break
            self._one_command(pop3, self._numbers.choice(list(ids)), ids, names)
        if self._numbers.random() < 0.7:
            self.said_quit = True
            self.reply = self._say(pop3, "QUIT")
            demand(self.reply.startswith(("+OK", "-ERR")), self.reply)
            self.outcome = "quit"
            return
        self.outcome = "left"
        if self._numbers.random() < 0.5:
            pop3.reset()

    def _look_at_all(self, pop3):
        """{number: unique-id}. The mailbox is shown whole, or login has failed."""
        there = len(self._truth.messages)
        stat = self._say(pop3, "STAT")
        demand(stat.startswith(f"+OK {there} "), f"{stat}, and there are {there}")
        reply = self._say(pop3, "UIDL")
        demand(reply.startswith("+OK"), reply)
        ids = dict((int(number), unique_id) for number, unique_id in map(str.split, pop3.lines()))
        demand(list(ids) == list(range(1, there + 1)), f"UIDL tells of {list(ids)}, and there are {there}")
        demand(len(set(ids.values())) == there, f"a unique-id twice: {ids}")
        shown = {self._truth.ids[each] for each in ids.values() if each in self._truth.ids}
        demand(shown <= self._truth.messages.keys(), f"shown, but gone: {shown - self._truth.messages.keys()}")
        return ids

    def _one_command(self, pop3, number, ids, names):
        numbers = self._numbers
        if number in names and numbers.random() < 0.05 and self._vanish(names[number]):
            self.vanished.add(names[number])
        what = numbers.choice(["RETR"] * 5 + ["TOP"] * 2 + ["DELE"] * 3 + ["RSET", "NOOP", "LIST"])
        if what in ("RETR", "TOP"):
            lines = numbers.choice([0, 1, 50, 100_000])
            reply = self._say(pop3, "RETR", number) if what == "RETR" else self._say(pop3, "TOP", number, lines)
            if not reply.startswith("+OK"):
                demand(reply.startswith("-ERR"), reply)
                return
            octets = pop3.multiline()
            name, whole = self._truth.identify(octets)
            expected = whole if what == "RETR" else top(whole, lines)
            demand(octets == expected, f"{what} {number} gave {len(octets)} octets of {name}, not its {len(expected)}")
            demand(names.setdefault(number, name) == name, f"number {number} was {names[number]}, and is {name}")
            self._truth.learn_id(ids[number], name)
            if what == "RETR":
                self._truth.fetched.add(name)
        elif what == "DELE" and number in names:  # what is deleted must be known by name
            if self._say(pop3, "DELE", number).startswith("+OK"):
                self.marked.add(names[number])
        elif what == "RSET":
            demand(self._say(pop3, "RSET").startswith("+OK"), "RSET")
            self.marked.clear()
        elif what == "NOOP":
            demand(self._say(pop3, "NOOP").startswith("+OK"), "NOOP")
        elif what == "LIST":
            self._say(pop3, "LIST", number)
