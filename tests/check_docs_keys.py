"""Holds what documents call a key of the configuration to the reference: `section.key`, `[section]` and `[section] key`.
Of `word.word`, only those with a section's name count: the others are files, or another program's.

usage: check_docs_keys.py CONFIGURATION.TOML DOCUMENT…
"""

import pathlib
import re
import sys

# Files that are called like a section and a key.
FILES = {"state.db", "secrets.key"}


def keys_of(reference):
    """{section: its keys}; a key that has no default stands in a comment."""
    sections = {}
    for line in reference.splitlines():
        if heading := re.fullmatch(r"\[\[?(\w+)\]\]?", line):
            sections[heading[1]] = set()
        elif key := re.match(r"(?:# )?(\w+) = ", line):
            sections[list(sections)[-1]].add(key[1])
    return sections


def mentioned(text, sections):
    """Section and key ("" where the section alone is named) in backticks, without the blocks of code."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`\n]+)`", prose):
        if heading := re.match(r"\[\[?([a-z]\w*)\]\]?(?: ([a-z]\w*))?(?= =|$)", code):
            yield heading[1], heading[2] or ""
        elif dotted := re.match(r"([a-z]\w*)\.([a-z]\w*)(?= =|$)", code):
            if dotted[1] in sections and dotted[0] not in FILES:
                yield dotted[1], dotted[2]


def main(reference, *documents):
    sections = keys_of(pathlib.Path(reference).read_text())
    count, faults = 0, []
    for document in documents:
        for section, key in mentioned(pathlib.Path(document).read_text(), sections):
            count += 1
            if section not in sections:
                faults.append(f"{document}: there is no [{section}]")
            elif key and key not in sections[section]:
                faults.append(f"{document}: [{section}] has no {key}")
    if count < 20:
        faults.append(f"only {count} keys were found in the documents")
    print("\n".join(faults) or f"{count} mentions of keys are as in the reference")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
