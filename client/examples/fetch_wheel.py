# SPDX-License-Identifier: Apache-2.0
"""Fetches a wheel of PyPI whose version and SHA-256 are pinned."""

import pathlib
import subprocess
import sys


def fetch_wheel(package: str, sha256: str, work: pathlib.Path) -> pathlib.Path:
    """Downloads `package` ("name==version") into `work`, which has no wheel yet, and returns the
    wheel's path. pip refuses a file with another hash."""
    (work / "requirements.txt").write_text(f"{package} --hash=sha256:{sha256}\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--only-binary=:all:", "--require-hashes",
         "-r", str(work / "requirements.txt"), "-d", str(work)],
        check=True, stdout=sys.stderr)
    (wheel,) = work.glob("*.whl")
    return wheel
