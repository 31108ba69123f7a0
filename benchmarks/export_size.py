"""Measures the time and memory needed to open a Slack export: `python -m benchmarks.export_size EXPORT.zip`.

Prints the seconds, the peak memory of the process and its helper processes, what was read, and the time for a search
and for the first page of the largest channel. `--messages` and `--channels` are the expected counts; other counts are
an error. `--make` first writes an export of that size. Its invented words are as unevenly distributed as those of a
language, and its messages are as long as those that people write.

Exits with 1 if opening takes more than 60 s or 1 GB, a page takes more than 0.3 s, or a count differs.
"""

import argparse
import asyncio
import json
import random
import resource
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from slack_sandbox.export.opened import Export, open_export
from slack_sandbox.server import Sandbox
from slack_sandbox.text.words import words_of

WITHIN_S, WITHIN_MB, PAGE_WITHIN_S = 60.0, 1_000, 0.3
_DAYS, _PEOPLE = 21, 12
_SEARCHED_WORDS = 8
_START_S = 1_791_158_400
_DAY_S = 86_400
_WORDS = 300_000
"""How many different words people use, apart from numbers and names that stand in one message only."""
_MEDIAN_WORDS = 9
_MAX_WORDS = 400
_SYLLABLES = [first + second for first in "bdfgklmnprst" for second in ("a", "e", "i", "o", "u", "en", "ar")]
_ONCE = 0.1
"""How many messages have a word of their own, such as a ticket's number."""


def text_of(chance: random.Random) -> str:
    """Returns a text. Its words are as unevenly rare as in a language: 100 of them are more than half of all text."""
    count = min(_MAX_WORDS, int(_MEDIAN_WORDS * chance.lognormvariate(0, 0.9)) + 1)
    words = [_word(int(_WORDS ** chance.random() ** 2)) for _ in range(count)]
    return " ".join([*words, f"ticket {chance.randrange(10**9)}"] if chance.random() < _ONCE else words)


def _word(rank: int) -> str:
    """Returns an invented word, shorter for lower ranks."""
    syllables = ""
    while rank:
        rank, at = divmod(rank, len(_SYLLABLES))
        syllables += _SYLLABLES[at]
    return syllables


def entries_of(folder: str, messages: int) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yields the days of a channel with so many messages, a third of them in threads."""
    chance, roots = random.Random(folder), [""]
    for day in range(_DAYS):
        entries: list[Mapping[str, Any]] = []
        count = messages // _DAYS + (day < messages % _DAYS)
        for number in range(count):
            at_s = _START_S + day * _DAY_S + number * _DAY_S // max(1, count)
            text = text_of(chance)
            user = f"U07PERSON{chance.randrange(_PEOPLE):02d}"
            profile = {"real_name": user, "display_name": "", "avatar_hash": "0" * 12, "image_72": "", "team": "T07"}
            block = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
            entry: dict[str, Any] = {
                "type": "message",
                "user": user,
                "text": text,
                "ts": f"{at_s}.{number:06d}",
                "team": "T07",
            }
            entry |= {"client_msg_id": f"{chance.randrange(2**64):032x}", "user_profile": profile}
            entry["blocks"] = [{"type": "rich_text", "elements": [block]}]
            if chance.random() < 1 / 3 and roots[-1]:
                entry["thread_ts"] = roots[-1]
            else:
                roots.append(str(entry["ts"]))
            entries.append(entry)
        if entries:
            yield time.strftime("%Y-%m-%d.json", time.gmtime(_START_S + day * _DAY_S)), entries


def make(path: Path, channels: int, messages: int) -> None:
    """Writes an export of this size."""
    people = [f"U07PERSON{number:02d}" for number in range(_PEOPLE)]
    names = [f"team-{number:05d}" for number in range(channels)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        users = [
            {"id": user, "team_id": "T07", "name": user.lower(), "profile": {"real_name": user}} for user in people
        ]
        listed = [{"id": f"C07{number:06d}", "name": name, "members": people} for number, name in enumerate(names)]
        archive.writestr("users.json", json.dumps(users))
        archive.writestr("channels.json", json.dumps(listed))
        for number, name in enumerate(names):
            for day, entries in entries_of(name, messages // channels + (number < messages % channels)):
                archive.writestr(f"{name}/{day}", json.dumps(entries, indent=1))


def cpu_s() -> float:
    """Returns the CPU time of this process and of those that it waited for."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def memory_mb() -> int:
    """Returns the most memory that this process had, and twice the most that one that it waited for had."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own, of_a_child = (usage.ru_maxrss // 1024 for usage in usages)
    return int(own + 2 * of_a_child)


def search_s(export: Export, text: str) -> float:
    """Returns how long a search for some words of a text takes."""
    words = words_of(text)[:_SEARCHED_WORDS]
    began = time.monotonic()
    found = export.words.scores(words, lambda number: True)
    print(f"{' '.join(words)}: {len(found):,} messages have some of them")
    return time.monotonic() - began


async def first_page_s(export: Export, channel: str) -> float:
    """Returns how long the page waits for the newest messages of a channel that nobody has opened yet."""
    async with Sandbox(export=export, keep_revisions=False) as sandbox, aiohttp.ClientSession() as session:
        began = time.monotonic()
        async with session.get(f"{sandbox.url}/sandbox/state") as response:
            size = len(await response.read())
        print(f"the page's state: {time.monotonic() - began:.2f} s, {size / 1e6:.1f} MB")
        began = time.monotonic()
        async with session.get(f"{sandbox.url}/sandbox/messages", params={"channel": channel}) as response:
            await response.read()
        return time.monotonic() - began


def measure(path: Path, wanted: Mapping[str, int | None]) -> list[str]:
    """Opens an export and returns the targets that it misses."""
    began = time.monotonic()
    export = open_export(path)
    took_s = time.monotonic() - began
    memory, cpu = memory_mb(), cpu_s()
    print(*export.report.lines(), sep="\n")
    print(f"opened in {took_s:.1f} s, with {cpu:.1f} s of CPU time and {memory} MB")
    fullest = max(export.indexes, key=lambda channel: len(export.indexes[channel]))
    first_search_s, second_search_s = (search_s(export, export.load_message(fullest, at).text) for at in (0, -1))
    print(f"a search: {second_search_s:.2f} s; the first one {first_search_s:.2f} s")
    page_s = asyncio.run(first_page_s(export, fullest))
    print(f"first page of a channel with {len(export.indexes[fullest]):,} messages: {page_s:.3f} s")
    read = {"messages": export.report.messages, "channels": len(export.channels)}
    misses = [f"{read[key]:,} {key}, not {count:,}" for key, count in wanted.items() if count not in (None, read[key])]
    misses += [f"opened in {took_s:.1f} s"] if took_s > WITHIN_S else []
    misses += [f"took {memory} MB"] if memory > WITHIN_MB else []
    return misses + ([f"first page in {page_s:.2f} s"] if page_s > PAGE_WITHIN_S else [])


def main() -> int:
    """Runs the benchmark and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--messages", type=int)
    parser.add_argument("--channels", type=int)
    parser.add_argument("--make", action="store_true")
    options = parser.parse_args()
    if options.make:
        make(options.export, options.channels or 50, options.messages or 20_000)
    misses = measure(options.export, {"messages": options.messages, "channels": options.channels})
    print(*(f"MISSED: {miss}" for miss in misses), sep="\n")
    return int(bool(misses))


if __name__ == "__main__":
    sys.exit(main())
