# SPDX-License-Identifier: Apache-2.0
"""The Debian package: built twice, under lintian, unpacked, and its server started as its unit says."""

import configparser
import json
import os
import pathlib
import re
import signal
import stat
import subprocess

import attend_client
import grpc
import pytest
import server
from pages import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]
UNIT = "lib/systemd/system/attend.service"
# In tenths, of systemd-analyze: 0 is least exposed, 100 most.
MOST_EXPOSURE = 15


def run(*command, **options):
    return subprocess.run(command, text=True, capture_output=True, check=False, **options)


def build(folder):
    programs = pathlib.Path(server.binary()).parent
    done = run(ROOT / "deploy" / "deb" / "build", programs, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return pathlib.Path(done.stdout.strip())


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return build(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def root(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def unit(root):
    # Without interpolation: a unit may hold %. A key may repeat; the last of SystemCallFilter is kept.
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(root / UNIT)
    return parser["Service"]


def test_is_the_same_bit_for_bit_when_built_again(package, tmp_path):
    assert build(tmp_path).read_bytes() == package.read_bytes()


def test_lintian_finds_no_error_and_no_warning(package):
    options = ["--allow-root"] if os.geteuid() == 0 else []
    done = run("lintian", "--fail-on=error,warning", *options, package)
    assert (done.returncode, done.stdout) == (0, "")


def test_exposes_little_of_the_machine(root):
    done = run("systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}",
               "--no-pager", root / UNIT)
    print(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout


def test_makes_the_user_of_the_unit(root, unit):
    (root / "etc").mkdir(exist_ok=True)
    done = run("systemd-sysusers", f"--root={root}", f"{root}/usr/lib/sysusers.d/attend.conf")
    assert done.returncode == 0, done.stderr
    users = {line.split(":")[0]: line.split(":")
             for line in (root / "etc" / "passwd").read_text().splitlines()}
    assert users[unit["User"]][6].endswith("nologin")


def test_waits_longer_than_the_server_takes_to_drain(unit):
    printed = run(server.binary(), "--print-config").stdout
    delay, timeout = (re.search(rf"^drain-{name} = (\S+)$", printed, re.MULTILINE).group(1)
                      for name in ("delay", "timeout"))
    assert (delay, timeout) == ("2s", "1m")
    assert int(unit["TimeoutStopSec"]) > 2 + 60


class Installed:
    """The unpacked server under the arguments, the mask and the stop signal of its unit."""

    def __init__(self, root, unit, work):
        program, *arguments = unit["ExecStart"].split()
        configuration = (root / "etc/attend/attend.conf").read_text()
        # What only an installed service may use: its folder, and the ports that users know.
        for old, new in (("unix:/run/attend/", f"unix:{work}/"), (":50051", ":0"), (":9090", ":0")):
            assert old in configuration
            configuration = configuration.replace(old, new)
        file = work / "attend.conf"
        self.ports = work / "ports"
        file.write_text(configuration + f"port-file = {self.ports}\nrandom-layer = "
                        "demo:embed_dim=8,num_heads=2\n")
        (flag,) = arguments
        assert flag == "--config=/etc/attend/attend.conf"
        self.socket = work / "attend.sock"
        self.log = work / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([root / program.lstrip("/"), f"--config={file}"],
                                            umask=int(unit["UMask"], 8), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env={})

    def addresses(self):
        def written():
            assert self.process.poll() is None, self.log.read_text()
            return self.ports.exists()
        wait_until("the server has written its addresses", written)
        return json.loads(self.ports.read_text())["grpc"]

    def reload(self, command):
        subprocess.run(command.replace("$MAINPID", str(self.process.pid)).split(), check=True)
        wait_until("the server reads its layers again",
                   lambda: "reloading layers" in self.log.read_text())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def test_the_installed_server_serves_as_its_unit_says(root, unit, tmp_path):
    installed = Installed(root, unit, tmp_path)
    try:
        stubs = attend_client.load_stubs()
        for address in installed.addresses():
            with attend_client.connect(address) as channel:
                grpc.channel_ready_future(channel).result(60)
                layers = stubs.layer_pb2_grpc.LayerServiceStub(channel).ListLayers(
                    stubs.layer_pb2.ListLayersRequest(), timeout=60).layers
                assert [layer.name for layer in layers] == ["demo"]
        installed.reload(unit["ExecReload"])
        # Whoever is not in the group stays outside: the folder is closed to others, the socket too.
        assert stat.S_IMODE(installed.socket.stat().st_mode) == 0o660
        assert int(unit["RuntimeDirectoryMode"], 8) & 0o007 == 0
    finally:
        code = installed.stop()
    assert code == 0, installed.log.read_text()


def test_a_wrong_configuration_is_not_started_again_and_again(root, unit, tmp_path):
    file = tmp_path / "attend.conf"
    file.write_text("no-such-setting = 1\n")
    done = run(root / "usr/bin/attend-server", f"--config={file}", env={})
    assert done.returncode == int(unit["RestartPreventExitStatus"])
    assert "no-such-setting" in done.stderr
