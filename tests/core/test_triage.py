"""Which messages are answered, and in which thread."""

import pytest

from bot.core.conversation import Message, Question, ThreadKey
from bot.core.inbound.engagement import Engagement, Participants, TriageRules
from bot.core.inbound.triage import Ignore, second_person_since, triage
from tests.core.conversations import ME, message

MENTION = "<@UBOT> why?"
NOBODY, ALONE, SHARED = Participants(), Participants(takes_part=True), Participants(takes_part=True, others=True)

ANSWERED = {
    "a mention in a channel, in its own thread": (message(MENTION), NOBODY, "10.0"),
    "a mention in the middle of a sentence": (message("ask <@UBOT> why"), NOBODY, "10.0"),
    "a mention with a label": (message("<@UBOT|typist> why?"), NOBODY, "10.0"),
    "a mention in a thread, in that thread": (message(MENTION, thread_ts="9.0"), NOBODY, "9.0"),
    "a mention in a private channel": (message(MENTION, channel_type="group"), NOBODY, "10.0"),
    "a mention in a group DM": (message(MENTION, channel_type="mpim"), NOBODY, "10.0"),
    "a direct message, where it was written": (message("why?", channel_type="im"), NOBODY, None),
    "a direct message in a thread": (message("why?", channel_type="im", thread_ts="9.0"), NOBODY, "9.0"),
    "a follow-up in a thread we take part in": (message("and then?", thread_ts="9.0"), ALONE, "9.0"),
    "a follow-up under a message of ours": (
        message("and then?", thread_ts="9.0", parent_user_id="UBOT"),
        NOBODY,
        "9.0",
    ),
    "a follow-up that mentions somebody in passing": (
        message("what would <@UGRACE> say?", thread_ts="9.0"),
        ALONE,
        "9.0",
    ),
    "a mention in a thread of several people": (message(MENTION, thread_ts="9.0"), SHARED, "9.0"),
    "a mention with a file": (message(MENTION, subtype="file_share"), NOBODY, "10.0"),
    "a mention sent to the channel from a thread": (
        message(MENTION, subtype="thread_broadcast", thread_ts="9.0"),
        NOBODY,
        "9.0",
    ),
}

IGNORED = {
    "talk in a channel": (message("lunch?"), NOBODY),
    "talk in a thread without us": (message("lunch?", thread_ts="9.0"), NOBODY),
    "talk that begins with somebody else's name": (message("<@UGRACE> lunch?", thread_ts="9.0"), ALONE),
    "talk in a thread of several people": (message("and then?", thread_ts="9.0"), SHARED),
    "a mention of somebody else": (message("<@UGRACE> lunch?"), NOBODY),
    "our own message": (message(MENTION, user_id="UBOT"), NOBODY),
    "another bot's message": (message(MENTION, bot_id="BOTHER"), NOBODY),
    "another bot's message in a DM": (message("hi", bot_id="BOTHER", channel_type="im"), NOBODY),
    "an app's message as a person": (message(MENTION, by_app=True), NOBODY),
    "an app's message as a person in a DM": (message("hi", by_app=True, channel_type="im"), NOBODY),
    "a notice of Slack's own": (message("archived", user_id="USLACK", channel_type="im"), NOBODY),
    "a reminder by Slackbot": (message(MENTION, user_id="USLACKBOT"), NOBODY),
    "a message without an author": (message(MENTION, user_id=None), NOBODY),
    "an edit": (message(MENTION, subtype="message_changed"), NOBODY),
    "a deletion": (message("", subtype="message_deleted", channel_type="im"), NOBODY),
    "a join": (message(MENTION, subtype="channel_join"), NOBODY),
}


@pytest.mark.parametrize(("given", "participants", "thread_ts"), ANSWERED.values(), ids=ANSWERED.keys())
def test_message_to_the_bot_is_answered_in_its_thread(
    given: Message, participants: Participants, thread_ts: str | None
) -> None:
    verdict = triage(given, ME, participants, TriageRules())
    assert isinstance(verdict, Question)
    assert verdict.thread.thread_ts == thread_ts
    assert (verdict.ts, verdict.user_id) == ("10.0", "UADA")


@pytest.mark.parametrize(("given", "participants"), IGNORED.values(), ids=IGNORED.keys())
def test_other_messages_are_ignored_with_a_reason(given: Message, participants: Participants) -> None:
    verdict = triage(given, ME, participants, TriageRules())
    assert isinstance(verdict, Ignore)
    assert verdict.reason


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        (message("and then?", thread_ts="9.0"), False),
        (message(MENTION, thread_ts="9.0"), True),
        (message("and then?", channel_type="im", thread_ts="9.0"), True),
    ],
)
def test_need_for_mentions_applies_in_channels(given: Message, answered: bool) -> None:
    assert isinstance(triage(given, ME, ALONE, TriageRules(Engagement.MENTIONS)), Question) is answered


@pytest.mark.parametrize(
    ("given", "asker"),
    [
        (message(MENTION, bot_id="BOTHER"), "UADA"),
        (message(MENTION, bot_id="BOTHER", user_id=None, subtype="bot_message"), "BOTHER"),
        (message("and then?", bot_id="BOTHER", thread_ts="9.0"), None),
        (message("hi", bot_id="BOTHER", channel_type="im"), None),
        (message(MENTION, bot_id=ME.bot_id), None),
        (message(MENTION, bot_id="BOTHER", subtype="message_changed"), None),
    ],
)
def test_allowed_bot_must_mention_us_each_time(given: Message, asker: str | None) -> None:
    verdict = triage(given, ME, ALONE, TriageRules(bots=True))
    question = verdict if isinstance(verdict, Question) else None
    assert (question and question.user_id, question and question.from_bot) == (asker, asker and True)


@pytest.mark.parametrize(
    ("thread_ts", "written", "since_ts"),
    [
        ("1.0", [], None),
        ("1.0", [("1.0", "UADA"), ("3.0", "UADA")], None),
        ("1.0", [("1.0", "UGRACE"), ("2.0", "UGRACE"), ("5.0", "UADA")], "5.0"),
        ("1.0", [("1.0", "UADA"), ("7.0", "UGRACE"), ("8.0", "UALAN")], "7.0"),
        (None, [("2.0", "UGRACE")], None),
    ],
)
def test_thread_is_a_groups_since_its_second_person(
    thread_ts: str | None, written: list[tuple[str, str]], since_ts: str | None
) -> None:
    question = Question(ThreadKey("T1", "C1", thread_ts), "5.0", "UADA", "why?")
    assert second_person_since(question, [message("so", ts, user_id) for ts, user_id in written]) == since_ts
