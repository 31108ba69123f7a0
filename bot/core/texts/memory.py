"""Text about memories in a channel or direct message."""

from bot.core.texts.words import CardWords

REMEMBER_THIS = {
    "channel": "Should I remember this for everyone in this channel?",
    "direct message": "Should I remember this for our direct message?",
}
REMEMBER = "Remember"
DONT_REMEMBER = "Don't remember"
CARDS = {
    "remember": CardWords(
        "Remembering this…", "I won't remember this", "should I remember what I proposed above?", "what to remember"
    )
}
UNDO = "Undo"
UNDONE = "Undone: I won't remember this anymore."
NOTHING_TO_UNDO = "There's nothing to undo: I had already forgotten this."
RESTORED = "Undone: I'll remember it again."
CANT_RESTORE = "I can't undo this anymore because the text is gone or there's no room for it. Please tell me again."
REMEMBER_WHAT = "Write what I should know after that, such as “remember: we deploy on Tuesdays”."
REMEMBER_NO_QUESTION = (
    "This ends with a question, so I haven't remembered it. Please send what I should know in a separate message."
)
FORGET_WHICH = (
    "I can only forget one thing at a time: write “forget” and its number. For the list, ask me “What do you remember?”"
)
OUR_DIRECT_MESSAGE = "our direct message"
THIS_CHANNEL = "this conversation"
NOTHING_REMEMBERED = "I don't remember anything here yet. To add something, write “remember:” and what I should know."
ONLY_MEMBERS_REMEMBER = (
    "Only members of this workspace can change what I remember. If you are one, please try again in a minute."
)
MEMORY_UNAVAILABLE = "I can't check right now whether this channel is private. Please try again in a minute."
MEMORIES_HIDDEN = {
    True: "I don't use the hidden memories, because they're from when this channel was public, and it's private now.",
    False: "I don't use the hidden memories, because they're from when this channel was private, and it's public now.",
}
"""Shown below a list with hidden memories, keyed by whether the channel is now private."""
HIDDEN = "hidden"

MEMORY_TITLE = "Memory"
SHOW_MEMORY = "Show what I remember here"
MEMORY_EXPLAINED = (
    "I read these memories with each question here. You can edit them. To have me forget one, clear its field."
)
KEEP_HIDDEN = "Hidden"
MEMORY_SAVED = "Saved. I'll read it with the next question here."
NOT_IN_CHANNEL = "I can't confirm that you're in this channel, so I can't show you what I remember here."
NOT_YOUR_DIRECT_MESSAGE = "I can't show memories here because this isn't our direct message."
SAID_HERE = "where it was said"


def memory_number(number: int) -> str:
    return f"Number {number}"


def keep_hidden(number: int) -> str:
    return f"Use {'it' if number == 1 else f'all {number}'} from now on"


def remembered_notice(place: str, number: int) -> str:
    return f"Remembered for {place} as number {number}."


def already_remembered(number: int) -> str:
    return f"I already remember that as number {number}."


NO_ROOM_FOR_CHANGES = "I don't have room for this much text here. Please shorten it, or clear another memory's field."


def memory_full(oldest: int) -> str:
    return (
        f"I don't have room for more memories here. Number {oldest} is the oldest: write “forget {oldest}”, then tell "
        "me again."
    )


def memory_too_long(chars: int, most: int) -> str:
    return f"That's {chars:,} characters, and I can remember at most {most} at a time. Please shorten it."


def forgotten_notice(number: int, text: str) -> str:
    return f"I forgot number {number}: “{text}”" if text else f"I forgot number {number}, which was hidden."


def nothing_to_forget(number: int) -> str:
    return f"There's no memory number {number} here. For the list, ask me “What do you remember?”"


def memory_line(number: int, text: str, attribution: str, link: str) -> str:
    """Returns a memory's line in the list, as Markdown. `link`: a link to the memory's message, or "" if
    unavailable."""
    return f"- {text} (number {number}, {f'[{attribution}]({link})' if link else attribution})"


def memory_attribution(person: str, day: str, changed_by: str, *, is_proposed: bool) -> str:
    who = f"my suggestion, {person} agreed" if is_proposed else person
    return ", ".join(filter(None, (who, day, f"changed by {changed_by}" if changed_by else "")))
