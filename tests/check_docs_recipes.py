"""Gives each whole configuration of a document (a block marked ```toml with a [[listen]] in it) to `popgate check`, with
files of its own in the place of those in /etc/popgate.

usage: check_docs_recipes.py POPGATE DOCUMENT
"""

import pathlib
import re
import subprocess
import sys
import tempfile


def make_certificate(certificate, key):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90",
         "-subj", "/CN=mail.example.com", "-addext", "subjectAltName=DNS:mail.example.com", "-out", certificate,
         "-keyout", key], check=True, capture_output=True)


def make_files(configuration, folder):
    """The configuration with the folder in the place of /etc/popgate, and what it names in there."""
    for name in re.findall(r'"/etc/popgate/([^"]+)"', configuration):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pairs = re.findall(r'^certificate = "/etc/popgate/([^"]+)".*\nkey = "/etc/popgate/([^"]+)"', configuration, re.M)
    for certificate, key in pairs:
        make_certificate(folder / certificate, folder / key)
    for name in re.findall(r'"/etc/popgate/([^"]+)"', configuration):
        if not (folder / name).exists():
            (folder / name).write_text("secret\n" if "secret" in name else "user:$6$x$y\n")
            (folder / name).chmod(0o600)
    return configuration.replace("/etc/popgate/", f"{folder}/")


def main(popgate, document):
    blocks = re.findall(r"^```toml\n(.*?)^```$", pathlib.Path(document).read_text(), re.MULTILINE | re.DOTALL)
    recipes = [block for block in blocks if "[[listen]]" in block]
    if not recipes:
        return f"{document}: no block of TOML is a whole configuration"
    for recipe in recipes:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            file = folder / "popgate.toml"
            file.write_text(make_files(recipe, folder) + f'\n[state]\nurl = "sqlite:{folder}/state.db"\n')
            file.chmod(0o600)
            done = subprocess.run([popgate, "check", "--config", file], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            return f"{document}:\n{recipe}\n{done.stdout}{done.stderr}"
    print(f"{len(recipes)} configurations are good")
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
