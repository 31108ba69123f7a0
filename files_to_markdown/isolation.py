"""Linux protections against other processes of the same user, and against the process that reads documents.

`hide_memory` is for every process that has secrets. Without this protection, any program of the same user can read the
secrets from /proc/PID/environ or from memory (process_vm_readv, ptrace).
https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html

`deny_files` is for the process that reads a document. https://docs.kernel.org/userspace-api/landlock.html lists what
Landlock covers: opening, creating, renaming and removing files, since Linux 6.2 also truncating them, since 6.7 TCP,
and since 6.12 signals and abstract sockets. Every version protects the memory of other processes. No version covers a
file's mode, owner, times and extended attributes (setxattr), whether a file exists, or the limits and priorities of the
user's other processes (prlimit, setpriority).

Other systems don't have either protection. There, only core dumps are disabled.
"""

import ctypes
import os
import resource
import stat
import struct
import sys
from pathlib import Path

ON_LINUX = sys.platform == "linux"
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
LANDLOCK_CREATE_RULESET_VERSION = 1
TRUNCATE_ABI = 3
"""Landlock's version in Linux 6.2. Earlier versions don't prevent truncating a file by its path."""
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""The number of file access rights in each version. Later versions have as many as the last one here."""


def hide_memory() -> None:
    """Permanently protects this process's memory and environment from the user's other processes and from core dumps.
    Programs that this process starts don't write core dumps either, but their memory isn't protected."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ON_LINUX:
        _set_process_attribute(PR_SET_DUMPABLE, 0)


def others_can_read(file: Path) -> bool:
    """Returns whether all users of this machine can read a file, or False if it doesn't exist."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def landlock_abi() -> int:
    """Returns Landlock's ABI version, or 0 if the kernel doesn't have it or a system call filter blocks it."""
    if not ON_LINUX:
        return 0
    return max(0, _system_call(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION))


def deny_files() -> None:
    """Permanently denies this process everything that Landlock covers, or does nothing if the kernel doesn't have
    Landlock. Open files can still be used. Raises OSError if the kernel has Landlock but rejects the call."""
    abi = landlock_abi()
    if not abi:
        return
    on_files = (1 << _FILE_RIGHTS[min(abi, max(_FILE_RIGHTS))]) - 1
    # Binding and connecting over TCP; signals and abstract sockets.
    on_network, scoped = (0b11 if abi >= known_since else 0 for known_since in (4, 6))
    # A kernel that knows fewer fields accepts zeros in the others.
    handled = struct.pack("=QQQ", on_files, on_network, scoped)
    # A ruleset without rules denies everything that it handles.
    ruleset = _check(_system_call(LANDLOCK_CREATE_RULESET, handled, len(handled), 0))
    _set_process_attribute(PR_SET_NO_NEW_PRIVS, 1)
    _check(_system_call(LANDLOCK_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _set_process_attribute(attribute: int, value: int) -> None:
    _check(_libc().prctl(attribute, *map(ctypes.c_ulong, (value, 0, 0, 0))))


def _system_call(number: int, *arguments: int | bytes | None) -> int:
    """Makes a system call that the C library doesn't have a function for, and returns its result."""
    call = _libc().syscall
    call.restype = ctypes.c_long
    # Passed as long, because the number of arguments varies.
    longs = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in (number, *arguments)]
    return int(call(*longs))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
