"""The manual pages: good roff, and nothing that the program knows is missing."""

import re
import subprocess

import pytest
from support.popgate import run


def page(number):
    made = run("manual", number)
    assert made.returncode == 0, made.stderr
    return made.stdout


def as_text(roff):
    return subprocess.run(["mandoc", "-T", "utf8", "-O", "width=200"], input=roff, capture_output=True, check=True,
                          timeout=30).stdout.decode().replace("\b", "\x00")


def plain(text):
    """Without overstriking, which is how a terminal is told bold and italic."""
    return re.sub(".\x00", "", text)


@pytest.mark.parametrize("number", ["8", "5"])
def test_good_roff(number, tmp_path):
    file = tmp_path / f"popgate.{number}"
    file.write_bytes(page(number))
    judged = subprocess.run(["mandoc", "-T", "lint", file], capture_output=True, text=True, check=False, timeout=30)
    # Neither page has to be installed where this is tested.
    complaints = [line for line in judged.stdout.splitlines() if "referenced manual not found" not in line]
    assert complaints == []


@pytest.mark.parametrize("number", ["8", "5"])
def test_groff_takes_it_too(number, tmp_path):
    file = tmp_path / f"popgate.{number}"
    file.write_bytes(page(number))
    made = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", file], capture_output=True,
                          text=True, check=False, timeout=30, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8",
                                                                   "MANROFFSEQ": "", "MANWIDTH": "80"})
    assert (made.returncode, made.stderr) == (0, "")


def subcommands(text):
    """Of a help page."""
    listed = text.partition("Subcommands:\n")[2]
    return re.findall(r"^  ([a-z][a-z0-9-]*)", listed, re.MULTILINE)


def leaves(*command):
    """Every command that does something, with the options that its help page tells."""
    text = run(*command, "--help").stdout.decode()
    children = subcommands(text)
    if not children:
        yield " ".join(("popgate", *command)), set(re.findall(r"^  (?:-\w,)?(--[a-z0-9-]+)", text, re.MULTILINE))
    for child in children:
        yield from leaves(*command, child)


def test_every_command_and_option_is_told():
    text = plain(as_text(page("8")))
    commands = text[text.index("\nCOMMANDS"):]
    found = dict(leaves())
    assert {"popgate serve", "popgate mailbox quarantine release", "popgate manual"} <= set(found)
    for command, options in found.items():
        heading = re.search(rf"^ +{re.escape(command)}$", commands, re.MULTILINE)
        assert heading, command
        section = re.split(r"^ {1,4}\S", commands[heading.end():], maxsplit=1, flags=re.MULTILINE)[0]
        told = set(re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)", section, re.MULTILINE))
        assert told == options - {"--help"}, command


def test_every_key_is_told_in_its_section():
    text = plain(as_text(page("5")))
    reference = run("config-reference").stdout.decode()
    section = None
    keys = 0
    for line in reference.splitlines():
        if heading := re.match(r"\[\[?[a-z]+\]?\]$", line):
            start = re.search(rf"^ +{re.escape(heading[0])}$", text, re.MULTILINE)
            assert start, heading[0]
            section = re.split(r"^ {1,4}\S", text[start.end():], maxsplit=1, flags=re.MULTILINE)[0]
        elif key := re.match(r"(?:# )?([a-z0-9_]+) = (.*)$", line):
            keys += 1
            assert re.search(rf"^ +{key[1]}(\s|$)", section, re.MULTILINE), line
            if not line.startswith("#"):
                assert f"Default: {key[2]}" in section, line
    assert keys > 100


def test_nothing_in_it_is_of_whoever_prints_it(monkeypatch):
    before = page("8")
    monkeypatch.setenv("HOME", "/home/somebody-else")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/somebody-else/state")
    assert page("8") == before
