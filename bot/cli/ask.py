"""`typist ask`: answers one question in the terminal, as the answer arrives."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

from bot import logs, settings
from bot.cli import Subcommand
from bot.core import texts
from bot.core.prompt import moment
from bot.errors import SettingsError, TypistError
from bot.models.events import Citation, Completion, Retrying
from bot.models.prompt import Prompt, Turn
from bot.reply.sources import plain_list, shown_sources, with_citation
from bot.settings import Settings, model_prices, model_setup, parse_model_option, system_prompt_in_use

PATIENCE_S = 7.0
"""How long after the first failure another request may begin. In Slack it is longer: here somebody sees the reason, and
can ask again."""
NO_ANSWER = "No answer yet: {reason}. Trying again…"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the question and how to answer it."""
    parser.add_argument("question", nargs="*", help="the question; may be left out if text is piped in")
    parser.add_argument("--model", help="vendor/model to use instead of BOT_MODELS")
    parser.add_argument("--no-stream", action="store_true", help="print the answer only when it is complete")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Answers the question and returns the exit code. Raises SettingsError, ProviderError."""
    if options.model is not None:
        env = {**env, "BOT_MODELS": ",".join(parse_model_option(options.model))}
    ours = settings.read(env, needs_model=True)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    given = os.fsencode(" ".join(options.question))
    piped = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    # Whatever the terminal's encoding is: vendors take UTF-8.
    parts = (text.decode("utf-8-sig", errors="replace").strip() for text in (given, piped))
    question = "\n\n".join(filter(None, parts))
    if not question:
        raise SettingsError(['There is no question. Try: typist ask "your question"'])
    asyncio.run(_ask(ours, question, at_once=options.no_stream))
    return 0


async def _ask(settings: Settings, question: str, *, at_once: bool) -> None:
    """Writes the answer with its sources to stdout, and tokens, time and cost to stderr. Raises ProviderError."""
    from bot.models.registry import open_models

    now = datetime.now().astimezone()
    turn = Turn("user", f"{question}\n\n(It is {moment(now, now.tzname() or '')}.)")
    prompt = Prompt(system_prompt_in_use(settings), (turn,), web_search=settings.web_search)
    started = time.monotonic()
    first_s = 0.0
    completion = None
    output = _Output(at_once=at_once)
    citations: Sequence[Citation] = ()
    async with (
        open_models(model_setup(settings), patience_s=PATIENCE_S) as provider,
        aclosing(provider.stream(prompt)) as events,
    ):
        try:
            async for event in events:
                match event:
                    case Completion():
                        completion = event
                    case Citation():
                        citations = with_citation(citations, event)
                    case Retrying(detail=detail):
                        reason = NO_ANSWER.format(reason=detail.rstrip("."))
                        print(logs.line(reason, is_error=False), file=sys.stderr)
                    case str():
                        first_s = first_s or time.monotonic() - started
                        output.write(event)
        except TypistError:
            output.break_off()
            raise
    output.end()
    _write_end(settings, completion, citations, first_s)


class _Output:
    """The answer on stdout. `at_once`: it is written when it is whole."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self._wrote = ""
        self._withheld: list[str] = []

    def write(self, text: str) -> None:
        """Writes more of the answer."""
        self._wrote = text
        if self._at_once:
            self._withheld.append(text)
        else:
            print(text, end="", flush=True)

    def break_off(self) -> None:
        """Ends the line of an answer that goes no further."""
        if self._wrote and not self._at_once:
            print(flush=True)

    def end(self) -> None:
        """Ends the answer."""
        print(*self._withheld, sep="", end="", flush=True)
        if not self._wrote.endswith("\n"):
            print(flush=True)


def _write_end(
    settings: Settings, completion: Completion | None, citations: Sequence[Citation], first_s: float
) -> None:
    if sources := plain_list(shown_sources(citations)):
        print(f"\n{sources}", flush=True)
    if completion is not None:
        usage = completion.usage
        cost_usd = model_prices(settings).cost_usd(completion.model, usage, time.time()) if usage else None
        name = settings.model_names.of(completion.model)
        print(logs.line(summary(name, completion, first_s, cost_usd), is_error=False), file=sys.stderr)


def summary(model_name: str, completion: Completion, first_s: float, cost_usd: float | None) -> str:
    """Returns one line: model, searches, tokens, time to the first token, cost."""
    usage = completion.usage
    tokens = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out" if usage else "tokens unknown"
    price = "price unknown" if cost_usd is None else f"${cost_usd:.6f}"
    searched = texts.answers.work_done(usage.web_searches if usage else 0, 0)
    delay = f"first token after {first_s:.2f} s"
    return " · ".join(filter(None, (model_name, searched, tokens, delay, price)))


SUBCOMMAND = Subcommand(
    "answer one question in the terminal",
    "Answers one question in the terminal. Piped text is appended to the question. "
    "With BOT_WEB_SEARCH the model may search the web, and its sources are listed below the answer.",
    run,
    add_arguments,
)
