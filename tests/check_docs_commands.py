"""Holds the reference of commands to the program, in both directions.

usage: check_docs_commands.py POPGATE DOCS

DOCS/commands.md has a table under "## Every command and its options"; a row names commands and then options of theirs,
each in backticks. All rows together must name each command with just the options that its --help shows. What the rest
of that page calls an option must be one, and what any page of DOCS runs as a command of popgate must be one.
"""

import concurrent.futures
import pathlib
import re
import subprocess
import sys

HEADING = "## Every command and its options\n"


def help_of(popgate, command):
    done = subprocess.run([popgate, *command, "--help"], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def subcommands_in(text):
    section = re.split(r"\nsubcommands:\n", text, flags=re.IGNORECASE)[1:]
    return re.findall(r"^  ([a-z][a-z-]*)", "".join(section), re.MULTILINE)


def options_in(text):
    return set(re.findall(r"^  (?:-\w,\s*)?(--[a-z][a-z-]*)", text, re.MULTILINE)) - {"--help"}


def commands_of(popgate):
    """{("mailbox", "show"): {"--json", …}} of all that do something, and the options of `popgate` itself under ()."""
    found = {}
    level = [()]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        while level:
            texts = dict(zip(level, pool.map(lambda command: help_of(popgate, command), level)))
            level = []
            for command, text in texts.items():
                inner = subcommands_in(text)
                level += [(*command, name) for name in inner]
                if not inner or not command:
                    found[command] = options_in(text)
    return found


def table_of(document):
    """The same as the page says it."""
    said = {}
    rows = document.partition(HEADING)[2].partition("\n## ")[0]
    for commands, options in re.findall(r"^\| (.*?) \| (.*?) \|$", rows, re.MULTILINE):
        names = re.findall(r"`popgate(?: ([a-z -]+[a-z]))?(?: [A-Z]+)?`", commands)
        for name in names:
            said.setdefault(tuple(name.split()), set()).update(re.findall(r"`(--[^` ]+)[^`]*`", options))
    return said


def differences(real, said):
    for command in sorted(real.keys() | said.keys()):
        name = " ".join(("popgate", *command))
        if command not in said:
            yield f"`{name}` is not in the table"
        elif command not in real:
            yield f"there is no `{name}`"
        else:
            yield from (f"{name}: {option} is not in the table" for option in sorted(real[command] - said[command]))
            yield from (f"{name}: there is no {option}" for option in sorted(said[command] - real[command]))


def unknown_options(document, real):
    known = set().union(*real.values()) | {"--help"}
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", document))
    return [f"there is no {option}" for option in sorted(said - known)]


def unknown_commands(text, real):
    """Of `popgate WORD` in backticks, or behind the prompt in a block."""
    known = {command[:length] for command in real for length in range(1, len(command) + 1)}
    pattern = re.compile(r"(?:`|^\$ )popgate ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?(?![\w.:@/])", re.MULTILINE)
    for first, second in pattern.findall(text):
        if (first,) not in known:
            yield f"there is no popgate {first}"
        elif second and (first,) not in real and (first, second) not in known:
            yield f"there is no popgate {first} {second}"


def main(popgate, docs):
    docs = pathlib.Path(docs)
    real = commands_of(popgate)
    page = docs / "commands.md"
    text = page.read_text()
    faults = [f"{page}: {fault}" for fault in (*differences(real, table_of(text)), *unknown_options(text, real))]
    for each in sorted(docs.glob("*.md")):
        faults += [f"{each}: {fault}" for fault in unknown_commands(each.read_text(), real)]
    if len(real) < 10:
        faults.append("the program's help has not been understood")
    print("\n".join(faults) or f"{len(real)} commands are as in the reference")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
