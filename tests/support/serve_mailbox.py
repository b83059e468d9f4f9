"""Runs one mailbox server for a program that is not Python: told what to do by lines of JSON on standard input, each of
which gets a line of JSON as its answer. Ends when standard input does.

The first line of output tells where it is: {"backend": ..., "options": {...}, "traits": {...}}. Then, {"do": ...}:
  new_user                  -> {"user", "password"}
  deliver  user raw         -> {"raw"}          raw is base64; {"refused": why} where it is not taken
  remove   user index       -> {}
  is_seen  user index       -> {"seen"}         null: there is no such mark
  folder   user which       -> {"raw": [...]}
  fault    at|always fault  -> {}               see FaultPlan
"""

import base64
import json
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.certs import Certificates  # noqa: E402
from support.http_kinds import open_kind  # noqa: E402


def _text(octets):
    return base64.b64encode(octets).decode()


def obey(server, order):
    what = order["do"]
    if what == "new_user":
        user, password = server.new_user()
        return {"user": user, "password": password}
    if what == "deliver":
        return {"raw": _text(server.deliver(order["user"], base64.b64decode(order["raw"])))}
    if what == "remove":
        server.remove(order["user"], order["index"])
        return {}
    if what == "is_seen":
        return {"seen": server.is_seen(order["user"], order["index"])}
    if what == "folder":
        return {"raw": [_text(each) for each in server.folder(order["user"], order["which"])]}
    if what == "fault":
        if "at" in order:
            server.faults.at(order["at"], order["fault"])
        else:
            server.faults.always(order["fault"])
        return {}
    raise ValueError(what)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="popgate-") as directory:
        with open_kind(sys.argv[1], Certificates(directory)) as server:
            traits = {"has_folders": server.has_trash, "folds_copies": server.folds_copies,
                      "tells_gone": server.tells_gone, "gives_moved": server.gives_moved,
                      "gives_removed": server.gives_removed, "refuses_some": server.most_refused > 0}
            print(json.dumps({"backend": server.backend, "options": server.options, "traits": traits}), flush=True)
            for line in sys.stdin:
                try:
                    answer = obey(server, json.loads(line))
                except server.Refused as refusal:
                    answer = {"refused": str(refusal)}
                except Exception as error:  # told to whoever asked
                    answer = {"error": f"{type(error).__name__}: {error}"}
                print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
