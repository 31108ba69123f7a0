"""Measures the time from a clone to the first answer, by README.md's steps: `python -m benchmarks.first_minute`.

The benchmark clones this repository's last commit, runs `make init` in a terminal, pastes two tokens and a key, enters
the admin, runs `make run`, and mentions the bot. The sandbox plays Slack, and a server on 127.0.0.1 plays OpenAI, so
only pip connects to other machines. A person takes longer, because they have to read, and to create the app.

Prints the duration of each step, and what the terminals and Slack showed, with tokens and key masked. Fails if the
steps after the installation take more than a minute, or if a step doesn't finish.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bot.slack.manifest import app_manifest
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import inherited_environment
from slack_sandbox.workspace import Message
from tests.newcomer import KEY, Terminal, as_openai, terminal
from tests.processes import REPOSITORY
from tests.streams.server import VendorServer

INSTALLS_WITHIN_S = 600.0
MAX_S = 60.0
"""For everything but the installation."""
CLONE, INSTALL = "git clone", "make init: installation"
PASTE, WHO, CAP = "stays hidden): ", "to skip this): ", "press Enter for $"
QUESTION = "@typist What can you do?"
_LONG_LINE = 150


@dataclass
class Recording:
    """The steps that came to their end, in seconds, and what was shown meanwhile."""

    steps: dict[str, float] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    secrets: Sequence[str] = ()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Notes how long the block takes."""
        began_s = time.monotonic()
        yield
        self.steps[name] = time.monotonic() - began_s

    @property
    def transcript(self) -> str:
        """What was shown, without secrets and the ends of long lines."""
        text = "\n\n".join(self.shown)
        for secret in self.secrets:
            text = text.replace(secret, f"{secret.partition('-')[0]}-***")
        return re.sub(rf"(?m)^(.{{{_LONG_LINE}}}).+$", r"\1…", text)

    @property
    def own_s(self) -> float:
        """All seconds but those of the installation."""
        return sum(self.steps.values()) - self.steps.get(INSTALL, 0.0)


async def record(folder: Path, recording: Recording, prepare: Callable[[Path], None] | None = None) -> None:
    """Goes the whole way in a folder. `prepare` may give the clone an environment, so that nothing is installed."""
    clone = folder / "typist"
    async with Sandbox(manifest=app_manifest()) as slack, VendorServer() as openai:
        openai.script(as_openai)
        recording.secrets = (slack.bot_token, slack.app_token, KEY)
        env = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        # OpenAI's own API needs a key, and is recognized by its host. A proxy leads to it.
        env |= {"BOT_SLACK_API_URL": slack.api_url, "OPENAI_BASE_URL": "http://api.openai.com/v1"}
        env |= {"BOT_OPENAI_API": "chat", "HTTP_PROXY": openai.url}
        with recording.step(CLONE):
            command = ("git", "clone", "--quiet", str(REPOSITORY), str(clone))
            await asyncio.to_thread(subprocess.run, command, check=True, timeout=120, env=inherited_environment())
        if prepare is not None:
            prepare(clone)
        async with terminal(clone, "make", "init", env=env) as screen:
            with _shown_by(screen, "make init", recording):
                await _set_up(screen, slack, recording)
        async with terminal(clone, "make", "run", env=env) as screen:
            with _shown_by(screen, "make run", recording):
                with recording.step("make run: connected to Slack"):
                    await screen.reads("is connected to Slack")
                await _ask(slack, recording)
                screen.presses_ctrl_c()
                await screen.end()


async def _set_up(screen: Terminal, slack: Sandbox, recording: Recording) -> None:
    with recording.step(INSTALL):
        await screen.reads("Create the app", INSTALLS_WITHIN_S)
    with recording.step("make init: two tokens, a key and the admin"):
        pasted = ((PASTE, text) for text in (slack.bot_token, slack.app_token, KEY))
        for prompt, typed in (*pasted, (WHO, "ada"), (CAP, "")):
            await screen.types(prompt, typed)
        await screen.reads("Now start Typist: ")
    code, _ = await screen.end()
    if code:
        raise AssertionError(f"make init ended with exit code {code}")


async def _ask(slack: Sandbox, recording: Recording) -> None:
    def answers() -> list[Message]:
        # The footer, which comes with the end, has the model's name.
        return [reply for reply in slack.messages("general", asked) if "gpt-6-luna" in str(reply.sent_blocks)]

    with recording.step("mention: complete answer"):
        asked = await slack.say("ada", "general", QUESTION)
        [answer] = await slack.wait_for(answers)
    recording.shown.append(f"Slack, #general\nAda: {QUESTION}\nTypist: {answer.text}")


@contextmanager
def _shown_by(screen: Terminal, command: str, recording: Recording) -> Iterator[None]:
    """Records what a command shows, also if it fails."""
    at = len(recording.shown)
    try:
        yield
    finally:
        recording.shown.insert(at, f"$ {command}\n{screen.shown.strip()}")


def main() -> int:
    """Records the way, prints it, and returns the exit code."""
    recording, problem = Recording(), ""
    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(record(Path(folder), recording))
        except (AssertionError, TimeoutError, subprocess.SubprocessError) as error:
            problem = f"This step did not come to its end: {type(error).__name__}"
    print(recording.transcript, *(f"{took_s:6.1f} s  {step}" for step, took_s in recording.steps.items()), sep="\n")
    print(f"{recording.own_s:6.1f} s  without the installation (at most {MAX_S:.0f})")
    print(problem, end="\n" if problem else "")
    return int(bool(problem) or recording.own_s > MAX_S)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
