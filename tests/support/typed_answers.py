"""Answers of fakes as constants of the vendors' TypeScript types."""

import email
import json
from dataclasses import dataclass, field

from support import node, published_urls

_UNKNOWN_NAME = "TS2353:"  # an object has a name that its type does not know


@dataclass
class Answer:
    asked: str   # "GET /…"
    type: str    # of tests/node/answers.mts, or of a library that it names
    value: object = field(repr=False)


class Recorder:
    """Keeps what a fake answers from now on."""

    def __init__(self, fake):
        self.fake = fake
        self.pairs = []
        plain = fake.answer

        def answer(request):
            response = plain(request)
            self.pairs.append((request, response))
            return response

        fake.answer = answer

    def answers(self):
        """Those that came with success and whose type the vendor has published."""
        return [each for request, response in self.pairs if response is not None
                for each in _answers(request, response)]


def _answers(request, response):
    if request.path.startswith("/jmap"):
        yield from _jmap_answers(request, response)
        return
    if not 200 <= response.status < 300:
        return
    bodies = _bodies(request, response)
    for (method, target), (status, value) in zip(published_urls.requests_of(request), bodies, strict=True):
        address = published_urls.find(method, target)
        if value is None or not 200 <= status < 300 or address is None:
            continue
        kind = f"gmail_v1.{address.answer}" if address.service == "gmail" else address.answer
        yield Answer(f"{method} {target}", kind, value)


def _bodies(request, response):
    """(status, JSON or None) of an answer, or of each within, in the order of the requests."""
    if request.path == "/v1.0/$batch":
        found = {each["id"]: (each["status"], each.get("body")) for each in response.json()["responses"]}
        return [found.get(each["id"], (0, None)) for each in request.json()["requests"]]
    if request.path == "/batch/gmail/v1":
        return [(status, value) for _, status, value in batch_parts(response)]
    is_json = response.content_type.startswith("application/json") and response.body
    return [(response.status, response.json() if is_json else None)]


def batch_parts(response):
    """(Content-ID, status, JSON or None) of each part of a multipart answer of Google's, as Python's parser reads it."""
    whole = email.message_from_bytes(b"Content-Type: " + response.content_type.encode() + b"\r\n\r\n" + response.body)
    for part in whole.get_payload():
        assert part.get_content_type() == "application/http"
        line, _, rest = part.get_payload(decode=True).partition(b"\r\n")
        inner = email.message_from_bytes(rest)
        text = inner.get_payload(decode=True)
        assert len(text) >= int(inner["Content-Length"])
        text = text[:int(inner["Content-Length"])]
        yield part["Content-ID"], int(line.split()[1]), json.loads(text) if text else None


def _jmap_answers(request, response):
    if response.status != 200 or not response.content_type.startswith("application/json"):
        return
    value = response.json()
    if "methodResponses" not in value:
        yield Answer(request.target, "Session", value)
    for name, arguments, _ in value.get("methodResponses", ()):
        yield Answer(name, name.replace("/", "_"), arguments)


def type_errors(answers, may_add=False):
    """[(Answer or None, what the compiler has against it)]; servers that may add something have names of their own."""
    prelude = (node.SOURCES / "answers.mts").read_text()
    first = prelude.count("\n") + 1
    lines = [f"export const answer{number}: {each.type} = {json.dumps(each.value)};"
             for number, each in enumerate(answers)]
    found = []
    for error in node.type_errors(prelude + "\n".join(lines) + "\n"):
        place, _, text = error.partition(": error ")
        if may_add and text.startswith(_UNKNOWN_NAME):
            continue
        number = int(place.rpartition("(")[2].partition(",")[0]) - first if text else -1
        found.append((answers[number] if 0 <= number < len(answers) else None, text or error))
    return found
