# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by the program openssl."""

import dataclasses
import pathlib
import subprocess


@dataclasses.dataclass
class Certificate:
    """Two PEM files."""
    certificate: pathlib.Path
    key: pathlib.Path


def make(folder, name, issuer=None):
    """A new key and a certificate for 127.0.0.1, signed by `issuer`; without one it signs itself, and
    may sign others.
    """
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    signer = ["-CA", issuer.certificate, "-CAkey", issuer.key] if issuer else []
    if issuer:
        signer += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(["openssl", "req", "-x509", *signer, "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made.key,
                    "-out", made.certificate], check=True, capture_output=True)
    return made
