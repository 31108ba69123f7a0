"""Measures for how many questions about an export the bot finds the source.

    python -m benchmarks.export_questions EXPORT.zip questions.jsonl

The bot runs in the sandbox with the export. A scripted model gets each question, makes at most three calls to the tools
that it is offered (Slack search, or reading the channel), and knows only what the bot sends. A source counts as found
if the bot's last request contains it. If guests can read a channel, the bot doesn't offer search there, so the question
is asked again in the asker's direct message.

Each line of the questions has `id`, `question`, `asker` (a handle), `asked_in` (a channel's name), `sources` (each with
`channel` and `ts`) and `must_not_say`. Exits with 1 if fewer sources than `--at-least` are found, or if a request
contains something in `must_not_say`.
"""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.chat_server import END, ChatServer, event
from bot import app
from bot.core.access import UserKind
from bot.core.calls import READ_CHANNEL
from bot.settings import Settings, extra_scopes
from bot.slack.manifest import app_manifest
from bot.slack.search import BUSY
from bot.slack.search import NAME as SEARCH
from demo.export import settings_for
from demo.models import settings_with_server
from slack_sandbox.export.opened import Export, open_export
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import SlackError

MAX_CALLS = 3
AT_LEAST = 24
_PAGE = 100
_ANSWER = "That is all that I read."
_ASKED_WITHIN_S = 60.0
_MINUTE_S = 61.0
_NOT_KEYWORDS = frozenset(
    (
        *(
            "a",
            "about",
            "after",
            "all",
            "and",
            "are",
            "at",
            "be",
            "by",
            "come",
            "comes",
            "did",
            "do",
            "does",
            "for",
            "from",
        ),
        *(
            "get",
            "gets",
            "had",
            "has",
            "have",
            "how",
            "in",
            "is",
            "it",
            "its",
            "last",
            "long",
            "many",
            "me",
            "much",
            "my",
        ),
        *("now", "of", "off", "on", "or", "our", "over", "say", "says", "since", "so", "that", "the", "their", "there"),
        *(
            "they",
            "this",
            "to",
            "us",
            "was",
            "we",
            "were",
            "what",
            "when",
            "which",
            "who",
            "why",
            "will",
            "with",
            "you",
        ),
        *("your", "until", "die", "der", "das", "wie", "viele", "und", "ist"),
    )
)
"""What a model leaves out of a search. These words choose no message; the search itself ranks by how rare a word is."""
_REPLIES = re.compile(r"ts (\d+\.\d{6}), \d+ repl")
_LINK = re.compile(r"https://\S+/archives/\S+")
_NEXT = re.compile(r"page=(\d+\.\d{6})")


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of one question in one place."""

    requests: tuple[str, ...]
    """The bodies of the bot's requests, as text."""
    has_search: bool


@dataclass
class SearchingModel(ChatServer):
    """Calls tools for the newest question until it has made three calls, and then answers."""

    requests: list[str] = field(default_factory=list)
    offered: set[str] = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(json.dumps(body["messages"], ensure_ascii=False))
        self.offered |= {tool["function"]["name"] for tool in body.get("tools") or ()}
        made = [call for message in body["messages"] for call in message.get("tool_calls") or ()]
        results = [str(message["content"]) for message in body["messages"] if message["role"] == "tool"]
        call = next_call(_question(body["messages"]), self.offered, results) if len(made) < MAX_CALLS else None
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if call is None:
            await response.write(event({"role": "assistant", "content": _ANSWER}) + event({}, "stop"))
            self.ended.set()
        else:
            function = {"name": call[0], "arguments": json.dumps(call[1])}
            calls = [{"index": 0, "id": f"call_{len(made)}", "type": "function", "function": function}]
            await response.write(event({"role": "assistant", "tool_calls": calls}) + event({}, "tool_calls"))
        await response.write(END)
        return response


def next_call(question: str, offered: set[str], results: Sequence[str]) -> tuple[str, Mapping[str, Any]] | None:
    """Returns the tool that the model calls next and its arguments; None if it has nothing more to call."""
    words = keywords(question)
    if SEARCH in offered:
        # All keywords; then the thread of the best hit, and the channel itself.
        link = _LINK.search(results[0]) if results else None
        calls: list[tuple[str, Mapping[str, Any]]] = [
            (SEARCH, {"query": " ".join(words)}),
            *([(READ_CHANNEL, {"link": link[0]})] if link else []),
            (READ_CHANNEL, {"newest": _PAGE}),
        ]
        return calls[len(results)] if len(results) < len(calls) else None
    if READ_CHANNEL not in offered:
        return None
    if not results:
        return READ_CHANNEL, {"newest": _PAGE}
    if thread := _best_thread(results[0], words):
        return (READ_CHANNEL, {"thread": thread}) if len(results) == 1 else _next_page(results[0])
    return _next_page(results[-1])


def _next_page(page: str) -> tuple[str, Mapping[str, Any]] | None:
    further = _NEXT.search(page)
    return (READ_CHANNEL, {"newest": _PAGE, "page": further[1]}) if further else None


def _best_thread(page: str, words: Sequence[str]) -> str:
    """Returns the ts of the thread whose first message has most of the words, "" if none has any."""
    entries = page.split("\n\n")
    counts = [
        (sum(word.lower() in entry.lower() for word in words), found[1])
        for entry in entries
        if (found := _REPLIES.search(entry))
    ]
    best = max(counts, default=(0, ""))
    return best[1] if best[0] else ""


def keywords(question: str) -> list[str]:
    """Returns the words of a question that a model would search for."""
    return [word for word in re.findall(r"[\w.-]*\w", question) if word.lower() not in _NOT_KEYWORDS]


def _question(messages: Sequence[Mapping[str, Any]]) -> str:
    last = [message["content"] for message in messages if message["role"] == "user"][-1]
    text = last if isinstance(last, str) else "\n".join(part.get("text", "") for part in last)
    return str(text).strip().rpartition("\n")[2]


@asynccontextmanager
async def running(export: Export, model: SearchingModel) -> AsyncIterator[Sandbox]:
    """Runs the bot in a sandbox with the export, until the block ends."""
    ours = Settings(slack_search=True, allow_also=frozenset({UserKind.GUEST}), database_url="sqlite://", welcome=False)
    manifest = app_manifest(agent=True, extra=extra_scopes(ours))
    async with Sandbox(export=export, manifest=manifest, keep_revisions=False) as sandbox:
        settings = replace(
            settings_with_server(model.url, "scripted", settings_for(export, ours)),
            slack_bot_token=sandbox.bot_token,
            slack_app_token=sandbox.app_token,
            slack_api_url=sandbox.api_url,
        )
        shutdown, ready = app.Shutdown(), asyncio.Event()
        bot = asyncio.create_task(app.run(settings, shutdown, lambda _: ready.set()))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait((bot, waiting), return_when=asyncio.FIRST_COMPLETED)
        try:
            yield sandbox
        finally:
            shutdown.requested.set()
            shutdown.at_once.set()
            await bot


async def ask(sandbox: Sandbox, model: SearchingModel, asker: str, place: str, question: str) -> Asked:
    """Asks a question and returns what the bot sent for it."""
    model.requests, model.offered = [], set()
    model.ended.clear()
    sandbox.workspace.join(place, asker)
    is_direct = place.startswith("D")
    await sandbox.say(asker, place, question if is_direct else f"<@BOT> {question}")
    async with asyncio.timeout(_ASKED_WITHIN_S):
        await model.ended.wait()
    return Asked(tuple(model.requests), SEARCH in model.offered)


def has_source(asked: Asked, source: Mapping[str, str]) -> bool:
    """Returns whether a request has a message, by its ts or its link."""
    ts = source["ts"]
    return any(ts in request or f"p{ts.replace('.', '')}" in request for request in asked.requests)


async def measure(export: Export, questions: Sequence[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """Asks all questions. Returns how many had all their sources, and sentences on what must not be."""
    found, wanted, wrong = {"as asked": 0, "with direct messages": 0}, 0, list[str]()
    async with SearchingModel() as model, running(export, model) as sandbox:
        for line in questions:
            places = [line["asked_in"], sandbox.workspace.dm(line["asker"]).id]
            is_found = False
            for number, place in enumerate(places):
                asked = await ask(sandbox, model, line["asker"], place, line["question"])
                if any(BUSY in request for request in asked.requests):
                    # Slack allows few searches a minute, and nobody asks 36 questions in one.
                    await asyncio.sleep(_MINUTE_S)
                    asked = await ask(sandbox, model, line["asker"], place, line["question"])
                said = [words for words in line["must_not_say"] if any(words in text for text in asked.requests)]
                wrong += [f"{line['id']}: a request says what the asker may not know" for _ in said]
                is_found |= bool(line["sources"]) and all(has_source(asked, source) for source in line["sources"])
                found["as asked"] += is_found and number == 0
                if asked.has_search or is_found:
                    break
            found["with direct messages"] += is_found
            wanted += bool(line["sources"])
            mark = ("found" if is_found else "NOT FOUND") if line["sources"] else "has no source"
            print(f"{line['id']} {line['kind']:14} {mark:13} {line['question'][:70]}", flush=True)
    for how, count in found.items():
        print(f"{how}: {count} of {wanted} questions have their sources in the prompt")
    return found["with direct messages"], wrong


def main() -> int:
    """Runs the benchmark and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--at-least", type=int, default=AT_LEAST)
    options = parser.parse_args()
    questions = [json.loads(line) for line in options.questions.read_text().splitlines()]
    try:
        found, wrong = asyncio.run(measure(open_export(options.export), questions))
    except SlackError as error:
        print(f"The sandbox refused a question: {error.error}")
        return 1
    print(*wrong, sep="\n")
    return int(bool(wrong) or found < options.at_least)


if __name__ == "__main__":
    sys.exit(main())
