"""A sandbox in a separate thread, for bots and tests without an event loop."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Message

T = TypeVar("T")

WITHIN_S = 40.0
_STOP_S = 10.0
"""The time that a bot has to end after SIGTERM before it is killed."""


class SandboxInThread:
    """Serves a Sandbox for the duration of a `with` block. `run` and `wait_for` give access to everything else."""

    def __init__(self, **options: Any) -> None:
        """`options`: the options of Sandbox, such as manifest=…"""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slack-sandbox", daemon=True)
        self.sandbox = Sandbox(**options)

    def __enter__(self) -> "SandboxInThread":
        self._thread.start()
        try:
            self.run(self.sandbox.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.run(self.sandbox.__aexit__())
        finally:
            self._end()

    @property
    def env(self) -> dict[str, str]:
        """The environment variables that connect a bot to this Slack."""
        return {
            "SLACK_BOT_TOKEN": self.sandbox.bot_token,
            "SLACK_APP_TOKEN": self.sandbox.app_token,
            "SLACK_API_URL": self.sandbox.api_url,
        }

    @contextmanager
    def run_bot(self, *command: str, timeout_s: float = WITHIN_S, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """Runs a bot's command for the duration of a `with` block, which starts when the bot has connected.

        The bot inherits this process's environment, and its output is in pytest's report. `env` adds variables. Raises
        RuntimeError if the bot exits before it connects.
        """
        with subprocess.Popen(command, env={**os.environ, **self.env, **env}) as process:
            try:
                self.wait_for(lambda: self.sandbox.sockets.connections or process.poll() is not None, timeout_s)
                if process.returncode is not None:
                    raise RuntimeError(f"{' '.join(command)} exited with {process.returncode} before it connected")
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()

    def wait_for_bot(self, timeout_s: float = WITHIN_S) -> None:
        self.run(self.sandbox.wait_for_bot(timeout_s))

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> str:
        return self.run(self.sandbox.say(user, channel, text, thread_ts))

    def press(self, user: str, message: Message, action_id: str) -> bool:
        """Clicks a message's button as a person. Returns whether the bot acknowledged the click."""
        return self.run(self.sandbox.client(user).press(message.channel, message.ts, action_id))

    def replies(self, channel: str, thread_ts: str, count: int = 1, timeout_s: float = WITHIN_S) -> list[Message]:
        """Waits for `count` messages from the bot in a thread and returns them. Raises TimeoutError."""

        def by_bot() -> list[Message]:
            thread = self.sandbox.messages(channel, thread_ts)
            found = [message for message in thread if message.user_id == self.sandbox.bot_user_id]
            return found if len(found) >= count else []

        return self.wait_for(by_bot, timeout_s)

    def wait_for(self, predicate: Callable[[], T], timeout_s: float = WITHIN_S) -> T:
        """Waits until the predicate is true and returns its result. Raises TimeoutError with the newest messages."""
        return self.run(self.sandbox.wait_for(predicate, timeout_s))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a predicate of wait_for can't wait: use slack.sandbox in it")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
