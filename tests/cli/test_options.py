"""What the options of commands name, on a machine in any time zone, and what `typist forget` says it deletes."""

import time
from collections.abc import Iterator

import pytest

from bot.cli.audit import parse_audit_start
from bot.cli.forget import ErasureTarget, deletion_sentence, parse_thread
from bot.cli.usage import parse_usage_start
from bot.core.caps import DAY_S, day_of
from bot.core.conversation import ThreadKey
from bot.errors import SettingsError
from bot.store.erasure import nouns


@pytest.fixture(params=["Asia/Tokyo", "America/New_York"], autouse=True)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


EIGHT_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15", EIGHT_S - 8 * 3_600),
        ("2027-01-15T08:00", EIGHT_S),
        ("2027-01-15T08:00:00.5", EIGHT_S + 0.5),
        ("2027-01-15T08:00Z", EIGHT_S),
        ("2027-01-15T10:30+02:30", EIGHT_S),
        ("1970-01-01T00:00:01", 1.0),
        ("1969-12-31", 0.0),
        ("0001-01-01T00:00+14:00", 0.0),
    ],
)
def test_audit_begins_at_a_time_of_utc_unless_it_has_an_offset(text: str, seconds: float) -> None:
    assert parse_audit_start(text) == seconds


def test_usage_begins_at_a_day_of_utc_or_thirty_days_ago() -> None:
    assert parse_usage_start("2027-01-15") * DAY_S == EIGHT_S - 8 * 3_600
    today = day_of(time.time())
    assert today <= parse_usage_start(None) + 30 <= today + 1


@pytest.mark.parametrize(("text", "ago"), [("today", 0), ("yesterday", 1), ("7d", 7), ("0030d", 30)])
def test_every_command_counts_days_back_from_today(text: str, ago: int) -> None:
    today = day_of(time.time())
    for day in (parse_usage_start(text), parse_audit_start(text) / DAY_S):
        assert today <= day + ago <= today + 1


@pytest.mark.parametrize("text", ["", "tomorrow", "2027-13-01", "15.01.2027", "-1d", "99999d", "٣d"])
def test_what_is_no_day_is_refused(text: str) -> None:
    for read in (parse_audit_start, parse_usage_start):
        with pytest.raises(SettingsError, match="--since must be a day such as 2026-11-20"):
            read(text)


LINK = "https://typist.slack.com/archives"


@pytest.mark.parametrize(
    ("text", "thread"),
    [
        ("C0A/1.5", ThreadKey("", "C0A", "1.5")),
        ("T0A/C0A/1.5", ThreadKey("T0A", "C0A", "1.5")),
        ("E0A/G0A/1.5", ThreadKey("E0A", "G0A", "1.5")),
        ("D0A/root", ThreadKey("", "D0A", None)),
        (f"{LINK}/C0A/p1700000000000100", ThreadKey("", "C0A", "1700000000.000100")),
        (
            f"{LINK}/C0A/p1700000000000100?thread_ts=1600000000.000200&cid=C0A",
            ThreadKey("", "C0A", "1600000000.000200"),
        ),
        (f"{LINK}/D0A/p1700000000000100", ThreadKey("", "D0A", None)),
        (
            f"{LINK}/D0A/p1700000000000100?thread_ts=1600000000.000200&cid=D0A",
            ThreadKey("", "D0A", "1600000000.000200"),
        ),
    ],
)
def test_thread_is_named_as_in_the_log_or_by_a_messages_link(text: str, thread: ThreadKey) -> None:
    assert parse_thread(text) == thread


@pytest.mark.parametrize("text", ["", "C0A", "C0A/", "C0A/1", "U0A/C0A/1.5", "X0A/1.5", "C0A/1.5/", LINK])
def test_what_names_no_thread_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--thread must be"):
        parse_thread(text)


ALL_NOUNS = "questions and their answers, memories, schedules, sign-ins to servers, settings of direct messages"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (ErasureTarget("U1", None), f"all data ({ALL_NOUNS}) of U1"),
        (
            ErasureTarget(None, ThreadKey("", "C1", "1.5")),
            "all data (questions and their answers, memories) in C1/1.5",
        ),
        (
            ErasureTarget(None, ThreadKey("T1", "D1", None)),
            "all data (questions and their answers, memories) in T1/D1/root",
        ),
        (ErasureTarget(None, None), f"ALL data ({ALL_NOUNS}) of everyone"),
    ],
)
def test_confirmation_names_what_is_deleted(target: ErasureTarget, words: str) -> None:
    assert str(target) == words


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((0, 0, 0, 0, 0), ""),
        ((1, 0, 0, 0, 1), "1 question and its answer, 1 setting of a direct message"),
        ((0, 1, 2, 1, 0), "1 memory, 2 schedules, 1 sign-in to a server"),
        (
            (1_009, 2, 1, 2, 2),
            "1,009 questions and their answers, 2 memories, 1 schedule, 2 sign-ins to servers, "
            "2 settings of direct messages",
        ),
    ],
)
def test_what_was_deleted_is_counted_by_kind(counts: tuple[int, ...], said: str) -> None:
    assert deletion_sentence(dict(zip(nouns(of_thread=False), counts, strict=True))) == said
