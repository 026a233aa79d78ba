# SPDX-License-Identifier: Apache-2.0
"""How a program is hardened, as binutils see its ELF file; also where it is stripped."""

import re
import subprocess


def run(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def segments(program):
    """[(type, flags)] of the program headers; flags as in "R E"."""
    lines = run("readelf", "--segments", "--wide", program)
    return re.findall(r"^  (\w+) +0x\S+ 0x\S+ 0x\S+ 0x\S+ 0x\S+ ([RWE ]{3})", lines, re.MULTILINE)


def imports(program):
    return set(re.findall(r" UND (\w+)", run("readelf", "--dyn-syms", "--wide", program)))


def require_placed_anywhere(program):
    assert re.search(r"Type: +DYN", run("readelf", "--file-header", program))
    assert re.search(r"\(FLAGS_1\).* PIE", run("readelf", "--dynamic", program))


def require_linked_before_it_starts_and_read_only_after(program):
    assert "GNU_RELRO" in dict(segments(program))
    assert re.search(r"\(FLAGS(_1)?\).* (BIND_)?NOW", run("readelf", "--dynamic", program))


def require_no_memory_that_is_written_and_executed(program):
    found = segments(program)
    assert len(found) > 8, found
    assert dict(found)["GNU_STACK"].strip() == "RW"
    assert not [entry for entry in found if "W" in entry[1] and "E" in entry[1]]


def require_checked_functions_of_the_c_library(program):
    checked = {name for name in imports(program) if re.fullmatch(r"__\w+_chk", name)}
    assert checked, "no function of _FORTIFY_SOURCE"
