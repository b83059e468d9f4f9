"""Loopback sockets and bounded waiting, shared by all test support."""

import os
import socket
import time

HOST = "127.0.0.1"

# Every wait of the tests is bounded by this many seconds; a slow machine or a sanitizer may stretch it.
PATIENCE = float(os.environ.get("POPGATE_TEST_PATIENCE", "30"))


def free_port(address=HOST):
    """A port that was free a moment ago, for servers that cannot pick their own."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, 0))
        return probe.getsockname()[1]


def wait_until(condition, what, timeout=PATIENCE, interval=0.02):
    """Polls `condition` until it gives something true, which is returned. Fails loudly after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(interval)
