#!/usr/bin/python3
"""A long way to a server: passes octets on after half a round trip each way, without any other limit.

    tests/bench/delay.py PORT ROUND_TRIP_MS
Prints the port that it listens on, on loopback, and serves until its standard input ends.
"""

import asyncio
import collections
import sys

HOST = "127.0.0.1"


class Direction:
    """What waits for its time; in the order of arrival, which timers alone do not keep."""

    def __init__(self, half_round_trip, writer):
        self._delay = half_round_trip
        self._writer = writer
        self._waiting = collections.deque()

    async def carry(self, reader):
        loop = asyncio.get_running_loop()
        try:
            while octets := await reader.read(1 << 20):
                self._waiting.append(octets)
                loop.call_later(self._delay, self._deliver)
        except ConnectionError:
            pass
        self._waiting.append(None)
        loop.call_later(self._delay, self._deliver)

    def _deliver(self):
        octets = self._waiting.popleft()
        if octets is None:
            self._writer.close()
        elif not self._writer.is_closing():
            self._writer.write(octets)


async def serve(port, half_round_trip):
    async def accept(reader, writer):
        far_reader, far_writer = await asyncio.open_connection(HOST, port)
        await asyncio.gather(Direction(half_round_trip, far_writer).carry(reader),
                             Direction(half_round_trip, writer).carry(far_reader))

    server = await asyncio.start_server(accept, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 2000))
