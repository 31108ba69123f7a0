"""What a script says to newcomers' first words: what is true of the bot and of what it has read, and nothing else."""

import pytest

from bot.core import texts
from bot.core.conversation import File
from bot.core.files import OpenedFile, file_label
from bot.core.texts.files import Unread
from bot.services import schedule_tool
from demo.newcomers import NO_MODEL, first_answer
from demo.scenes import LAUNCH, READ_TOOL, SCHEDULE_TOOL
from files_to_markdown.document import Document
from slack_sandbox.sample_workspace import Post
from tests.demo.test_scripted_model import read

HERE = f"{schedule_tool.DEFINITION.description} Scheduled here now: number 3, every day at 8:00 AM; number 12, {{}}."
TOOLS = {READ_TOOL: "", SCHEDULE_TOOL: HERE.format("weekdays at 9:00 AM")}
CAN_DO, GREETING, NO_NEWS = "Mention me in a channel", "Hi! Ask me", "I can't look that up."
READING, NO_FILE = "I'll read what was said here.", "I see no file."


@pytest.mark.parametrize(
    ("begins", "messages"),
    [
        (
            CAN_DO,
            [
                "What can you do?",
                "hi, what can you do?",
                "Hey there! Who are you?",
                "so, what can you do for me?",
                "help",
                "Who are you",
                "how does this work?",
            ],
        ),
        (CAN_DO, ["what's this?", "How can you help me?", "how do I use this"]),
        (GREETING, ["hi", "Hello!", "Good morning, Typist", "hey there", "test", "Are you there?"]),
        (READING, ["Catch me up", "please catch me up on this channel", "What did I miss?", "What’s new here?"]),
        (
            READING,
            ["summarize this channel", "Sum up what was said here since your last summary.", "what happened here"],
        ),
        (NO_FILE, ["Summarize this file", "can you summarise the attached PDF?", "what's in this document?", "tl;dr"]),
        (NO_NEWS, ["What's the weather in Berlin?", "any news today", "Give me the latest headlines"]),
    ],
)
def test_first_words_of_newcomers_are_answered(begins: str, messages: list[str]) -> None:
    for message in messages:
        for turn in (message, f"[0123abcd-0123 grace]\n{message}", f"hello\n\n[0123abcd-0123 ada]\n{message}"):
            answer = first_answer(turn, TOOLS)
            assert answer, turn
            assert answer.text.startswith(begins), turn


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Why is the export slow every Monday?",
        "every test fails since the update",
        "hi, could you explain indexes to me",
        "Who won every Monday at 9",
        "what is a B-tree?",
        "ten",
        "make it a poem",
        "Every weekday at 9, " + "sum up " * 60,
        "hi [0123abcd-0123 ada]\nwhat is a B-tree?",
    ],
)
def test_everything_else_is_left_to_a_model(message: str) -> None:
    assert first_answer(message, TOOLS) is None


@pytest.mark.parametrize(
    ("message", "cron", "words"),
    [
        ("Every weekday at 9, sum up what was said here.", "0 9 * * 1-5", "Sum up what was said here"),
        ("every Monday and Thursday at 10:30 post a plan", "30 10 * * 1,4", "Post a plan"),
        ("Please sum up this channel each Friday at 5pm", "0 17 * * 5", "Sum up this channel"),
        ("daily at noon: what is still open?", "0 12 * * *", "What is still open"),
        ("remind me every day at ten to water the plants", "0 10 * * *", "Remind me to water the plants"),
        ("Every morning, catch me up", "0 9 * * *", "Catch me up"),
        ("can you sum up what happened on weekdays at 12 am?", "0 0 * * 1-5", "Sum up what happened"),
    ],
)
def test_days_and_a_time_are_proposed_as_a_schedule(message: str, cron: str, words: str) -> None:
    answer = first_answer(message, TOOLS)
    assert answer
    assert answer.call
    assert (answer.call.tool, answer.call.arguments) == (SCHEDULE_TOOL, {"words": words, "cron": cron})


@pytest.mark.parametrize(
    ("message", "rule", "cron"),
    [
        ("make it ten", "weekdays at 9:00 AM", "0 10 * * 1-5"),
        ("Make it 10:30 instead, please", "Mondays and Thursdays at 9:00 AM (Berlin)", "30 10 * * 1,4"),
        ("change it to 6 pm", "every day at 9:00 AM, paused", "0 18 * * *"),
        ("noon instead", "weekends at 9:00 AM", "0 12 * * 6,0"),
    ],
)
def test_another_time_changes_the_newest_schedule(message: str, rule: str, cron: str) -> None:
    answer = first_answer(message, {SCHEDULE_TOOL: HERE.format(rule)})
    assert answer
    assert answer.call
    assert answer.call.arguments == {"number": 12, "cron": cron}
    nothing = first_answer(
        message, {SCHEDULE_TOOL: f"{schedule_tool.DEFINITION.description} {schedule_tool.NOTHING_HERE}"}
    )
    assert nothing
    assert (nothing.text.startswith("Nothing is scheduled here"), nothing.call) == (True, None)


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (
            OpenedFile(File("F1", "plan.md"), Document("# Plan\n\nWe begin on Monday.")),
            "`plan.md`: 6 words. It begins:",
        ),
        (OpenedFile(File("F1", "a.csv"), Document("| day | asked |\n|---|---|\n| Monday | 7 |")), "**Total** | **7**"),
        (
            OpenedFile(File("F1", "notes.md"), "# Notes\n\nBuy milk."),
            "`notes.md`: 4 words. It begins:\n\n> # Notes\n> Buy",
        ),
        (OpenedFile(File("F1", "a.bin"), Unread.FAILED), "I couldn't read the file. The notice below says why."),
        (OpenedFile(File("F1", "a.txt"), ""), f"I couldn't read the file. {NO_MODEL} It reads only text."),
    ],
)
def test_of_a_file_only_what_was_read_is_told(label: OpenedFile, says: str) -> None:
    answer = first_answer(f"Summarize this file\n\n[0123abcd file]\n{file_label(label)}\n[0123abcd end]", {})
    assert answer
    assert says in answer.text


@pytest.mark.parametrize(
    ("posts", "says"),
    [
        (LAUNCH.posts, "Faster exports go live on Thursday"),
        ((Post("ada", 3, "The ferry is late."),), "/p1764000000000100): The ferry is late."),
        ((), "Nobody has written here before your question."),
    ],
)
def test_catching_up_tells_what_was_posted(posts: tuple[Post, ...], says: str) -> None:
    answer = first_answer("catch me up", TOOLS)
    assert answer
    assert answer.call
    assert says in answer.call.rest(read(posts) if posts else "There is no message in this range.")


def test_run_of_a_schedule_is_answered_like_its_words() -> None:
    task = f"{texts.schedules.SCHEDULED_TASK}\n\n[0123abcd attached]\nSum up what was said here\n[0123abcd end]"
    for turn in (task, f"{task}\n\n[0123abcd note]\nThis run is due at 09:00.\n[0123abcd end]"):
        answer = first_answer(turn, TOOLS)
        assert answer
        assert answer.text == READING


def test_where_no_channel_can_be_read_it_says_so() -> None:
    answer = first_answer("catch me up", {})
    assert answer
    assert (answer.text.startswith("I catch you up in channels"), answer.call and answer.call.not_offered) == (True, "")


def test_what_a_script_can_not_do_names_why() -> None:
    for message in ("hi", "what can you do?", "any news"):
        answer = first_answer(message, TOOLS)
        assert answer
        assert NO_MODEL in answer.text
