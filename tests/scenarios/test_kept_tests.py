"""Answers that are kept as tests: who can keep them, and what the modal proposes."""

import json
from dataclasses import asdict

import pytest

from bot.core import texts
from bot.core.actions import MORE, ReplyAction
from bot.core.asks import ApprovalPlace
from bot.core.kept_tests import Check, CheckKind
from bot.settings import Settings
from bot.store.schema import kept_tests
from slack_sandbox.workspace import Message
from tests.scenarios.answers import answered, press, rows
from tests.scenarios.conftest import Stage, buttons, says

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True, house_questions="on")]

ANSWER = "It takes **28** days, or 14 in June. See https://wiki.example/leave for all of it."
LINK, DAYS, JUNE, LENGTH = (
    Check(CheckKind.LINK, "https://wiki.example/leave"),
    Check(CheckKind.WORD, "28"),
    Check(CheckKind.WORD, "14"),
    Check(CheckKind.MAX_WORDS, "30"),
)
PRESELECTED = [LINK, DAYS, JUNE, LENGTH]


async def opened(stage: Stage, message: Message, user: str = "ada") -> str | None:
    """Chooses the menu's item. Returns the refusal, or None if a modal is open."""
    return await press(stage, message, MORE, user, ReplyAction.KEEP_TEST)


async def kept(settings: Settings) -> list[list[list[str]]]:
    return [row.checks for row in await rows(settings, kept_tests)]


async def test_asker_keeps_an_answer_with_the_proposed_checks_and_changes_and_removes_them(
    stage: Stage, settings: Settings
) -> None:
    stage.vendor.script(lambda _: says(ANSWER))
    _, message = await answered(stage, settings)
    ada = stage.sandbox.client("ada")
    assert MORE in buttons(message)
    assert await opened(stage, message) is None
    assert ada.modal
    assert "contains “28”" in str(ada.modal.blocks)
    assert texts.kept_tests.CLEAR not in str(ada.modal.blocks)
    assert await ada.submit({}) == {}
    assert await kept(settings) == [[[check.kind, check.value] for check in PRESELECTED]]
    await opened(stage, message)
    assert texts.kept_tests.CLEAR in str(ada.modal.blocks)
    assert await ada.submit({"checks": [DAYS.key]}) == {}
    assert await kept(settings) == [[["word", "28"]]]
    await opened(stage, message)
    assert await ada.submit({"checks": []}) == {}
    assert await kept(settings) == []


async def test_person_who_can_change_the_channels_settings_keeps_an_answer_and_nobody_else(
    stage: Stage, settings: Settings
) -> None:
    asked = await stage.mention(user="grace")
    await stage.answers("general", asked)
    [message] = stage.bots("general", asked)
    refused = await opened(stage, message, "alan")
    assert refused
    assert refused.startswith(texts.commands.NOT_YOUR_CHANNEL.partition(".")[0])
    for user in ("ada", "grace"):
        assert await opened(stage, message, user) is None
        assert await stage.sandbox.client(user).submit({}) == {}
    assert len(await kept(settings)) == 1


async def test_forged_and_outdated_submissions_are_refused(stage: Stage, settings: Settings) -> None:
    stage.vendor.script(lambda _: says(" ".join(map(str, range(10, 30)))))
    _, message = await answered(stage, settings)
    ada = stage.sandbox.client("ada")
    await opened(stage, message)
    assert ada.modal
    keys = [option["value"] for option in ada.modal.blocks[1]["element"]["options"]]
    assert len(keys) == 10
    assert await ada.submit({"checks": keys[:6]}) == {"checks": texts.kept_tests.choose_at_most(5)}
    ada.modal.blocks[1]["element"]["options"].append({"text": {"type": "plain_text", "text": "x"}, "value": "forged"})
    assert await ada.submit({"checks": ["forged"]}) == {"checks": texts.kept_tests.ANSWER_CHANGED}
    place = ApprovalPlace(message.channel, message.thread_ts, "1.000000", "")
    ada.modal.content["private_metadata"] = json.dumps(asdict(place))
    assert await ada.submit({"checks": keys[:1]}) == {"checks": texts.actions.ANSWER_UNKNOWN}
    assert await kept(settings) == []


@pytest.mark.bot(house_questions="")
async def test_button_is_off_by_default(stage: Stage, settings: Settings) -> None:
    _, message = await answered(stage, settings)
    assert MORE not in buttons(message)
    pressed = await press(stage, message, ReplyAction.KEEP_TEST, value="forged")
    assert pressed == texts.actions.BUTTON_OUTDATED
    assert await kept(settings) == []
