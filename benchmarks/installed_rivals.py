"""Measures other Slack bots, unmodified, in the same way that `benchmarks.live` measures Typist.

Run: python -m benchmarks.installed_rivals [--rows 1,8,20] [--bots typist,chat-sdk,…] [--posts strict]
    [--sources FOLDER] [--cache FOLDER]

Each bot is installed once, outside of the repository: packages from npm or PyPI, sources by git from GitHub at the
commit below, or from `FOLDER/<bot>`. All bots run against the sandbox with the same model, and get only Slack's URL,
tokens, and the model's URL. Their settings are those that their documentation recommends for answers that grow. If a
bot can't be installed or doesn't connect, the reason is printed, and the other bots are measured.

The questions are asked in channels, which all of these bots support. Typist has the row's manifest. The other bots are
agents, so that they can stream, with all scopes that any of them uses. A bot that doesn't stream from the model gets
the whole answer when the model has said its last word.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks import live
from benchmarks.chat_server import END, event
from benchmarks.numbered_model import QUESTION, NumberedModel, word
from benchmarks.process import Process, started
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.budgets import POST_RULES

FOLDER = Path(__file__).parent / "installed"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "typist-rivals"
TYPIST = "typist"
INSTALL_WITHIN_S = 600.0
CONNECTED_WITHIN_S = 60.0


class NotMeasuredError(Exception):
    """Why a bot can't be measured here."""


@dataclass(frozen=True)
class Rival:
    """Another bot: where it comes from, and how it is started."""

    version: str
    command: tuple[str, ...]
    """Its program, in the folder where it is installed, and its arguments."""
    git: str = ""
    """The address of its sources, which `version` is a commit of."""
    within: str = "."
    """The folder of its sources in which it runs."""
    packages: tuple[str, ...] = ()
    """What pip installs."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further variables of its environment. {model}: the model's base URL."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files that it reads in its home folder, likewise."""


RIVALS: Mapping[str, Rival] = {
    # As in docs/streaming.mdx of the package: `thread.post(result.fullStream)`.
    "chat-sdk": Rival("4.41.1", ("node", "bot.mjs")),
    # The newest of Slack's samples that has a model of OpenAI's. It answers when the agent has ended.
    "bolt-sample": Rival(
        "08d01f090c189bd22869060537756f0602d5a6d5",
        ("python", "app.py"),
        git="https://github.com/slack-samples/bolt-python-support-agent",
        within="openai-agents-sdk",
        packages=("-r", "requirements.txt"),
        settings={"OPENAI_AGENTS_DISABLE_TRACING": "1"},
    ),
    # OPENAI_TIMEOUT_SECONDS=60 is its README's; the model is one whose tokens cl100k_base counts.
    "chatgpt-in-slack": Rival(
        "94845aac700353d12cc23d3e2e2c92a78acf26d9",
        ("python", "main.py"),
        git="https://github.com/seratch/ChatGPT-in-Slack",
        packages=("-r", "requirements.txt"),
        settings={
            "OPENAI_API_BASE": "{model}",
            "OPENAI_MODEL": "gpt-4",
            "OPENAI_TIMEOUT_SECONDS": "60",
            "USE_SLACK_LANGUAGE": "true",
            "SLACK_APP_LOG_LEVEL": "INFO",
        },
    ),
    "hermes-agent": Rival(
        "0.19.0",
        ("hermes", "gateway", "run"),
        packages=("hermes-agent[slack]==0.19.0",),
        settings={"HERMES_HOME": "{home}", "SLACK_ALLOW_ALL_USERS": "true"},
        files={
            "config.yaml": "model:\n  default: numbered\n  provider: custom\n  base_url: {model}\n  api_key: none\n"
            "  context_length: 128000\nstreaming:\n  enabled: true\n"
        },
    ),
}


@dataclass
class AnyFormsModel(NumberedModel):
    """Answers in the forms for which other bots ask, too: in one piece, and by the Responses API.

    Its answers have paragraphs, because some bots show no line before its end. A bot's second request about a question,
    such as one for a title, is answered at once.
    """

    words_a_paragraph: int = 40

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        asked = _asked(body["messages"])
        if asked is None or self.sent_at_s.get(int(asked[1])):
            text = "Numbers"
        elif body.get("stream"):
            return await self.send_words(request, time.monotonic(), int(asked[1]), range(1, int(asked[2]) + 1))
        else:
            text = await self._whole(asked)
        message = {"role": "assistant", "content": text}
        if body.get("stream"):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(event(message) + event({}, "stop") + END)
            return response
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return web.json_response(
            {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        )

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        turns = [{"role": "user", "content": body["input"]}] if isinstance(body["input"], str) else body["input"]
        asked = _asked(turns)
        text = "Numbers" if asked is None or body.get("stream") else await self._whole(asked)
        part = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [part]}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        return web.json_response(
            {
                "id": "r1",
                "object": "response",
                "created_at": 1,
                "status": "completed",
                "model": "m",
                "output": [message],
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": [],
                "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, **details},
            }
        )

    async def _whole(self, asked: re.Match[str]) -> str:
        """Returns a whole answer, as late as its last word, and notes its words at the times they are said."""
        number, words = int(asked[1]), int(asked[2])
        first_s = time.monotonic() + self.first_word_s
        self.sent_at_s[number] += [first_s + place / self.words_per_s for place in range(words)]
        await asyncio.sleep(self.first_word_s + words / self.words_per_s)
        return " ".join(word(place) for place in range(1, words + 1))


def _asked(turns: Sequence[Mapping[str, Any]]) -> re.Match[str] | None:
    """Returns the newest question of a prompt, whose turns may consist of parts."""
    texts = (json.dumps(turn.get("content", "")) for turn in reversed(turns))
    return next((found for text in texts if (found := QUESTION.search(text))), None)


def install(name: str, cache: Path, sources: Path | None) -> Path:
    """Installs a bot if that hasn't been done; returns its folder. Raises NotMeasuredError."""
    rival, folder = RIVALS[name], cache.resolve() / f"{name}-{RIVALS[name].version[:12]}"
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if rival.command[0] == "node":
        for file in ("bot.mjs", "package.json", "package-lock.json"):
            shutil.copy(FOLDER / file, folder)
        _do("npm", "ci", "--no-audit", "--no-fund", "--silent", within=folder)
    else:
        _fetch(rival, folder / "source", sources and sources / name)
        _do(sys.executable, "-m", "venv", "venv", within=folder)
        _do(
            str(folder / "venv/bin/pip"), "install", "--quiet", *rival.packages, within=folder / "source" / rival.within
        )
    (folder / "done").touch()
    return folder


def _fetch(rival: Rival, into: Path, given: Path | None) -> None:
    """Puts a bot's sources into a folder, which stays empty for a bot that is a package."""
    if not rival.git:
        into.mkdir()
    elif given is None:
        _do("git", "clone", "--quiet", rival.git, str(into), within=into.parent)
        _do("git", "checkout", "--quiet", rival.version, within=into)
    elif given.is_dir():
        shutil.copytree(given, into)
    else:
        raise NotMeasuredError(f"there is no folder {given} with its sources")


def _do(*command: str, within: Path) -> None:
    """Runs a step of an installation. Raises NotMeasuredError if it fails or takes too long."""
    try:
        done = subprocess.run(command, cwd=within, capture_output=True, text=True, timeout=INSTALL_WITHIN_S)
    except FileNotFoundError:
        raise NotMeasuredError(f"{command[0]} isn't installed") from None
    except subprocess.TimeoutExpired:
        raise NotMeasuredError(f"`{' '.join(command)}` took more than {INSTALL_WITHIN_S:.0f} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise NotMeasuredError(f"`{' '.join(command)}` failed: {said[-1]}")


def starts(name: str, folder: Path) -> live.Starts:
    """Returns what runs an installed bot, and waits until it is connected to Slack."""
    rival = RIVALS[name]

    @asynccontextmanager
    async def running(sandbox: Sandbox, model_url: str) -> AsyncIterator[Process]:
        with tempfile.TemporaryDirectory() as home:
            _write(rival.files, home, model_url)
            env = {
                "PATH": f"{folder}/venv/bin:{os.environ['PATH']}",
                "HOME": home,
                "PYTHONPATH": str(FOLDER),
                "SLACK_API_URL": sandbox.api_url,
                "SLACK_BOT_TOKEN": sandbox.bot_token,
                "SLACK_APP_TOKEN": sandbox.app_token,
                "OPENAI_API_KEY": "none",
                "OPENAI_BASE_URL": model_url,
                # Tables of tokens that tiktoken would fetch, for machines that can't.
                "TIKTOKEN_CACHE_DIR": os.environ.get("TIKTOKEN_CACHE_DIR", str(folder)),
                **{what: value.format(model=model_url, home=home) for what, value in rival.settings.items()},
            }
            within = folder if rival.command[0] == "node" else folder / "source" / rival.within
            log = Path(home) / "log"
            async with started(rival.command, env, within, log) as (process, stdout):
                draining = asyncio.create_task(stdout.read())
                try:
                    await asyncio.wait_for(sandbox.wait_for_bot(), CONNECTED_WITHIN_S)
                except TimeoutError:
                    last = log.read_text(errors="replace").strip().splitlines()[-1:]
                    raise NotMeasuredError(f"it didn't connect within {CONNECTED_WITHIN_S:.0f} s: {last}") from None
                try:
                    yield process
                finally:
                    draining.cancel()

    return running


def _write(files: Mapping[str, str], home: str, model_url: str) -> None:
    for name, text in files.items():
        Path(home, name).write_text(text.format(model=model_url))


def installed(bots: Sequence[str], cache: Path, sources: Path | None) -> dict[str, live.Starts]:
    """Installs the bots, and returns what runs each. Says which can't be installed."""
    found: dict[str, live.Starts] = {}
    for name in bots:
        try:
            found[name] = live.typist("auto") if name == TYPIST else starts(name, install(name, cache, sources))
        except NotMeasuredError as error:
            print(f"{name} is not measured: {error}.", flush=True)
    return found


async def run(rows: Sequence[live.LiveRow], posts: str, bots: Mapping[str, live.Starts]) -> None:
    """Measures the bots in each row, and prints the table. `posts`: the rule for posts."""
    # The other bots' app is an agent, with all that any of them asks Slack for.
    app: dict[str, Any] = json.loads((live.ROOT / "manifest.agent.json").read_text())
    app["oauth_config"]["scopes"]["bot"] += ["im:read", "im:write", "reactions:write"]
    print(live.HEADER, flush=True)
    for row in rows:
        for name, bot in bots.items():
            own_app = None if name == TYPIST else app
            try:
                result = await live.measure(bot, row, posts, own_app, AnyFormsModel)
                print(live.line(row, name, posts, result), flush=True)
            except (NotMeasuredError, ChildProcessError) as error:
                print(f"{row.name}: {name} is not measured: {error}.", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures other bots for Slack beside Typist, unmodified.")
    known = live.rows(1)
    parser.add_argument("--rows", default="1,8,20", help=f"comma-separated: {', '.join(known)}")
    parser.add_argument("--bots", default=",".join((TYPIST, *RIVALS)), help="comma-separated, as by default")
    parser.add_argument("--posts", default="strict", choices=list(POST_RULES), help="the rule for posts")
    parser.add_argument("--sources", type=Path, help="a folder with sources, in place of git")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"where bots are installed: {CACHE}")
    options = parser.parse_args()
    rows = [known[name] for name in options.rows.split(",")]
    for name, rival in RIVALS.items():
        print(f"{name} {rival.version[:12]}", flush=True)
    asyncio.run(run(rows, options.posts, installed(options.bots.split(","), options.cache, options.sources)))


if __name__ == "__main__":
    main()
