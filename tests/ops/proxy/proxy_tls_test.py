# SPDX-License-Identifier: Apache-2.0
"""HAProxy and nginx at the edge of a network where strangers can connect: callers need a certificate,
and what one connection can ask for is bounded."""

import difflib
import socket
import ssl
import struct

import attend_client
import certificates
import grpc
import pytest
import yaml
from fleet import Fleet
from proxies import CONFIGURATIONS, behind, haproxy_tls, nginx_tls

STUBS = attend_client.load_stubs()
# HAProxy ends the handshake; nginx answers with status 400 of HTTP, which is INTERNAL to gRPC.
REFUSALS = {haproxy_tls: grpc.StatusCode.UNAVAILABLE, nginx_tls: grpc.StatusCode.INTERNAL}
STREAMS = {haproxy_tls: 100, nginx_tls: 256}
FILES = {haproxy_tls: ("haproxy.cfg", "haproxy-tls.cfg"), nginx_tls: ("nginx.conf", "nginx-tls.conf")}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    with Fleet(tmp_path_factory.mktemp("fleet")) as started:
        yield started


class Proxy:
    """A proxy, and a caller whose certificate is of the authority that it knows."""

    def __init__(self, kind, target, folder, caller):
        self.kind, self.target, self.folder, self.caller = kind, target, folder, caller

    def call(self, shown, metadata=()):
        """The error code, or None, of a call by whoever shows this certificate, or none."""
        key, chain = (shown.key.read_bytes(), shown.certificate.read_bytes()) if shown else (None, None)
        credentials = grpc.ssl_channel_credentials(
            (self.folder / "attend.pem").read_bytes(), key, chain)
        with grpc.secure_channel(self.target, credentials, [("grpc.enable_http_proxy", 0)]) as channel:
            return STUBS.layer_pb2_grpc.LayerServiceStub(channel).ListLayers.future(
                STUBS.layer_pb2.ListLayersRequest(), timeout=60, metadata=metadata).exception()

    def settings(self):
        """{identifier: value} of the SETTINGS frame that it sends to a caller."""
        context = ssl.create_default_context(cafile=self.folder / "attend.pem")
        context.load_cert_chain(self.caller.certificate, self.caller.key)
        context.set_alpn_protocols(["h2"])
        host, port = self.target.split(":")
        with socket.create_connection((host, int(port)), timeout=60) as plain, \
                context.wrap_socket(plain, server_hostname=host) as secure, \
                secure.makefile("rb") as received:
            secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            head = received.read(9)
            assert head[3:5] == b"\x04\x00", "its first frame is SETTINGS (RFC 9113, 3.4)"
            return dict(struct.iter_unpack(">HI", received.read(int.from_bytes(head[:3], "big"))))


@pytest.fixture(scope="module", params=[haproxy_tls, nginx_tls])
def proxy(request, fleet, tmp_path_factory):
    folder = tmp_path_factory.mktemp("proxy")
    own = certificates.make(folder, "attend")
    with open(own.certificate, "a", encoding="ascii") as file:
        file.write(own.key.read_text())  # HAProxy reads both from one file
    caller = certificates.make(folder, "caller", certificates.make(folder, "callers-ca"))
    with behind(request.param, fleet, folder) as target:
        yield Proxy(request.param, target, folder, caller)


def test_serves_a_caller_with_a_certificate(proxy):
    assert proxy.call(proxy.caller) is None


def test_refuses_a_caller_without_a_certificate(proxy):
    assert proxy.call(None).code() == REFUSALS[proxy.kind]


def test_refuses_a_certificate_of_another_authority(proxy, tmp_path):
    # Also one whose authority has the name of the right one.
    for name in ("another-ca", "callers-ca"):
        foreign = certificates.make(tmp_path, "caller", certificates.make(tmp_path, name))
        assert proxy.call(foreign).code() == REFUSALS[proxy.kind]


def test_refuses_plain_text(proxy):
    with attend_client.connect(proxy.target) as channel:
        refusal = STUBS.layer_pb2_grpc.LayerServiceStub(channel).ListLayers.future(
            STUBS.layer_pb2.ListLayersRequest(), timeout=60).exception()
    assert refusal.code() == grpc.StatusCode.UNAVAILABLE


def test_bounds_the_streams_of_a_connection(proxy):
    assert proxy.settings()[3] == STREAMS[proxy.kind]  # SETTINGS_MAX_CONCURRENT_STREAMS


def test_bounds_the_headers_of_a_call(proxy):
    # What is a little more than the servers take is refused by them, which tells the caller why.
    of_server = proxy.call(proxy.caller, [("x-long", "v" * 9_000)])
    assert of_server.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    of_proxy = proxy.call(proxy.caller, [("x-long", "v" * 20_000)])
    assert of_proxy.code() == grpc.StatusCode.UNAVAILABLE


def settings_of(name):
    lines = (line.strip() for line in (CONFIGURATIONS / name).read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("plain, tls", FILES.values())
def test_is_otherwise_what_the_tests_without_tls_run(plain, tls):
    changes = [line for line in difflib.ndiff(settings_of(plain), settings_of(tls))
               if line.startswith(("-", "+"))]
    assert [line for line in changes if "ssl" not in line] in (
        ["- bind :50050 proto h2"], ["- listen 50050 http2;"])


def test_envoy_asks_for_a_certificate_and_is_otherwise_the_same():
    # No Envoy is to be had from Debian: its files are read, not run.
    plain, tls = (yaml.safe_load((CONFIGURATIONS / name).read_text())
                  for name in ("envoy.yaml", "envoy-tls.yaml"))
    (chain,) = tls["static_resources"]["listeners"][0]["filter_chains"]
    context = chain.pop("transport_socket")["typed_config"]
    assert context["require_client_certificate"] is True
    assert context["common_tls_context"]["validation_context"]["trusted_ca"]["filename"]
    assert plain == tls
