"""`typist audit`: exports who asked, approved, changed and erased what, and verifies an export."""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot import logs, settings
from bot.core import audit
from bot.core.audit import NO_HASH, Verified
from bot.errors import SettingsError

HELP = "export who asked, approved, changed and erased what; verify an export"
DESCRIPTION = (
    "export prints questions, answers, calls of tools, decisions, changed settings and erasures, without their texts. "
    "verify checks that nothing in an export as JSON was changed, inserted or left out; it needs no database."
)
EXPORT, VERIFY = "export", "verify"
EXIT_BROKEN = 1
PAGE = 500
STDIN = "-"
_HASH = re.compile("[0-9a-f]{64}")

_DETAILS_LEFT_OUT = {"no", "at", "kind", "team", "job", "user", "by", "channel", "thread", "ts", "previous", "hash"}
_DETAILS_LEFT_OUT |= {"user_salt", "user_digest", "by_salt", "by_digest", "arguments_sha256", audit.TEXTS}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the two actions with their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="export|verify")
    export = actions.add_parser(EXPORT, help="print the entries as a table or as JSON")
    export.add_argument("--since", metavar="TIME", help="2026-11-20 or 2026-11-20T08:00, in UTC (default: all)")
    export.add_argument("--json", action="store_true", help="print one line of JSON for each entry, as verify needs it")
    export.add_argument("--texts", action="store_true", help="with --json: add the texts that are still stored")
    verify = actions.add_parser(VERIFY, help="check an export as JSON")
    verify.add_argument("file", help="the export, or - for standard input")
    verify.add_argument("--hash", help="a hash that was kept elsewhere: the export must have it")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Exports or verifies, and returns the exit code. Raises StoreError, SettingsError, AuditBroken."""
    if options.action == VERIFY:
        # Without the settings: it is for another machine.
        return _verify(options.file, NO_HASH if options.hash is None else parse_hash(options.hash))
    ours = settings.read(env)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    if options.texts and not options.json:
        raise SettingsError(["--texts needs --json."])
    since = parse_since(options.since) if options.since else 0.0
    nothing = asyncio.run(_export(ours.database_url, since, as_json=options.json, texts=options.texts))
    if nothing:
        print(nothing, file=sys.stderr)
    return 0


def parse_since(text: str) -> float:
    """Returns the time that --since names, in seconds since 1970: in UTC, unless it has an offset.

    Raises SettingsError.
    """
    try:
        time_named = datetime.fromisoformat(text)
        return (time_named if time_named.tzinfo else time_named.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise SettingsError(
            [f"--since must be a day such as 2026-11-20, or a time such as 2026-11-20T08:00, not {text}."]
        ) from None


def parse_hash(text: str) -> str:
    """Returns the hash that --hash names. Raises SettingsError.

    A script whose variable is empty would otherwise verify without one.
    """
    if not _HASH.fullmatch(text):
        raise SettingsError([f"--hash must be a hash as export prints it, of 64 digits and letters, not {text!r}."])
    return text


async def _export(database_url: str, since: float, *, as_json: bool, texts: bool) -> str:
    """Prints the entries; returns why there are none, if so."""
    from bot.clock import SystemClock
    from bot.store.audit import Audit
    from bot.store.database import Database
    from bot.store.engine import connected
    from bot.store.migrate import migrate, nothing_recorded

    async with connected(database_url) as engine:
        if nothing := await nothing_recorded(engine):
            return nothing
        await migrate(engine)
        entries = Audit(Database(engine, SystemClock()))
        await entries.seal()
        newest, newest_hash = await entries.newest()
        first = await entries.first_since(since)
        if first is None:
            return "No audit entries" + (f" since {audit.time_text(since)}." if since else ".")
        print_entry = _print_json if as_json else _print_row
        if not as_json:
            print(f"{'entry':>7}  {'time (UTC)':19}  {'kind':8}  {'user':11}  {'channel':11}  {'by':11}  details")
        number = first
        while number <= newest:
            # Retention may remove the next ones meanwhile.
            page = await entries.page(number, min(PAGE, newest - number + 1), texts=texts)
            for line in page:
                print_entry(line)
            number = page[-1]["no"] + 1 if page else newest + 1
    _say_newest(first, newest, newest_hash)
    return ""


def _say_newest(first: int, newest: int, newest_hash: str) -> None:
    print(
        f"{_numbers(first, newest).capitalize()}. Newest hash: {newest_hash}\n"
        "Keep this hash where nobody can change it together with the database. A later export must still have it: "
        "typist audit verify FILE --hash HASH",
        file=sys.stderr,
    )


def _print_json(line: Mapping[str, Any]) -> None:
    print(audit.written(line))


def _print_row(line: Mapping[str, Any]) -> None:
    at = f"{line['at'][:10]} {line['at'][11:19]}"
    who = "  ".join(f"{_cell(line.get(name, '-')):11}" for name in ("user", "channel", "by"))
    details = " ".join(f"{name}={_cell(line[name])}" for name in line if name not in _DETAILS_LEFT_OUT)
    print(f"{line['no']:>7}  {at}  {line['kind']:8}  {who}  {details}".rstrip())


def _cell(value: Any) -> str:
    """Returns a value as one word, in ASCII: what a terminal would hide or obey shows as an escape."""
    is_word = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value and value
    return str(value) if is_word else audit.canonical(value)


def _verify(file: str, kept_hash: str) -> int:
    verified = audit.verify(_lines(file), kept_hash)
    if not verified.entries:
        print(f"typist: {_name(file)} has no entries.", file=sys.stderr)
        return EXIT_BROKEN
    print(_found(verified))
    if kept_hash != NO_HASH and not verified.has_kept_hash:
        print(
            f"typist: No entry has the hash {kept_hash}. Either this export begins later or ends earlier, or the "
            "entries in the database were replaced.",
            file=sys.stderr,
        )
        return EXIT_BROKEN
    return 0


def _found(verified: Verified) -> str:
    first, last = verified.first, verified.last
    times = f"from {_cell(first['at'])} to {_cell(last['at'])}" if verified.entries > 1 else f"of {_cell(first['at'])}"
    sentences = [
        f"Nothing was changed, inserted or left out in {_numbers(first['no'], last['no'])}, {times}.",
    ]
    if first["no"] > 1:
        sentences.append(f"Entries before {first['no']:,} are not in this export.")
    if verified.erased:
        entries = "1 entry" if verified.erased == 1 else f"{verified.erased:,} entries"
        sentences.append(f"Names were erased from {entries}.")
    return "\n".join([*sentences, f"Newest hash: {last['hash']}"])


def _numbers(first: int, last: int) -> str:
    return f"entry {first:,}" if first == last else f"entries {first:,} to {last:,}"


def _lines(file: str) -> Iterator[str]:
    """Yields a file's lines without their ends. Raises SettingsError."""
    with ExitStack() as stack:
        try:
            lines: Iterable[bytes] = sys.stdin.buffer if file == STDIN else stack.enter_context(Path(file).open("rb"))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise SettingsError([f"{file} can't be read: {reason}."]) from None
        for line in lines:
            # Typist writes ASCII, so anything else is a change.
            yield line.removesuffix(b"\n").decode("ascii", "replace")


def _name(file: str) -> str:
    return "Standard input" if file == STDIN else file
