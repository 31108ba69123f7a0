"""Conversations as plain data: threads, messages, questions, and mentions in their text.

Text is Markdown with mentions. People and channels are mentioned by ID, `<@U123>` and `<#C123>`, or by ID and name,
`<@U123|ada>`. Groups, canvases and custom emoji, whose owners choose their names, are written `<!S123|@ops>`. Any other
`<` is written `&lt;`, so text can't be mistaken for a mention; `&` and `>` can be entities too. Questions are stored in
this form, and `bot.slack.text` converts Slack's messages to it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.core.closings import is_courtesy
from bot.models.prompt import OURS, UNKNOWN, Origins


def is_direct_message(channel_id: str) -> bool:
    return channel_id.startswith("D")


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """Identifies a conversation in Slack. Jobs in one thread are answered in order, one at a time."""

    team_id: str
    channel_id: str
    thread_ts: str | None
    """None in a direct message outside threads, which counts as a single conversation."""

    @property
    def place(self) -> tuple[str, str]:
        return self.team_id, self.channel_id

    @property
    def in_direct_message(self) -> bool:
        return is_direct_message(self.channel_id)

    def __str__(self) -> str:
        return f"{self.team_id}/{self.channel_id}/{self.thread_ts or 'root'}"


CHECK_FILE_INFO = "check_file_info"
"""Slack's file_access for files whose details have to be requested with files.info. For a canvas, the response also
includes its channels."""


@dataclass(frozen=True, slots=True)
class File:
    """A file shared with a message, as Slack describes it. Only the file's bytes reliably show its type."""

    id: str
    name: str
    mimetype: str = ""
    filetype: str = ""
    mode: str = ""
    """Slack's mode: hosted, snippet, external, tombstone, hidden_by_limit, ..."""
    access: str = ""
    """Slack's file_access: visible, check_file_info, ..."""
    url: str = ""
    user_id: str = ""
    is_clip: bool = False
    transcript: str | None = field(default=None, repr=False)
    captions_url: str = ""
    """The URL of Slack's WebVTT captions, or ""."""
    seconds: float = 0.0
    """Duration in seconds, or 0 if Slack doesn't report it."""
    size_bytes: int = 0
    """The size in bytes, or 0 if Slack doesn't report it."""
    preview_url: str = ""
    """The URL of Slack's smaller copy of an image, as PNG or JPEG, or ""."""
    is_quoted: bool = False
    """Whether the message quotes the entire file, as Slack does with email."""


SLACK_USER_IDS = frozenset({"USLACK", "USLACKBOT"})
"""IDs of Slack's own users, which aren't marked as bots. They also post email and some apps' messages."""
ANSWERED_SUBTYPES = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""Subtypes of messages written by people. `/me is late` is a me_message."""
REOPENED_SUBTYPES = frozenset({"channel_unarchive", "group_unarchive"})
PASSED_ON_SUBTYPES = frozenset({"slackbot_response", "document_comment_root"})
"""Subtypes of members' messages that Slack posts in its own name: automatic replies and parts of canvases."""


@dataclass(frozen=True, slots=True)
class Message:
    team_id: str
    channel_id: str
    ts: str
    text: str = field(repr=False)
    attached_text: str = field(default="", repr=False)
    """Content below the text, as Markdown with mentions: forwarded and quoted messages, unfurls, email, attachments."""
    channel_type: str = "channel"
    """channel, group, im or mpim, as in Slack's events."""
    thread_ts: str | None = None
    user_id: str | None = None
    bot_id: str | None = None
    app_name: str | None = None
    app_id: str = ""
    is_from_app: bool = False
    """Whether an app wrote the message for itself or for a person, even if Slack doesn't identify a bot."""
    subtype: str | None = None
    parent_user_id: str | None = None
    """The author of the thread's first message, or None if unknown."""
    files: tuple[File, ...] = ()
    edited_ts: str = ""
    is_after_gap: bool = False
    """Whether earlier messages are missing because there were too many or Slack didn't return them."""

    @property
    def writer_id(self) -> str:
        by_slack = self.user_id in SLACK_USER_IDS
        return (self.bot_id if by_slack else None) or self.user_id or self.bot_id or ""

    @property
    def is_notice(self) -> bool:
        """Whether Slack itself wrote the message, as opposed to posting an email or someone else's message."""
        passed_on = self.bot_id or self.is_from_app or self.files or self.subtype in PASSED_ON_SUBTYPES
        return self.user_id in SLACK_USER_IDS and not passed_on

    @property
    def thread(self) -> ThreadKey:
        return ThreadKey(self.team_id, self.channel_id, self.thread_ts)

    @property
    def full_text(self) -> str:
        """The message as readers see it: the text, and any attached content below."""
        return "\n\n".join(part for part in (self.text, self.attached_text) if part.strip())

    @property
    def attached_chars(self) -> int:
        """The number of characters at the end of `full_text` that the author didn't write."""
        return len(self.attached_text) if self.attached_text.strip() else 0

    def as_question(self, thread_ts: str | None) -> "Question":
        """Returns the message as a question. `thread_ts` is None for a direct message outside threads."""
        return Question(
            ThreadKey(self.team_id, self.channel_id, thread_ts),
            self.ts,
            self.writer_id,
            self.full_text,
            self.files,
            is_from_bot=self.bot_id is not None,
            attached_chars=self.attached_chars,
        )


@dataclass(frozen=True, slots=True)
class Question:
    thread: ThreadKey
    ts: str
    user_id: str
    text: str = field(repr=False)
    """The message as readers see it, with the bot's mention, as Markdown with mentions."""
    files: tuple[File, ...] = ()
    is_from_bot: bool = False
    attached_chars: int = 0
    """The number of characters of attached content at the end of the text, which the asker didn't write."""
    schedule_id: int | None = None
    """The ID of the schedule that asks this question, or None for a person's question."""
    is_command: bool = False
    """Whether the question is a command that needs no model (core/memory.py, core/schedules.py)."""
    had_sign_in: bool = False
    """Whether a sign-in URL was removed from the asker's text (core/sign_in_urls.py)."""
    is_held: bool = False
    """Whether nothing is posted until the work is done, because of a rule in words (core/silence.py)."""
    alert_kind: str = ""
    """The hash that the alerts of a burst share (core/alerts.py), or "" for other questions."""

    @property
    def own_text(self) -> str:
        return self.text[: max(0, len(self.text) - self.attached_chars)].rstrip() if self.attached_chars else self.text

    @property
    def attached_text(self) -> str:
        return self.text[-self.attached_chars :] if self.attached_chars else ""

    @property
    def begins_thread(self) -> bool:
        return self.thread.thread_ts == self.ts

    @property
    def channel_and_ts(self) -> tuple[str, str]:
        return self.thread.channel_id, self.ts

    def as_message(self) -> Message:
        return Message(
            team_id=self.thread.team_id,
            channel_id=self.thread.channel_id,
            ts=self.ts,
            text=self.own_text,
            attached_text=self.attached_text,
            is_from_app=self.is_from_bot,
            thread_ts=self.thread.thread_ts,
            user_id=self.user_id,
            files=self.files,
        )


@dataclass(frozen=True, slots=True)
class Note:
    """The part of a prompt that concerns only one question, in addition to the question itself."""

    text: str = field(default="", repr=False)
    origins: Origins = OURS


NO_NOTE = Note()


@dataclass(frozen=True, slots=True)
class RecordedReply:
    """The stored record of one of the bot's messages."""

    text: str = field(repr=False)
    """The answer's Markdown on the first page; "" on other pages and in replies without model text."""
    origins: Origins = UNKNOWN
    asker: str = ""
    question_ts: str = ""
    """The ts of the newest answered question. Set only on the answer's first page."""
    note: Note = NO_NOTE
    refused_ts: frozenset[str] = frozenset()
    """The ts of each answered question that the model's vendor refused."""


_LINK = re.compile(r"https://[a-z0-9.-]{1,100}/archives/([CDG][A-Z0-9]{1,20})/p(\d{1,12})(\d{6})(\?\S*)?", re.ASCII)
_LINKS_THREAD = re.compile(r"[?&]thread_ts=(\d{1,12}\.\d{6})", re.ASCII)
_MENTION = re.compile(r"<(?P<mark>[@#!])(?P<id>[A-Z0-9]+)(?:\|(?P<name>[^<>]*))?>")
_USER = re.compile(r"<@([A-Z0-9]+)(?:\|[^<>]*)?>")
_QUOTED = re.compile(r"^[ \t]*(?:[-*•][ \t]+|\d+\.[ \t]+)?(?:>|&gt;).*$", re.MULTILINE)
_CODE = re.compile(r"(`{3,}).*?(?:\1|\Z)|(?<!`)(`{1,2})(?!`)[^\n]*?(?<!`)\2(?!`)", re.DOTALL)
_UNNAMED_CHANNEL = re.compile(r"<#([A-Z0-9]+)\|?>")
_USER_MENTION = r"<@{}(?:\|[^<>]*)?>"
_ID = re.compile(r"[A-Z0-9]+")
_AFTER_MENTION = r"(?:[,:](?![\w+'-]{1,100}:))?(?:[ \t\n]|[,:](?=[ \t\n]|\Z))*"
"""Spaces, and a comma or colon, after a mention. A colon can instead begin an emoji, such as `:tada:` or `:)`."""
_EMOJI = re.compile(r":[\w+'-]{1,100}:|<!EMOJI\|[^<>]*>")
_BEFORE_MENTION = " \t\n,"
_SENTENCE_ENDS = " \t\n.?!…。？！"
_EMPHASIS = "*_"
_ANY_MENTION = re.compile(r"<@[A-Z0-9]+(?:\|[^<>]*)?>|<![A-Z0-9]+\|@|(?<![\w@.<|])@(?=\w)")
_MAX_BEFORE_MENTION_CHARS = 160
_MARKS = re.compile(r"(?:\d{1,3}[.)])?(?:[^\w`\"'“”„‘’«»]|_)*")
"""List markers, emphasis and emoji, which are neither words nor quotation marks nor code."""
_MAX_COURTESY_WORDS = 8
_MAX_COMMAND_CHARS = 300
_POINTING_CHARACTERS = f"{_SENTENCE_ENDS}^,:…⬆️👆"
_POINTING_WORDS = re.compile(r"this|that|(?:see )?(?:the )?above|(?:any |your )?thoughts|wdyt")


def linked_message(link: str) -> tuple[str, str, str | None] | None:
    """Returns the channel, ts and thread_ts in a Slack permalink to a message, or None if the link isn't a message's
    permalink."""
    match = _LINK.fullmatch(link)
    if match is None:
        return None
    in_thread = _LINKS_THREAD.search(match[4] or "")
    return match[1], f"{match[2]}.{match[3]}", in_thread[1] if in_thread else None


def message_link(base: str, channel_id: str, ts: str, thread_ts: str | None) -> str:
    """Returns a link to a message, or "" if `base` is unknown. `base`: the prefix that all links in the channel
    share."""
    thread = f"?thread_ts={thread_ts}&cid={channel_id}" if thread_ts not in (None, "", ts) else ""
    return f"{base}{ts.replace('.', '')}{thread}" if base else ""


def mentioned_user_ids(text: str) -> list[str]:
    return _USER.findall(text)


def addressed_user_ids(text: str) -> list[str]:
    """Returns the IDs of mentioned people. Mentions in quotes and code are excluded, because they don't address
    anyone."""
    return mentioned_user_ids(_CODE.sub("", _QUOTED.sub("", text)))


def mentioned_ids(text: str) -> list[str]:
    """Returns the IDs of all mentioned people, channels and other objects, in order."""
    return [mention["id"] for mention in _MENTION.finditer(text)]


def is_addressed_to_another(text: str, bot_name: str) -> bool:
    """Returns whether text without a bot mention begins with a mention of a person, a group, or @here. A greeting,
    thanks, an emoji or a quotation can precede the mention. A typed @ counts too, unless the bot's name follows."""
    words = _QUOTED.sub("", text).lstrip()
    mention = _ANY_MENTION.search(words, 0, _MAX_BEFORE_MENTION_CHARS)
    if mention is None:
        return False
    before = words[: mention.start()]
    if not (_MARKS.fullmatch(before) or is_courtesy(before)):
        return False
    own_name = re.compile(rf"{re.escape(bot_name)}(?![-.]?\w)", re.IGNORECASE)
    return mention[0] != "@" or own_name.match(words, mention.end()) is None


def ids_to_name(text: str) -> list[str]:
    """Returns the IDs of mentioned people, whose names can change, and of channels mentioned without a name."""
    return [*mentioned_user_ids(text), *_UNNAMED_CHANNEL.findall(text)]


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Returns text as readers see it. `names`: display names by ID. If a name is missing, the name in the text is used
    or, without one, the ID."""
    parts, end = [], 0
    for mention in _MENTION.finditer(text):
        mark = mention["mark"]
        name = names.get(mention["id"]) or unescape(mention["name"] or "").strip() or mention["id"]
        parts += [unescape(text[end : mention.start()]), name if mark == "!" else mark + name.removeprefix(mark)]
        end = mention.end()
    return "".join([*parts, unescape(text[end:])])


def named_mention(id_: str, name: str) -> str:
    return f"<!{id_}|{escape(name)}>" if _ID.fullmatch(id_) else ""


def without_user_mentions(text: str) -> str:
    return _USER.sub("", text)


def without_bot_mention(text: str, bot_user_id: str) -> str:
    """Returns text without mentions of the bot at its beginning and end. A mention within a sentence is kept, because
    it is part of the sentence's meaning."""
    mention = _USER_MENTION.format(re.escape(bot_user_id))
    words = text.strip()
    if leading := re.match(rf"(?:{mention}{_AFTER_MENTION})+", words):
        words = words[leading.end() :]
    sentence_end = end = len(words.rstrip(_SENTENCE_ENDS))
    for trailing in reversed(list(re.finditer(mention, words))):
        if trailing.end() != end:
            break
        end = trailing.start()
        while end and words[end - 1] in _BEFORE_MENTION:
            end -= 1
    return words if end == sentence_end else words[:end] + "".join(words[sentence_end:].split())


def plain_words(question: Question, bot_user_id: str) -> str:
    """Returns a person's own words, or "" for a scheduled run or a message with files or attached content."""
    has_more = bool(question.files or question.attached_text.strip()) or question.schedule_id is not None
    return "" if has_more else without_bot_mention(question.own_text, bot_user_id).strip()


def without_greeting(words: str, bot_user_id: str, bot_name: str) -> str:
    first = words.split(None, _MAX_COURTESY_WORDS)
    for size in range(min(len(first), _MAX_COURTESY_WORDS), 0, -1):
        if _is_courtesy(first[:size], bot_user_id, bot_name):
            return "".join(words.split(None, size)[size:])
    return words


def plain_command(words: str, bot_user_id: str, bot_name: str) -> str:
    """Returns a command in lowercase, without courtesies or final punctuation, or "" if the text is too long."""
    if len(words) > _MAX_COMMAND_CHARS:
        return ""
    bare, longer = without_greeting(words, bot_user_id, bot_name).rstrip(_SENTENCE_ENDS), ""
    while bare != longer:
        longer = bare
        last = bare.rsplit(None, _MAX_COURTESY_WORDS)[1:]
        sizes = range(1, len(last) + 1)
        size = next((size for size in sizes if _is_courtesy(last[-size:], bot_user_id, bot_name)), 0)
        bare = bare.rsplit(None, size)[0] if size else bare
    return bare.lstrip(_EMPHASIS).rstrip(f"{_SENTENCE_ENDS}{_EMPHASIS},").casefold().replace("’", "'")


def _is_courtesy(words: list[str], bot_user_id: str, bot_name: str) -> bool:
    said = " ".join(words)
    return not set(mentioned_user_ids(said)) - {bot_user_id} and is_courtesy(said, bot_name)


def is_only_bot_mention(text: str, bot_user_id: str) -> bool:
    """Returns whether text only mentions the bot or points to earlier messages, as in "@typist thoughts?"."""
    words = _EMOJI.sub("", without_bot_mention(text, bot_user_id)).strip(_POINTING_CHARACTERS).casefold()
    return _POINTING_WORDS.fullmatch(words) is not None or not any(map(str.isalnum, words))


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """Returns text with its entities decoded once: `&amp;lt;` becomes `&lt;`."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
