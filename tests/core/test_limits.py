"""Whatever has a limit takes a text of exactly this length, and no longer one."""

from collections.abc import Callable

import pytest

from bot.core import asks, calls, channel_settings, choices, memory, triage
from bot.core.channel_settings import ChannelSettings, DefaultSettings
from bot.models.events import Citation, ToolCall
from bot.reply import sources
from bot.slack import file_objects
from tests.core.conversations import ME, message, question
from tests.ugly import around

DEFAULTS = DefaultSettings(("openai/one",), "")


def offers(text: str, choice: str) -> bool:
    call = ToolCall(0, "call_1", choices.TOOL_NAME, {"question": text, "choices": [choice]})
    return isinstance(choices.offered_choices([call]), choices.Choices)


LIMITS: dict[str, tuple[int, Callable[[int], bool]]] = {
    "a channel's prompt": (
        channel_settings.MAX_PROMPT_CHARS,
        lambda chars: not channel_settings.setting_problems(ChannelSettings(system_prompt="x" * chars), DEFAULTS),
    ),
    "a question with choices": (choices.MAX_QUESTION_CHARS, lambda chars: offers("x" * chars, "Yes")),
    "a choice": (choices.MAX_CHOICE_CHARS, lambda chars: offers("Which?", "x" * chars)),
    "a statement to remember": (
        memory.MAX_CHARS,
        lambda chars: memory.memory_command(question(f"remember that {'x' * chars}"), ME) is not None,
    ),
    "an argument that may be edited": (
        asks.MAX_EDITED_CHARS,
        lambda chars: asks.argument_fields({"text": "x" * chars})[0].text is not None,
    ),
    "the name of an argument that may be edited": (
        calls.MAX_LABEL_CHARS,
        lambda chars: asks.argument_fields({"x" * chars: "text"})[0].text is not None,
    ),
    "arguments that a person is shown": (asks.MAX_ARGUMENT_CHARS, lambda chars: asks.can_be_shown("x" * chars)),
    "a tool's name for people": (calls.MAX_LABEL_CHARS, lambda chars: calls.tool_label("x" * chars) == "x" * chars),
    "a tool's result": (
        calls.MAX_RESULT_CHARS,
        lambda chars: "Cut here" not in calls.result_for_model("x" * chars, "a", "b"),
    ),
    "a message of a transcript": (
        triage.MAX_CHARS,
        lambda chars: triage.transcript([message("x" * chars, ts="1.0")], "1.0", ME).endswith(f" {'x' * chars}"),
    ),
    "the address of a source": (
        sources.MAX_URL_CHARS,
        lambda chars: sources.with_citation((), Citation("https://a.example/".ljust(chars, "x"))) != (),
    ),
    "a mail below a message": (
        file_objects.MAX_MAIL_CHARS,
        lambda chars: file_objects.mail_of({"mode": "email", "plain_text": "x" * chars}) != "",
    ),
}


@pytest.mark.parametrize("what", LIMITS)
def test_text_of_exactly_the_limit_is_taken_and_no_longer_one(what: str) -> None:
    limit, takes = LIMITS[what]
    assert [takes(chars) for chars, _ in around(limit)] == [is_within for _, is_within in around(limit)]
