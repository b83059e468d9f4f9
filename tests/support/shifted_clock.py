"""A wall clock that jumps, for one program: see shifted_clock.c."""

import mmap
import os
import struct
import subprocess
from contextlib import contextmanager
from pathlib import Path

HOUR = 3600
DAY = 24 * HOUR
YEAR = 365 * DAY


class ShiftedClock:
    """Programs that are started within started_here() see the clock as set(), whenever it is called."""

    def __init__(self, directory):
        self._library = Path(directory) / "shifted_clock.so"
        self._file = Path(directory) / "shift"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self._library,
                        Path(__file__).with_suffix(".c"), "-ldl"], check=True)
        self._file.write_bytes(bytes(8))
        with open(self._file, "r+b") as file:
            self._shift = mmap.mmap(file.fileno(), 8)

    def set(self, seconds):
        """How far the clock is ahead of the true one."""
        self._shift[:] = struct.pack("q", int(seconds))

    @contextmanager
    def started_here(self):
        before = {name: os.environ.get(name) for name in ("LD_PRELOAD", "SHIFTED_CLOCK")}
        os.environ.update(LD_PRELOAD=str(self._library), SHIFTED_CLOCK=str(self._file))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
