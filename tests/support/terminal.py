"""A program in a pseudo-terminal, and what somebody who sits there sees."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from support.net import PATIENCE
from support.popgate import binary


class Terminal:
    """popgate with these arguments, for the time of a `with` block. said: all that it has written, as text. Its
    standard output goes elsewhere with `stdout`."""

    def __init__(self, *arguments, columns=80, stdout=None):
        self._ours, self._theirs = pty.openpty()
        self.resize(50, columns)
        self.said = ""
        self._process = subprocess.Popen([binary(), *map(str, arguments)], stdin=self._theirs,
                                         stdout=self._theirs if stdout is None else stdout, stderr=self._theirs,
                                         start_new_session=True, preexec_fn=self._take_terminal)

    def _take_terminal(self):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def echoes(self):
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    def resize(self, rows, columns):
        self._columns = columns
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number):
        self._process.send_signal(number)

    def read_some(self):
        """What it says within a moment is in `said` then; always true."""
        self._read(0.1)
        return True

    def type(self, text):
        os.write(self._ours, text.encode())

    def read_until(self, pattern):
        """Waits until it has said this; the first group of the pattern."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.said)):
            is_over = self._process.poll() is not None
            assert self._read(0 if is_over else 0.1) or not is_over, f"it has ended without {pattern}: {self.said}"
            assert time.monotonic() < deadline, f"no {pattern}: {self.said}"
        return found.group(found.re.groups and 1)

    def finish(self):
        """Its exit code as a shell tells it, when it has ended and everything is read."""
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None:
            self._read(0.1)
            assert time.monotonic() < deadline, f"it does not end: {self.said}"
        while self._read(0):
            pass
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def _read(self, patience):
        if not select.select([self._ours], [], [], patience)[0]:
            return False
        self.said += os.read(self._ours, 65536).decode()
        return True

    def screen(self):
        """The lines that are seen in the end."""
        lines, row, column = [""], 0, 0
        for part in re.findall(r"\x1b\[K|.", self.said, re.DOTALL):
            if part == "\r":
                column = 0
            elif part == "\n":
                row += 1
                if row == len(lines):
                    lines.append("")
            elif part == "\x1b[K":
                lines[row] = lines[row][:column]
            else:
                assert part.isprintable(), f"{part!r} in {self.said!r}"
                if column == self._columns:
                    lines.append("")
                    row, column = row + 1, 0
                lines[row] = lines[row].ljust(column)[:column] + part + lines[row][column + 1:]
                column += 1
        return [line.rstrip() for line in lines]
