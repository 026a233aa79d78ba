# SPDX-License-Identifier: Apache-2.0
"""The programs are hardened, as binutils see their ELF files: what a compiler flag was meant to do
shows in the program or did not happen.
"""

import os
import re
import subprocess

import pytest

SERVER = os.environ["ATTEND_SERVER_PROGRAM"]
PROGRAMS = {"attend-server": SERVER, "attend": os.environ["ATTEND_CLI_PROGRAM"]}


def run(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


@pytest.fixture(params=PROGRAMS.values(), ids=PROGRAMS.keys())
def program(request):
    return request.param


def segments(program):
    """[(type, flags)] of the program headers; flags as in "R E"."""
    lines = run("readelf", "--segments", "--wide", program)
    return re.findall(r"^  (\w+) +0x\S+ 0x\S+ 0x\S+ 0x\S+ 0x\S+ ([RWE ]{3})", lines, re.MULTILINE)


def imports(program):
    return set(re.findall(r" UND (\w+)", run("readelf", "--dyn-syms", "--wide", program)))


def test_is_placed_anywhere(program):
    assert re.search(r"Type: +DYN", run("readelf", "--file-header", program))
    assert re.search(r"\(FLAGS_1\).* PIE", run("readelf", "--dynamic", program))


def test_is_linked_before_it_starts_and_read_only_after(program):
    assert "GNU_RELRO" in dict(segments(program))
    assert re.search(r"\(FLAGS(_1)?\).* (BIND_)?NOW", run("readelf", "--dynamic", program))


def test_has_no_memory_that_is_written_and_executed(program):
    found = segments(program)
    assert len(found) > 8, found
    assert dict(found)["GNU_STACK"].strip() == "RW"
    assert not [entry for entry in found if "W" in entry[1] and "E" in entry[1]]


def test_guards_the_stack_of_the_server():
    assert "__stack_chk_fail" in imports(SERVER)


def test_the_server_calls_the_checked_functions_of_the_c_library():
    checked = {name for name in imports(SERVER) if re.fullmatch(r"__\w+_chk", name)}
    assert checked, "no function of _FORTIFY_SOURCE"


def test_the_server_takes_indirect_jumps_to_marked_places_only():
    """Of our objects; Debian's start files and libraries decide whether the process does."""
    code = run("objdump", "--disassemble=main", "--no-show-raw-insn", SERVER)
    first = re.search(r"<main>:\n +\w+:\s+(\w+)", code)
    assert first and first.group(1) == "endbr64", code[:500]
