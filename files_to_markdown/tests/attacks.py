"""Attacks that another program of the same user, without privileges, can try to read secrets.

This module only imports the standard library: attackers are started as scripts, and the process that reads documents
runs it after giving up its rights.
"""

import ctypes
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
MAX_READ = 64 * 2**20


class _Span(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


def copied(pid: int, address: int, size: int) -> bytes:
    """Returns a part of another process's memory using process_vm_readv. Raises OSError."""
    buffer = ctypes.create_string_buffer(size)
    here, there = _Span(ctypes.addressof(buffer), size), _Span(address, size)
    call = _libc().process_vm_readv
    call.restype = ctypes.c_ssize_t
    copied_bytes = call(pid, ctypes.byref(here), ctypes.c_ulong(1), ctypes.byref(there), ctypes.c_ulong(1), 0)
    if copied_bytes < 0:
        raise OSError(ctypes.get_errno(), "process_vm_readv")
    return buffer.raw[:copied_bytes]


def attach(pid: int) -> None:
    """Stops another process using ptrace and resumes it. Raises OSError."""
    nothing = ctypes.c_void_p(0)
    if _libc().ptrace(ctypes.c_long(PTRACE_ATTACH), pid, nothing, nothing) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0)
    _libc().ptrace(ctypes.c_long(PTRACE_DETACH), pid, nothing, nothing)


def in_environment(pid: int, secret: bytes) -> bool:
    return secret in Path(f"/proc/{pid}/environ").read_bytes()


def in_memory(pid: int, secret: bytes) -> bool:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, access, *_ = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        if access.startswith("rw"):
            with suppress(OSError):
                if secret in copied(pid, start, min(end - start, MAX_READ)):
                    return True
    return False


def attached(pid: int, _: bytes) -> bool:
    attach(pid)
    return True


def succeeded(pid: int, secret: bytes) -> list[str]:
    """Returns the names of the attacks on a process that succeed."""
    names = []
    for attack in (in_environment, in_memory, attached):
        with suppress(OSError):
            if attack(pid, secret):
                names.append(attack.__name__)
    return names


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    # In two parts, so that it doesn't find the attacker's own arguments.
    limits = Path(f"/proc/{os.getppid()}/limits").read_text().splitlines()
    cores = next(line.split()[4] for line in limits if line.startswith("Max core file size"))
    report = {"succeeded": succeeded(os.getppid(), "".join(sys.argv[2:]).encode()), "core limit": cores}
    Path(sys.argv[1]).write_text(json.dumps(report))
