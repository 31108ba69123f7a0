"""Which messages without a mention are taken in a channel."""

from typing import Any

import pytest

from bot.core.conversation import File, Question
from bot.core.inbound.engagement import MAX_LINES, Engagement, Line, Participants, TriageRules
from bot.core.inbound.triage import Ignore, triage
from tests.core.conversations import ME, message

ADA, GRACE, TO_ADA, TO_GRACE, SOMEBODY = Line("UADA"), Line("UGRACE"), Line("", "UADA"), Line("", "UGRACE"), Line("")
TO_ADAS = [ADA, TO_ADA] * (MAX_LINES // 2)
MODES = [Engagement.MENTIONS, Engagement.FOLLOW_UPS, Engagement.EVERYONE]
SCREENSHOT = File("F1", "screenshot.png")


POSTS = [TriageRules(mode, new_posts=True) for mode in MODES]


@pytest.mark.parametrize(
    ("text", "changes", "taken"),
    [
        ("How do I reset my password?", {}, True),
        ("It fails", {"files": (SCREENSHOT,), "subtype": "file_share"}, True),
        ("", {"files": (SCREENSHOT,), "subtype": "file_share"}, False),
        ("<@UGRACE> lunch?", {}, False),
        ("@channel lunch!", {}, False),
        ("", {"attached": "A forwarded message"}, False),
        ("Built.", {"bot_id": "BCI"}, False),
        ("joined", {"subtype": "channel_join"}, False),
    ],
)
def test_new_post_is_a_question_where_a_channel_chose_that(text: str, changes: dict[str, Any], taken: bool) -> None:
    verdicts = [triage(message(text, **changes), ME, Participants(), rules) for rules in (*POSTS, TriageRules())]
    assert [isinstance(verdict, Question) for verdict in verdicts] == [taken] * 3 + [False]
    assert {verdict.thread.thread_ts for verdict in verdicts if isinstance(verdict, Question)} <= {"10.0"}


def test_new_posts_are_none_of_a_thread_without_us() -> None:
    assert isinstance(triage(message("so?", thread_ts="9.0"), ME, Participants(), POSTS[2]), Ignore)


def taken_by(participants: Participants, text: str = "and why?", **changes: Any) -> str:
    """Returns the modes in which Ada's message in a thread is a question."""
    given = message(text, thread_ts="9.0", **changes)
    return " ".join(mode for mode in MODES if isinstance(triage(given, ME, participants, TriageRules(mode)), Question))


@pytest.mark.parametrize(
    ("lines", "taken"),
    [
        ([GRACE, TO_GRACE, ADA, TO_ADA], True),
        ([ADA, TO_ADA, GRACE], False),
        ([GRACE, TO_GRACE], False),
        ([ADA, TO_ADA, ADA], False),
        ([], False),
        ([*TO_ADAS[1:], ADA], True),
        ([*TO_ADAS[2:], ADA], False),
        ([GRACE, *TO_ADAS[2:], ADA], False),
        ([SOMEBODY, *TO_ADAS[2:], ADA], False),
        ([TO_GRACE, *TO_ADAS[2:], ADA], False),
    ],
    ids=[
        "the bot answered her last",
        "somebody wrote since",
        "the bot answered somebody else last",
        "she wrote to somebody else since",
        "nothing is on record",
        "nobody else in the last lines",
        "nobody else, in too few lines",
        "somebody else in the last lines",
        "an erased person in the last lines",
        "an answer to somebody else in the last lines",
    ],
)
def test_among_several_people_a_follow_up_is_one_from_whom_the_bot_talks_with(lines: list[Line], taken: bool) -> None:
    found = taken_by(Participants(takes_part=True, others=True, lines=tuple(lines)))
    assert found == ("follow-ups everyone" if taken else "everyone")


@pytest.mark.parametrize(
    ("participants", "text", "changes", "modes"),
    [
        (Participants(takes_part=True), "and why?", {}, "follow-ups everyone"),
        (Participants(), "and why?", {}, ""),
        (Participants(), "and why?", {"parent_user_id": "UBOT"}, "follow-ups everyone"),
        (Participants(takes_part=True), "<@UGRACE> and why?", {}, ""),
        (Participants(takes_part=True), "@here and why?", {}, ""),
        (Participants(takes_part=True), "@Typist and why?", {}, "follow-ups everyone"),
        (Participants(takes_part=True), "what would <@UGRACE> say?", {}, "follow-ups everyone"),
        (Participants(takes_part=True), "see", {"files": (SCREENSHOT,)}, "follow-ups everyone"),
        (Participants(True, True, lines=(ADA, TO_ADA)), "see", {"files": (SCREENSHOT,)}, ""),
        (Participants(True, True), "<@UBOT> and why?", {"files": (SCREENSHOT,)}, "mentions follow-ups everyone"),
        (Participants(takes_part=True), "and why?", {"bot_id": "BOTHER"}, ""),
    ],
)
def test_message_in_a_thread_is_taken_in_these_modes(
    participants: Participants, text: str, changes: dict[str, Any], modes: str
) -> None:
    assert taken_by(participants, text, **changes) == modes


@pytest.mark.parametrize(
    ("text", "changes", "rules", "in_doubt"),
    [
        ("and I?", {}, TriageRules(gate=True), True),
        ("and I?", {}, TriageRules(), False),
        ("and I?", {}, TriageRules(Engagement.MENTIONS, gate=True), False),
        ("<@UGRACE> and I?", {}, TriageRules(gate=True), False),
        ("see", {"files": (SCREENSHOT,)}, TriageRules(gate=True), False),
        ("and I?", {"bot_id": "BOTHER"}, TriageRules(gate=True), False),
    ],
)
def test_only_a_follow_up_that_the_rules_leave_open_is_in_doubt(
    text: str, changes: dict[str, Any], rules: TriageRules, in_doubt: bool
) -> None:
    others = Participants(takes_part=True, others=True, lines=(GRACE, TO_GRACE))
    verdict = triage(message(text, thread_ts="9.0", **changes), ME, others, rules)
    assert isinstance(verdict, Ignore)
    assert (verdict.in_doubt is not None) is in_doubt
    quiet = triage(message(text, thread_ts="9.0", **changes), ME, Participants(True, True, quiet=True), rules)
    assert isinstance(quiet, Ignore)
    assert quiet.in_doubt is None
