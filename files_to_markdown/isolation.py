"""What Linux keeps from other processes of the same user, and from the process that reads documents.

`hide_memory` is for every process that knows secrets. Without it, all programs of the same user may read them: a stdio
MCP server from /proc/PID/environ, hostile code in a library from the memory itself (process_vm_readv, ptrace).
https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html

`deny_files` is for the process that reads a document. https://docs.kernel.org/userspace-api/landlock.html says what
Landlock covers: opening, creating, renaming and removing files; since Linux 6.2 truncating them; since 6.7 TCP; since
6.12 signals and abstract sockets. Memory of processes outside is out of reach with every version. What no version
covers: a file's mode, owner, times and extended attributes (setxattr), whether a file exists, and limits and priorities
of the user's other processes (prlimit, setpriority).

Other systems have neither. There only core dumps are off.
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
"""Landlock's version in Linux 6.2. With earlier ones, a file can be emptied by its name."""
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights on files each version knows. Later ones know as many as the last."""


def hide_memory() -> None:
    """Keeps this process's memory and environment from other processes of its user, and from core dumps, for good.

    Programs that it starts have no core dumps either, but their memory is as readable as always.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ON_LINUX:
        _set(PR_SET_DUMPABLE, 0)


def others_may_read(file: Path) -> bool:
    """Returns whether all users of this machine may read a file; False if there is none."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def landlock_abi() -> int:
    """Returns the version of Landlock's interface; 0 if the kernel has none, or a filter of system calls forbids it."""
    if not ON_LINUX:
        return 0
    return max(0, _system_call(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION))


def deny_files() -> None:
    """Denies this process all that its kernel's Landlock covers, for good; nothing where there is no Landlock.

    What is open stays usable. Raises OSError if the kernel has Landlock and refuses it.
    """
    abi = landlock_abi()
    if not abi:
        return
    on_files = (1 << _FILE_RIGHTS[min(abi, max(_FILE_RIGHTS))]) - 1
    # Binding and connecting over TCP; signals and abstract sockets.
    on_network, scoped = (0b11 if abi >= known_since else 0 for known_since in (4, 6))
    # A kernel that knows fewer fields accepts zeros in the others.
    handled = struct.pack("=QQQ", on_files, on_network, scoped)
    # A ruleset without rules: all that it handles is denied.
    ruleset = _checked(_system_call(LANDLOCK_CREATE_RULESET, handled, len(handled), 0))
    _set(PR_SET_NO_NEW_PRIVS, 1)
    _checked(_system_call(LANDLOCK_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _set(attribute: int, value: int) -> None:
    """Sets an attribute of this process. Raises OSError."""
    _checked(_libc().prctl(attribute, *map(ctypes.c_ulong, (value, 0, 0, 0))))


def _system_call(number: int, *arguments: int | bytes | None) -> int:
    """Makes a call that the C library has no function for, and returns its result."""
    call = _libc().syscall
    call.restype = ctypes.c_long
    # As long, because the number of arguments varies.
    longs = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in (number, *arguments)]
    return int(call(*longs))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    """Returns what a call of the C library returned. Raises its OSError."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
