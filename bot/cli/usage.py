"""What was used, as a table: `python -m bot usage`."""

import csv
import sys
import time
from collections.abc import Mapping, Sequence

from bot.core.limits.caps import day_named, day_of, name_of
from bot.core.limits.usage import By, Report, UsageLine
from bot.errors import SettingsError
from bot.settings import Settings
from bot.store import usage_report
from bot.store.engine import READS, create_engine, database_errors
from bot.store.migrate import migrate

DAY_S = 86_400
USUAL_DAYS = 30

_HEADINGS = ("answers", "input", "output", "USD", "first token", "failures", "+1", "-1")
_COLUMNS = (
    "answers",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "unpriced_tokens",
    "median_first_token_s",
    "failures",
    "thumbs_up",
    "thumbs_down",
)


def since_of(text: str | None) -> int:
    """The day (of UTC, counted from 1970) that --since names. Raises SettingsError."""
    if text is None:
        return day_of(time.time()) - USUAL_DAYS
    try:
        return day_named(text)
    except ValueError:
        raise SettingsError([f"--since is a day such as 2026-11-20: not {text}"]) from None


async def show(settings: Settings, by: By, since: int, as_csv: bool) -> None:
    """Prints the report. Raises StoreError."""
    report = await _report(settings.database_url, by, since)
    if as_csv:
        _print_csv(report)
    elif not report.lines:
        print(f"Nothing was answered since {name_of(since)}.")
    else:
        _print_table(report, since)


async def _report(database_url: str, by: By, since: int) -> Report:
    engine = create_engine(database_url)
    report = Report(by)
    try:
        with database_errors():
            await migrate(engine)
            async with engine.execution_options(**{READS: True}).begin() as connection:
                report.add(
                    await usage_report.uses(connection, since * DAY_S),
                    await usage_report.thumbs(connection, since * DAY_S),
                )
    finally:
        await engine.dispose()
    return report


def _print_csv(report: Report) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([report.by.value, *_COLUMNS])
    for key, line in report.sorted().items():
        values: Mapping[str, object] = {name: getattr(line, name) for name in _COLUMNS}
        cells = {**values, "cost_usd": f"{line.cost_usd:.6f}", "median_first_token_s": _first_token(line, "")}
        writer.writerow([key, *(cells[name] for name in _COLUMNS)])


def _print_table(report: Report, since: int) -> None:
    rows: list[tuple[str, ...]] = [(report.by.value, *_HEADINGS)]
    rows += [(key, *_cells(line)) for key, line in report.sorted().items()]
    if len(report.lines) > 1:
        rows.append(("all", *_cells(report.total)))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    print(f"Since {name_of(since)}, by days of UTC.")
    for row in rows:
        print(_aligned(row, widths))
    if report.total.unpriced_tokens:
        print(f"{report.total.unpriced_tokens:,} tokens of models without a price are not in the dollars.")


def _cells(line: UsageLine) -> tuple[str, ...]:
    numbers = (line.answers, line.input_tokens, line.output_tokens)
    return (
        *(f"{number:,}" for number in numbers),
        f"{line.cost_usd:,.2f}" if line.cost_usd >= 1 or not line.cost_usd else f"{line.cost_usd:.4f}",
        _first_token(line, "s") or "-",
        *(f"{number:,}" for number in (line.failures, line.thumbs_up, line.thumbs_down)),
    )


def _first_token(line: UsageLine, unit: str) -> str:
    return "" if line.median_first_token_s is None else f"{line.median_first_token_s:.2f}{unit and ' ' + unit}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join([first.strip().ljust(widths[0]), *numbers])
