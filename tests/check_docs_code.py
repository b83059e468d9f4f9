"""Holds documents to the code: a block that is marked ```LANGUAGE from=FILE must be in FILE, line for line."""

import pathlib
import re
import sys


def blocks(text):
    """Line number, file and code of each marked block."""
    for found in re.finditer(r"^```\w* from=(\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start()) + 1, found.group(1), found.group(2)


def main(root, documents):
    count, faults = 0, []
    for document in documents:
        for line, name, code in blocks((root / document).read_text()):
            count += 1
            source = root / name
            if not source.is_file():
                faults.append(f"{document}:{line}: there is no {name}")
            elif "\n" + code not in "\n" + source.read_text():
                faults.append(f"{document}:{line}: is not in {name}:\n{code}")
    if count == 0:
        faults.append("no block is marked with a file")
    print("\n".join(faults) or f"{count} blocks are as in the code")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
