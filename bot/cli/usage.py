"""`typist usage`: answers, tokens, costs and feedback, as a table or CSV."""

import argparse
import asyncio
import csv
import re
import sys
import time
from collections.abc import Mapping

from bot import logs, settings
from bot.cli import Subcommand
from bot.cli.names import names_of
from bot.core.caps import DAY_S, day_of, format_day, parse_day
from bot.core.usage import FAILURES, DownReason, GroupBy, UsageLine, UsageReport
from bot.errors import SettingsError

_HEADINGS = ("questions", "answers", "input", "output", "searches", "USD", "first token", "failures", "+1", "-1")
_REASON_HEADINGS = {DownReason.WRONG: "wrong", DownReason.TOO_LONG: "too long", DownReason.NOT_MEANT: "not meant"}
_COLUMNS = (
    "answers",
    "input_tokens",
    "output_tokens",
    "web_searches",
    "cost_usd",
    "unpriced_tokens",
    "median_first_token_s",
    "failures",
    "thumbs_up",
    "thumbs_down",
)


def _add_usage_arguments(parser: argparse.ArgumentParser) -> None:
    groups = ["day", "week", "user", "channel", "model"]
    help_by = "one line per day, week, … (default: day); weeks are counted in seven-day steps from --since"
    parser.add_argument("--by", choices=groups, default="day", help=help_by)
    parser.add_argument(
        "--since", metavar="DATE", help="first day in UTC: 2026-11-20, yesterday, or 7d (default: 30 days ago)"
    )
    parser.add_argument("--csv", action="store_true", help="print CSV for a spreadsheet, with more columns")


def _report_usage(env: Mapping[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    logs.set_up(ours.log_level, ours.log_format)
    since = parse_usage_start(options.since)
    report, nothing = asyncio.run(_report(ours.database_url, options.by, since))
    has_ids = not options.csv and report.group_by in ("user", "channel")
    names = asyncio.run(names_of(ours, report.sorted_lines())) if has_ids else {}
    if options.csv:
        _print_csv(report)
    elif nothing:
        print(nothing)
    elif not report.lines:
        print(f"No answers since {format_day(since)}.")
    else:
        _print_table(report, since, names)
    return 0


def parse_usage_start(text: str | None) -> int:
    """Parses --since into days since 1970 in UTC. Raises SettingsError."""
    if text is None:
        return day_of(time.time()) - 30
    if (day := parse_relative_day(text)) is not None:
        return day
    try:
        return parse_day(text)
    except ValueError:
        raise SettingsError([f"--since must be a day such as 2026-11-20, yesterday or 7d, not {text}."]) from None


def parse_relative_day(text: str) -> int | None:
    """Parses today, yesterday, or 7d for seven days ago. Returns days since 1970 in UTC, or None for other text."""
    days = re.fullmatch(r"(\d{1,4})d", {"today": "0d", "yesterday": "1d"}.get(text, text), re.ASCII)
    return day_of(time.time()) - int(days[1]) if days else None


async def _report(database_url: str, by: GroupBy, since: int) -> tuple[UsageReport, str]:
    from bot.store.database import READS, connected, database_errors
    from bot.store.migrate import empty_database_problem, migrate
    from bot.store.replays import replay_usages
    from bot.store.usage import attempt_usages, thumbs

    report = UsageReport(by, since)
    async with connected(database_url) as engine:
        if nothing := await empty_database_problem(engine):
            return report, nothing
        await migrate(engine)
        with database_errors():
            async with engine.execution_options(**{READS: True}).begin() as connection:
                report.add_attempts(
                    await attempt_usages(connection, since * DAY_S), await thumbs(connection, since * DAY_S)
                )
                report.add_replays(await replay_usages(connection, since * DAY_S))
    return report, ""


def _print_csv(report: UsageReport) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    rows = [(key, _csv_cells(line)) for key, line in report.sorted_lines().items()]
    writer.writerow([report.group_by, *_csv_cells(UsageLine())])
    writer.writerows([key, *cells.values()] for key, cells in rows)


def _csv_cells(line: UsageLine) -> Mapping[str, object]:
    """Returns a line's CSV cells, by column. Add new columns at the end, because scripts might rely on their order."""
    return {
        **{name: getattr(line, name) for name in _COLUMNS},
        "cost_usd": f"{line.cost_usd:.6f}",
        "median_first_token_s": _format_seconds(line.median_first_token_s),
        **{reason: line.down_reasons[reason] for reason in DownReason},
        "questions": len(line.questions),
        "people": len(line.people),
        "stopped": line.stopped,
        "unanswered": line.unanswered,
        "slowest_first_token_s": _format_seconds(line.slowest_first_token_s),
        **{f"failed_{reason}": line.failed[reason] for reason in FAILURES},
        "replay_usd": f"{line.replay_usd:.6f}",
    }


def _print_table(report: UsageReport, since: int, names: Mapping[str, str]) -> None:
    rows: list[tuple[str, ...]] = [(report.group_by, *_HEADINGS, *_REASON_HEADINGS.values())]
    rows += [(f"{key} {names.get(key, '')}".rstrip(), *_cells(line)) for key, line in report.sorted_lines().items()]
    if len(report.lines) > 1:
        rows.append(("all", *_cells(report.total)))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    print(f"Since {format_day(since)} (days in UTC).")
    for row in rows:
        first, *numbers = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([first.strip().ljust(widths[0]), *numbers]))
    if report.total.unpriced_tokens:
        print(f"{report.total.unpriced_tokens:,} tokens have no known price and aren't included in USD.")
    if report.total.replay_usd:
        print(f"`typist replay` cost ${report.total.replay_usd:,.4f}, which isn't in the USD column.")


def _cells(line: UsageLine) -> tuple[str, ...]:
    numbers = (len(line.questions), line.answers, line.input_tokens, line.output_tokens, line.web_searches)
    return (
        *(f"{number:,}" for number in numbers),
        f"{line.cost_usd:,.2f}" if line.cost_usd >= 1 or not line.cost_usd else f"{line.cost_usd:.4f}",
        _format_seconds(line.median_first_token_s, " s") or "-",
        *(f"{number:,}" for number in (line.failures, line.thumbs_up, line.thumbs_down)),
        *(f"{line.down_reasons[reason]:,}" for reason in _REASON_HEADINGS),
    )


def _format_seconds(seconds: float | None, unit: str = "") -> str:
    return "" if seconds is None else f"{seconds:.2f}{unit}"


USAGE = Subcommand(
    "show answers, tokens and costs as a table",
    "Prints answers, tokens, costs, failures and feedback, by day, week, user, channel or model.",
    _report_usage,
    _add_usage_arguments,
)
