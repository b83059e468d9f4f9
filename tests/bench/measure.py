"""What processes have used: CPU time and memory, from /proc."""

import os
import re
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """(parent, seconds of itself and of children that have ended and were waited for); None when it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(words[1]), sum(map(int, words[11:15])) / _TICK


def family(pid):
    """{pid: CPU seconds} of a process and all below it."""
    stats = {int(name): _stat(name) for name in os.listdir("/proc") if name.isdigit()}
    members, found = {}, [pid]
    while found:
        members.update((each, stats[each][1]) for each in found if stats.get(each))
        found = [each for each, stat in stats.items() if stat and stat[0] in found and each not in members]
    return members


def cpu_seconds(pid):
    """Of a server with all its processes, those that have ended among them."""
    return sum(family(pid).values()) if pid else 0.0


def memory(pid):
    """Octets of a server with all its processes; what they share counts once (PSS)."""
    total = 0
    for each in family(pid):
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024
    return total
