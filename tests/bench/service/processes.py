# SPDX-License-Identifier: Apache-2.0
"""The programs that a benchmark of the service runs: the server, an echo, and callers.

Each is pinned to cores from its start, since the server counts its workers by the cores that it
may use. Each is ended by its own process id.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import time
import urllib.request

import samples

START_SECONDS = 60
ENDING_SECONDS = 90  # a caller's last calls, beyond its plan
TICKS = os.sysconf("SC_CLK_TCK")
MAX_IN_FLIGHT = 20000


class Failure(Exception):
    """A program did not do what it should; the text is the reason."""


def pinned(cores, command, nice=0):
    listed = ",".join(map(str, sorted(cores)))
    return ["nice", "-n", str(nice), "taskset", "-c", listed, *map(str, command)]


class Process:
    """A running program that serves, and what the kernel says of it."""

    def __init__(self, command, cores, log, **pipes):
        self.log = log
        with open(log, "wb") as file:
            self.child = subprocess.Popen(pinned(cores, command), stderr=file, **pipes)

    def _proc(self, name):
        return pathlib.Path(f"/proc/{self.child.pid}/{name}")

    def cpu_seconds(self):
        return samples.parse_stat(self._proc("stat").read_text()) / TICKS

    def resident_mib(self, key="VmRSS"):
        """Now, or with "VmHWM" the most since forget_peak()."""
        return samples.parse_status_kib(self._proc("status").read_text(), key) / 1024

    def forget_peak(self):
        self._proc("clear_refs").write_text("5")

    def check(self):
        if self.child.poll() is not None:
            raise Failure(f"the server ended with {self.child.returncode}: {self.last_words()}")

    def last_words(self):
        return pathlib.Path(self.log).read_text(errors="replace")[-500:]

    def stop(self, grace=10):
        self.child.terminate()
        try:
            self.child.wait(grace)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Server(Process):
    """An attend-server on a port of 127.0.0.1 and on a unix socket."""

    def __init__(self, program, folder, cores, arguments):
        self.folder = pathlib.Path(folder)
        ports = self.folder / "ports.json"
        ports.unlink(missing_ok=True)
        self.socket = f"unix:{self.folder}/server.sock"
        super().__init__(
            [program, "--listen=127.0.0.1:0", f"--listen={self.socket}",
             "--metrics-listen=127.0.0.1:0", "--drain-delay=0s", "--drain-timeout=1s",
             "--max-concurrent-streams=100000", f"--port-file={ports}", *arguments],
            cores, self.folder / "server.log", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL)
        end = time.monotonic() + START_SECONDS
        while not ports.exists():  # renamed into place once the server serves
            self.check()
            if time.monotonic() > end:
                self.stop()
                raise Failure(f"the server does not serve: {self.last_words()}")
            time.sleep(0.02)
        found = json.loads(ports.read_text())
        self.target = found["grpc"][0]
        self.metrics_url = f"http://{found['metrics']}/metrics"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def metric(self, name):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.metrics_url, timeout=10) as answer:
            return samples.parse_metric(answer.read().decode(), name)


class Echo(Process):
    """A bench_echo."""

    def __init__(self, program, folder, cores):
        super().__init__([program], cores, pathlib.Path(folder) / "echo.log",
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.target = self.child.stdout.readline().decode().strip()
        if not self.target:
            raise Failure(f"the echo does not serve: {self.last_words()}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()
        self.child.stdin.close()
        self.child.stdout.close()


@dataclasses.dataclass
class Caller:
    """A plan for bench_load (plan.h), and the calls that it made."""
    target: str
    method: str
    samples: list           # of {"request": path, "answer": path or ""}
    seconds: float = 0
    concurrency: int = 0    # closed loop
    segments: list = dataclasses.field(default_factory=list)  # open loop: [calls/s, seconds]
    deadline: float = 0
    channels: int = 1
    poisson: bool = True
    compute_times: bool = False
    stream: bool = False    # a closed loop over one Pipeline
    max_in_flight: int = MAX_IN_FLIGHT  # of an open loop
    nice: int = 0
    records: object = None  # numpy records of samples.RECORD
    messages: dict = None   # {code: first error text}

    def plan(self, path):
        return json.dumps({
            "target": self.target, "method": self.method, "samples": self.samples,
            "seconds": self.seconds, "concurrency": self.concurrency, "segments": self.segments,
            "deadline_seconds": self.deadline, "channels": self.channels, "poisson": self.poisson,
            "compute_times": self.compute_times, "stream": self.stream, "max_in_flight": self.max_in_flight,
            "records": str(path)})

    def duration(self):
        return self.seconds or sum(seconds for _, seconds in self.segments)


def run_callers(program, folder, cores, callers):
    """Lets all callers follow their plans at once and fills in their records. Raises Failure."""
    children = []
    try:
        for number, caller in enumerate(callers):
            child = subprocess.Popen(pinned(cores, [program], caller.nice), text=True, bufsize=1,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            children.append(child)
            child.stdin.write(caller.plan(pathlib.Path(folder) / f"records{number}") + "\n")
        for child in children:
            line = child.stdout.readline()
            if line != "ready\n":
                raise Failure(f"a caller cannot start: {line.strip() or 'it ended'}")
        for child in children:
            child.stdin.write("go\n")
        for number, (child, caller) in enumerate(zip(children, callers)):
            out, _ = child.communicate(timeout=caller.duration() + ENDING_SECONDS)
            answer = json.loads(out or '{"failure": "it ended"}')
            if "failure" in answer:
                raise Failure(f"a caller failed: {answer['failure']}")
            caller.messages = answer["messages"]
            path = pathlib.Path(folder) / f"records{number}"
            caller.records = samples.parse(path.read_bytes())
            path.unlink()
    except subprocess.TimeoutExpired:
        raise Failure("a caller does not end") from None
    finally:
        for child in children:
            child.kill()
            child.wait()
            child.stdin.close()
            child.stdout.close()
