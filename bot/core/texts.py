"""Every sentence that a person can read in Slack, grouped by the place where it appears.

The rules: short, friendly, never blaming. The bot calls itself "I". An action, a state or a limit has the same name
everywhere: queued, regenerate, continue, quota, Typist admin. A sentence that refuses something says what to do next.
Spread over 20 modules, sentences couldn't be read or changed together, and one action had three names.

This module imports nothing from the rest of core, so that any module can use it. A sentence with values is a function
whose arguments are plain strings and numbers. Functions put values in as they are: where Slack would read a value as
markup, the caller escapes it.

The lines of `typist check` are in `checks/check_texts.py`. Other messages for operators on the command line are in
`bot/settings.py` and `bot/cli/`. Texts for the model are in `core/prompt.py`.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from bot.errors import EndReason, NothingAsked, NotShown, ProviderError, Stuck, TypistError

# Replies: placeholders

THINKING = "Thinking…"
_QUERY_CHARS = 80


def searching(query: str) -> str:
    """Stands in place of THINKING while the vendor searches the web; `query` is "" if it isn't known."""
    return f"Searching {_the_web(query)}"


def _the_web(query: str) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in query).split())
    if len(words) > _QUERY_CHARS:
        words = words[: _QUERY_CHARS - 1].rstrip()
    return f"the web: {words}…" if words else "the web…"


TRANSCRIBING = "Listening…"
CHECKING_ACCESS = "Checking your access. Slack is busy, so this may take a few minutes…"
"""Stands in place of THINKING while Slack doesn't say who the asker is."""


def heard(transcript: str) -> str:
    """Stands above an answer whose question has recordings, with what is said in them."""
    return f"I heard: “{transcript}”"


QUEUED = "Queued. I'll answer after the questions ahead of yours."

# Replies: below a page's text

WRITING = "Writing…"
"""Stands below an answer that grows in a message without buttons, beside the Stop button."""
ASKING = "I need your approval. You can also tell me what to do instead."


def asking_without_buttons(tools: Sequence[str]) -> str:
    """Stands in place of ASKING where Slack accepts no buttons, so that the calls can't be approved."""
    names = ", ".join(tools)
    return f"I need your approval to run {names}, but Slack refused my buttons. Please tell me what to do instead."


def running(tool: str) -> str:
    return f"Running {tool}…"


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


WAITS_UNTIL = "You can decide until "
"""Stands before a time and a period."""
TIME_FORMAT = "{date_short_pretty} at {time}"
"""Slack puts in the time in the reader's language and time zone."""


def time_in_utc(time: datetime) -> str:
    """Stands in place of a time that Slack can't show in the reader's time zone."""
    return f"{time:%B} {time.day} at {time:%H:%M} UTC"


def asked_on(ts: str) -> str:
    """Says when a question was asked whose answer comes late, such as after an outage."""
    return f"Asked on {_ts_in_utc(ts)}."


def offer_after_absence(ts: str) -> str:
    """Says why a question has no answer yet, and offers one."""
    return (
        f"I was away when you asked this, on {_ts_in_utc(ts)}. If an answer still helps you, press {ANSWER_NOW}, "
        "and I begin."
    )


def _ts_in_utc(ts: str) -> str:
    return time_in_utc(datetime.fromtimestamp(float(ts), UTC))


REPEATED_CALL = "Careful: I may have made exactly this call already, for an earlier version of this answer."


def mixed_scripts(words: Sequence[str]) -> str:
    """Warns of words in which a letter or digit of another script may pass for the one that a reader expects."""
    return f"Careful: these words mix letters or digits of different alphabets: {', '.join(words)}"


DECISIONS = {"approved": "Approved.", "denied": "Denied."}
"""Stands in place of the buttons of a call that is decided, while other calls still wait."""
_DECIDED = {"approved": "approved by", "denied": "denied by", "replied": "denied by a reply from"}


def decided(decision: str, calls: int, person: str, *, is_only_one: bool) -> str:
    """Says who decided, below an answer. `is_only_one`: there was one call to decide about."""
    words = f"{_DECIDED[decision]} {person}"
    return _sentence_case(words) if is_only_one else f"{_count(calls, 'call', 'calls')} {words}"


SOMEBODY = "somebody whose data was erased"
WRITING_LONG = "Writing… When I'm done, I'll attach the whole answer as answer.md and show its end here."
CONTINUED_BELOW = "Continued below."
END_OF_ANSWER = "End of answer."

# Replies: below an answer that has ended

SOURCES = "Sources"

STEP_LIMIT = "I reached my step limit here. Press Continue and I'll go on."
STEP_LIMIT_WITHOUT_TEXT = (
    "I reached my step limit before I could answer. Please ask for less at a time, or press Regenerate."
)
REPLIED_INSTEAD = "You replied, so I didn't go on here. My answer is below your message."
APPROVAL_EXPIRED = "Nobody approved the call in time, so I didn't make it."
LENGTH_LIMIT = "I reached my length limit here. Press Continue and I'll go on."
STOPPED = "Stopped."
INTERNAL_ERROR = "Something went wrong on my side. Please ask again."
SHUT_OUT = "This channel was closed to me before I was done. Press Continue and I'll go on."
SHUT_OUT_WITHOUT_TEXT = "This channel was closed to me before I could answer. Press Regenerate and I'll answer now."
NOT_SHOWN = "I couldn't show more of this answer in Slack, so I stopped here. Please ask again."
STUCK = "I stopped here, because a text took me too long to work through. Please ask again in other words."
HELP = (
    "Ask me anything: mention me with your question, or send me a direct message. "
    "I answer in a thread and read the messages in it."
)


def continues_in_file(sections: int, words: int) -> str:
    """Says before the end of a long answer what only its file has: sections, or words if it has none."""
    rest = f"{sections} more {'section' if sections == 1 else 'sections'}"
    return f"Continues in answer.md: {rest if sections else f'about {words:,} more words'}. The end is below."


END_BELOW_FILE = "This is the end. The whole answer is in answer.md."
WHOLE_ANSWER_ATTACHED = "The whole answer is in answer.md, too."


CODE_BLOCK_ATTACHED = "The long code block is also attached as a file."
CODE_BLOCKS_ATTACHED = "The long code blocks are also attached as files."


def rest_left_out(pages: int) -> str:
    return f"I left out the rest: the answer fills more than {pages} messages, and I couldn't attach it as a file."


# Replies: the footer of an answer

FOOTER_STOPPED = "stopped"
FOOTER_INCOMPLETE = "incomplete"


def work_done(searches: int, tools: int) -> str:
    """Sums up what an answer used; "" if nothing."""
    return ", ".join(filter(None, (_count(searches, "search", "searches"), _count(tools, "tool", "tools"))))


def messages_read(number: int, since: date, today: date | None) -> str:
    """Says how many messages of the channel a model read, and from which day on.

    `today`: the day of the question and of its answer, None if they differ: readers of an answer that comes late, or
    is given again, would take "today" for another day.
    """
    return f"read {_count(number, 'message', 'messages')} {_from_day(since, today)}"


def _from_day(day: date, today: date | None) -> str:
    match (today - day).days if today else None:
        case 0:
            return "from today"
        case 1:
            return "since yesterday"
        case days if days is not None and 1 < days < 7:
            return f"since {day:%A}"
    year = "" if today and day.year == today.year else f", {day.year}"
    return f"since {day:%B} {day.day}{year}"


def memories_sent(number: int) -> str:
    """Says how many memories a model has read; "" if none."""
    return _count(number, "memory", "memories")


def without(features: Iterable[str]) -> str:
    """Names what the model refused; "" if nothing."""
    named = " and ".join(features)
    return f"answered without {named}, which this model refuses" if named else ""


WROTE_CALL = (
    "This is a tool call that the model's server passed on as text, so I didn't make it: its tool parser is off. "
    "Your Typist admin can turn it on, with --enable-auto-tool-choice and --tool-call-parser for vLLM, or --jinja for "
    "llama.cpp."
)


def thought_longer(level: str, cost_usd: float | None, *, is_estimate: bool) -> str:
    """Says how much a model thought about a thorough answer, and what that cost where it is known.

    `level` is the vendor's name for the effort, "" if the answer ended before its vendor said more.
    """
    effort = f"thorough ({level} effort)" if level else "thorough"
    if cost_usd is None:
        return effort
    if cost_usd < 0.005:
        return f"{effort}, less than $0.01"
    return f"{effort}, {'about ' if is_estimate else ''}${cost_usd:,.2f}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}" if number else ""


MODEL_NAME_CHARS = 40
"""App Home cuts longer names of models and tools."""


@dataclass(frozen=True, slots=True)
class ModelNames:
    """What people read of models. Records, logs and the admin's commands name them as BOT_MODELS does: vendor/model.

    The vendor there says which API a model's server speaks, not who runs the server.
    """

    chosen: Mapping[str, str] = field(default_factory=dict)
    """Names by vendor/model. A model without one has its own name."""

    def of(self, model: str) -> str:
        """Returns the name of a model, which is given as vendor/model."""
        return self.chosen.get(model) or model.partition("/")[2] or model


OWN_NAMES = ModelNames()


def fell_back(name: str) -> str:
    return f"fell back to {name}"


# Reply actions: labels

STOP = "Stop"
REGENERATE = "Regenerate"
ANSWER_NOW = "Answer now"
EFFORTS = {"thorough": "Think longer", "fast": "Answer faster"}
"""Menu items beside REGENERATE, by Effort."""
CONTINUE = "Continue"
PREVIOUS = "Previous"
NEXT = "Next"
DELETE = "Delete"
APPROVE = "Approve"
DENY = "Deny"
ALLOW_ALWAYS = "Always allow here"
ALLOW_ALWAYS_SCOPE = (
    "In this channel or direct message, I'll run it for everyone without asking, until its definition changes. "
    "I'll still ask if I've read anything that the asker didn't write. "
    "A Typist admin can revoke this in the settings here, or with typist mcp."
)
SHOW_ALL = "Show all"
SHOW_JSON = "Show JSON"
DETAILS = "Details"
CANVAS = "Save as canvas"
ARGUMENTS_TITLE = "Arguments"
CLOSE_DETAILS = "Close"
DELETE_TITLE = "Delete this answer?"
DELETE_QUESTION = "This deletes it for everyone. You can't undo it."
KEEP = "Keep"
GOOD_ANSWER = "Good answer"
BAD_ANSWER = "Bad answer"

# Reply actions: what only the person who pressed the button reads

ONLY_MEMBERS_APPROVE = "Only members of this workspace can approve this. If you are one, please try again in a minute."
ONLY_ADMIN_ALLOWS = "Only a Typist admin can always allow a tool."
ALWAYS_ALLOWED = (
    "Always allowed here, until a Typist admin revokes it in the settings. "
    "I'll still ask if I've read anything that the asker didn't write. "
    "The descriptions of tools count, too, until an admin agrees to them with `typist mcp agree`."
)


def allow_always(tool: str) -> str:
    """Heads the question that ALLOW_ALWAYS_SCOPE explains."""
    return f"Always allow {tool} here?"


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
        "denied": f"by {person}",
        "replied": f"by a reply from {person}",
        "expired": "nobody decided in time",
    }[decision]


ANSWER_UNKNOWN = "I no longer have this answer, so I can't do anything with it."
ANSWER_DELETED = "This answer was deleted."
ANSWER_UNFINISHED = "This answer isn't finished yet. Please try again when it is."
ANSWER_FINISHED = "This answer has already finished."
ANSWER_ALREADY_STOPPED = "This answer was already stopped."
ANSWER_NOT_CONTINUABLE = "I can't continue this answer. Press Regenerate instead."
NOTHING_TO_CONTINUE = "There's no text here that I could continue. Press Regenerate instead."
CANVAS_TITLE = "Answer"
CANVAS_BEGUN = "I'm writing the canvas. Its link will appear in this conversation in a moment."
CANVAS_EXISTS = "This answer is a canvas already. Its link is in this conversation."
CANVAS_OF_INCOMPLETE = "This answer isn't complete, so I can't save it as a canvas."
CANVAS_FORBIDDEN = (
    "I can't make canvases in this workspace yet. A workspace admin must give this app the canvases:write scope."
)
CANVASES_OFF = "I couldn't save the answer as a canvas: canvases are turned off in this workspace."
CANVAS_REFUSED = "I couldn't save the answer as a canvas: Slack doesn't accept its text."
CANVAS_NOT_MADE = "I couldn't save the answer as a canvas: Slack refused. Try again later, or ask a workspace admin."
CANVAS_NOT_OPENED = "I saved the answer as a canvas, but Slack didn't let me share it with the people here."
QUESTION_EXPIRED = "I no longer have the text of this question. Please ask again."
NO_PREVIOUS_VERSION = "There's no previous version of this answer."
NO_LATER_VERSION = "There's no later version of this answer."
NOT_NEWEST_VERSION = "This works with the newest version only. Press Next to show it."
NOTHING_TO_RATE = "There's no answer here to rate."
UNKNOWN_BUTTON = "Something's wrong with this button. Please try again."
THANKS_HELPED = "Thanks! I noted that this answer helped."
THANKS_NOT_HELPED = "Thanks. I noted that this answer didn't help. Why not?"
DOWN_REASONS = {"wrong": "It's wrong", "too_long": "It's too long", "not_meant": "Not what I meant"}
"""The buttons below THANKS_NOT_HELPED, by DownReason."""
REASON_NOTED = {
    "wrong": "Thanks. I noted that this answer is wrong.",
    "too_long": "Thanks. I noted that this answer is too long.",
    "not_meant": "Thanks. I noted that this answer isn't what you meant.",
}
"""By DownReason."""
NO_LONGER_DOWN = "I no longer have your 👎 for this answer. Press 👎 below it again."
STOPPED_WHILE_QUEUED = "I won't answer this question, because you stopped it while it was queued."
REST_LEFT_OUT = "The rest of it doesn't fit into this message."
ACTION_FAILED = "I can't do this right now. Please try again in a moment."
NOT_TWICE = "I did what you asked or agreed to here, so there's no other version of it. Please write a new message."
ALREADY_CHOSEN = "Someone has already chosen here. My answer appears below."
CHOICES_GONE = "These choices no longer work: someone has chosen, or the question has changed. Just write to me."
_REGENERATES, _SWAPS, _DECIDES = "regenerate this answer", "change the version that is shown", "approve or deny this"
ONLY_ASKER = {
    action: f"Only the person who asked, or a Typist admin, can {does}."
    for action, does in {
        "stop": "stop this answer",
        "regenerate": _REGENERATES,
        "regenerate_with": _REGENERATES,
        "previous": _SWAPS,
        "next": _SWAPS,
        "continue": "continue this answer",
        "delete": "delete this answer",
        "canvas": "save this answer as a canvas",
        "undo": "undo this",
        "approve": _DECIDES,
        "create_if_changed": _DECIDES,
        "deny": _DECIDES,
    }.items()
}
"""By ReplyAction: what others may not do."""
ONLY_ASKER_AGREES = "Only the person who asked can decide about this."
ONLY_ASKER_ANSWERS_NOW = f"Only the person who asked, or a Typist admin, can press {ANSWER_NOW}."

# Memory: what is remembered in a channel or a direct message

REMEMBER_THIS = {
    "channel": "Shall I remember this for everyone in this channel?",
    "direct message": "Shall I remember this for our direct message?",
}
"""Heads what a model proposes to remember, by what it is for (core/memory.py)."""
REMEMBER = "Remember"
DONT_REMEMBER = "Don't remember"
UNDO = "Undo"
UNDONE = "Undone: I don't remember this anymore."
NOTHING_TO_UNDO = "There's nothing to undo: I don't remember this."
REMEMBER_WHAT = "Write what I should know behind it, such as “remember: we deploy on Tuesdays”."
FORGET_WHICH = (
    "I forget one thing at a time: write “forget” and its number. Ask me “What do you remember?” for the list."
)
OUR_DIRECT_MESSAGE = "our direct message"
THIS_CHANNEL = "this conversation"
NOTHING_REMEMBERED = "I remember nothing here yet. To change that, write “remember:” and what I should know."
ONLY_MEMBERS_REMEMBER = (
    "Only members of this workspace can change what I remember. If you are one, please try again in a minute."
)
MEMORY_UNAVAILABLE = "Slack doesn't tell me right now whether this channel is private. Please try again in a minute."
MEMORIES_HIDDEN = {
    True: "I don't use the hidden ones: I was told them while this channel was public, and now it's private.",
    False: "I don't use the hidden ones: I was told them while this channel was private, and now it's public.",
}
"""Follows a list with hidden memories, by whether the channel is private now."""
HIDDEN = "hidden"
"""Stands in place of a hidden memory in the list."""


MEMORY_TITLE = "Memory"
SHOW_MEMORY = "Show what I remember here"
MEMORY_EXPLAINED = "I read this with each question here. Change a text, or empty it to have me forget it."
KEEP_HIDDEN = "Hidden"
MEMORY_SAVED = "Saved. I read it with the next question here."
NOT_IN_CHANNEL = "I can't see that you're in this channel, so I can't show you what I remember here."
NOT_YOUR_DIRECT_MESSAGE = "I remember nothing here: this isn't our direct message."
SAID_HERE = "where it was said"


def memory_number(number: int) -> str:
    """Stands above a memory's text in the modal."""
    return f"Number {number}"


def keep_hidden(number: int) -> str:
    """The option to keep the memories that are hidden."""
    return f"Use {'it' if number == 1 else f'all {number}'} from now on"


def remembered(place: str, number: int) -> str:
    return f"Remembered for {place} as number {number}."


def already_remembered(number: int) -> str:
    return f"I remember that already, as number {number}."


def memory_full(oldest: int) -> str:
    return (
        f"I have no room for more memories here. Number {oldest} is the oldest: write “forget {oldest}”, then tell me "
        "again."
    )


def memory_too_long(chars: int, most: int) -> str:
    return f"That's {chars:,} characters, and I can remember at most {most} at a time. Please tell me in fewer words."


def forgotten(number: int) -> str:
    return f"Forgotten: number {number}."


def nothing_to_forget(number: int) -> str:
    return f"I remember nothing here as number {number}. Ask me “What do you remember?” for the list."


def memory_line(number: int, text: str, said: str, link: str) -> str:
    """One memory of the list, as Markdown; `link` leads to where it was said, "" if Slack doesn't say."""
    return f"- **{number}.** {text} ({f'[{said}]({link})' if link else said})"


def memory_said(person: str, day: str, changed_by: str, *, is_proposed: bool) -> str:
    """Says whose words a memory has, and since when; `changed_by` is "" if nobody has changed them."""
    who = f"my words, {person} agreed" if is_proposed else person
    return ", ".join(filter(None, (who, day, f"changed by {changed_by}" if changed_by else "")))


# Messages beside a reply

APPROVAL_ASKED = "I asked for your approval above."
ANSWER_READY = "your answer is ready."
QUESTION_EDITED = "The question was edited after I answered it."
REGENERATE_ANSWERS_IT = "Regenerate answers it as it is now."


def answer_ready(mention: str) -> str:
    return f"{mention} {ANSWER_READY}"


def canvas_made(link: str) -> str:
    """Shows a conversation the link to an answer's canvas."""
    return f"The answer as a canvas: {link}"


def approval_asked(mention: str) -> str:
    return f"{mention} {APPROVAL_ASKED}"


# Failures of a model, shown in place of the rest of an answer

MODEL_FAILURES: Mapping[EndReason, str] = {
    EndReason.BAD_KEY: "I don't have access to {model}. Ask your Typist admin to check it.",
    EndReason.UNKNOWN_MODEL: "The model {model} doesn't exist, or my API key has no access to it. "
    "Ask your Typist admin to check BOT_MODELS.",
    EndReason.OUT_OF_CREDIT: "The account for {model} is out of credit. Ask your Typist admin to check its billing.",
    EndReason.RATE_LIMITED: "{model} has reached its rate limit. {again} in {wait}.",
    EndReason.OVERLOADED: "{model} is overloaded. {again} in {wait}.",
    EndReason.CONTEXT_TOO_LONG: "This is too much text for {model}. Please ask with less text, or in a new thread.",
    EndReason.REFUSED: "{model} declined to answer. Please try rephrasing your question.",
    EndReason.EMPTY: "{model} returned an empty answer. Please try rephrasing your question.",
    EndReason.ONLY_THOUGHT: "{model} reached its length limit while thinking. Please ask for a shorter answer.",
    EndReason.STALLED: "{model} stopped responding. {again}.",
    EndReason.CUT: "The connection to {model} was lost before the answer was complete. {again}.",
    EndReason.UNREACHABLE: "I can't reach {model}. {again} in a minute.",
    EndReason.SERVER_ERROR: "{model} has a problem right now. {again} in a minute.",
    EndReason.UNREADABLE: "{model} sent a response that I can't read. Ask your Typist admin to check its address.",
    EndReason.UNEXPECTED: "{model} refused my request, and I don't know why. Ask your Typist admin to look at my log.",
}
TRYING_AGAIN = "The model isn't responding. Trying again…"
TAKES_LONG = "The model is taking longer than usual. I'm still waiting for its first words…"
"""Stands in place of THINKING while the model says nothing for long."""
_ASK_AGAIN = "Please ask again"
_PRESS_CONTINUE = "Press Continue"


def interrupted(*, goes_on: bool = False) -> str:
    """Says that an answer was interrupted too often. `goes_on`: Continue goes on after its text."""
    return f"I was interrupted three times while answering. {_PRESS_CONTINUE if goes_on else _ASK_AGAIN}."


def silent_after_tools(name: str) -> str:
    """Stands in place of the sentence for EMPTY where tools ran, so that nobody has them run again for nothing."""
    return f"{name} used its tools, but wrote no answer. Press Details to see what they did before you ask again."


def model_failure(failure: EndReason, name: str, retry_after_s: float | None = None, *, goes_on: bool = False) -> str:
    """Says how a model failed, and what the asker or an admin can do. `goes_on`: Continue goes on after the text."""
    again = _PRESS_CONTINUE if goes_on else _ASK_AGAIN
    return MODEL_FAILURES[failure].format(model=name, wait=_wait(retry_after_s), again=again)


def for_error(error: TypistError, names: ModelNames = OWN_NAMES, *, goes_on: bool = False) -> str:
    """Returns the sentence for an error that ended an answer. `goes_on`: the answer has text."""
    match error:
        case ProviderError():
            return model_failure(error.reason, names.of(error.model), error.retry_after_s, goes_on=goes_on)
        case NotShown():
            return NOT_SHOWN
        case NothingAsked():
            return HELP
        case Stuck():
            return STUCK
    return str(error)


def _wait(retry_after_s: float | None) -> str:
    if retry_after_s is None or retry_after_s <= 60:
        return "a minute"
    minutes = math.ceil(retry_after_s / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{math.ceil(minutes / 60)} hours"


# Files that were not read, below an answer: "Not read: a.zip (a file type I can't read)."

FILE_TYPE = "a file type I can't read; PDF, docx, xlsx, pptx, OpenDocument, HTML, text and images work"
FILE_IMAGE_TYPE = "an image type I can't read; save it as JPEG or PNG"
FILE_DAMAGED = "damaged"
FILE_PROTECTED = "protected by a password"
FILE_TOO_LARGE = "too large to unpack and read"
FILE_TOO_MANY_PIXELS = "too many pixels; a smaller copy works"
FILE_TOO_BIG = "larger than 20 MB"
FILES_TOO_BIG = "the files together are larger than 50 MB"
TOO_MANY_FILES = "I read five files at a time, those of the newest message first"
FILE_SCOPE_MISSING = "this app needs the files:read scope"
FILE_EXTERNAL = "stored outside Slack"
FILE_DELETED = "deleted"
FILE_HIDDEN = "hidden by your Slack plan's limits"
FILE_NO_ACCESS = "Slack doesn't let me open it"
FILE_FAILED = "Slack didn't deliver it"
FILE_TOO_SLOW = "the download took too long"
FILE_NOT_READ_IN_TIME = "I'm too busy to read it now"
FILE_REFUSED = "the model's provider refused it"
FILE_TOO_LARGE_FOR_MODEL = "too large for the model's provider"
FILES_TOO_MUCH_FOR_MODEL = "too much together for this model"
FILE_NOT_FOR_MODEL = "this model doesn't take it"
CLIP_NOT_TRANSCRIBED = (
    "no transcript: open its transcript in Slack and press Regenerate, "
    "or ask your Typist admin to turn on transcription with BOT_TRANSCRIBE"
)
AUDIO_NOT_TRANSCRIBED = "your Typist admin can turn on transcription with BOT_TRANSCRIBE"
TRANSCRIPTION_FAILED = "I couldn't transcribe it; press Regenerate to try again"
FILE_UNNAMED = "a file"
CANVAS_UNNAMED = "a canvas"
CANVAS_SCOPE_MISSING = "a workspace admin must give this app the canvases:read scope"
CANVAS_NOT_SHARED = "not shared in this conversation"
CANVAS_NOT_FOUND = "deleted, or not shared with me"


def one_of_several(name: str, number: int) -> str:
    """One of several files with the same name, counted in the order of the conversation."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{name} ({number}{ending})"


def file_not_read(name: str, reason: str) -> str:
    """One file of the list in `files_not_read`; `reason` is one of the phrases above."""
    return f"{name} ({reason})"


def middle_not_read(name: str) -> str:
    """A file of which only the beginning and the end were read."""
    return f"the middle of {name} (too long)"


def first_picture_read(name: str) -> str:
    """A picture with several pages, or one that moves."""
    return f"all but the first picture of {name}"


def end_not_read(name: str) -> str:
    """A document of which only the beginning was read."""
    return f"the end of {name} (too long)"


def only_text_read(names: Sequence[str]) -> str:
    return (
        f"I read only the text of {' and '.join(names)}, not {'its' if len(names) == 1 else 'their'} images or layout."
    )


def charset_guessed(files: Sequence[tuple[str, str]]) -> str:
    """Says of which files, each with a charset's name, the letters may be wrong."""
    names = ", ".join(f"{name} ({charset})" for name, charset in files)
    return f"I guessed the charset, so letters may be wrong: {names}."


MIDDLE = "the middle"
END = "the end"
OLD_FORMAT = "comments, charts and the numbers of lists"
"""Of files of before 2007."""
OLD_SHEET = "formats other than dates, links, comments, charts and which rows and columns are hidden"


def left_out(part: str, count: int, names: Sequence[str]) -> str:
    """Returns what was left out, such as "2 hidden sheets (Prices, Old)". `part`: a value of documents.Part."""
    noun, _, rest = part.partition(" without ")
    ending = "" if count == 1 else "es" if noun.endswith("x") else "s"
    plural = f"{noun}{ending}{f' without {rest}' if rest else ''}"
    named = ", ".join([*names, *(["…"] if len(names) < count else [])])
    return f"{count} {plural}{f' ({named})' if names else ''}"


def parts_not_read(parts: Sequence[str], name: str) -> str:
    """A file of which parts were not read, such as "1 hidden sheet (Prices), 2 comments of plan.xlsx"."""
    return f"{', '.join(parts)} of {name}"


def files_not_read(files: Sequence[str], unnamed: int) -> str:
    """Lists the files that were not read; `unnamed` more are only counted."""
    return f"Not read: {', '.join([*files, *([f'and {unnamed} more'] if unnamed else [])])}."


# Access control

DENIED_USER = "You don't have access to this bot. Ask your Typist admin."
DENIED_CHANNEL = "I'm not available in this channel. Ask your Typist admin."
DENIED_GUEST = "Guests don't have access to this bot. Ask your Typist admin."
DENIED_EXTERNAL = "People from other organizations don't have access to this bot. Ask your Typist admin."
DENIED_BOT = "Other bots don't have access to this bot. Ask your Typist admin."
DENIED_UNKNOWN = "I can't check your access right now. Please ask again in a few minutes."

SOMEBODY_JOINED = {
    "follow-ups": (
        "Someone else has joined this thread. "
        "Without a mention, I only answer the person I answered last, until someone else writes."
    ),
    "everyone": "Someone else has joined this thread. I answer everyone here, also without a mention.",
}
"""By Engagement."""
SOMEBODY_JOINED_IN_DOUBT = (
    "Someone else has joined this thread. "
    "Without a mention, I answer the person I answered last, until someone else writes. "
    "A model decides whether other messages are questions to me."
)
STAY_QUIET = "Stay quiet here"
_UNTIL_MENTIONED = "until the person who started it, or a Typist admin, mentions me."
QUIET_NOW = f"OK. I now answer only mentions in this thread, {_UNTIL_MENTIONED}"
ALREADY_QUIET = f"I'm already quiet: I answer only mentions in this thread, {_UNTIL_MENTIONED}"
NOT_YOUR_THREAD = "Only the person who started this thread and Typist admins can ask me to stay quiet here."

_YOUR_ADMIN = "your Typist admin"
_ADMINS = re.compile("Typist admins?")


def names_an_admin(sentence: str) -> bool:
    """Whether a sentence sends people to their Typist admin."""
    return _YOUR_ADMIN in sentence


def naming_admins(sentence: str, admins: Sequence[str]) -> str:
    """Returns a sentence that names the admins of whom it speaks. `admins`: their names or mentions."""
    if not admins:
        return sentence
    named = " or ".join(admins)
    if sentence.startswith("Only ") and not names_an_admin(sentence):
        return _ADMINS.sub(lambda found: f"{found[0]} ({named})", sentence, count=1)
    return sentence.replace(_YOUR_ADMIN, named)


# Quotas and usage

NO_QUOTAS = "Your usage isn't limited."
SHARED_QUOTAS = "You have no quota of your own. These apply to everyone:"
ASK_FOR_QUOTA = "Need more before then? Ask your Typist admin."
QUOTAS_ARE_SET_IN_HOME = "To change quotas, open my Home tab."
"""Stands below a notice to Typist admins."""
TOKENS_EXPLAINED = "Tokens count the text that I read and write for you. A page is about 700."
_OWNERS = {"user": "your", "channel": "this channel's", "workspace": "this workspace's"}
_EACH = {"user": "Each person", "channel": "Each channel", "workspace": "The workspace"}
_PERIODS = {"day": "Today (UTC)", "month": "This month (UTC)"}


def tokens(number: float) -> str:
    """Returns a number of tokens, such as "1,234 tokens"."""
    return f"{number:,.0f} {'token' if number == 1 else 'tokens'}"


def dollars(amount: float) -> str:
    """Returns an amount of dollars, such as "$500", "$0.50" or "$0.001"."""
    return f"${f'{amount:,.2f}'.removesuffix('.00') if amount >= 0.01 else f'{amount:g}'}"


def quota(scope: str, limit: str, period: str) -> str:
    """Returns a cap's name for the person, such as "your quota of 200,000 tokens per day"."""
    return f"{_OWNERS[scope]} quota of {limit} per {period}"


def quota_for_admins(scope: str, owner_id: str | None, limit: str, period: str) -> str:
    """Returns a cap's name in mrkdwn, such as "<@U1>'s quota of $20 per month"; `owner_id` is None for a default."""
    owner = _EACH[scope] if owner_id is None else quota_owner(scope, owner_id)
    return f"{owner}'s quota of {limit} per {period}"


def quota_owner(scope: str, owner_id: str) -> str:
    """Names a person, a channel or the workspace, in mrkdwn; `owner_id` is "" for a direct message."""
    channel = f"<#{owner_id}>" if owner_id else "a direct message"
    return {"user": f"<@{owner_id}>", "channel": channel, "workspace": "the workspace"}[scope]


DOLLARS_UNIT = "Dollars"
TOKENS_UNIT = "Tokens"


def used_per_day(unit: str) -> str:
    """The title of a chart."""
    return f"{unit} used per day (UTC)"


def quota_not_a_number(in_dollars: bool) -> str:
    """Stands below a field that holds no limit."""
    least = "an amount of at least 0.01" if in_dollars else "a whole number of at least 1"
    return f"Please enter {least}, or leave this empty."


def quota_needs_prices(models: Sequence[str]) -> str:
    """Stands below a quota in dollars."""
    return f"I don't know the price of {', '.join(models)}. Please set a limit in tokens instead, or set BOT_PRICES."


def quota_used_up(quota: str, resets: date) -> str:
    """Takes the place of an answer, with ASK_FOR_QUOTA; Typist admins read it, too."""
    return f"{_sentence_case(quota)} is used up. {_resets(resets)}"


def quota_nearly_used(quota: str, percent: int, resets: date) -> str:
    """Warns once in each period."""
    return f"{percent}% of {quota} is used. {_resets(resets)}"


def model_retires(model: str, day: date) -> str:
    """Tells Typist admins that a model's vendor has announced its end."""
    return f"{model} retires on {day:%B} {day.day}, {day.year}. Please choose another model in BOT_MODELS before then."


def quota_usage(quota: str, percent: int) -> str:
    """One line of an admin's list of quotas."""
    return f"{_sentence_case(quota)}: {percent}% used"


def quota_so_far(quota: str, percent: int, resets: str) -> str:
    """Says how much of a quota a person has used; `resets` is a time in their time zone."""
    if percent == 100:
        return f"{_sentence_case(quota)} is used up. It resets {resets}. {ASK_FOR_QUOTA}"
    return f"{percent}% of {quota} is used. It resets {resets}."


def shared_quota(quota: str) -> str:
    """Names a quota that others use, too, and doesn't say how much."""
    return f"{_sentence_case(quota)}."


def usage(period: str, amount: str) -> str:
    """One line of a usage report, in mrkdwn; `period` is one of BOT_CAPS."""
    return f"*{_PERIODS[period]}*: {amount}"


def amount(tokens_used: int, cost_usd: float) -> str:
    """Returns usage, such as "1,234 tokens, $0.02"; without the cost if that is unknown or less than a cent."""
    return tokens(tokens_used) + (f", ${cost_usd:,.2f}" if cost_usd >= 0.005 else "")


def _resets(day: date) -> str:
    return f"It resets on {day:%B} {day.day} at 00:00 UTC."


def _sentence_case(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


# Quotas: the modal, and a channel's settings

QUOTAS_TITLE = "Quotas"
CHANNEL_QUOTAS = "Quotas of this channel"
NO_QUOTA = "No limit"
QUOTA_LABELS = {
    "dollars_a_month": "Dollars per month",
    "dollars_a_day": "Dollars per day",
    "tokens_a_month": "Tokens per month",
    "tokens_a_day": "Tokens per day",
}
ONLY_ADMINS_SET_QUOTAS = "Only Typist admins can set quotas. Ask your Typist admin."


def quotas_apply_to(owner: str) -> str:
    """Heads the modal, in mrkdwn."""
    return f"Quotas of {owner}, from the next answer on. Leave a field empty to use the default."


# Schedules

SCHEDULES = "Schedules"
PROPOSES_SCHEDULE = "Create this schedule?"
CREATE = "Create"
CREATE_IF_CHANGED = "Create, post only if something changed"
DONT_CREATE = "Don't create"
NEXT_TIME = "Next: "
"""Stands before times in the reader's time zone."""
A_RUN_MAY = (
    "Each run posts this here in your name and answers below it. It may read this conversation and use tools that "
    "change nothing. It can't search Slack."
)
ONLY_IF_CHANGED = "It runs only if somebody has written here since its last time."
SCHEDULE_GONE = "This schedule was stopped, so it doesn't run again."
NOT_YOUR_SCHEDULE = "Only the person who created this schedule and Typist admins can change it."
NOT_YOUR_SCHEDULES = "I can't see that you're in this channel, so I can't show you its schedules."
NO_SCHEDULES_HERE = (
    "There are none in this channel. To create one, mention me and say when, such as “Every weekday at 9, sum up what "
    "happened here since yesterday.”"
)
NO_SCHEDULES_OF_YOURS = (
    "You have none. To create one, ask me and say when, such as “Every Friday at 4 pm, remind me of my open questions.”"
)
YOUR_SCHEDULES = "Your schedules"
CHANGE = "Change"
RUN_NOW = "Run now"
PAUSE = "Pause"
RESUME = "Resume"
STOP_SCHEDULE_TITLE = "Stop this schedule?"
STOP_SCHEDULE_QUESTION = "It won't run again, and it leaves the list. You can't undo this."
SCHEDULE_PRESSED = {
    "schedule_run": "It runs now. Its post and its answer appear in a moment.",
    "schedule_pause": "Paused. Press Resume when it should run again.",
    "schedule_resume": "Resumed. It runs at its next time.",
    "schedule_stop": "Stopped. It won't run again.",
    "schedule_change": "Saved.",
}
"""By ScheduleAction: what a press did."""
SCHEDULE_UNCHANGED = {
    "schedule_run": "It runs already.",
    "schedule_pause": "It's paused already.",
    "schedule_resume": "It isn't paused, or its time has passed. Press Change to set another time.",
    "schedule_stop": SCHEDULE_GONE,
}
"""By ScheduleAction: why a press did nothing."""
PAUSE_REASONS = {
    "by_person": "somebody paused it",
    "failures": "its last runs failed",
    "cap": "it has used up its tokens",
    "no_access": "the person who created it has no access to me anymore",
    "not_in_channel": "the person who created it isn't in the channel anymore",
    "place_gone": "I can't post there anymore",
    "forbidden": "Slack doesn't allow me to post there, and `typist check` tells an admin why",
    "quota": "its last runs found a quota used up",
    "missed": "its time passed before I could run it",
}
"""By PauseReason."""
ONCE = "Once"
"""Stands in place of a rule."""
ONCE_AT = "Once: "
"""Stands in place of NEXT_TIME."""
SCHEDULE_OVER = "It has run."
"""Stands in place of a schedule's next time."""
ONLY_IF_SOMETHING_IS_NEW = "only if something is new"


def at_most_tokens(a_run: int, a_day: int) -> str:
    """Says how many tokens a schedule may use before it is paused."""
    return f"A run may use {a_run:,} tokens, and all runs of a day {a_day:,}. Then it's paused, and I tell you."


def in_zone(rule: str, zone: str) -> str:
    """Returns a schedule's rule with the time zone in which it holds."""
    return f"{rule} ({zone})"


def paused_because(reason: str) -> str:
    """Stands in place of a schedule's next time, in mrkdwn; `reason` is a key of PAUSE_REASONS."""
    return "*Paused*" if reason == "by_person" else f"*Paused*: {PAUSE_REASONS[reason]}"


def created_by(person: str) -> str:
    return f"created by {person}"


IN_OUR_DIRECT_MESSAGE = "in our direct message"


def posts_in(place: str) -> str:
    return f"in {place}"


def used_this_month(amount: str) -> str:
    return f"{amount} this month"


def scheduled_by(person: str, rule: str, *, is_late: bool) -> str:
    """Stands above a run, in mrkdwn."""
    return " · ".join(("Scheduled by " + person, rule, *(["later than planned"] if is_late else [])))


def schedule_paused(reason: str, person: str, place: str) -> str:
    """Tells a place and the creator of a schedule, in mrkdwn; `place` is "" in a direct message."""
    where = f" in {place}" if place else ""
    return f"I paused a schedule of {person}{where}: {PAUSE_REASONS[reason]}."


CHANGE_SCHEDULE_TITLE = "Change schedule"
SCHEDULE_LABELS = {
    "words": "What I should do",
    "when": "When",
    "zone": "Time zone",
    "only_if_changed": "Nothing new",
    "run_tokens": "Tokens for one run",
    "day_tokens": "Tokens for all runs of a day",
}
"""By ScheduleField."""
SCHEDULE_HINTS = {
    "when": (
        "One time, such as 2026-12-10 09:00. Or a rule in five fields of cron (minute, hour, day, month, weekday): "
        "0 9 * * 1-5 is at 9:00 on weekdays."
    ),
    "zone": "Such as Europe/Berlin.",
    "day_tokens": "Days begin at 00:00 UTC. A schedule that has used up its tokens is paused.",
}
"""Stand below the fields, by ScheduleField; the others have none."""
TOKENS_NOT_A_NUMBER = "Please enter a whole number from 1 to 999,999,999."
SKIP_IF_UNCHANGED = "Skip a run if nobody has written here since the last one"


def only_admins_allow_tokens(limit: int) -> str:
    """Stands below a schedule's limit of tokens."""
    return f"Please use at most {limit:,}. Only Typist admins can allow more."


def more_schedules(number: int) -> str:
    """Ends a list of schedules that is too long."""
    return f"… and {number:,} more. In a channel, I list those of the channel."


# Slash command

WHAT_I_DO = (
    "Mention me in a channel or send me a direct message. I answer in the thread and read the messages in it, "
    "including images, PDFs, office and text files. To ask about any message, choose *Ask … about this* from its menu."
)
NOT_YOUR_CHANNEL = "Only the person who created this channel and Typist admins can change its settings."
INVITE_ME_FIRST = "I'm not in the channel yet: if you created it, invite me first, so that I can see that."
"""Follows NOT_YOUR_CHANNEL where Slack doesn't show the app the channel."""
SETTINGS_SAVED = "Saved. The new settings apply from the next question on."
SLACK_SLOW = "Slack is slow right now. Please try again in a minute."
COMMAND_FAILED = "That didn't work. I can't reach Slack or my database right now. Please try again in a minute."


def commands(command: str) -> str:
    """Lists the subcommands, in mrkdwn; `command` is the slash command's name, such as "/typist"."""
    return (
        f"`{command} settings` opens the settings of the channel you're in. `{command} schedules` lists what I do "
        f"there at set times. `{command} usage` shows your usage and your quotas. Write me “remember: …”, and I read "
        f"it with later questions in the same place. `{command} memory` shows what I remember there."
    )


def unknown_command(command: str, subcommand: str) -> str:
    """Stands before the help text."""
    return f"I don't know `{command} {subcommand}`. "


def answered_here(engagement: str, new_posts: bool, gate: bool, reaction: str) -> str:
    """Sums up what is answered without a mention in a channel; `engagement` is a key of ENGAGEMENTS.

    `reaction` is the name of the emoji that asks about a message, "" if there is none.
    """
    summaries = {
        "mentions": "every question needs a mention",
        "follow-ups": "follow-ups need no mention",
        "everyone": "nobody in my threads needs a mention",
    }
    decides = " · a model decides in unclear cases" if gate and engagement == "follow-ups" else ""
    posts = " · I answer every new post" if new_posts else ""
    return (
        summaries[engagement]
        + decides
        + posts
        + (f" · react with :{reaction}: to ask about a message" if reaction else "")
    )


def answers_here(effort: str, length: str) -> str:
    """Sums up how a channel's answers are; "" if nothing was chosen."""
    chosen = [choice for choice in (effort, length) if choice != "normal"]
    return f"{' and '.join(chosen)} answers" if chosen else ""


def settings_here(
    model: str, own_prompt: str | None, answers: str, answered: str, web_search: bool | None, read_channel: bool | None
) -> str:
    """Sums up a channel's settings; `own_prompt` is its beginning, `answered` "" in a direct message.

    `web_search` is None if BOT_WEB_SEARCH is off, and `read_channel` if BOT_READ_CHANNEL is off.
    """
    prompt = "default prompt" if own_prompt is None else f"custom prompt (“{own_prompt}”)"
    search = {None: None, True: "web search on", False: "web search off"}[web_search]
    reading = "reading this channel is off" if read_channel is False else None
    return " · ".join(filter(None, (f"Settings here: {model}", prompt, answers, answered, search, reading)))


# A channel's own settings: what the channel reads when they change, and admins read in App Home

OWN_PROMPT_HERE = {True: "I follow instructions of this channel's own.", False: "I follow my default instructions."}
NEW_POSTS_HERE = {True: "I answer every new post.", False: "New posts need a mention."}
GATE_HERE = {True: "A model decides about unclear follow-ups.", False: "No model decides about unclear follow-ups."}
READ_CHANNEL_HERE = {
    True: "I read messages of this channel when a question is about them.",
    False: "I don't read messages of this channel, except in the thread in which I am asked.",
}
WEB_SEARCH_HERE = {True: "I search the web when an answer needs it.", False: "I don't search the web."}
EFFORT_HERE = {
    "fast": "I think less before I answer.",
    "normal": "I think as much as usual before I answer.",
    "thorough": "I think longer before I answer.",
}
"""By Effort."""
LENGTH_HERE = {
    "brief": "My answers are brief.",
    "normal": "My answers have their usual length.",
    "full": "My answers are full, with reasons, alternatives and examples.",
}
"""By Length."""


def settings_changed(person: str, changes: Sequence[str]) -> str:
    return f"{person} changed my settings here: {' '.join(changes)}"


def asks_first(model: str) -> str:
    return f"I ask {model} first."


def engagement_here(engagement: str) -> str:
    """Says what needs a mention in a channel; `engagement` is a key of ENGAGEMENTS."""
    return f"{ENGAGEMENTS[engagement]}."


def reaction_here(reaction: str) -> str:
    """Says which emoji asks; `reaction` is its name, "" if none does."""
    return f"React with :{reaction}: to ask me about a message." if reaction else "There's no question emoji."


MAX_TOOLS_NAMED = 20


def tools_left_out(counts: Mapping[str, int], most: int, left_out: Sequence[str]) -> str:
    """Warns, in mrkdwn, of MCP servers that have more tools than a model is offered. `counts`: theirs, by server."""
    servers = ", ".join(f"{server} ({count})" for server, count in counts.items())
    named = [*left_out[:MAX_TOOLS_NAMED], *([f"{more} more"] if (more := len(left_out) - MAX_TOOLS_NAMED) > 0 else [])]
    return (
        f":warning: Models don't get all tools of {servers}. I offer at most {most} in one place, and none that are "
        f"too large. Left out: {', '.join(named)}. `typist check` says what to do."
    )


def server_down(server: str, reason: str) -> str:
    """Warns, in mrkdwn, of an MCP server that can't be used now. `reason` is that of the log."""
    return f":warning: I can't use the tools of {server} now: {reason}."


def tools_here(servers: Sequence[str]) -> str:
    return f"I may use the tools of {', '.join(servers)}." if servers else "I use no tools of MCP servers."


# Settings modal

SETTINGS_TITLE = "Settings"
SAVE = "Save"
CANCEL = "Cancel"
THIS_DIRECT_MESSAGE = "this direct message"
SETTING_LABELS = {
    "model": "Model",
    "system_prompt": "System prompt",
    "length": "Length of answers",
    "effort": "Effort",
    "engagement": "Mentions",
    "new_posts": "New posts",
    "gate": "Unclear follow-ups",
    "reaction": "Question emoji",
    "web_search": "Web search",
    "read_channel": "Reading this channel",
    "mcp_servers": "Tools",
    "allowed_tools": "Always allowed tools",
}
"""By SettingsField."""
SETTING_HINTS = {
    "model": "I ask this model first, and the others if it fails.",
    "system_prompt": "Instructions for the model. Leave this empty for the default prompt.",
    "effort": "Thinking longer takes more time and costs more. For one answer, use the menu beside Regenerate.",
    "engagement": (
        "Without a mention, I never answer a message that begins by mentioning someone else, "
        "or a file in a thread of several people."
    ),
    "gate": "It reads the thread's last messages. Its tokens count as usage of the message's writer.",
    "reaction": (
        "When someone adds this emoji to a message, I answer it or explain it in its thread. "
        "Copy the emoji's name from Slack's emoji picker."
    ),
    "web_search": "I look things up when an answer needs it, and list the sources below it.",
    "read_channel": "I read earlier messages when a question is about them, and say how many.",
    "mcp_servers": "MCP servers whose tools I may use here. Only Typist admins can change this.",
    "allowed_tools": "Remove a tool, and I'll ask about its calls here again. Only Typist admins see this.",
}
"""Stand below the fields, by SettingsField; the others have none."""
ENGAGEMENTS = {
    "mentions": "Every question needs a mention",
    "follow-ups": "Whoever I'm talking with needs no mention",
    "everyone": "Nobody needs a mention in a thread where I was mentioned",
}
"""The options, by Engagement."""
NEW_POSTS_OPTION = "Answer each new post in its thread"
GATE_OPTION = "Let a small model at OpenAI decide whether they're for me"
REACTION_PLACEHOLDER = "For example: robot_face"
REACTION_UNKNOWN = "Enter the name of one emoji, such as robot_face."
REACTION_QUESTION = "Answer this message. If it asks nothing, explain it."
"""What the model is asked when a person adds the emoji to a message. Nobody else reads it."""
TOO_MANY_REACTIONS = (
    "You asked about many messages by emoji, so I skipped the last one. Please wait a few minutes, or mention me."
)
EFFORT_OPTIONS = {"fast": "Fast: less thinking", "normal": "Normal", "thorough": "Thorough: more thinking"}
"""By Effort."""
LENGTH_OPTIONS = {
    "brief": "Brief: a few sentences",
    "normal": "Normal: short, unless the system prompt says otherwise",
    "full": "Full: with reasons, alternatives and examples",
}
"""By Length."""
SWITCH = {"on": "On", "off": "Off"}


def settings_apply_to(place: str) -> str:
    """Heads the modal, in mrkdwn."""
    return f"These settings apply only to {place}, from the next question on."


def default_option(option: str) -> str:
    """Stands for leaving a choice or a quota to the environment, which chose `option`."""
    return f"Default: {option}"


def choose_a_model(models: Sequence[str]) -> str:
    """Stands below a model that is not in BOT_MODELS."""
    return f"Please choose one of these models: {', '.join(models)}."


def prompt_too_long(chars: int, limit: int) -> str:
    """Stands below a system prompt."""
    return f"Please use at most {limit:,} characters. This prompt has {chars:,}."


# Questions about a message: the modal, and the question in the thread

ASK_TITLE = "Ask about a message"
ASK = "Ask"
EXPLAIN = "Explain this."
NO_TEXT = "(no text)"
QUESTION_LABEL = "Your question"
QUESTION_HINT = "I'll post it in the message's thread, where everyone can see it."
MESSAGE_DELETED = "The message you're asking about was deleted."
QUESTION_REFUSED = "Slack isn't letting me do that right now. Please try again in a minute."
NOT_SAVED_YET = (
    "My database has a problem, so I can't save your message. I'll answer once that's fixed. If I don't, please send "
    "it again."
)
QUESTION_NOT_SAVED = "I can't save your question right now. Please try again in a minute."
QUESTION_MAYBE_ASKED = (
    "I don't know whether Slack posted your question. If you don't see it, please ask again from the message's menu."
)
ASKED_IN_THREAD = "I posted your question in the message's thread. My answer appears there."
ASKED_IN_DIRECT_MESSAGE = "I can't post in that thread, so I'll answer in our direct message."


def message_from(writer: str) -> str:
    """Stands above the message in the modal, in mrkdwn; `writer` is "" where it is unknown."""
    return f"Message from {writer}:" if writer else "Message:"


CHOSEN = "✓"
"""Stands behind the choice that somebody has pressed."""
MY_CHOICE = "My choice:"
"""What a person says by pressing one of the choices below an answer. The choice follows."""


def chose(asker: str) -> str:
    """Stands above a choice that somebody pressed, in mrkdwn."""
    return f"{asker} chose:"


def asks(asker: str) -> str:
    """Stands above a suggested prompt that somebody pressed, in mrkdwn."""
    return f"{asker} asks:"


def asks_about_this(asker: str) -> str:
    """Stands above a question that I post for somebody, in mrkdwn."""
    return f"{asker} asks about this message:"


def asks_about_message_in(asker: str, channel: str) -> str:
    """Stands above a question that I post in a direct message, because I can't post in the channel."""
    return f"{asker} asks about a message in {channel}, where I can't post:"


# Schedules: why a rule can't be used, for the person who enters it and the model that proposes it

RULE_OR_TIME = "Give either a rule or one time."
FIVE_FIELDS = "Write the rule as five fields of cron, such as 0 9 * * MON-FRI."
STEPS_BEGIN_AGAIN = (
    "A rule can't say every other week or every 90 minutes: its steps begin again with each hour, day, week and month. "
    "Choose every week (0 9 * * TUE), or some weeks of a month (0 9 * * TUE#1,TUE#3). Days of a month work, too."
)
RULE_NEVER_DUE = "This rule never comes due. Check its day and month."
UNKNOWN_ZONE = "I don't know this time zone. Write it like Europe/Berlin."
UNREADABLE_TIME = "Write the time like 2026-12-24T09:00."
TIME_HAS_PASSED = "This time has passed. Choose a later one."
TIME_TOO_FAR = "This is more than five years ahead. Choose an earlier time."
SCHEDULED_TASK = "My scheduled task:"
"""Stands before a task's words as the prompt has them: a model wrote the words, and their asker only this."""


def schedule_used_up(tokens: int, *, in_day: bool) -> str:
    """Says that a run has used up its schedule's own tokens."""
    what = "all its runs of a day" if in_day else "a run"
    return f"This schedule has used up the {tokens:,} tokens that {what} may use, so I paused it."


def rule_too_often(minutes: int) -> str:
    """Says how often a schedule may run."""
    often = "hour" if minutes == 60 else f"{minutes} minutes"
    return f"This rule runs too often: once every {often} at most."


def schedule_words(chars: int) -> str:
    """Says how long the task of a schedule may be."""
    return f"Say what to do in each run, in up to {chars:,} characters."


# App Home

USAGE_HEADING = "Your usage"
DEFAULTS_HEADING = "Default settings"
CHANNELS_DIFFER = "These apply where a channel has no settings of its own."
MENTIONS_NEEDED = {
    "mentions": "Mention me with every question.",
    "follow-ups": "Mention me to start. After that, just reply.",
    "everyone": "Mention me to start. After that, anyone can just reply.",
}
"""By Engagement."""
TRY_ONE = "Try one of these, and I answer in our direct message:"
CHANNEL_SETTINGS_HEADING = "Channels with their own settings"
NO_CHANNEL_SETTINGS = "There are none: all channels have the default settings."
WORKSPACE_HEADING = "This workspace"
PEOPLE = "People"
CHANNELS = "Channels"
MODELS = "Models"
TOOLS = "Tools"
DIRECT_MESSAGES = "Direct messages"
NO_QUOTAS_SET = "There are none: usage isn't limited."
SET_WORKSPACE_QUOTAS = "Set the workspace's quotas"
SET_PERSON_QUOTAS = "Set a person's quotas"
SET_CHANNEL_QUOTAS = "Set a channel's quotas"
WHY_ADMINS_SEE_THIS = (
    "You see this because you're listed in BOT_ADMINS. Change these settings, and the default quotas (BOT_CAPS), where "
    "Typist is deployed."
)


def usage_last_month(amount: str) -> str:
    """One line of the workspace's usage, in mrkdwn."""
    return f"*Last month*: {amount}"


def this_and_last_month(this_month: str, last_month: str) -> str:
    """What a person, channel, model or tool used in two months; `last_month` is "" if it was nothing."""
    return f"{this_month} (last month: {last_month})" if last_month else this_month


def calls_made(number: int) -> str:
    """Returns a number of calls, such as "1,234 calls"."""
    return "1 call" if number == 1 else f"{number:,} calls"


def others(number: int, used: str) -> str:
    """Sums up those that a list leaves out."""
    return f"{number:,} {'other' if number == 1 else 'others'}: {used}"


def more_channels(number: int) -> str:
    """Ends a list of channels that is too long."""
    return f"… and {number:,} more."


def more_quotas(number: int) -> str:
    """Ends a list of quotas that is too long."""
    return f"… and {number:,} more that are used less."


def quotas_leave_out(models: Sequence[str]) -> str:
    return f"Quotas in dollars don't count {', '.join(models)}: I don't know the price."


def defaults(model: str, mentions: str, system_prompt: str) -> str:
    """The settings that apply where a channel has none of its own, in mrkdwn."""
    return f"*Model*: {model}\n*Mentions in channels*: {mentions}\n*System prompt*: {system_prompt}"


def settings_for_admins(
    models: Sequence[str], access: Sequence[str], max_output_tokens: int, concurrent: int, retention_days: int
) -> dict[str, str]:
    """What an admin sees of the environment's settings: values by label."""
    return {
        "Models": ", then ".join(models),
        "Access": ", ".join(access),
        "Longest answer": tokens(max_output_tokens),
        "Concurrent answers per person": str(concurrent),
        "Questions and answers are kept for": _count(retention_days, "day", "days"),
    }


# Thread statuses: Slack puts the app's name before them

STATUS_QUEUED = "has queued your question…"
STATUS_THINKING = "is thinking…"
STATUS_LISTENING = "is listening…"
STATUS_WRITING = "is writing… Reply “stop” to stop me"
STATUS_TRYING_AGAIN = "is trying again…"
STATUS_TAKES_LONG = "is still waiting for the model's first words…"


def status_searching(query: str) -> str:
    """Returns the status while the vendor searches the web; `query` is "" if it isn't known."""
    return f"is searching {_the_web(query)}"


def status_running(tool: str) -> str:
    """Returns the status while a call of a tool is under way."""
    return f"is running {tool}…"


# Assistant pane

PANE_HEADING = "How can I help?"
PANE_UNTITLED = "Files"
PANE_SUGGESTIONS = {
    "Draft a message": "Help me write a message. First ask me what it's about and who will read it.",
    "Explain something": "Explain something to me step by step. First ask me what.",
    "Weigh options": "Help me decide between options. First ask me what they are and what matters to me.",
}
"""What pressing each button asks, by the button's label: in the pane, in the welcome, and in App Home."""

# The welcome

WELCOME_IN_DIRECT_MESSAGE = "Hi! Write your question here, and I'll answer it. Or try one of these:"
STOP_OR_QUIET = (
    "To stop an answer, press *Stop* or write “stop”. Write “stay quiet” in a thread, and I answer only mentions there."
)
_READ_IN_CHANNEL = {
    True: "I read the thread that I'm asked in, and messages of the channel when a question is about them.",
    False: "I read the thread that I'm asked in.",
}
SEEN_IN_CHANNEL = {
    reads: f"Everyone in this channel sees my answers. {what_i_read} {STOP_OR_QUIET}"
    for reads, what_i_read in _READ_IN_CHANNEL.items()
}
"""Who sees what, and how to stop it, in mrkdwn; by whether I may read the channel."""
SEEN_IN_DIRECT_MESSAGE = (
    "Other people in Slack don't see this conversation. I read its last messages. To stop an answer, press *Stop* or "
    "write “stop”."
)
"""As SEEN_IN_CHANNEL."""
SUGGESTION_TITLE = "Suggested prompt"
SUGGESTION_GONE = "I don't offer that anymore. Please ask me in your own words."
SUGGESTION_ASKED = "You asked that a moment ago."
ASKED_FROM_HOME = (
    "I'm asking that in our direct message: see the Messages tab. If it isn't there within a minute, please try again."
)


def welcome_in_channel(mention: str) -> str:
    """Greets a channel that the bot has joined, in mrkdwn; `mention` is the bot's own."""
    return f"Hi! Mention {mention} with your question, and I'll answer in a thread. Or try one of these:"


# App Home: what members read, in mrkdwn

WHO_SEES_WHAT = "Who sees what"
HOW_TO_STOP = "How to stop me"
HOW_TO_SET = "How to change my answers"
WHERE_TO_SET = "In a channel that you created, or in our direct message, use my slash command with `settings`."
WHERE_YOU_ASK = "Where you ask me"
SEEN = {
    reads: (
        f"In a channel, everyone there sees my answers. {what_i_read}\n"
        "Other people in Slack don't see our direct messages. To answer one, I read those before it.\n"
        "Typist admins see how much each person uses me."
    )
    for reads, what_i_read in _READ_IN_CHANNEL.items()
}
"""As SEEN_IN_CHANNEL, for all places."""


def how_to_ask(mentions: str) -> str:
    """Says where to ask; `mentions` is one of MENTIONS_NEEDED."""
    return (
        "*In a direct message*: Just write.\n"
        f"*In a channel*: {mentions}\n"
        "*About any message*: Choose *Ask … about this* from its menu.\n"
        "I read the messages of the thread, images, PDFs, office and text files."
    )


# The first message


def im_here(name: str) -> str:
    """Tells the admin who sets Typist up that messages arrive, and what is next; `name` is the bot's."""
    return (
        "I'm here. Start me with `make run`, then write to me here. In a channel, write "
        f"`/invite @{name}`, then `@{name} What can you do?`\n"
        "You're a Typist admin: the Home tab shows you who uses me, and lets you set quotas."
    )
