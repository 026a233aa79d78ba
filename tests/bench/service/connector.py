# SPDX-License-Identifier: Apache-2.0
"""Opens connections to HOST:PORT at a rate, each from the next of many addresses of the loopback,
sends what an HTTP/2 client sends first, and closes it a second later; until standard input ends.

Prints how many connections were opened, and for how long.
"""

import collections
import select
import socket
import sys
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
PEERS = 1000


def main():
    target, rate = sys.argv[1], float(sys.argv[2])
    host, port = target.rsplit(":", 1)
    opened = collections.deque()  # (when, socket)
    count, begin = 0, time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        now = time.monotonic()
        while count < (now - begin) * rate:
            source = f"127.1.{count % PEERS // 250}.{count % 250 + 1}"
            try:
                connection = socket.create_connection((host, int(port)), source_address=(source, 0))
                connection.sendall(PREFACE)
                opened.append((now, connection))
            except OSError:
                pass  # refused: the count says how many were tried
            count += 1
        while opened and opened[0][0] < now - 1:
            opened.popleft()[1].close()
        time.sleep(0.001)
    print(count, time.monotonic() - begin)


if __name__ == "__main__":
    main()
