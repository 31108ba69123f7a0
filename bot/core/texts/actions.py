"""Labels of buttons below an answer, and text that only the person who clicked can see."""

from collections.abc import Sequence

STOP = "Stop"
REGENERATE = "Regenerate"
ANSWER_NOW = "Answer now"
THINK_LONGER = "Think longer"
CONTINUE = "Continue"
PREVIOUS = "Previous"
NEXT = "Next"
DELETE = "Delete"
APPROVE = "Approve"
DENY = "Deny"
EDIT = "Edit"
APPROVE_EDITED = "Approve with these"
ALLOW_ALWAYS = "Always allow here"
ALLOW_IN_THREAD = "Allow in this thread"
SHOW_ALL = "Show all"
DETAILS = "Details"
TABLES = "Download table"
ARGUMENTS_TITLE = "What I'd send"
CLOSE_DETAILS = "Close"
DELETE_TITLE = "Delete this answer?"
DELETE_QUESTION = "The answer will be deleted for everyone. You can't undo this."
KEEP = "Keep"


def delete_answer(question: str) -> str:
    """`question`: the beginning of the question, or "" if it is gone."""
    return f"Delete the answer to “{question}”? {DELETE_QUESTION}" if question else DELETE_QUESTION


GOOD_ANSWER = "Good answer"
BAD_ANSWER = "Bad answer"


def all_label(label: str, calls: int) -> str:
    return label if calls == 1 else f"{label} {'both' if calls == 2 else f'all {calls}'}"


def button_list_text(labels: Sequence[str]) -> str:
    """Lists a message's buttons for people who read only the message's text."""
    return f"{'Button' if len(labels) == 1 else 'Buttons'}: {', '.join(labels)}."


ANSWER_UNKNOWN = "I no longer have this answer, so I can't do anything with it. Please ask again."
ANSWER_DELETED = "This answer was deleted."
ANSWER_UNFINISHED = "I'm still writing this answer. Please try again when it's finished."
BUTTON_OUTDATED = "That button is out of date. Please use the buttons that are below the answer now, or message me."
TABLES_BEGUN = "I'm saving the table as a file. I'll post it here in a moment."
TABLES_EXIST = "I've already posted the table as a file here."
TABLES_FAILED = "I couldn't post the table as a file: Slack wouldn't allow it. Please ask a workspace admin."
NO_TABLE = "There's no table here that I could save as a file."
TABLES_FORBIDDEN = (
    "I can't share files in this workspace yet. A workspace admin must give this app the files:write scope."
)
QUESTION_EXPIRED = "I no longer have the text of this question. Please ask again."
UNKNOWN_BUTTON = "Something's wrong with this button. Please try again."
THANKS_HELPED = "Thanks! I've noted that this answer helped."
THANKS_NOT_HELPED = "Thanks. I've noted that this answer didn't help. Why not?"
DOWN_REASONS = {"wrong": "It's wrong", "too_long": "It's too long", "not_meant": "Not what I meant"}
REASON_NOTED = {
    "wrong": "Thanks. I've noted that this answer is wrong.",
    "too_long": "Thanks. I've noted that this answer is too long.",
    "not_meant": "Thanks. I've noted that this answer isn't what you meant.",
}
NO_LONGER_DOWN = "I no longer have your 👎 for this answer. Press 👎 below it again."
STOPPED_WHILE_QUEUED = "I won't answer this question because you stopped it while it was queued."
REST_LEFT_OUT = "The rest doesn't fit in this message."
ACTION_FAILED = "I can't do that right now. Please try again in a moment."
JUST_STOPPED = "You had just stopped this answer, so I ignored that press. Please press the button again."
ALREADY_CHOSEN = "Someone has already made a choice here. I'll answer below."
_REGENERATES, _SWAPS, _DECIDES = "regenerate this answer", "change the version that is shown", "decide on this"
ONLY_ASKER = {
    "stop": "stop this answer",
    "regenerate": _REGENERATES,
    "regenerate_with": _REGENERATES,
    "previous": _SWAPS,
    "next": _SWAPS,
    "continue": "continue this answer",
    "delete": "delete this answer",
    "canvas": "save this answer as a canvas",
    "send_to_channel": "send this answer to the channel",
    "undo": "undo this",
    "approve": _DECIDES,
    "allow_in_thread": _DECIDES,
    "deny": _DECIDES,
    "sign_in": _DECIDES,
    "edit": _DECIDES,
}
"""Descriptions of the actions that only an answer's asker and admins can take, keyed by ReplyAction."""


def only_asker(asker: str, action: str) -> str:
    """Returns the sentence that refuses an action to anyone but the asker. `asker`: a user ID. `action`: a value of
    ONLY_ASKER."""
    return f"Only <@{asker}> or a Typist admin can {action}."


def only_asker_agrees(asker: str) -> str:
    return f"Only <@{asker}> can decide on this."
