"""The sentences that people read in Slack: each keeps to the rules of their module."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import date
from inspect import isfunction, signature
from itertools import chain
from pathlib import Path
from random import Random
from types import FunctionType, ModuleType
from typing import Any, get_type_hints

import pytest
from cronsim import CronSimError

from bot.core import texts
from bot.core.texts.access import Denial
from bot.core.texts.files import Unread
from bot.core.texts.settings import Words
from bot.errors import EndReason, NotShown, ProviderError, StoreError
from tests.ugly import DAYS, NAMES, NOTHING, NUMBERS, TIMES

ROOT = Path(__file__).parents[2]
FEATURES = [value for value in vars(texts).values() if isinstance(value, ModuleType)]
CONSTANTS = {
    f"{module.__name__}.{name}": value
    for module in FEATURES
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str) and name[0] != "_"
}
CHECK_REPORT = (ROOT / "tests" / "scenarios" / "check_report.md").read_text()
CHECKED = re.findall(r"^\| .+? \| [✔✘⚠–] \| (.+?) \| (.*?) ?\|$", CHECK_REPORT, re.MULTILINE)
"""What `typist check` says of each fault, and the remedy."""
SENTENCES = {
    **{name: text for name, text in CONSTANTS.items() if text.endswith(".")},
    **{f"failure {failure}": texts.models.model_failure(failure, "test") for failure in texts.models.MODEL_FAILURES},
    **{f"denial {denial.name}": denial.value for denial in Denial},
    "quota not a number": texts.quotas.quota_not_a_number(in_dollars=True),
    "quota needs prices": texts.quotas.quota_needs_prices(["own/model"]),
    "quota used up": texts.quotas.quota_used_up(
        texts.quotas.quota("user", texts.quotas.tokens(1_000), "day"), 1_795_219_200.0
    ),
    "prompt too long": texts.settings.prompt_too_long(2_001, 2_000),
}
NOT_OURS = re.compile(
    r"\b(in line|whoever|at once|have no quota|somebody else|all the same|do without|went by|go by)\b", re.I
)
"""Words that the bot doesn't use, besides those that nothing uses (tests/prose.py)."""
WORDS: dict[Any, Sequence[Any]] = {
    str: ["", *NAMES],
    str | None: [*NOTHING, *NAMES],
    int: NUMBERS,
    float: NUMBERS,
    float | None: [None, *NUMBERS],
    bool: [False, True],
    bool | None: [None, False, True],
    date: DAYS,
    date | None: [None, *DAYS],
    Sequence[str]: [[], NAMES[:1], NAMES],
    Sequence[int]: [[], NUMBERS[:1], NUMBERS],
}
"""Ugly values for what sentences are made of, by type."""
BY_NAME: dict[str, Sequence[Any]] = {
    "ts": TIMES,
    "cron": ["", "0 9 * * 1", "30 7 * * *"],
    "at": ["", "2026-11-21 09:00", "2027-01-03 17:30"],
    "zone": ["UTC", "Europe/Berlin", "Asia/Kolkata"],
    "sentence": ["Only your Typist admin can.", "Ask your Typist admin."],
}
"""Values for texts that have a form, by the argument's name."""
SAID = {
    f"{module.__name__.rpartition('.')[2]}.{name}, {argument}": (sentence, argument)
    for module in FEATURES
    for name, sentence in vars(module).items()
    if isfunction(sentence) and name[0] != "_" and sentence.__module__ == module.__name__
    for argument in signature(sentence).parameters
    if (types := get_type_hints(sentence)).pop("return") is not bool and set(types.values()) <= WORDS.keys()
}


def sentences_of(value: object) -> Iterator[str]:
    """Yields the texts in a constant, also those of its tables and fields."""
    if isinstance(value, Words):
        value = tuple(getattr(value, field.name) for field in fields(value))
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else ()
    yield from (value,) if isinstance(value, str) else (text for one in values for text in sentences_of(one))


def test_what_a_sentence_says_to_press_is_the_label_of_a_button() -> None:
    said = [text for module in FEATURES for value in vars(module).values() for text in sentences_of(value)]
    labels = [text for text in said if len(text) < 25 and not text.endswith(".")]
    pressed = [found[1] for text in said for found in re.finditer(r"\b[Pp]ress \*?([A-Z].*)", text)]
    assert len(pressed) > 20
    assert [words for words in pressed if not any(map(words.startswith, labels))] == []
    assert not [text for text in said if re.search(r"\buse the menu\b", text)]


@pytest.mark.parametrize("text", SENTENCES.values(), ids=SENTENCES.keys())
def test_sentence_uses_the_words_of_the_glossary(text: str) -> None:
    assert_is_plain(text)
    assert text[0].isupper() or text.startswith(("test ", "your answer", "`/typist"))


def assert_is_plain(text: str) -> None:
    assert not NOT_OURS.search(text)
    assert all(len(sentence.split()) <= 24 for sentence in re.split(r"(?<=[.!?:]) ", text))


def test_what_the_check_says_uses_the_words_of_the_glossary() -> None:
    assert len(CHECKED) > 100
    for text in chain.from_iterable(CHECKED):
        assert_is_plain(text)


@pytest.mark.parametrize(
    ("since", "is_day_of_question", "words"),
    [
        (date(2026, 11, 25), True, "read 8 messages from today"),
        (date(2026, 11, 24), True, "read 8 messages since yesterday"),
        (date(2026, 11, 23), True, "read 8 messages since Monday"),
        (date(2026, 11, 19), True, "read 8 messages since Thursday"),
        (date(2026, 11, 18), True, "read 8 messages since November 18"),
        (date(2025, 12, 30), True, "read 8 messages since December 30, 2025"),
        (date(2026, 11, 26), True, "read 8 messages since November 26"),
        (date(2026, 11, 25), False, "read 8 messages since November 25, 2026"),
    ],
)
def test_footer_names_a_near_day_as_people_do(since: date, is_day_of_question: bool, words: str) -> None:
    assert texts.answers.messages_read(8, since, date(2026, 11, 25) if is_day_of_question else None) == words


@pytest.mark.parametrize(
    ("in_the_reply", "in_the_status"),
    [
        (texts.answers.searching(""), texts.statuses.status_searching("")),
        (texts.answers.searching("Slack\nbots"), texts.statuses.status_searching("Slack\nbots")),
        ("Using notes: List…", texts.statuses.status_running("Using notes: List…")),
    ],
)
def test_reply_and_status_say_alike_what_the_model_does(in_the_reply: str, in_the_status: str) -> None:
    assert in_the_status.casefold() == f"is {in_the_reply}".casefold()
    assert in_the_status.endswith("…")


@pytest.mark.parametrize("failure", texts.models.MODEL_FAILURES)
def test_model_failure_names_the_model_and_says_what_to_do(failure: EndReason) -> None:
    sentence = texts.models.model_failure(failure, "test")
    assert "test" in sentence
    assert "openai" not in sentence
    assert re.search(r"Please|Ask your Typist admin", sentence)


@pytest.mark.parametrize(
    ("retry_after_s", "wait"),
    [
        (None, "a minute"),
        (3, "a minute"),
        (61, "2 minutes"),
        (7_100, "119 minutes"),
        (7_200, "2 hours"),
        (604_800, "7 days"),
    ],
)
def test_rate_limited_model_says_when_to_ask_again(retry_after_s: float | None, wait: str) -> None:
    error = ProviderError(EndReason.RATE_LIMITED, "openai/test", retry_after_s=retry_after_s)
    assert texts.models.error_text(error) == f"test has reached its rate limit. Please ask again in {wait}."


def test_error_that_ends_an_answer_has_a_sentence() -> None:
    assert texts.models.error_text(NotShown()) == texts.answers.NOT_SHOWN
    assert texts.models.error_text(StoreError("The database is away.")) == "The database is away."


@pytest.mark.parametrize("reason", Unread)
def test_reason_for_an_unread_file_fits_into_parentheses(reason: Unread) -> None:
    assert texts.files.files_not_read([texts.files.file_not_read("a.zip", reason.value)], 2) == (
        f"Not read: a.zip ({reason.value}), and 2 more."
    )
    assert not reason.value.endswith(".")


@pytest.mark.parametrize(("amount", "text"), [(500, "$500"), (0.5, "$0.50"), (0.001, "$0.001"), (1_234.5, "$1,234.50")])
def test_dollars_have_cents_only_if_there_are_any(amount: float, text: str) -> None:
    assert texts.quotas.dollars(amount) == text


@pytest.mark.parametrize(("cost_usd", "shown"), [(0.0049, ""), (0.0051, ", $0.01"), (1_234.5, ", $1,234.50")])
def test_cost_that_would_be_shown_as_nothing_is_left_out(cost_usd: float, shown: str) -> None:
    assert texts.quotas.amount(1_234, cost_usd) == f"1,234 tokens{shown}"


@pytest.mark.parametrize(("number", "words"), [(0, ""), (1, "1 call"), (2, "2 calls"), (1_234, "1,234 calls")])
def test_count_fits_its_noun(number: int, words: str) -> None:
    assert texts.words.count(number, "call", "calls") == words


@pytest.mark.parametrize(("most", "words"), [(1, "1 token"), (100_000, "100,000 tokens")])
def test_schedules_limit_fits_its_noun(most: int, words: str) -> None:
    assert words + " " in texts.schedules.schedule_used_up(most, in_day=False)


@pytest.mark.parametrize(
    ("names", "listed"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_names_in_a_sentence_have_one_and(names: list[str], listed: str) -> None:
    assert texts.words.listed(names) == listed
    assert texts.models.refused_features(names) == (
        f"answered without {listed}, which this model doesn't support" if names else ""
    )


@pytest.mark.parametrize("status", [texts.statuses.STATUS_THINKING, texts.statuses.STATUS_WRITING])
def test_status_has_no_comma_which_would_divide_it(status: str) -> None:
    assert "," not in status


def test_admins_are_named_where_there_are_any() -> None:
    assert texts.access.with_admins(texts.access.Denial.PERSON, []) == texts.access.Denial.PERSON
    assert texts.access.with_admins(texts.access.Denial.PERSON, ["<@U1>", "<@U2>"]).endswith("Ask <@U1> or <@U2>.")
    three = texts.access.with_admins(texts.access.Denial.PERSON, ["Ada", "Grace", "Alan"])
    assert three.endswith("Ask Ada, Grace or Alan.")


@pytest.mark.parametrize(
    "text", sorted(text for text in {*SENTENCES.values(), *CONSTANTS.values()} if "your Typist admin" in text)
)
def test_who_is_sent_to_an_admin_reads_whom_to_ask(text: str) -> None:
    named = texts.access.with_admins(text, ["Grace Hopper"])
    assert "Typist admin" not in named.replace("Only Typist admins", "")
    assert named.count("Grace Hopper") == text.count("your Typist admin")


def test_admins_read_the_settings_as_they_are() -> None:
    settings = texts.home.settings_for_admins(["openai/a", "anthropic/b"], ["#a", "@b"], 3_000, 5, 7)
    assert settings == {
        "Models": "openai/a, then anthropic/b",
        "Access": "#a, @b",
        "Longest answer": "3,000 tokens",
        "Concurrent answers per person": "5",
        "Questions and answers are kept for": "7 days",
    }


def values_for(sentence: FunctionType, argument: str) -> Sequence[Any]:
    """Returns values for an argument: of its type, and of the words that the function and its module's tables know."""
    type_ = get_type_hints(sentence)[argument]
    if argument in BY_NAME and type_ is not float:
        return BY_NAME[argument]
    if type_ not in (str, Sequence[str]):
        return WORDS[type_]
    tables = [table for name, table in sentence.__globals__.items() if name[:2] != "__" and isinstance(table, Mapping)]
    compared = [word for const in sentence.__code__.co_consts for word in (const if type(const) is tuple else [const])]
    known = (*compared, *(key for table in tables for key in table))
    words = [*WORDS[str], *(word for word in known if isinstance(word, str))]
    return words if type_ is str else [[], NAMES, *([word] for word in words)]


@pytest.mark.parametrize(("sentence", "argument"), SAID.values(), ids=SAID)
def test_each_argument_of_a_sentence_decides_what_it_says(sentence: FunctionType, argument: str) -> None:
    rng = Random(argument)
    values = {name: values_for(sentence, name) for name in signature(sentence).parameters}

    def said() -> Iterator[bool]:
        """Yields whether two values of the argument make two texts, beside any values of the others."""
        for _ in range(5_000):
            arguments = {name: rng.choice(some) for name, some in values.items()}
            # Not each text is a time, or a word of a table.
            with suppress(KeyError, ValueError, CronSimError):
                one, other = rng.sample(values[argument], 2)
                yield sentence(**arguments | {argument: one}) != sentence(**arguments | {argument: other})

    assert any(said())


# Sentences about a limit, up to which things are allowed.
LIMITS = {
    "a schedule's tokens": (texts.schedules.only_admins_allow_tokens(7), "at most 7."),
    "a schedule's task": (texts.schedules.schedule_words(7), "in up to 7 characters"),
    "a call's arguments": (texts.approvals.edited_too_long(7), "up to 7 characters"),
    "a prompt": (texts.settings.prompt_too_long(9, 7), "at most 7 characters. This prompt has 9 characters."),
    "a memory": (texts.memory.memory_too_long(9, 7), "9 characters, and I can remember at most 7"),
}


@pytest.mark.parametrize(("sentence", "said"), LIMITS.values(), ids=LIMITS)
def test_limit_is_said_as_what_is_allowed(sentence: str, said: str) -> None:
    assert said in sentence


def test_one_of_something_has_no_plural() -> None:
    days = texts.home.settings_for_admins([], [], max_output_tokens=1, concurrent=1, retention_days=1)
    assert texts.quotas.quota("user", texts.quotas.tokens(1), "day") == "your quota of 1 token per day"
    assert days["Questions and answers are kept for"] == "1 day"
