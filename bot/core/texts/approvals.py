"""What people read of tool calls: what they approve or deny, who decided, what was done."""

from collections.abc import Sequence

from bot.core.texts.words import count, sentence_case

PROPOSING = "Press a button, or tell me what to do instead."
"""Stands in place of ASKING if all of it is proposals."""
ASKING = "I need your approval. You can also tell me what to do instead."


def asking_without_buttons(tools: Sequence[str]) -> str:
    """Stands in place of ASKING where Slack accepts no buttons, so that the calls can't be approved."""
    names = ", ".join(tools)
    return f"I need your approval to run {names}, but Slack refused my buttons. Please tell me what to do instead."


ASKING_FOR = "Run "
"""Stands before the title of a tool whose call a person has to decide about."""
NO_ARGUMENTS = "No arguments."


def described_by(server: str) -> str:
    """Stands before what a server says about its tool, which are its own words."""
    return f"{server} says: "


def arguments_cut(shown: int, chars: int) -> str:
    return f"This shows {shown:,} of {chars:,} characters. Press Show all to read them and to approve."


def acts_as(server: str) -> str:
    return f"{server} uses a Typist admin's credentials, not yours. "


def acts_as_asker(server: str) -> str:
    return f"I'll use your own {server} account, and everybody in this conversation will read what I find. "


WAITS_UNTIL = "You can decide until "
"""Stands before a time and a period."""


REPEATED_CALL = "Careful: I may have made exactly this call already, for an earlier version of this answer."


def mixed_scripts(words: Sequence[str]) -> str:
    """Warns of words in which a letter or digit of another script may pass for the one that a reader expects."""
    return f"Careful: these words mix letters or digits of different alphabets: {', '.join(words)}"


DECISIONS = {
    "approved": "Approved.",
    "edited": "Approved with changes.",
    "in_thread": "Approved for this thread.",
    "denied": "Denied.",
}
"""Stands in place of the buttons of a call that is decided, while other calls still wait."""
_DECIDED = {
    "approved": "approved by",
    "edited": "approved with changes by",
    "in_thread": "approved for this thread by",
    "denied": "denied by",
    "replied": "denied by a reply from",
}


def decided(decision: str, calls: int, person: str, *, is_only_one: bool) -> str:
    """Says who decided, below an answer. `is_only_one`: there was one call to decide about."""
    words = f"{_DECIDED[decision]} {person}"
    return sentence_case(words) if is_only_one else f"{count(calls, 'call', 'calls')} {words}"


SOMEBODY = "somebody whose data was erased"
REPLIED_INSTEAD = "You replied, so I didn't go on here. My answer is below your message."
APPROVAL_EXPIRED = "Nobody approved the call in time, so I didn't make it."
ALLOW_ALWAYS_SCOPE = (
    "In this channel or direct message, I'll run it for everyone without asking, until its definition changes. "
    "I'll still ask if I've read anything that the asker didn't write. "
    "A Typist admin can revoke this in the settings here, or with typist mcp."
)


ONLY_MEMBERS_APPROVE = "Only members of this workspace can approve this. If you are one, please try again in a minute."
ONLY_ACCOUNTS_OWNER = "Only the person whose account I'd use can see or approve this. An admin can deny it."
ONLY_ADMIN_ALLOWS = "Only a Typist admin can always allow a tool."
ALWAYS_ALLOWED = (
    "Always allowed here, until a Typist admin revokes it in the settings. "
    "I'll still ask if I've read anything that the asker didn't write. "
    "The descriptions of tools count, too, until an admin agrees to them with `typist mcp agree`."
)


def allow_always(tool: str) -> str:
    """Heads the question that ALLOW_ALWAYS_SCOPE explains."""
    return f"Always allow {tool} here?"


def allow_in_thread(server: str) -> str:
    """Heads the question that IN_THREAD_SCOPE explains."""
    return f"Read with your {server} account?"


IN_THREAD_SCOPE = (
    "For your questions in this thread, I'll read with your account without asking, until you sign out. Everybody here "
    "reads what I find. I'll still ask if I've read other people's words, before I change anything, and where a Typist "
    "admin wants me to."
)
EDITED_EXPLAINED = "I'll make the call with these texts, and say below the answer that you changed them."
NOT_EDITABLE = "You can't change the other arguments here:"


def edited_too_long(chars: int) -> str:
    return f"The arguments are too long. Together, they can have up to {chars:,} characters."


SHOW_ALL_FIRST = "This message doesn't show all arguments. Press Show all: you can approve the call there."
NOTHING_TO_DECIDE = "There is nothing to approve or deny here anymore."


def others_to_decide(calls: int) -> str:
    others = "the other call" if calls == 1 else f"the other {calls} calls"
    return f"Got it. I'll go on when you've decided about {others} too."


NO_TOOLS_USED = "I used no tools for this answer."
TOOLS_USED = "The tools that I used for this answer:"
CALL_STATES = {
    "ready": "not made",
    "asked": "waiting for approval",
    "begun": "may have been made",
    "done": "done",
    "failed": "failed",
    "denied": "denied",
    "unknown": "may have been made",
}


def decided_by(decision: str, person: str) -> str:
    """Says who approved or denied a call. Stands behind one of CALL_STATES."""
    return {
        "approved": f"approved by {person}",
        "edited": f"approved with changes by {person}",
        "in_thread": f"approved for this thread by {person}",
        "denied": f"by {person}",
        "replied": f"by a reply from {person}",
        "expired": "nobody decided in time",
    }[decision]


APPROVAL_ASKED = "I asked for your approval above."


def approval_asked(mention: str) -> str:
    return f"{mention} {APPROVAL_ASKED}"
