"""From a Slack conversation to what the model is given: turns by its rules, of the messages that fit."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bot.core.conversation import File, Media, Message, Prompt, Question, ThreadKey, Turn
from bot.core.inbound.mentions import ids_to_name, with_names, without_address
from bot.core.inbound.triage import SLACKS_OWN, Identity
from bot.core.reply.resuming import NOTHING_MISSING

DEFAULT_SYSTEM_PROMPT = (
    "You are Typist, a helpful colleague in a Slack workspace. Be concise: people read you in a chat. "
    "Write Markdown, which Slack renders: short paragraphs, lists, tables and fenced code where they help. "
    "When several people talk, each of their messages begins with the writer's name; yours never do. "
    "Say so when you do not know."
)

CONVERSING_SUBTYPES = {None, "file_share", "thread_broadcast", "bot_message"}

PANE_THREAD = "assistant_app_thread"
"""Of the message that begins a thread in the pane: Slack writes it for us, and it is but a title."""

LEFT_OUT = "(Earlier messages are left out here.)"
GO_ON = (
    "Your answer was cut off at its length limit. Go on exactly where it stops, in mid-word or in mid-list if need be: "
    "what you write now is appended to it. Repeat nothing, and say nothing about going on."
)
RESUME = (
    "Your answer was broken off here by a fault on our side. Go on exactly where it stops: what you write now is "
    "appended to it, inside the list, table or block of code that is open there. Repeat nothing, and say nothing about "
    f"going on. If nothing is missing, write {NOTHING_MISSING} and nothing else."
)
BEGUN_BY_US = "(This conversation begins with a message of yours.)"
CUT = "\n\n(… {chars:,} characters are left out here …)\n\n"
_STRUCTURE = re.compile(r"- |\d+\. |> |```|\||#")
_JOINERS = "\u200d\ufe0e\ufe0f"

Tokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A question and what was said before it in its conversation."""

    question: Question
    messages: Sequence[Message]
    """As Slack tells them; the question may be among them."""
    replies: Mapping[str, str]
    """What the bot's own messages say, by ts (Store.replies)."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One message, and who said it: None is the bot."""

    speaker: str | None
    """A person's id, or an app's."""
    text: str
    name: str | None = None
    """How an app calls itself."""
    first: bool = False
    """It is its thread's first message."""
    after_gap: bool = False
    """Messages before it are left out."""
    files: tuple[File, ...] = ()
    media: tuple[Media, ...] = ()
    """What of its files is to be looked at."""
    ts: str = ""


def spoken(conversation: Conversation, me: Identity) -> list[Spoken]:
    """Who said what, oldest first, the question last; people's words in Slack's markup.

    People's messages count up to the question; our own answers always do: a thread's jobs are done in
    order, so that each answer on record belongs to an earlier question.
    """
    question = conversation.question
    asked = Spoken(question.user_id, without_address(question.text, me.user_id), files=question.files, ts=question.ts)
    said, gap = [], False
    for message in conversation.messages:
        gap = gap or message.after_gap
        if message.ts == question.ts:
            # It may have been edited since it was asked.
            words = without_address(message.whole, me.user_id)
            asked = replace(asked, text=words or asked.text, files=message.files or asked.files)
        elif (each := _said(message, conversation, me)) and (each.text.strip() or each.files):
            said.append(replace(each, first=message.ts == question.thread.thread_ts, after_gap=gap))
            gap = False
    return [*said, replace(asked, after_gap=gap)]


def _said(message: Message, conversation: Conversation, me: Identity) -> Spoken | None:
    if message.subtype == PANE_THREAD or message.user_id in SLACKS_OWN:
        return None
    before = message.ts < conversation.question.ts
    if message.user_id == me.user_id or message.bot_id == me.bot_id:
        shown = with_names(message.text, {}) if before else ""
        return Spoken(None, conversation.replies.get(message.ts, shown), ts=message.ts)
    if not before or message.subtype not in CONVERSING_SUBTYPES:
        return None
    speaker = message.user_id or message.bot_id or ""
    words = without_address(message.whole, me.user_id)
    return Spoken(speaker, words, message.app_name, files=message.files, ts=message.ts)


def to_be_named(said: Sequence[Spoken], me: Identity) -> list[str]:
    """The ids of those whose names tell who speaks, and of whom and where; the newest first, each once, not ours."""
    ids = [each.speaker for each in reversed(said) if each.speaker and not each.name] if _several(said) else []
    for each in reversed(said):
        ids += ids_to_name(each.text) if each.speaker is not None else []
    return [each for each in dict.fromkeys(ids) if each != me.user_id]


def named(said: Sequence[Spoken], names: Mapping[str, str]) -> list[Spoken]:
    """What each says to a reader; of several people each message begins with its writer's name."""
    several = _several(said)
    return [replace(each, text=_read(each, names, several)) for each in said]


def _read(each: Spoken, names: Mapping[str, str], several: bool) -> str:
    if each.speaker is None:
        return each.text.strip()
    text = with_names(each.text, names).strip()
    if not several:
        return text
    # A list, a quote or code begins on a line of its own.
    between = "\n" if _STRUCTURE.match(text) else " "
    return f"{each.name or names.get(each.speaker, each.speaker)}:{between}{text}"


def _several(said: Sequence[Spoken]) -> bool:
    return len({each.speaker for each in said if each.speaker is not None}) > 1


def fit(said: Sequence[Spoken], tokens: Tokens, limit_tokens: int) -> list[Spoken]:
    """The question (the last one), the thread's first message, and the newest ones that fit, whole.

    One that alone is too long is cut in its middle. Where anything is left out, be it that it was not read, more is
    than must be, up to a third: so the next questions' prompts begin as this one does, and vendors find
    that beginning in their caches.
    """
    *before, question = said
    unread = any(each.after_gap for each in before[:2])
    if sum(tokens(each.text) for each in said) <= limit_tokens and not unread:
        return list(said)
    question = replace(question, text=cut(question.text, tokens, limit_tokens) or LEFT_OUT)
    room = limit_tokens - tokens(question.text) - tokens(LEFT_OUT)
    first, rest = (before[:1], before[1:]) if before and before[0].first else ([], before)
    # Cuts change in steps as well: they would change with each question.
    step = max(1, limit_tokens // 8)
    if first and tokens(first[0].text) > room:
        first_tokens = max(room // 2, room - sum(tokens(each.text) for each in rest))
        first_tokens -= first_tokens % step
        first = [replace(first[0], text=text)] if (text := cut(first[0].text, tokens, first_tokens)) else []
    room -= sum(tokens(each.text) for each in first)
    newest = _steady(_newest(rest, tokens, room, step), tokens)
    kept = [*newest, question]
    if len(first) + len(newest) < len(before):
        kept[0] = replace(kept[0], after_gap=True)
    return [*first, *kept]


def _newest(said: Sequence[Spoken], tokens: Tokens, room_tokens: int, step_tokens: int) -> list[Spoken]:
    kept: list[Spoken] = []
    left = room_tokens
    for each in reversed(said):
        size = tokens(each.text)
        if size > left:
            # Only what would fit nowhere is cut: the rest is dropped whole.
            if size > room_tokens and (text := cut(each.text, tokens, left - left % step_tokens)):
                kept.append(replace(each, text=text))
            break
        left -= size
        kept.append(each)
    return kept[::-1]


def _steady(said: list[Spoken], tokens: Tokens) -> list[Spoken]:
    """Without the oldest ones, up to a third of all, so that the next calls begin with the same message.

    Each message has a rank, at random but for good, and the first one is that of the lowest rank among those that
    can be. As the conversation grows it stays the first until it can be no longer, or one of a lower rank can be;
    it does not matter from where the conversation was read, nor how sizes are estimated. The newest message of a
    person is never spared.
    """
    last_asked = max((at for at, each in enumerate(said) if each.speaker is not None), default=0)
    spare_tokens = sum(tokens(each.text) for each in said) // 3
    firsts, before = list[int](), 0
    for at, each in enumerate(said[: last_asked + 1]):
        if before > spare_tokens:
            break
        firsts.append(at)
        before += tokens(each.text)
    return said[min(firsts, key=lambda at: _rank(said[at]), default=0) :]


def _rank(each: Spoken) -> bytes:
    return hashlib.sha256((each.ts or each.text).encode(errors="replace")).digest()


def cut(text: str, tokens: Tokens, limit_tokens: int) -> str:
    """The text, or its beginning and end with a mark between them; "" where there is no room for that."""
    if tokens(text) <= limit_tokens:
        return text
    low, high = 0, len(text)
    while low < high:
        half = (low + high + 1) // 2
        low, high = (half, high) if tokens(ends(text, half)) <= limit_tokens else (low, half - 1)
    return ends(text, low) if low else ""


def ends(text: str, chars: int) -> str:
    """So many characters of its two ends, or a few less: none is parted from the marks that belong to it."""
    head, tail = (chars + 1) // 2, len(text) - chars // 2
    while 0 < head < len(text) and _belongs(text[head]):
        head -= 1
    while tail < len(text) and _belongs(text[tail]):
        tail += 1
    return text[:head].rstrip() + CUT.format(chars=tail - head) + text[tail:].lstrip()


def going_on(said: Sequence[Spoken], so_far: str, request: str = GO_ON) -> list[Spoken]:
    """With an answer that is to go on: models take no turn of their own at the end, so they are asked to."""
    return [*said, Spoken(None, so_far), Spoken("", request)] if so_far else list(said)


def _belongs(mark: str) -> bool:
    return mark in _JOINERS or unicodedata.combining(mark) > 0


def prompt_of(system: str, said: Sequence[Spoken]) -> Prompt:
    """Turns that alternate and begin with a user's."""
    turns = []
    for is_bot, each_of in groupby(_told(said), key=lambda each: each.speaker is None):
        group = list(each_of)
        text = "\n\n".join(each.text.strip() for each in group)
        turns.append(Turn("assistant" if is_bot else "user", text, tuple(m for each in group for m in each.media)))
    return Prompt(system, tuple(turns))


def cache_key(thread: ThreadKey) -> str:
    """The same for each prompt of a conversation, and none of Slack's ids: vendors are told it."""
    return hashlib.sha256(str(thread).encode(errors="replace")).hexdigest()[:32]


def _told(said: Iterable[Spoken]) -> Iterator[Spoken]:
    """With what has to be said about them: in a user's turn, for a model's own turns hold its own words."""
    begun = False
    for each in said:
        if each.after_gap:
            yield Spoken("", LEFT_OUT)
            begun = True
        # One that was but a file says nothing where the file is shown later.
        if each.text.strip() or each.media:
            if each.speaker is None and not begun:
                yield Spoken("", BEGUN_BY_US)
            begun = True
            yield each
