"""Ends blocked event loops: a step that computes for too long, and a process that hangs.

While a step of the event loop runs, nothing else is answered, no heartbeat is sent, and SIGTERM waits. External text is
processed in linear time, so no step should take long. The limits in this module apply if that fails.

While a step computes, the kernel counts the process's CPU time and sends SIGPROF after every second of it (setitimer).
Python runs signal handlers in the main thread between two instructions, and also inside a regular expression that
doesn't finish. The handler can therefore see the current step, and raises `Stuck` in the step after MAX_STEP_S. The
step's caller treats `Stuck` like any error: one answer ends with a sentence, and the process continues. Other processes
take over jobs only after 8 s of silence (store/workers.py), so they don't get the same text. Time during which the
process waits, is stopped or is suspended doesn't count.

If a process hangs, no handler runs, because the main thread is in a system call that restarts, or C code holds the
interpreter. If the loop doesn't beat for STANDSTILL_S, a C thread, which doesn't need the interpreter, writes the
stacks of all threads to stderr and ends the process with exit code 1 (faulthandler). The time counts while the process
is stopped, but not while the machine is suspended. A process that was stopped for that long might be ended needlessly,
but other processes have already taken over its jobs.

Each beat also notifies systemd (WatchdogSec=). https://docs.python.org/3/library/signal.html,
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import asyncio
import faulthandler
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from traceback import walk_stack
from types import FrameType

from bot.errors import Stuck, source_path

TICK_S = 1.0
MAX_STEP_S = 3.0
"""Maximum CPU seconds for a step. It is less than a lease (4 s), so that the process keeps its jobs."""
STANDSTILL_S = 30.0
"""Maximum time without a beat. It is shorter than the time that deployments give a process to exit after SIGTERM."""
BEAT_S = 5.0
MAX_FRAMES = 20
_STEP = asyncio.Handle._run.__code__

log = logging.getLogger(__name__)


@contextmanager
def end_long_steps() -> Iterator[None]:
    """Raises `Stuck` in each step of the event loop that computes for MAX_STEP_S. Call this function in the main
    thread."""
    steps = _StepWatcher()
    before = signal.signal(signal.SIGPROF, steps.on_tick)
    signal.setitimer(signal.ITIMER_PROF, TICK_S, TICK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


class _StepWatcher:
    def __init__(self) -> None:
        self._step: FrameType | None = None
        self._ticks = 0

    def on_tick(self, _: int, frame: FrameType | None) -> None:
        """Raises Stuck if the current step takes too long, and again at each tick while the step continues."""
        frames = [at for at, _ in walk_stack(frame)]
        step = next((at for at in frames if at.f_code is _STEP), None)
        self._ticks = self._ticks + 1 if step is not None and step is self._step else 0
        self._step = step
        if self._ticks * TICK_S >= MAX_STEP_S:
            places = (f"{source_path(at.f_code.co_filename)}:{at.f_lineno} {at.f_code.co_name}" for at in frames)
            stack = " < ".join(islice(places, MAX_FRAMES))
            log.error("step of the event loop ended, because it held everything up: cpu_s=%.0f %s", MAX_STEP_S, stack)
            raise Stuck("a step of the event loop took too long")


async def beat(notify_socket: str) -> None:
    """Keeps the process alive while the event loop runs, until canceled, and notifies systemd if a socket is set."""
    try:
        while True:
            faulthandler.dump_traceback_later(STANDSTILL_S, exit=True, file=sys.stderr)
            if notify_socket:
                _notify_systemd(notify_socket, b"WATCHDOG=1")
            await asyncio.sleep(BEAT_S)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _notify_systemd(notify_socket: str, state: bytes) -> None:
    # systemd writes the zero byte of an abstract address as @.
    address = f"\0{notify_socket[1:]}" if notify_socket.startswith("@") else notify_socket
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        sender.sendto(state, address)
