# SPDX-License-Identifier: Apache-2.0
"""Connects to HOST:PORT, each time from the next of a thousand addresses of the loopback, until
standard input ends:

  connector.py HOST:PORT rate N    N times per second; each connection sends what an HTTP/2 client
                                   sends first, and closes a second later
  connector.py HOST:PORT hold N    N times at once; half of the connections send nothing and half
                                   the beginning of that, and none closes

Prints how many connections were opened, and for how long. With "hold", prints a line before, once
all are open.
"""

import collections
import resource
import select
import socket
import sys
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
PEERS = 1000


def connect(target, number, greeting):
    """A socket, or None if it was refused."""
    host, port = target.rsplit(":", 1)
    source = f"127.1.{number % PEERS // 250}.{number % 250 + 1}"
    try:
        connection = socket.create_connection((host, int(port)), source_address=(source, 0))
        connection.sendall(greeting)
        return connection
    except OSError:
        return None


def input_ended(seconds):
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def come_and_go(target, rate):
    opened = collections.deque()  # (when, socket)
    count, begin = 0, time.monotonic()
    while not input_ended(0):
        now = time.monotonic()
        while count < (now - begin) * rate:
            if (connection := connect(target, count, PREFACE)) is not None:
                opened.append((now, connection))
            count += 1
        while opened and opened[0][0] < now - 1:
            opened.popleft()[1].close()
        time.sleep(0.001)
    return count


def stay(target, count):
    opened = [connect(target, number, PREFACE[:10] if number % 2 else b"")
              for number in range(count)]
    print("open", flush=True)
    while not input_ended(None):
        pass
    return sum(connection is not None for connection in opened)


def main():
    target, what, number = sys.argv[1:]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    begin = time.monotonic()
    count = {"rate": come_and_go, "hold": stay}[what](target, int(number))
    print(count, time.monotonic() - begin)


if __name__ == "__main__":
    main()
