"""Reads what all clients of a mailbox have written down, and what is left in it, and finds what should not have been.

Pure: every history can be made by hand, see tests/integration/test_fleet_support.py.
"""

from dataclasses import dataclass, field


@dataclass
class History:
    """Of one mailbox.

    delivered  {name: (time when it was there for all to see, octets as a POP3 client must get them)}
    left       octets of the messages that are still there, as a POP3 client would get them
    sessions   SessionLogs of all its clients
    excuse     excuse(session): the moment from which its node could not renew its lock, through no fault of its own; or
               None
    """

    delivered: dict
    left: list
    sessions: list
    excuse: object = staticmethod(lambda session: None)
    names: dict = field(init=False)  # by octets

    def __post_init__(self):
        self.names = {octets: name for name, (_, octets) in self.delivered.items()}
        self.opened = sorted((each for each in self.sessions if each.opened is not None), key=lambda each: each.opened)


def faults_of(history):
    """Sentences; none where all is well."""
    faults = []
    for find in (_two_at_a_time, _what_was_got, _what_was_shown, _what_has_gone):
        faults += find(history)
    return faults


def _who(session):
    return f"{session.client} ({session.address}, opened {session.opened:.3f})"


def _two_at_a_time(history):
    faults = []
    for first, second in _pairs(history.opened):
        excused_at = history.excuse(first)
        end = first.end if excused_at is None else min(first.end, excused_at)
        if second.opened < end:
            faults.append(f"two sessions at a time: {_who(first)} until {end:.3f}, and {_who(second)}")
        # Whose lock was lost, for whatever reason, is told so.
        elif first.marked and _said_ok(first) and second.opened < first.quit_sent:
            faults.append(f"removed without the lock: {_who(first)} by QUIT at {first.quit_sent:.3f}, while {_who(second)}")
    return faults


def _pairs(opened):
    for index, first in enumerate(opened):
        for second in opened[index + 1:]:
            if second.opened >= first.end:
                break
            yield first, second


def _said_ok(session):
    return session.answer is not None and session.answer.startswith("+OK")


def _is_told_nothing_certain(session):
    """The connection has ended, or what was begun before the lock ran out could not be seen to its end."""
    return session.answer is None or session.answer.startswith("-ERR [SYS/TEMP] It is not known whether ")


def _names_of_ids(history):
    """{unique-id: name} of all that was ever got, and what is wrong with that."""
    names, ids, faults = {}, {}, []
    for session in history.opened:
        for _, unique_id, octets in session.got:
            name = history.names.get(octets)
            if name is None:
                faults.append(f"a message that never was: {_who(session)} got {octets[:100]!r}")
                continue
            if names.setdefault(unique_id, name) != name:
                faults.append(f"another message under a unique-id: {unique_id} was {names[unique_id]}, and is {name}")
            if ids.setdefault(name, unique_id) != unique_id:
                faults.append(f"another unique-id: {name} was {ids[name]}, and is {unique_id}")
    return names, faults


def _what_was_got(history):
    _, faults = _names_of_ids(history)
    has = set()
    for session in history.opened:
        for _, unique_id, octets in session.got:
            name = history.names.get(octets)
            if (session.client, name) in has:
                faults.append(f"given twice: {name} to {_who(session)} as {unique_id}")
            has.add((session.client, name))
    return faults


def _what_was_shown(history):
    """A mailbox is shown as it is, or not at all."""
    names, _ = _names_of_ids(history)
    sizes, order, faults = {}, {}, []
    for session in history.opened:
        if session.shown is None:
            continue
        there = {name for name, (time, _) in history.delivered.items() if time < session.asked}
        possible = {name for name, (time, _) in history.delivered.items() if time < session.listed}
        for other in history.opened:
            marked = {names[each] for each in other.marked if each in names}
            if other.quit_sent is not None and other.quit_sent < session.listed:
                there -= marked
            if _said_ok(other) and other.answered < session.asked:
                possible -= marked
        shown = {names[each] for each in session.shown if each in names}
        missing = {name for name in there if name in names.values()} - shown
        if missing or len(session.shown) < len(there):
            faults.append(f"not shown: {_who(session)} saw {len(session.shown)} of {len(there)}, without {sorted(missing)}")
        if shown - possible or len(session.shown) > len(possible):
            faults.append(f"shown, but gone: {_who(session)} saw {len(session.shown)}, with {sorted(shown - possible)}")
        for unique_id, octets in session.shown.items():
            if sizes.setdefault(unique_id, octets) != octets:
                faults.append(f"another size: {unique_id} had {sizes[unique_id]}, and for {_who(session)} {octets}")
            name = names.get(unique_id)
            if name and octets != len(history.delivered[name][1]):
                has = len(history.delivered[name][1])
                faults.append(f"a wrong size: {name} has {has}, and for {_who(session)} {octets}")
        for unique_id in session.shown:
            order.setdefault(unique_id, len(order))
        places = [order[each] for each in session.shown]
        if places != sorted(places):
            faults.append(f"another order: {_who(session)} saw {list(session.shown)}")
    return faults


def _what_has_gone(history):
    names, _ = _names_of_ids(history)
    ids = {name: unique_id for unique_id, name in names.items()}
    left = [history.names.get(octets) for octets in history.left]
    faults = []
    if len(set(left)) != len(left) or None in left:
        faults.append(f"not what was delivered: {left}")
    for name in history.delivered.keys() - set(left):
        faults += _why_gone(history, name, ids.get(name))
    for session in history.opened:
        if _said_ok(session):
            there = {names.get(each) for each in session.marked} & set(left)
            if there:
                faults.append(f"not removed: {_who(session)} heard {session.answer}, and there are {sorted(there)}")
    return faults


def _why_gone(history, name, unique_id):
    has_it = {session.client for session in history.opened
              if any(history.names.get(octets) == name for _, _, octets in session.got)}
    marked = [session for session in history.opened if unique_id in session.marked]
    if not any(session.client in has_it for session in marked):
        return [f"lost: {name} ({unique_id}) has gone, and no client that has it has deleted it"]
    said_quit = [session for session in marked if session.quit_sent is not None]
    if not said_quit:
        return [f"removed without QUIT: {name}, marked by {', '.join(map(_who, marked))}"]
    meant = [session for session in said_quit if _is_told_nothing_certain(session) or _said_ok(session)]
    if not meant:
        return [f"removed in spite of -ERR: {name}, by {'; '.join(_who(each) + each.answer for each in said_quit)}"]
    # Whoever was let in after QUIT was sent has seen what that QUIT left; what was there then, it did not remove.
    last_seen = max((session.opened for session in history.opened if unique_id in (session.shown or {})), default=0)
    if all(session.quit_sent < last_seen for session in meant):
        return [f"removed too late: {name} was seen by a session opened at {last_seen:.3f}, after the last QUIT: "
                f"{', '.join(map(_who, meant))}"]
    return []
