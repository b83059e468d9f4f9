"""Whether requests go to addresses that Google and Microsoft publish, with query parameters that they know there.

The addresses are read from the vendors' libraries (tests/node/templates.cjs): neither the fakes nor popgate have a say.
"""

import functools
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from support import node

# Of links that the server itself has made; clients send them back as they are.
_OF_LINKS = {"$skiptoken", "$deltatoken"}
# The mailbox of whoever asks, in Microsoft's library and on the wire.
_ME = re.compile(r"^/me(?=/|$)")


@dataclass(frozen=True)
class Address:
    service: str
    method: str
    words: tuple      # of the path; {…} stands for any
    query: frozenset
    answer: str       # the vendor's name for the type of the answer; "" when there is none

    def fits(self, words):
        return all(mine == theirs or (mine.startswith("{") and theirs) for mine, theirs in zip(self.words, words))

    @property
    def literal_words(self):
        return sum(not each.startswith("{") for each in self.words)


@functools.cache
def _addresses():
    """By (service, method, number of words); the most literal first."""
    found = defaultdict(list)
    for each in node.run("templates.cjs"):
        words = tuple(each["path"].split("/"))
        address = Address(each["service"], each["method"], words, frozenset(each["query"]), each["answer"])
        found[address.service, address.method, len(words)].append(address)
    for each in found.values():
        each.sort(key=lambda address: -address.literal_words)
    return found


def find(method, target):
    """The Address that a request goes to; None when none is published."""
    path = urlsplit(target).path
    service = "gmail"
    if path.startswith("/v1.0/"):
        service, path = "graph", _ME.sub("/users/me", path.removeprefix("/v1.0"))
    words = path.removesuffix("()").split("/")
    return next((each for each in _addresses()[service, method, len(words)] if each.fits(words)), None)


def requests_of(request):
    """(method, target) of a request, or of each one within when it is a batch."""
    if request.method == "POST" and request.path == "/v1.0/$batch":
        for each in json.loads(request.body)["requests"]:
            yield each["method"], "/v1.0" + each["url"]
    elif request.method == "POST" and request.path == "/batch/gmail/v1":
        for method, target in re.findall(rb"\r\n\r\n([A-Z]+) (\S+)(?: HTTP/1\.1)?\r\n", request.body):
            yield method.decode(), target.decode()
    else:
        yield request.method, request.target


def check(log):
    """What is wrong with the requests in a fake's log, a line for each; nothing, if all is well."""
    problems = []
    for request in log:
        for method, target in requests_of(request):
            address = find(method, target)
            if address is None:
                problems.append(f"{method} {target}: no such address is published")
                continue
            names = {name for name, _ in parse_qsl(urlsplit(target).query, keep_blank_values=True)}
            known = address.query | (_OF_LINKS if address.service == "graph" else set())
            if names - known:
                problems.append(f"{method} {target}: {', '.join(sorted(names - known))} is no parameter there")
    return problems
