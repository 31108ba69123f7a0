"""benchmarks.engagement: its figures, its forms of output, and that it decides as intake does."""

import json
import random
from pathlib import Path

import pytest

import benchmarks
from benchmarks.engagement import ME, Spoken, main, read, taken
from bot.core.conversation import Message
from bot.core.triage import Engagement, TriageRules
from bot.store import Stores
from tests.services.intake import IntakeStage, asked_ts

pytestmark = pytest.mark.wide

CONVERSATIONS = [
    [
        ("P1", "where are the logs?", None),
        ("BOT", "@P1: in /var/log", None),
        ("P1", "and the old ones?", True),
        ("P2", "I'd like to know, too", True),
        ("P1", "@P2 try ls", False),
        ("BOT", "@P2 in /var/log/archive", None),
        ("P2", "thanks", True),
        ("P1", "lunch?", False),
        ("P1", "@BOT and on the Mac?", None),
        ("P1", "I mean version 15", True),
    ],
    [
        ("P1", "it fails", None),
        ("BOT", "how?", None),
        ("P1", "with a 500 < 600", True),
        ("P1", "never mind, it was me", False),
    ],
]


def written(path: Path, text: str | None = None) -> str:
    file = path / "conversations.jsonl"
    named = [
        {
            "thread": number,
            "lines": [
                {"by": by, "minute": 0, "text": words, **({} if to_bot is None else {"to_bot": to_bot})}
                for by, words, to_bot in lines
            ],
        }
        for number, lines in enumerate(CONVERSATIONS)
    ]
    file.write_text("".join(json.dumps(one) + "\n" for one in named) if text is None else text)
    return str(file)


def test_figures_of_each_mode_are_one_line_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 5 lines spoken to the bot, follow-ups takes 3 with 1 that wasn't; everyone takes 4 with 2 that weren't."""
    assert main([written(tmp_path), "--json"]) == 1, "60% is below the target"
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "mentions": {"precision": 100.0, "recall": 0.0},
        "follow-ups": {"precision": 75.0, "recall": 60.0},
        "everyone": {"precision": 66.7, "recall": 80.0},
        "two people": {"precision": 66.7, "recall": 40.0},
        "closings answered": {"precision": 80.0, "recall": 80.0},
    }


def test_figures_are_a_table_without_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([written(tmp_path)])
    assert [line.split()[-2:] for line in capsys.readouterr().out.splitlines()][:3] == [
        ["precision", "recall"],
        ["100.0", "0.0"],
        ["75.0", "60.0"],
    ]


def test_labeled_closings_stay_unanswered_and_no_labeled_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(Path(benchmarks.__file__).parent / "closings.jsonl"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["lost"], figures["questions"], figures["closings"]) == (0, 44, 52)


@pytest.mark.parametrize(("text", "needs_answer"), [("thanks", True), ("and how?", False)])
def test_lost_question_or_answered_closing_misses_the_target(tmp_path: Path, text: str, needs_answer: bool) -> None:
    lines = [("P1", "why?"), ("BOT", "Because."), ("P1", text)]
    named = [{"by": by, "text": words} for by, words in lines]
    named[-1] |= {"needs_answer": needs_answer}  # type: ignore[dict-item]
    assert main([written(tmp_path, json.dumps({"lines": named}))]) == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "No such file"),
        ('{"lines": []}\n[]\n', "line 2 is no conversation"),
        ("?\n", "line 1 is no conversation"),
        ('{"lines": [{"by": "P1"}]}', "line 1 is no conversation"),
        ('{"lines": [{"by": null, "text": "so?"}]}', "by and text must be strings"),
        ('{"lines": [{"by": "P1", "text": "so?", "to_bot": "yes"}]}', "to_bot must be true or false"),
        ('{"lines": [{"by": "BOT", "text": "so", "to_bot": true}]}', "the bot's own lines must have none"),
        ('{"lines": [{"by": "P1", "text": "so?"}]}', "nothing to judge"),
        ("", "nothing to judge"),
    ],
)
def test_unreadable_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, complaint: str
) -> None:
    file = str(tmp_path / "missing") if text is None else written(tmp_path, text)
    with pytest.raises(SystemExit) as ended:
        main([file])
    assert ended.value.code == 2
    assert file in (reported := capsys.readouterr().err)
    assert complaint in reported


def test_empty_lines_and_lines_without_a_label_are_not_judged() -> None:
    judged, other = {"by": "P1", "text": "so?", "to_bot": True}, {"by": "P1", "text": "so?", "minute": 1}
    [conversation] = read(["\n", json.dumps({"lines": [judged, other]}), "\n"])
    assert conversation == [Spoken("P1", "so?", True), Spoken("P1", "so?", None)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.long(after_row=2)
async def test_benchmark_takes_the_messages_that_intake_takes(stores: Stores, seed: int) -> None:
    """The same thread through intake and a database, where the bot speaks below each question."""
    rng = random.Random(seed)
    texts = ["and why?"] * 6 + ["<@P2> you?", f"<@{ME.user_id}> why?", "thanks"]
    thread = [("P1", f"<@{ME.user_id}> why?")] + [
        (rng.choice(["P1", "P1", "P1", "P2", "P3"]), rng.choice(texts)) for _ in range(40)
    ]
    stage = IntakeStage(stores)
    all_ts = [f"1700000000.{number:06d}" for number in range(len(thread))]
    for ts, (writer, text) in zip(all_ts, thread, strict=True):
        thread_ts = all_ts[0] if ts != all_ts[0] else None
        await stage.intake.receive(
            f"Ev{ts}", Message("T1", "C1", ts, text.replace(ME.user_id, "UBOT"), thread_ts=thread_ts, user_id=writer)
        )
    spoken = [Spoken(writer, text.replace("<@", "@").replace(">", ""), None) for writer, text in thread]
    by_benchmark = taken(spoken, TriageRules(Engagement.FOLLOW_UPS))
    assert await asked_ts(stores) == {ts for ts, is_taken in zip(all_ts, by_benchmark, strict=True) if is_taken}
    assert 2 < sum(by_benchmark) < 40
