"""Addresses of sign-ins in messages, and the placeholder in their place."""

from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.conversation import Message, Question, ThreadKey
from bot.core.sign_in_urls import SignInUrls
from bot.slack.text import attachments_text, body_of

GONE = texts.accounts.SIGN_IN_URL_REMOVED
QUERY = "code=canary&state=canary&iss=https://jira.example"
LOOPBACK, PAGE = "127.0.0.1:47823/callback", "typist.example/oauth/callback"
ADDRESSES = SignInUrls([f"http://{LOOPBACK}", f"https://{PAGE}"])
STATE = "canary-" * 6 + "x"
HERE, THERE = f"http://{LOOPBACK}?{QUERY}", f"https://{PAGE}?{QUERY}"
NESTED = "https://search.example/?q=http%3A%2F%2F127.0.0.1%3A47823%2Fcallback%3Fcode%3Dcanary%26state%3Dcanary"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (HERE, GONE),
        (THERE, GONE),
        (f"{LOOPBACK}?{QUERY}", GONE),
        (f"http://{LOOPBACK}?error=denied&state=canary", GONE),
        (f"http://{LOOPBACK}?code=canary", GONE),
        # Each server has an address of its own.
        (f"http://{LOOPBACK}-jira?{QUERY}", GONE),
        (f"https://{PAGE}-my-jira_2?{QUERY}", GONE),
        # What is left of an address whose beginning nobody copied.
        (f"code=canary&amp;state={STATE}", GONE),
        (f"it says code=canary and state={STATE}!", f"it says {GONE} and {GONE}"),
        (f"?code=canary&state={STATE}", GONE),
        (f"see {HERE}, {THERE}. And {HERE}!", f"see {GONE}, {GONE}. And {GONE}!"),
        (f"&gt; {HERE.replace('&', '&amp;')}\nmine", f"&gt; {GONE}\nmine"),
        (f"[my page]({HERE})", f"[my page]({GONE})"),
        (f"**{HERE}** `{THERE}`", f"**{GONE}** `{GONE}`"),
        (f"[{LOOPBACK}?code=can…]({HERE}) x", f"[{GONE}) x"),
        (f"http://{LOOPBACK}?code=a)canary&state='canary' x", f"{GONE}' x"),
        (NESTED, GONE),
        (f"{THERE} BCDF-GHJK", f"{GONE} {GONE}"),
        (f"bcdfghjk for {THERE}", f"{GONE} for {GONE}"),
        # These are no sign-ins.
        (f"state={STATE}", f"state={STATE}"),
        (f"code=canary&state={STATE}x", f"code=canary&state={STATE}x"),
        ("BCDF-GHJK", "BCDF-GHJK"),
        (f"http://{LOOPBACK} and https://{PAGE}", f"http://{LOOPBACK} and https://{PAGE}"),
        ("http://127.0.0.1:8080/callback?code=1&state=2", "http://127.0.0.1:8080/callback?code=1&state=2"),
        ("https://a.example/?state=CA&code=94110", "https://a.example/?state=CA&code=94110"),
        ("100% of %zz", "100% of %zz"),
    ],
)
def test_address_with_a_query_that_leads_back_from_a_sign_in_is_removed(text: str, left: str) -> None:
    assert ADDRESSES.without_urls(text) == left
    assert ADDRESSES.without_urls(left) == left
    assert SignInUrls().without_urls(text) == text


ESCAPED = HERE.replace("&", "&amp;")
RICH = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "link", "url": HERE}]}]}


@pytest.mark.parametrize(
    "payload",
    [
        {"text": f"<{ESCAPED}>"},
        {"text": f"<{ESCAPED}|{ESCAPED.removeprefix('http://')}>"},
        {"text": f"<{ESCAPED}|the page that didn't open>"},
        {"text": f"```{ESCAPED}```"},
        {"text": f"_{ESCAPED}_ *{ESCAPED}*"},
        {"blocks": [RICH]},
        {"attachments": [{"text": f"<{ESCAPED}>", "title": HERE, "title_link": HERE, "from_url": HERE}]},
        {"attachments": [{"is_share": True, "message_blocks": [{"message": {"blocks": [RICH]}}]}]},
    ],
)
def test_nothing_of_an_address_is_left_of_a_message_in_slacks_forms(payload: dict[str, object]) -> None:
    shown = Message("T1", "C1", "1.0", body_of(payload), attachments_text(payload))
    assert "canary" in shown.full_text
    assert "canary" not in ADDRESSES.message_without_urls(shown).full_text


def test_question_keeps_which_part_is_attached() -> None:
    attached = f"&gt; {HERE}"
    question = Question(ThreadKey("T1", "C1", None), "1.0", "U1", f"what is it? \n\n{attached}", schedule_id=3)
    question = ADDRESSES.question_without_urls(
        Question(question.thread, "1.0", "U1", question.text, attached_chars=len(attached), schedule_id=3)
    )
    assert (question.own_text, question.attached_text, question.schedule_id) == ("what is it?", f"&gt; {GONE}", 3)
    assert not question.had_sign_in, "somebody else wrote it"
    assert ADDRESSES.question_without_urls(replace(question, text=HERE, attached_chars=0)).had_sign_in
    as_it_was = Question(ThreadKey("T1", "C1", None), "1.0", "U1", "two \n\n lines ", attached_chars=2)
    assert ADDRESSES.question_without_urls(as_it_was) is as_it_was
