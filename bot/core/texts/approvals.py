"""Text about tool calls: approval requests, decisions and outcomes."""

import re
from collections.abc import Collection, Sequence

from bot.core.texts import accounts, memory, notify, schedules
from bot.core.texts.words import CardWords, count, listed, sentence_case

_ARTICLE = re.compile(r"^(\w+) an? ")

_CARDS = {
    "call": CardWords("", "I didn't do this", "should I go ahead with what I asked you about above?"),
    **accounts.CARDS,
    **memory.CARDS,
    **schedules.CARDS,
    **notify.CARDS,
}
_OUR_TOOLS = {
    "read_channel": "Reading the channel…",
    "slack__search": "Searching Slack…",
    "notify__find_people": "Looking for people…",
}
_SEVERAL_WAIT = "should I go ahead with everything I asked you about above?"


def reminder(mention: str, kinds: Collection[str]) -> str:
    return f"{mention} {_CARDS[next(iter(kinds))].reminder_end if len(kinds) == 1 else _SEVERAL_WAIT}"


def _undone(kinds: Collection[str]) -> str:
    return _CARDS[next(iter(kinds))].undone if len(kinds) == 1 else "I did none of this"


def replied_instead_text(kinds: Collection[str]) -> str:
    first, *others = kinds
    own = "" if others else _CARDS[first].replied_instead
    return f"{own or f'{_undone(kinds)} because you wrote instead.'} I'll answer below your message."


def expired_text(kinds: Collection[str]) -> str:
    return f"{_undone(kinds)} because nobody decided in time."


def asking_without_buttons(asked: Sequence[tuple[str, str]]) -> str:
    """Returns the text to show instead of cards if Slack rejects their buttons. `asked`: the type and question of each
    card."""
    about = dict.fromkeys(_CARDS[kind].about or f"“{question}”" for kind, question in asked)
    about_all = listed([*about])
    return f"I need your decision on {about_all}, but Slack rejected my buttons. Please tell me what to do instead."


def described_by(server: str) -> str:
    return f"{server} says: "


NO_ARGUMENTS = "Nothing else will be sent."


def question(title: str) -> str:
    """Turns a tool's title into a question about a call. For example, "Add a note" becomes "Add this note?"."""
    return _ARTICLE.sub(r"\1 this ", title, count=1) + "?"


def arguments_cut(shown: int, chars: int) -> str:
    return f"You're seeing {shown:,} of {chars:,} characters. Press Show all to read the rest and approve."


def running_text(kind: str, tool: str, server: str, title: str) -> str:
    return _CARDS[kind].running or _OUR_TOOLS.get(tool, f"Using {server}: {title}…")


def acts_as(servers: Sequence[str], *, is_asker: bool = False) -> str:
    if is_asker:
        return f"I'll use your own {listed(servers)} account, and everyone in this conversation will see what I find. "
    return f"I'll use {listed(servers)} as your Typist admin set it up, not with an account of yours. "


_REASONS = {
    "by_rule": "a Typist admin wants me to",
    "wrote": "I may already have changed something for this question",
    "not_asked": "your question doesn't ask for exactly this",
}
_READ = {
    "others": "other people's messages or names",
    "instructions": "this channel's instructions",
    "memory": "what other people asked me to remember",
    "file": "a file",
    "tool": "what tools found",
    "agreed": "my text that you agreed to",
    "found": "what your account found",
    "definition": "tool descriptions that no Typist admin agreed to",
    "web": "web pages",
    "unknown": "text whose author I don't know",
}


def asking_reasons_text(reasons: Collection[str], sources: Collection[str] = ()) -> str:
    """Explains why a card asks for approval even if such calls can be allowed, or returns "" if no reason needs
    explaining.
    `reasons`: RecordedCall.approval_reasons.
    `sources`: tools that found text for this answer, with their servers.
    """
    found = {"found": f"results from your account through {listed([*sources])}"} if sources else {}
    read = listed([words for reason, words in {**_READ, **found}.items() if reason in reasons])
    whole = [words for reason, words in _REASONS.items() if reason in reasons] + ([f"I've read {read}"] if read else [])
    return f"I'm asking because {listed(whole)}. " if whole else ""


def decide_until(person: str) -> str:
    """Returns the beginning of a sentence that ends with a deadline. `person`: the decider's name, or "" if the decider
    reads it."""
    return f"{person or 'You'} can press a button or write what to do instead until "


REPEATED_CALL = "Careful: I might have already made this exact call for an earlier version of this answer."


def mixed_scripts(words: Sequence[str]) -> str:
    return f"Careful: these words mix letters or digits of different alphabets: {', '.join(words)}"


_DECIDED = {
    "approved": "approved",
    "edited": "approved with changes",
    "in_thread": "approved for this thread",
    "denied": "denied",
}
DECISIONS = {decision: f"{sentence_case(words)}." for decision, words in _DECIDED.items()}
"""Shown instead of the buttons of a decided call while other calls are waiting."""


def choice_text(label: str) -> str:
    return f"Chosen: {label}."


def decision_text(kind: str, decision: str, calls: int, person: str, *, is_only_one: bool) -> str:
    if kind != "call":
        return f"{_CARDS[kind].undone}, as {person} decided" if decision == "denied" else f"{person} agreed"
    words = f"{_DECIDED[decision]} by {person}"
    return sentence_case(words) if is_only_one else f"{count(calls, 'call', 'calls')} {words}"


SOMEBODY = "someone whose data was erased"
FROM_NOW_ON = "From now on"
ALLOW_ALWAYS_SCOPE = (
    "In this channel or direct message, I'll run it for everyone without asking until its definition changes. I'll "
    "still ask if I've read anything the asker didn't write. A Typist admin can revoke this in this channel's "
    "settings or with typist mcp."
)


ONLY_ACCOUNTS_OWNER = "Only the person whose account I'd use can see or approve this. An admin can deny it."
ONLY_ADMIN_ALLOWS = "Only a Typist admin can always allow a tool."
ALWAYS_ALLOWED = (
    "Always allowed here until a Typist admin revokes it in the settings. I'll still ask if I've read anything the "
    "asker didn't write. Tool descriptions also count until an admin agrees to them with `typist mcp agree`."
)


def allow_always(tool: str) -> str:
    return f"Always allow “{tool}” here?"


def allow_in_thread(server: str) -> str:
    return f"Read with your {server} account?"


IN_THREAD_SCOPE = (
    "For your questions in this thread, I'll use your account to read without asking, until you sign out. Everyone "
    "here will see what I find. I'll still ask if I've read what other people wrote, before I change anything, and "
    "where a Typist admin wants me to."
)
REQUIRED = "This can't be empty."
EDITED_EXPLAINED = "I'll make the call with your text, and note below the answer that you changed it."
NOT_EDITABLE = "You can't change the other arguments here:"


def edited_too_long(chars: int) -> str:
    return f"That's too long: together, the arguments can have up to {chars:,} characters."


SHOW_ALL_FIRST = "This message doesn't show all the arguments. Press Show all to read them and approve the call."
NOTHING_TO_DECIDE = "There's nothing left to decide here."


OTHERS_WAIT = "Got it. I'll continue once everything else is decided."


TOOLS_USED = "The tools that I used for this answer:"
CALL_STATES = {
    "ready": "not made",
    "asked": "waiting for a decision",
    "begun": "may have been made",
    "done": "done",
    "failed": "failed",
    "denied": "not made",
    "unknown": "may have been made",
}


def decider_text(decision: str, person: str) -> str:
    """Reports who decided on a call. The text is shown after one of CALL_STATES."""
    undecided = {"replied": f"{person} wrote instead", "expired": "nobody decided in time"}
    return undecided.get(decision) or f"{_DECIDED[decision]} by {person}"
