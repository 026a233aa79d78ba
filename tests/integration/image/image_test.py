# SPDX-License-Identifier: Apache-2.0
"""The image attend:latest, run as deployments run it and called from outside of it."""

import json
import os
import pathlib
import re
import socket
import stat
import subprocess
import tarfile
import uuid

import attend_client
import elf
import grpc
import numpy as np
import pages
import pytest
import server

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONTAINER = ROOT / "deploy" / "container"
IMAGE = "attend:latest"
LAYER = "--random-layer=r:embed_dim=64,num_heads=4,seed=7"
PATIENCE_SECONDS = 60
RESTRICTED = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]
LARGEST_BYTES = 150_000_000


def engine(*arguments):
    return subprocess.run([CONTAINER, *arguments], check=True, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL).stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def config():
    return json.loads(engine("image", "inspect", IMAGE))[0]


class Running:
    """A container of the image under RESTRICTED, as the user that the image names."""

    def __init__(self, folder):
        # Both are set by environment, which the health check inside sees; it does not see flags.
        self.target = f"127.0.0.1:{free_port()}"
        self.metrics = f"127.0.0.1:{free_port()}"
        self.name = "attend-image-test-" + self.target.split(":")[1]
        self.log = folder / "log"
        with open(self.log, "wb") as sink:
            self.process = subprocess.Popen(
                [CONTAINER, "run", "--rm", "--name", self.name, *RESTRICTED,
                 "--env", f"ATTEND_LISTEN={self.target}",
                 "--env", f"ATTEND_METRICS_LISTEN={self.metrics}", IMAGE, LAYER],
                stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        self.channel = attend_client.connect(self.target)
        try:
            grpc.channel_ready_future(self.channel).result(PATIENCE_SECONDS)
        except grpc.FutureTimeoutError:
            self.stop()
            pytest.fail(self.log.read_text())

    def get(self, path):
        return pages.get(f"http://{self.metrics}{path}")

    def stop(self):
        """The exit code after SIGTERM."""
        self.channel.close()
        if self.process.poll() is None:
            engine("kill", "--signal", "TERM", self.name)
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    started = Running(tmp_path_factory.mktemp("image"))
    yield started
    started.stop()


def call(channel):
    stubs = attend_client.load_stubs()
    x = np.random.default_rng(1).standard_normal((2, 33, 64), np.float32)
    answer = stubs.attention_pb2_grpc.AttentionServiceStub(channel).MultiHeadAttention(
        stubs.attention_pb2.MultiHeadAttentionRequest(
            layer="r", query=attend_client.to_tensor(stubs, x), query_lengths=[33, 5]), timeout=60)
    return attend_client.to_array(answer.output)


def test_answers_what_the_build_of_this_machine_answers(running):
    # The image has another Debian and another oneDNN, and must make the same layer from the same
    # seed.
    with server.Server(LAYER) as ours:
        expected = call(ours.channel)
    difference = np.linalg.norm(call(running.channel) - expected)
    assert difference <= 1e-5 * np.linalg.norm(expected)


def test_takes_no_more_room_than_promised():
    assert config()["Size"] <= LARGEST_BYTES


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The files of the image, in a tar file."""
    name = f"attend-image-files-{os.getpid()}"
    exported = tmp_path_factory.mktemp("files") / "image.tar"
    engine("create", "--name", name, IMAGE)
    try:
        engine("export", "--output", str(exported), name)
    finally:
        engine("rm", name)
    return exported


@pytest.fixture(scope="module")
def files(archive):
    """The files of the image, by name: what tar knows of them, and those of its own lists."""
    with tarfile.open(archive) as opened:
        found = {member.name: member for member in opened}
        texts = {name: opened.extractfile(found[name]).read().decode()
                 for name in ("usr/share/attend/sbom.cdx.json", "usr/share/attend/packages",
                              "var/lib/dpkg/status")}
    return found, texts


def test_has_no_shell_and_nothing_to_install_with(files):
    programs = [name for name, member in files[0].items()
                if member.isfile() and member.mode & 0o111 and "/bin/" in f"/{name}"]
    assert sorted(programs) == ["usr/bin/attend", "usr/bin/attend-server"]


@pytest.mark.parametrize("name", ["attend", "attend-server"])
def test_its_programs_are_hardened(archive, tmp_path, name):
    program = tmp_path / name
    with tarfile.open(archive) as opened:
        program.write_bytes(opened.extractfile(f"usr/bin/{name}").read())
    elf.require_placed_anywhere(program)
    elf.require_linked_before_it_starts_and_read_only_after(program)
    elf.require_no_memory_that_is_written_and_executed(program)
    elf.require_checked_functions_of_the_c_library(program)
    assert "__stack_chk_fail" in elf.imports(program)


def test_nothing_in_it_grants_rights(files):
    assert [name for name, member in files[0].items()
            if member.isfile() and member.mode & (stat.S_ISUID | stat.S_ISGID)] == []


def test_lists_the_software_that_it_holds(files):
    texts = files[1]
    listed = {(component["name"], component["version"])
              for component in json.loads(texts["usr/share/attend/sbom.cdx.json"])["components"]}
    records = [dict(line.split(": ", 1) for line in record.splitlines()
                    if line.startswith(("Package: ", "Version: ")))
               for record in texts["var/lib/dpkg/status"].strip().split("\n\n")]
    assert [record["Package"] for record in records] == texts["usr/share/attend/packages"].split()
    assert "libgrpc++1.51t64" in [record["Package"] for record in records]
    for record in records:
        assert (record["Package"], record["Version"]) in listed


def test_its_files_are_as_old_as_its_commit(files):
    # So that the same files are the same image.
    commit = config()["Config"]["Labels"]["org.opencontainers.image.revision"]
    age = subprocess.run(["git", "log", "-1", "--format=%ct", commit], cwd=ROOT, check=True,
                         capture_output=True, text=True).stdout
    # The engine makes these itself where it creates a container.
    own = {"dev", "etc", "proc", "run", "sys", "etc/hostname", "etc/hosts", "etc/mtab",
           "etc/resolv.conf"}
    found, _ = files
    assert {member.mtime for name, member in found.items()
            if name.split("/")[0] not in {"dev", "proc", "run", "sys"} and name not in own
            } == {int(age)}


def test_does_not_run_as_root(running):
    process = engine("inspect", "--format", "{{.State.Pid}}", running.name).strip()
    status = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status)
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapEff"], 16) == 0
    assert int(fields["CapBnd"], 16) == 0
    assert int(fields["NoNewPrivs"]) == 1


def test_its_own_health_check_passes(running):
    # The command is the one that the image declares; not every engine runs it by itself.
    declared = config()
    health = (declared.get("Healthcheck") or declared["Config"]["Healthcheck"])["Test"]
    assert health[0] == "CMD"
    engine("exec", running.name, *health[1:])


def test_says_that_it_is_ready(running):
    assert running.get("/healthz")
    assert running.get("/readyz")


def test_promtool_finds_nothing_to_say_about_its_metrics(running):
    call(running.channel)
    check = subprocess.run([pathlib.Path(os.environ["ATTEND_TOOLS"]) / "promtool", "check",
                            "metrics"], text=True, input=running.get("/metrics"),
                           capture_output=True, check=False)
    assert (check.returncode, check.stdout + check.stderr) == (0, "")


def build(*arguments):
    """What a build prints."""
    done = subprocess.run([ROOT / "deploy" / "build-image", *arguments], text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


ASSEMBLED = re.compile(r"\battend-server [0-9.]+$", re.MULTILINE)  # what assemble-root prints


def test_builds_again_from_the_layers_of_the_first_build():
    before = config()["RootFS"]["Layers"]
    assert not ASSEMBLED.search(build())
    assert config()["RootFS"]["Layers"] == before


def test_is_the_same_bit_for_bit_when_assembled_again():
    # From the programs that were compiled once, without the engine's cache.
    before = config()["RootFS"]["Layers"]
    assert ASSEMBLED.search(build("--build-arg", f"ASSEMBLY={uuid.uuid4()}"))
    assert config()["RootFS"]["Layers"] == before


def test_is_labelled_with_its_version():
    labels = config()["Config"]["Labels"]
    tags = config()["RepoTags"]
    version = labels["org.opencontainers.image.version"]
    assert any(tag.endswith(f"attend:{version}") for tag in tags)


def test_tells_the_revision_of_its_label(running):
    revision = config()["Config"]["Labels"]["org.opencontainers.image.revision"]
    assert f'revision="{revision}"' in running.get("/metrics")


def test_listens_on_all_addresses_in_plain_text_by_default():
    # The containers of this file are told other addresses.
    assert {"ATTEND_LISTEN=0.0.0.0:50051", "ATTEND_METRICS_LISTEN=0.0.0.0:9090",
            "ATTEND_INSECURE=on"} <= set(config()["Config"]["Env"])


def test_drains_and_exits_with_0_on_sigterm(tmp_path):
    started = Running(tmp_path)
    assert started.stop() == 0, started.log.read_text()


def test_a_wrong_flag_ends_it_with_a_message():
    refused = subprocess.run([CONTAINER, "run", "--rm", *RESTRICTED, IMAGE, "--no-such-flag"], text=True,
                             capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert refused.returncode not in (0, 125, 126, 127)  # the latter are the engine's own
    assert "--no-such-flag" in refused.stdout + refused.stderr
