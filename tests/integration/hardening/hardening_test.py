# SPDX-License-Identifier: Apache-2.0
"""The programs are hardened, as binutils see their ELF files: what a compiler flag was meant to do
shows in the program or did not happen.
"""

import functools
import os
import re

import elf
import pytest

SERVER = os.environ["ATTEND_SERVER_PROGRAM"]
PROGRAMS = {"attend-server": SERVER, "attend": os.environ["ATTEND_CLI_PROGRAM"]}


@pytest.fixture(params=PROGRAMS.values(), ids=PROGRAMS.keys())
def program(request):
    return request.param


def test_is_placed_anywhere(program):
    elf.require_placed_anywhere(program)


def test_is_linked_before_it_starts_and_read_only_after(program):
    elf.require_linked_before_it_starts_and_read_only_after(program)


def test_has_no_memory_that_is_written_and_executed(program):
    elf.require_no_memory_that_is_written_and_executed(program)


def test_calls_the_checked_functions_of_the_c_library(program):
    elf.require_checked_functions_of_the_c_library(program)


@functools.cache
def functions(program):
    """{name: code} of the project's functions."""
    code = elf.run("objdump", "--disassemble", "--demangle", "--no-show-raw-insn",
                   "--section=.text", program)
    found = re.findall(r"^\w+ <(attend::.+)>:\n((?:.+\n)*)", code, re.MULTILINE)
    assert len(found) > 500
    return dict(found)


def test_takes_indirect_jumps_to_marked_places_only(program):
    """Of our objects; Debian's start files and libraries decide whether the process does. The
    compiler leaves out marks of functions that it knows all callers of.
    """
    local = re.compile(r"\(anonymous namespace\)|\[clone|\{lambda")
    unmarked = [name for name, code in functions(program).items()
                if not local.search(name) and not re.match(r"\s+\w+:\s+endbr64", code)]
    assert not unmarked


# Of each folder one function that has something of its own on the stack.
GUARDED = {
    "attend": ["attend::cli::ReadNpy", "attend::client::internal::CreateChannels",
               "attend::client::internal::Call::Finish", "attend::WireReader::ReadTag"],
    "attend-server": ["attend::Arena::NextBlock", "attend::LoadModel", "attend::ReadTopology",
                      "attend::internal::PlanSequence", "attend::internal::OneDnnLinear::Run(",
                      "attend::LayerBatch::ProjectInputs",
                      "attend::Scheduler::RunBatch", "attend::Engine::Submit",
                      "attend::Rpc::Admit", "attend::WireReader::ReadTag"],
}


def is_guarded(code):
    return "<__stack_chk_fail" in code


@pytest.mark.parametrize("name, function", [(name, function) for name, all_of in GUARDED.items()
                                            for function in all_of])
def test_guards_the_stack(name, function):
    codes = [code for found, code in functions(PROGRAMS[name]).items()
             if found.startswith(function)]
    assert any(is_guarded(code) for code in codes), f"{len(codes)} functions"


def test_no_kernel_pays_for_a_guard():
    kernels = {name: code for name, code in functions(SERVER).items()
               if name.startswith("attend::internal::N_AVX")}
    assert any("PrefillTiles" in name for name in kernels)
    assert not [name for name, code in kernels.items() if is_guarded(code)]
