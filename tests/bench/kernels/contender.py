# SPDX-License-Identifier: Apache-2.0
"""A program that answers one JSON object per line, and the failures of one that does not."""

import json
import os
import selectors
import subprocess
import tempfile
import time


class Failure(Exception):
    """The reason for a missing figure; the text goes into the row."""


class Contender:
    """Starts its program when first asked, and again after it died or hung."""

    def __init__(self, name, command):
        self.name = name
        self.command = [str(part) for part in command]
        self.process = None
        self.log = None

    def ask(self, request, seconds=120):
        """Returns the answer's fields. Raises Failure."""
        if self.process is None:
            self._start()
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
            line = self._line(seconds)
        except BrokenPipeError:
            line = b""
        except TimeoutError:
            self.close()
            raise Failure(f"no answer in {seconds} s") from None
        if not line.endswith(b"\n"):
            raise Failure(self._last_words())
        answer = json.loads(line)
        if "failure" in answer:
            raise Failure(answer["failure"])
        return answer

    def close(self):
        if self.process is None:
            return
        self.process.stdin.close()
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.process = self.log = None

    def _start(self):
        self.log = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(self.command, bufsize=0, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=self.log)
        except OSError as error:
            self.log.close()
            raise Failure(f"cannot start: {error.strerror}") from None

    def _line(self, seconds):
        """Reads up to the end of a line or of the program's output."""
        end = time.monotonic() + seconds
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0, end - time.monotonic())):
                    raise TimeoutError
                part = os.read(self.process.stdout.fileno(), 1 << 16)
                if not part:
                    break
                line += part
        return line

    def _last_words(self):
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        code = self.process.poll()
        self.close()
        return lines[-1][:200] if lines else f"ended with {code} without a word"
