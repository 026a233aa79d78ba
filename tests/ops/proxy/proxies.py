# SPDX-License-Identifier: Apache-2.0
"""HAProxy and nginx with the configurations that users get, in front of a fleet. Those with TLS read
their certificates in the folder where they run."""

import contextlib
import os
import pathlib
import socket
import subprocess

from fleet import free_port
from pages import wait_until

CONFIGURATIONS = pathlib.Path(__file__).resolve().parents[3] / "deploy" / "proxy"
TOOLS = pathlib.Path(os.environ["ATTEND_TOOLS"])


def replaced(text, old, new):
    assert old in text
    return text.replace(old, new)


def configuration(name, fleet, port):
    """The file that users get, with the servers of the fleet and a free port."""
    text = replaced((CONFIGURATIONS / name).read_text(), "50050", f"127.0.0.1:{port}")
    text = text.replace(f":127.0.0.1:{port}", f"127.0.0.1:{port}")
    for number, node in enumerate(fleet.nodes, 1):
        text = replaced(text, f"attend-{number}:50051", node.target)
    return text


def haproxy(fleet, folder, port, name="haproxy.cfg"):
    text = configuration(name, fleet, port).replace("/etc/haproxy/", f"{folder}/")
    # On the loopback each server has a metrics port of its own.
    for node in fleet.nodes:
        text = replaced(text, f"{node.target} check check-proto h1 port 9090",
                        f"{node.target} check check-proto h1 port {node.place.metrics_port}")
    (folder / "haproxy.cfg").write_text(text)
    checked = subprocess.run([TOOLS / "haproxy", "-c", "-f", folder / "haproxy.cfg"], check=False,
                             capture_output=True, text=True)
    assert checked.returncode == 0 and "WARNING" not in checked.stderr, checked.stderr
    return [TOOLS / "haproxy", "-db", "-f", folder / "haproxy.cfg"]


def haproxy_tls(fleet, folder, port):
    return haproxy(fleet, folder, port, "haproxy-tls.cfg")


def nginx(fleet, folder, port, name="nginx.conf"):
    # Debian's places for its files are those of the installed service.
    places = "".join(f"    {kind}_temp_path {folder}/{kind};\n"
                     for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi"))
    text = replaced(configuration(name, fleet, port), "http {\n", "http {\n" + places)
    text = text.replace("/etc/nginx/", f"{folder}/")
    (folder / "nginx.conf").write_text(text)
    user = "user root; " if os.geteuid() == 0 else ""
    return [TOOLS / "nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf",
            "-g", f"{user}daemon off; pid {folder}/nginx.pid;"]


def nginx_tls(fleet, folder, port):
    return nginx(fleet, folder, port, "nginx-tls.conf")


@contextlib.contextmanager
def behind(proxy, fleet, folder):
    """The target of a proxy in front of the fleet."""
    port = free_port()
    with open(folder / "proxy.log", "wb") as log:
        process = subprocess.Popen(proxy(fleet, folder, port), stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
    try:
        def listens():
            assert process.poll() is None, (folder / "proxy.log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        wait_until("the proxy listens", listens)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
