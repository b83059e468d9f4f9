#!/usr/bin/env python3
"""Gives every broken file here to `popgate check` and compares what is said.

usage: run.py POPGATE [CASE…]

A case is a folder: popgate.toml, `expected`, and files that popgate.toml names. It is run in a copy of its own, beside
the certificates of support/certs.py. `expected` has one line for each line of the output, in order, that must begin
like it. So a file that fails for another reason, or for one reason more, does not pass.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.certs import Certificates  # noqa: E402


def run(popgate, case, certificates):
    """What was wrong with popgate's answer; nothing when it was right."""
    expected = (case / "expected").read_text().splitlines()
    with tempfile.TemporaryDirectory() as folder:
        for file in [*certificates.glob("*.pem"), *certificates.glob("*.key"), *case.iterdir()]:
            shutil.copy(file, folder)
        for file in Path(folder).iterdir():
            file.chmod(0o644 if file.name == "public" else 0o600)
        done = subprocess.run([popgate, "check", "--config", "popgate.toml"], cwd=folder, capture_output=True, text=True,
                              timeout=60)
    if all(": warning: " in line for line in expected):
        expected.append("popgate.toml: ok")
        status = 0
    else:
        status = 2
    said = done.stdout.splitlines()
    right = len(said) == len(expected) and all(map(str.startswith, said, expected))
    if right and done.returncode == status and not done.stderr:
        return ""
    return (f"--- expected, exit code {status}\n" + "\n".join(expected) +
            f"\n--- got, exit code {done.returncode}\n{done.stdout}{done.stderr}")


def main():
    popgate = Path(sys.argv[1]).resolve()
    names = sys.argv[2:]
    cases = [HERE / name for name in names] or sorted(path.parent for path in HERE.glob("*/popgate.toml"))
    os.environ.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=0")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        Certificates(folder)
        for case in cases:
            problem = run(popgate, case, Path(folder))
            print(f"{case.name}: {'FAILED' if problem else 'ok'}")
            if problem:
                print(problem)
                failed += 1
    print(f"{len(cases) - failed} of {len(cases)} passed")
    sys.exit(1 if failed or not cases else 0)


main()
