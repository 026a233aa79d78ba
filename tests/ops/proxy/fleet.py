# SPDX-License-Identifier: Apache-2.0
"""Three servers, each in a network namespace of its own where that is allowed, else on the loopback."""

import os
import pathlib
import re
import signal
import socket
import subprocess

import server
from pages import get, wait_until

LAYER = "--random-layer=demo:embed_dim=64,num_heads=4,seed=1"
STOP_SECONDS = 60


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


class Namespace:
    """A host of its own at the other end of a virtual cable, with the ports that users have."""

    grpc_port, metrics_port = 50051, 9090

    def __init__(self, number):
        name = f"at{os.getpid() % 100000}n{number}"  # a device's name has 15 characters at most
        network = f"10.213.{os.getpid() % 80 * 3 + number}"  # apart from a run that was killed
        self.name, self.host, self.cable = name, f"{network}.2", name + "a"
        ip("netns", "add", name)
        try:
            ip("link", "add", self.cable, "type", "veth", "peer", "name", name + "b", "netns", name)
            ip("addr", "add", f"{network}.1/30", "dev", self.cable)
            ip("link", "set", self.cable, "up")
            for command in (f"addr add {self.host}/30 dev {name}b", f"link set {name}b up",
                            "link set lo up"):
                ip("-n", name, *command.split())
        except BaseException:
            self.remove()
            raise

    def prefix(self):
        return ["ip", "netns", "exec", self.name]

    def remove(self):
        # A namespace takes its cable with it, but some time later, and its name comes again at once.
        subprocess.run(["ip", "link", "del", self.cable], check=False, capture_output=True)
        ip("netns", "del", self.name)


class Loopback:
    """An address of this machine alone, with free ports."""

    def __init__(self, number):
        self.host = f"127.0.0.{number + 1}"
        self.grpc_port, self.metrics_port = free_port(self.host), free_port(self.host)

    def prefix(self):
        return []

    def remove(self):
        pass


def may_make_namespaces():
    """Whether this process has the rights for it; whoever has them and fails has a fault to mend."""
    status = pathlib.Path("/proc/self/status").read_text()
    effective = int(re.search(r"^CapEff:\s+(\w+)$", status, re.MULTILINE).group(1), 16)
    net_admin, sys_admin = 12, 21  # CAP_NET_ADMIN and CAP_SYS_ADMIN of linux/capability.h
    return bool(effective >> net_admin & effective >> sys_admin & 1)


def make_place(number):
    return Namespace(number) if may_make_namespaces() else Loopback(number)


class Node:
    """One server, which may be stopped or killed, and started again at the same address."""

    def __init__(self, number, folder):
        self.place = make_place(number)
        self.log = folder / f"server{number}.log"
        self.target = f"{self.place.host}:{self.place.grpc_port}"
        self.metrics = f"http://{self.place.host}:{self.place.metrics_port}"
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.place.prefix(), server.binary(), LAYER, "--insecure=on", "--workers=1",
                 f"--listen={self.target}", f"--metrics-listen={self.metrics[7:]}",
                 "--drain-delay=2s"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("a server is ready", lambda: self._answers("/readyz"))

    def calls(self):
        """The calls of attention that it has answered since its start."""
        return sum(float(count) for count in re.findall(
            r'^attend_requests_total\{.*code="OK".*\} (\S+)$', get(self.metrics + "/metrics"),
            re.MULTILINE))

    def wait_for_calls(self):
        """Until callers have found it after its start."""
        wait_until("calls reach a server that was started", lambda: self.calls() > 0)

    def stop(self):
        """Ends it as an update does."""
        self.process.terminate()
        code = self.process.wait(STOP_SECONDS)
        assert code == 0, self.log.read_text()

    def kill(self):
        """Ends it as a lack of memory does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        self.place.remove()

    def _answers(self, path):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(get(self.metrics + path))
        except OSError:
            return False


class Fleet:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.nodes = []

    def __enter__(self):
        try:
            for number in (1, 2, 3):
                self.nodes.append(Node(number, self.folder))
                self.nodes[-1].start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        for node in self.nodes:
            node.close()
