"""Gives the configuration that a document shows to `popgate check`: each block marked ```toml with a [[route]] in it.

usage: check_docs_configuration.py POPGATE DOCUMENT
"""

import pathlib
import re
import subprocess
import sys
import tempfile

# What any configuration needs beside its routes.
FRAME = '[[listen]]\naddress = "127.0.0.1:110"\ntls = "none"\n\n'


def main(popgate, document):
    blocks = re.findall(r"^```toml\n(.*?)^```$", pathlib.Path(document).read_text(), re.MULTILINE | re.DOTALL)
    blocks = [block for block in blocks if "[[route]]" in block]
    if not blocks:
        return f"{document}: no block of TOML has a route"
    for block in blocks:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "popgate.toml"
            file.write_text(FRAME + block)
            file.chmod(0o600)
            done = subprocess.run([popgate, "check", "--config", file], capture_output=True, text=True, timeout=60)
        said = [line for line in done.stdout.splitlines() if ": warning: " not in line]
        if done.returncode != 0:
            return f"{document}:\n{block}\n{done.stdout}{done.stderr}"
        print("\n".join(said))
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
