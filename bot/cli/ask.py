"""`typist ask`: streams the answer to one question in the terminal."""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bot import logs, settings
from bot.cli import EXIT_FAILED, Subcommand
from bot.cli.terminal import print_note
from bot.core import files, texts
from bot.core.conversation import File, Question, ThreadKey, escape
from bot.core.job import NoticeKind
from bot.core.prompt import NOW, time_text
from bot.core.texts.files import Unread
from bot.errors import EndReason, SettingsError
from bot.models.events import Completion
from bot.reply.sources import plain_list, shown_sources
from bot.settings import Settings, model_prices, model_setup, parse_model_option, system_prompt_in_use
from bot.text import without_controls

PATIENCE_S = 7.0
"""Time limit for retries. It is shorter than in Slack, because people see the failure and can ask again."""
HISTORY_TOKENS = 10_000_000
"""Large enough that a file is cut only if it exceeds the model's window."""
_PATH = re.compile(r"(?:~|\.\.?)/\S*|/[^/\s]+/\S+")
"""Matches a word that can only be a path, even if the file doesn't exist."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", nargs="*", help="the question and any files to read; you can also pipe in text")
    parser.add_argument("--model", help="model to use instead of BOT_MODELS, as vendor/model")
    parser.add_argument("--no-stream", action="store_true", help="print the answer once it is complete")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    if options.model is not None:
        env = {**env, "BOT_MODELS": ",".join(parse_model_option(options.model))}
    ours = settings.read(env, needs_model=True)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    read = {word: content for word in options.question if (content := _file_content(word)) is not None}
    given = os.fsencode(" ".join(word for word in options.question if word not in read))
    piped = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    # Decoded here regardless of the terminal's encoding, because vendors expect UTF-8.
    parts = (text.decode("utf-8-sig", errors="replace").strip() for text in (given, piped))
    question = "\n\n".join(filter(None, parts))
    if not (question or read):
        raise SettingsError(['No question given. Try: typist ask "your question"'])
    return asyncio.run(_ask(ours, question, read, at_end=options.no_stream))


def _file_content(word: str) -> bytes | None:
    try:
        with open(os.path.expanduser(word), "rb") as file:
            return file.read(files.MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        is_named = word.split() == [word] and files.has_document_name(word)
        if not (is_named or _PATH.fullmatch(word) or os.path.isfile(word)):
            return None
        # A name that is part of the question's text is quoted with the question.
        fix = " If you only mean its name, put the whole question in quotes." if is_named else ""
        raise SettingsError([f"{word}: {os.strerror(getattr(error, 'errno', None) or 0)}.{fix}"]) from None


async def _read_files(contents: Mapping[str, bytes]) -> list[files.OpenedFile]:
    wanted, unread = files.choose_files(File(path, Path(path).name) for path in contents)
    opened = list(unread.values())
    if wanted:
        # Imported here because it loads Slack's libraries.
        from bot.slack.files import FileContents

        print_note(f"Reading {', '.join(file.name for file in wanted)}.")
        for file in wanted:
            is_too_big = len(contents[file.id]) > files.MAX_FILE_BYTES
            read = Unread.TOO_BIG if is_too_big else await FileContents().convert(file, contents[file.id], "")
            opened.append(files.OpenedFile(file, read))
    if unreadable := [file for file in opened if isinstance(file.content, Unread)]:
        raise SettingsError([files.unread_notice(unreadable)])
    return opened


async def _ask(settings: Settings, question: str, contents: Mapping[str, bytes], *, at_end: bool) -> int:
    # Imported here because they load the model clients.
    from bot.cli.terminal_output import TerminalOutput
    from bot.models.registry import open_models
    from bot.services.prompt_builder import PromptSettings
    from bot.services.standalone import InMemoryConversation, UnlimitedSpending, answer

    opened, now = await _read_files(contents), datetime.now().astimezone()
    ts = f"{now.timestamp():.6f}"
    asked = Question(ThreadKey("T", "D", ts), ts, "U", escape(question), tuple(file.file for file in opened))
    facts = [NOW.format(now=time_text(now, now.tzname() or ""))]
    conversation = InMemoryConversation(opened={file.file.id: file for file in opened}, facts=facts)
    spending, terminal = UnlimitedSpending(model_prices(settings)), TerminalOutput(at_end=at_end)
    prompts = PromptSettings(system_prompt_in_use(settings), HISTORY_TOKENS, settings.web_search)
    async with open_models(model_setup(settings), patience_s=PATIENCE_S) as models:
        answered = await answer(asked, conversation, models, shown=terminal, spending=spending, settings=prompts)
    terminal.end(is_whole=answered.error is None)
    answered.raise_for_error()
    end, completion = answered.end, answered.completion
    if sources := plain_list(shown_sources(end.sources)):
        print(f"\n{without_controls(sources)}", flush=True)
    if completion is None:
        return 0
    name = settings.model_names.label(completion.model)
    cost_usd = spending.cost_usd(replace(end, usage=completion.usage))
    is_cut = end.reason is EndReason.LENGTH_LIMIT
    print_note(summary(name, completion, end.first_token_s or 0.0, cost_usd))
    for notice in reversed(end.notices):
        if notice.text and notice.kind is not NoticeKind.SENTENCE:
            print_note(notice.text)
    if not is_cut:
        return 0
    limit = min(filter(None, (settings.max_output_tokens, completion.max_output_tokens)))
    print_note(f"The answer was cut off at the limit of {limit:,} tokens (BOT_MAX_OUTPUT_TOKENS).")
    return EXIT_FAILED


def summary(model_name: str, completion: Completion, first_s: float, cost_usd: float | None) -> str:
    usage = completion.usage
    tokens = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out" if usage else "tokens unknown"
    standard = texts.answers.AT_STANDARD_PRICE if completion.unlisted_terms else ""
    price = "price unknown" if cost_usd is None else f"${cost_usd:.6f}{standard}"
    searched = texts.answers.work_summary(usage.web_searches if usage else 0, 0)
    delay = f"first token after {first_s:.2f} s"
    return " · ".join(filter(None, (model_name, searched, tokens, delay, price)))


SUBCOMMAND = Subcommand(
    "answer one question in the terminal",
    "Answers one question in the terminal. File names in the question are replaced with the files' contents, and "
    "piped text is appended to the question. With BOT_WEB_SEARCH, the model can search the web, and its sources are "
    "listed below the answer. Exits with 1 if the answer is cut off.",
    run,
    add_arguments,
)
