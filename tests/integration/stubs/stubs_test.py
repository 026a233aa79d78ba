# SPDX-License-Identifier: Apache-2.0
"""The stubs of other languages: protoc generates them from proto/, and with a program that calls
every service they compile. Go and Java come from the packages of deploy/apt/develop.txt and need
no network. Go's classes of google.rpc also read the details of an error."""

import os
import pathlib
import subprocess

import server

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[2]
PROTO = ROOT / "proto"
JARS = ("geronimo-annotation-1.3-spec", "grpc-api", "grpc-protobuf", "grpc-stub", "guava",
        "protobuf")


def run(*command, **environment):
    """Runs a program of the distribution, whatever else the path has under its name."""
    path = "/usr/bin:" + os.environ.get("PATH", "")
    ran = subprocess.run([str(part) for part in command], env={"PATH": path, **environment},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def generate(*outputs):
    run("protoc", f"--proto_path={PROTO}", *outputs, *sorted(PROTO.glob("attend/v1/*.proto")))


def compile_go(name, folder):
    """Compiles a Go program with the stubs and returns its path."""
    source, program = folder / "src", folder / name
    (source / name).mkdir(parents=True)
    generate(f"--go_out={source}", f"--go-grpc_out={source}")
    (source / name / f"{name}.go").write_bytes((FOLDER / f"{name}.go").read_bytes())
    # Debian keeps Go's libraries where a GOPATH can find them. What the compiler made of them is
    # kept with the build.
    run("go", "build", "-o", program, name, GO111MODULE="off",
        GOPATH=f"{folder}:/usr/share/gocode",
        GOCACHE=str(pathlib.Path(server.binary()).parents[1] / "go-cache"))
    return program


def test_go_stubs_compile(tmp_path):
    compile_go("caller", tmp_path)


def test_go_reads_the_details_of_an_error(tmp_path):
    program = compile_go("details", tmp_path)
    with server.Server("--random-layer=r:embed_dim=8,num_heads=2") as running:
        code, info, violation, message = run(program, running.target, "r").splitlines()
    assert code == "InvalidArgument"
    assert info == "ErrorInfo SHAPE_MISMATCH attend map[field:query]"
    assert violation == f"BadRequest {message}"
    assert message.startswith("query: ")


def test_java_stubs_compile(tmp_path):
    source, classes = tmp_path / "src", tmp_path / "classes"
    source.mkdir()
    generate(f"--java_out={source}", f"--grpc-java_out={source}",
             "--plugin=protoc-gen-grpc-java=/usr/bin/grpc_java_plugin")
    class_path = ":".join(f"/usr/share/java/{jar}.jar" for jar in JARS)
    run("javac", "-d", classes, "-classpath", class_path, *sorted(source.rglob("*.java")),
        FOLDER / "Caller.java")
    assert (classes / "attend" / "v1" / "Tensor.class").is_file()
