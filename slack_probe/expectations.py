"""Assumptions of the bot and the sandbox about Slack. If a report differs from one, change its row and its source."""

from collections.abc import Mapping
from typing import NamedTuple

ACCEPTED = "accepted"
RATE_LIMITED = "ratelimited"
YES, NO = "yes", "no"


class Expectation(NamedTuple):
    question: str
    observed: str
    """The expected observation: ACCEPTED or Slack's error name for a call, YES or NO for a question."""
    source: str
    """The page and section with the assumption, and its certainty there."""


_FIDELITY = "Sandbox fidelity"
_VISIBLE = "bot/reply/blocks.py (unknown: the sandbox accepts any length)"
_MISMATCH = f"{_FIDELITY}, chat.update"
_BUDGETS = f"{_FIDELITY}, budgets"
_PANE = f"{_FIDELITY}, Events"

EXPECTED: Mapping[str, Expectation] = {
    "forms.all": Expectation(
        "Does Slack accept each form of message and view?", ACCEPTED, f"{_FIDELITY}, Sizes (several)"
    ),
    "search.private": Expectation(
        "Did the bot get a search scope for private conversations?",
        NO,
        "doc:apis/web-api/real-time-search-api (documented)",
    ),
    "posts.1": Expectation("One post a second in a channel", ACCEPTED, f"{_BUDGETS} (documented)"),
    "posts.5": Expectation("5 posts a second, for 2 s", ACCEPTED, f"{_BUDGETS} (unknown)"),
    "posts.20": Expectation("20 posts a second, for 1 s", RATE_LIMITED, f"{_BUDGETS} (unknown)"),
    "edits.1": Expectation("One edit a second of a message", ACCEPTED, f"{_BUDGETS} (documented: 50 a minute)"),
    "edits.5": Expectation("5 edits a second, for 2 s", ACCEPTED, f"{_BUDGETS} (inferred)"),
    "edits.20": Expectation("20 edits a second, for 1 s", ACCEPTED, f"{_BUDGETS} (inferred)"),
    "appends.1": Expectation("One append a second to a stream", ACCEPTED, f"{_BUDGETS} (documented: 100 a minute)"),
    "appends.5": Expectation("5 appends a second, for 2 s", ACCEPTED, f"{_BUDGETS} (inferred)"),
    "appends.20": Expectation("20 appends a second, for 1 s", ACCEPTED, f"{_BUDGETS} (inferred)"),
    "statuses.call": Expectation(
        "assistant.threads.setStatus in a channel's thread", ACCEPTED, f"{_PANE} (observed: chatgpt-bots, awaydesk)"
    ),
    "statuses.you": Expectation(
        "Does the person for whom the bot works see the status?", YES, f"{_PANE} (observed by two sources of four)"
    ),
    "statuses.others": Expectation("Do other members see the status?", YES, f"{_PANE} (inferred)"),
    "mismatch.header": Expectation("rich_text replaced by header", "block_mismatch", f"{_MISMATCH} (observed: mikan)"),
    "mismatch.section_context": Expectation(
        "rich_text replaced by section and context", "block_mismatch", f"{_MISMATCH} (observed: a public bot's test)"
    ),
    "mismatch.context": Expectation("rich_text replaced by context", "block_mismatch", f"{_MISMATCH} (inferred)"),
    "mismatch.context_actions": Expectation(
        "rich_text replaced by context and actions", "block_mismatch", f"{_MISMATCH} (inferred)"
    ),
    "mismatch.beside_context": Expectation(
        "rich_text and context replaced by context", "block_mismatch", f"{_MISMATCH} (inferred)"
    ),
    "mismatch.kept": Expectation("rich_text replaced by rich_text and context", ACCEPTED, f"{_MISMATCH} (inferred)"),
    "unfurls.stream": Expectation(
        "Does Slack show a link's preview when a stream stops?", NO, f"{_FIDELITY}, Native streams (unknown)"
    ),
    "visible.1": Expectation("visible_to_user_ids with 1 person", ACCEPTED, _VISIBLE),
    "visible.10": Expectation("visible_to_user_ids with 10 people", ACCEPTED, _VISIBLE),
    "visible.100": Expectation("visible_to_user_ids with 100 people", ACCEPTED, _VISIBLE),
    "visible.1000": Expectation("visible_to_user_ids with 1,000 people", ACCEPTED, _VISIBLE),
    "visible.updated": Expectation("Does an edit change visible_to_user_ids?", YES, "bot/reply/blocks.py (inferred)"),
    "visible.hidden": Expectation("Do you see a button that is only for the bot?", NO, "slack_sdk 3.48 (documented)"),
    "ephemeral.thread": Expectation(
        "chat.postEphemeral with a root's thread_ts", ACCEPTED, f"{_FIDELITY}, Posts, threads (inferred)"
    ),
    "ephemeral.reply": Expectation(
        "chat.postEphemeral with a reply's thread_ts", ACCEPTED, f"{_FIDELITY}, Posts, threads (inferred)"
    ),
    "ephemeral.place": Expectation("Does it appear in the thread?", YES, f"{_FIDELITY}, Posts, threads (inferred)"),
    "outsiders.stream": Expectation(
        "A native stream for somebody from another organization", ACCEPTED, f"{_FIDELITY}, Native streams (observed)"
    ),
    "pane.opened": Expectation("Does the pane send app_home_opened when it opens?", YES, f"{_PANE} (documented)"),
    "pane.context": Expectation("Does a message in the pane have app_context?", YES, f"{_PANE} (documented)"),
    "pane.token": Expectation(
        "Does a message in the pane have an action_token?", YES, f"{_FIDELITY}, Search (observed: samples)"
    ),
    "models.conversations": Expectation("Does each model pass `typist smoke`?", YES, "tests of streams (documented)"),
}
"""The expectations by ID: the ID of a check, and the observation's name."""
