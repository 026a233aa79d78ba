# SPDX-License-Identifier: Apache-2.0
"""The Helm chart, under helm, helm-unittest and kubeconform, and its pods' settings under the server."""

import os
import pathlib
import re
import subprocess

import pytest
import server
import yaml

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[2]
CHART = ROOT / "deploy" / "helm" / "attend"
TOOLS = pathlib.Path(os.environ["ATTEND_TOOLS"])
SOURCES = ["pvc", "init-container", "image"]
OLDEST, NEWEST = "1.27.0", "1.35.0"
SCHEMAS = ("{{.NormalizedKubernetesVersion}}-local{{.StrictSuffix}}/"
           "{{.ResourceKind}}{{.KindSuffix}}.json")


def run(program, *arguments, **options):
    return subprocess.run([TOOLS / program, *arguments], text=True, capture_output=True,
                          check=False, timeout=120, **options)


def values(source):
    return f"--values={FOLDER / 'values' / source}.yaml"


def template(source, *arguments, version=NEWEST):
    return run("helm", "template", "release", CHART, values(source), f"--kube-version={version}",
               *arguments)


def rendered(source, *arguments, **options):
    done = template(source, *arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def container(source):
    (deployment,) = (document for document in yaml.safe_load_all(rendered(source))
                     if document["kind"] == "Deployment")
    return deployment["spec"]["template"]["spec"]["containers"][0]


def environment(source):
    return {entry["name"]: entry["value"] for entry in container(source)["env"]}


@pytest.mark.parametrize("source", ["pvc", "init-container"])
def test_helm_lint_finds_nothing(source):
    done = run("helm", "lint", "--strict", CHART, values(source))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout


def test_its_cases_pass():
    # One pattern per suite: helm-unittest takes paths that begin at the chart.
    done = run("helm-unittest", "--strict", "--color=false",
               f"--file={os.path.relpath(FOLDER, CHART)}/suites/*_test.yaml", CHART)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Test Suites: 4 passed, 4 total" in done.stdout, done.stdout


def conforms(objects, version):
    # Its definition belongs to the operator and is in no schema of Kubernetes.
    return run("kubeconform", "-strict", "-summary", "-skip=ServiceMonitor",
               f"-kubernetes-version={version}", f"-schema-location={TOOLS}/kubernetes/{SCHEMAS}",
               input=objects)


@pytest.mark.parametrize("source,version", [
    ("pvc", OLDEST), ("pvc", NEWEST), ("init-container", OLDEST), ("init-container", NEWEST),
    ("image", NEWEST)])
def test_kubernetes_knows_every_field(source, version):
    done = conforms(rendered(source, version=version), version)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Invalid: 0, Errors: 0" in done.stdout, done.stdout


def test_a_field_that_kubernetes_does_not_know_would_be_found():
    objects = rendered("pvc").replace("automountServiceAccountToken", "automountToken")
    done = conforms(objects, NEWEST)
    assert done.returncode != 0
    assert "automountToken" in done.stdout


def test_the_command_of_the_readme_makes_a_rule_of_the_operator_from_the_alerts(tmp_path):
    (command,) = re.findall(r"^```\n(\{ printf .*?)\n```$", (CHART / "README.md").read_text(),
                            re.DOTALL | re.MULTILINE)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\n[ "$*" = "apply -f -" ] && cat\n')
    kubectl.chmod(0o755)
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, text=True, capture_output=True, check=True,
                          env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert yaml.safe_load(done.stdout) == {
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
        "metadata": {"name": "attend"},
        "spec": yaml.safe_load((ROOT / "deploy/rules.yml").read_text())}


@pytest.mark.parametrize("setting,named", [
    ("modelSource=null", "modelSource"),
    ("modelSource.image.reference=a:1", "modelSource"),
    ("modelSource.hostPath.path=/models", "hostPath"),
    ("config.listen=0.0.0.0:1", "listen"),
    ("config.max-queue-dely=1s", "max-queue-dely"),
    ("drain.marginSeconds=0", "marginSeconds"),
    ("tls.requireClientCertificate=true", "secretName"),
    ("models[0].path=../secret", "path"),
    ("replicas=many", "replicas"),
    ("replica=2", "replica"),
])
def test_refuses_wrong_values_and_names_them(setting, named):
    done = template("pvc", f"--set={setting}")
    assert done.returncode != 0
    assert named in done.stderr


def test_refuses_an_image_volume_on_an_old_kubernetes():
    done = template("image", version="1.30.0")
    assert done.returncode != 0
    assert "modelSource.image needs Kubernetes 1.31" in done.stderr


@pytest.mark.parametrize("source", ["pvc", "init-container"])
def test_the_server_takes_the_settings_of_the_pod(source):
    settings = environment(source)
    done = subprocess.run([server.binary(), "--print-config"], env=settings, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert "drain-delay = 5s" in printed
    assert "insecure = " + settings["ATTEND_INSECURE"] in printed
    if source == "pvc":
        assert "max-queue-requests = 2000000" in printed
        assert "model = other=/model:compute=f32" in printed


def test_the_probe_of_a_pod_with_tls_asks_the_server(tmp_path):
    command = container("init-container")["readinessProbe"]["exec"]["command"]
    socket = tmp_path / "health.sock"
    probe = [server.binary(), *(argument.replace("/run/attend/health.sock", str(socket))
                                for argument in command[1:])]
    assert str(socket) in probe[1]
    assert subprocess.run(probe, check=False, capture_output=True).returncode == 1
    with server.Server("--random-layer=r:embed_dim=8,num_heads=2", f"--listen=unix:{socket}"):
        assert subprocess.run(probe, check=False, capture_output=True).returncode == 0
