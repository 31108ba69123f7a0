"""What the asker sees when a model fails: the bot against the sandbox, with vendors served over HTTP.

`python -m tests.scenarios.test_model_failures` prints the tables of model_failures.md.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.models import wrappers
from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.gate import rounds
from tests.fast import run_fast
from tests.scenarios.conftest import Stage, running, says, settings_of
from tests.slack.test_files import PNG
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorRequest, VendorResponse, VendorServer, refusal

PAGE = Path(__file__).with_name("model_failures.md")
WITHIN_S = 900.0
BEGUN = speech.tokens("A first half. ")
ANSWER = "The answer of the other model."
SPANS_S = {0.4: "no time", 1.5: "2 s", 3: "3 s", 6: "6 s", 60: "a minute", 120: "2 minutes", 300: "5 minutes"}


def error(status: int, message: str, **headers: str) -> VendorResponse:
    return refusal(status, {"error": {"message": message}}, **headers)


NO_LIST = error(404, "Not found")
"""Of the server's models."""


def midway(*events: bytes, ending: ResponseEnd = ResponseEnd.END) -> VendorResponse:
    return VendorResponse([*speech.chat(BEGUN)[: 1 + len(BEGUN)], *events], ending=ending)


BEFORE: Mapping[str, VendorResponse] = {
    "400": error(400, "Bad request"),
    "400, the model can't see": error(400, "This model doesn't support image input"),
    "401": error(401, "Incorrect API key provided"),
    "402": error(402, "Payment required"),
    "404": error(404, "The model doesn't exist"),
    "408": error(408, "Request timed out"),
    "409": error(409, "Conflict"),
    "413": error(413, "Request too large"),
    "424": error(424, "The model failed"),
    "429": error(429, "Too many requests"),
    "429, Retry-After: 3": error(429, "Too many requests", retry_after="3"),
    "429, Retry-After: 600": error(429, "Too many requests", retry_after="600"),
    "429, out of credit": refusal(429, {"error": {"code": "insufficient_quota"}}),
    "500": error(500, "The server had an error"),
    "500, the model can't see": error(500, "image input is not supported"),
    "502": error(502, "Bad gateway"),
    "503": error(503, "Overloaded"),
    "error in the stream": VendorResponse([b'data: {"error":{"message":"Internal error","code":500}}\n\n']),
    "refused": refusal(400, {"error": {"code": "content_filter"}}),
    "connection lost": VendorResponse(ending=ResponseEnd.NOTHING),
    "stream cut": VendorResponse(speech.chat(["x"])[:1], ending=ResponseEnd.CUT),
    "silence": VendorResponse(ending=ResponseEnd.HANG),
    "no words": says(""),
    "a redirect": VendorResponse(status=302, headers={"Location": "https://login.example.com/"}),
    "200, a web page": VendorResponse([b"<!DOCTYPE html><title>Sign in</title>"], content_type="text/html"),
    "200, nothing": VendorResponse(content_type="text/plain"),
    "200, JSON of something else": VendorResponse([b'{"status":"ok"}'], content_type="application/json"),
    "200, a stream that begins with a broken event": VendorResponse([b'data: {"half a\n\n']),
    "404, a web page": VendorResponse([b"<html>Not found</html>"], status=404, content_type="text/html"),
    "400, a short question is too long": error(400, "This exceeds the maximum context length"),
}
AFTER: Mapping[str, VendorResponse] = {
    "stream cut": midway(ending=ResponseEnd.CUT),
    "no end of the stream": midway(),
    "silence": midway(ending=ResponseEnd.HANG),
    "error in the stream": midway(b'data: {"error":{"message":"Internal error","code":500}}\n\n'),
    "429 in the stream": midway(b'data: {"error":{"message":"Too many requests","code":429}}\n\n'),
    "a broken event": midway(b'data: {"half a\n\n'),
    "refused": midway(b'data: {"error":{"message":"Filtered","code":"content_filter"}}\n\n'),
}


@dataclass(frozen=True)
class Seen:
    """What became of one question."""

    requests: int
    """To the model that fails."""
    with_file: int
    """Those of them that had the file."""
    last_s: float
    """When the last of them began, in seconds after the first."""
    text: str
    """What the reply says in the end."""


@asynccontextmanager
async def failing(*, has_other: bool) -> AsyncIterator[Callable[[VendorResponse, bool], Awaitable[Seen]]]:
    """Yields a function that asks a model that responds in this way. With `has_other`, a second one answers."""
    # In the loop's time: otherwise Slack's limits would count no wait that the loop skips.
    async with Sandbox(monotonic=asyncio.get_running_loop().time) as sandbox, VendorServer() as vendor:
        models = ("openai/test", "openai/other") if has_other else ("openai/test",)
        settings = replace(settings_of(sandbox, vendor), models=models)
        async with running(settings):
            stage = Stage(sandbox, vendor)

            async def ask(response: VendorResponse, has_file: bool) -> Seen:
                asked: list[tuple[float, VendorRequest]] = []

                def respond(request: VendorRequest) -> VendorResponse:
                    if request.method == "GET":
                        return NO_LIST
                    if request.body["model"] == "other":
                        return says(ANSWER)
                    asked.append((asyncio.get_running_loop().time(), request))
                    return response

                vendor.script(respond)
                files = [UploadedFile("plan.png", PNG)] if has_file else []
                ts = await sandbox.share("ada", "general", "<@BOT> what is it?", files)
                [text] = await stage.answers("general", ts, timeout_s=WITHIN_S)
                with_file = [request for _, request in asked if "image_url" in str(request.body)]
                return Seen(len(asked), len(with_file), asked[-1][0] - asked[0][0], text)

            yield ask


async def before(names: Iterable[str]) -> list[str]:
    """Returns rows of the page's first table."""
    lines = []
    async with failing(has_other=False) as alone, failing(has_other=True) as fallen_back:
        for name in names:
            response = BEFORE[name]
            seen, about_file = await alone(response, False), await alone(response, True)
            other = await fallen_back(response, False)
            outcome = f"answers after {requests(other)}" if other.text == ANSWER else "the same"
            lines.append(f"| {name} | {requests(seen)} | {files(about_file)} | {seen.text} | {outcome} |")
    return lines


async def after(names: Iterable[str]) -> list[str]:
    """Returns rows of the page's second table."""
    lines = []
    async with failing(has_other=False) as alone:
        for name in names:
            seen = await alone(AFTER[name], False)
            lines.append(f"| {name} | {requests(seen)} | {seen.text.replace(chr(10), '<br>')} |")
    return lines


def requests(seen: Seen) -> str:
    if seen.requests == 1:
        return "1"
    nearest = min(SPANS_S, key=lambda span_s: abs(math.log(span_s / max(seen.last_s, 0.01))))
    return f"{seen.requests} in {SPANS_S[nearest]}"


def files(seen: Seen) -> str:
    return "kept" if seen.with_file == seen.requests else "left out"


@dataclass(frozen=True)
class Table:
    head: str
    rows: Callable[[Iterable[str]], Coroutine[Any, Any, list[str]]]
    names: Sequence[str]
    few: Sequence[str]
    """The rows that a gate looks at."""


TABLES = (
    Table(
        "| the model's response | requests | with an image | what the asker reads | with a second model |",
        before,
        [*BEFORE],
        ["400", "401", "429, Retry-After: 3", "503", "refused", "stream cut", "200, a web page"],
    ),
    Table(
        "| failure after the first word | requests | what the asker reads |",
        after,
        [*AFTER],
        ["stream cut", "refused"],
    ),
)


@pytest.mark.parametrize("table", TABLES, ids=["before the first word", "after it"])
def test_table_shows_what_the_asker_sees(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    monkeypatch.setattr(wrappers, "JITTER", 0.0)
    page = PAGE.read_text().partition(table.head)[2].partition("\n\n")[0].splitlines()[2:]
    shown = dict(zip(table.names, page, strict=True))
    looked_at = rounds(table.few, table.names)
    assert run_fast(table.rows(looked_at)) == [shown[name] for name in looked_at]


if __name__ == "__main__":
    wrappers.JITTER = 0.0
    for each in TABLES:
        print(each.head, "|" + "---|" * (each.head.count("|") - 1), *run_fast(each.rows(each.names)), "", sep="\n")  # noqa: T201
