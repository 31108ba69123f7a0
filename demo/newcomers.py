"""Scripted answers to what newcomers typically write first, for when no model is connected that could answer.

Every answer is true, because it is about the bot or about text that the script has read. The script doesn't make up
news, and doesn't claim to summarize text that it can't summarize. Pure.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.core import texts
from demo.scenes import ATTACHED, LAUNCH, POST, READ_TOOL, SCHEDULE_TOOL, Call, catch_up, read_file, scheduled

NO_MODEL = "No real model is connected in this sandbox, so a script wrote this."
_MAX_CHARS = 300
"""Longer messages are left to a model."""
_NEWEST = 5
_WEEK = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_DAYS: Mapping[str, str] = {
    "weekday": "1-5",
    "weekend": "6,0",
    **{name: str(at) for at, name in enumerate(_WEEK)},
    "day": "*",
    "morning": "*",
    "daily": "*",
}
"""The day-of-week field of a cron expression, by a day's name."""
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_HOURS = {"midnight": 0, "noon": 12, **{name: hour for hour, name in enumerate(_NUMBERS, 1)}}
_USUAL_HOUR = 9
_TIME = (
    rf"(?P<hour>[01]?\d|2[0-3]|{'|'.join(_HOURS)})(?::(?P<minute>[0-5]\d))?(?: ?(?P<half>[ap])\.?m\b\.?)?(?: o'clock)?"
)
_DAY = rf"(?:{'|'.join(_DAYS)})"
_NAMED = r"(?:weekdays|weekends|(?:sun|mon|tues|wednes|thurs|fri|satur)days)"
_WHEN = re.compile(
    rf"\b(?P<days>(?:(?:every|each) {_DAY}|daily|(?:on )?{_NAMED})(?:(?:,| and|, and) {_DAY}s?)*)"
    rf"(?: morning)?(?:,? at {_TIME})?(?=[\s,:;.!?]|$)",
    re.IGNORECASE,
)
"""Matches days, possibly with a time, such as "every weekday at 9"."""
_EDGES = " ,;:.!?\n"
_ASKS_SOMETHING = re.compile(r"(?:why|what|who|how|when|where|which|is|are|was|do|does|did)\b", re.IGNORECASE)
_POLITE = re.compile(r"^(?:please|can you|could you|and|then)\b[ ,]*|[ ,]*\bplease$", re.IGNORECASE)
_GREETING = re.compile(r"^(?:hi|hey|hello|hallo|good (?:morning|afternoon|evening))(?: there| typist)?[ ,.!:-]+(?=\w)")
"""Matches a greeting that is followed by more text."""
_SPEAKER = re.compile(r"(?:^|\n)\[\w{8}(?:-\w+| at) [^\n\]]*\]\n")
"""Matches the line that a prompt has above each message."""
_BROUGHT_ALONG = re.compile(r"\n\n(?:\(Attached: |\[\w{8} (?:file|attached)\])")
_TASK = re.compile(
    rf"{re.escape(texts.schedules.SCHEDULED_TASK)}\n\n\[\w{{8}} attached\]\n(.*?)\n\[\w{{8}} end\]"
    r"(?:\n\n\[\w{8} note\].*)?$",
    re.DOTALL,
)
"""Matches the question of a schedule's run."""


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """A scripted answer to one of these messages, or the part of it that precedes a tool call."""

    text: str
    call: Call | None = None


def first_answer(turn: str, tools: Mapping[str, str]) -> FirstAnswer | None:
    """Returns the scripted answer to a person's turn in a prompt, or None if a model must answer.

    `tools`: the descriptions of offered tools, by name.
    """
    words = _POLITE.sub("", " ".join(_own_words(turn).casefold().replace("’", "'").split()).strip(_EDGES))
    if not 0 < len(words) <= _MAX_CHARS:
        return None
    asked = {words, _POLITE.sub("", _GREETING.sub("", words))}
    for answer, forms in _FORMS.items():
        if any(re.fullmatch(form, said) for form in forms for said in asked):
            return answer(turn, tools)
    return _propose_change(words, tools) or _propose_schedule(_own_words(turn))


def _own_words(turn: str) -> str:
    if task := _TASK.search(turn):
        return task[1]
    return _SPEAKER.split(_BROUGHT_ALONG.split(turn, maxsplit=1)[0])[-1].strip()


def _list_abilities(turn: str, tools: Mapping[str, str]) -> FirstAnswer:
    return FirstAnswer(
        "Mention me in a channel, or write to me directly, and I answer while you watch. You can also try:\n\n"
        "- “catch me up”: I read the channel, and link to what matters.\n"
        "- “summarize this file”, with a file beside it.\n"
        "- “every weekday at 9, sum up what was said here”: I come back by myself. “make it ten” changes that.\n"
        "- “remember: exports go live on Thursdays”: I know it in this channel from then on.\n\n"
        f"{NO_MODEL} **Use your own key…** below the message box connects one, and then I answer anything else."
    )


def _greet(turn: str, tools: Mapping[str, str]) -> FirstAnswer:
    return FirstAnswer(f"Hi! Ask me “what can you do?”, or press one of the cards. {NO_MODEL}")


def _report_no_news(turn: str, tools: Mapping[str, str]) -> FirstAnswer:
    return FirstAnswer(
        f"I can't look that up. {NO_MODEL} A model whose vendor searches the web could tell you, and links its sources."
    )


def _catch_up(turn: str, tools: Mapping[str, str]) -> FirstAnswer:
    reads = READ_TOOL in tools
    text = (
        "I'll read what was said here."
        if reads
        else "I catch you up in channels: ask me there. I can't read more here."
    )
    return FirstAnswer(text, Call(READ_TOOL, {"newest": 100}, _summary_or_newest, ""))


def _summary_or_newest(result: str) -> str:
    """Returns a summary of the showcase's channel, or another channel's newest posts, unchanged."""
    posts = list(POST.finditer(result))
    if all(post.words in {found["text"] for found in posts} for post in LAUNCH.posts):
        return catch_up(result)
    if not posts:
        return "\n\nNobody has written here before your question."
    newest = [f"- [{post['who']}, {post['at']}]({post['link']}): {post['text']}" for post in posts[-_NEWEST:]]
    return f"\n\n{NO_MODEL} It can't sum up, so here is the newest as it was written:\n\n" + "\n".join(newest)


def _read_files(turn: str, tools: Mapping[str, str]) -> FirstAnswer:
    attached = ATTACHED.search(turn)
    if attached is None:
        _, *files = _BROUGHT_ALONG.split(turn)
        if not files:
            return FirstAnswer("I see no file. Add one with **+** beside the message box, and ask again.")
        is_unread = any("(Attached, but not shown" in file for file in files)
        why = "The notice below says why." if is_unread else f"{NO_MODEL} It reads only text."
        return FirstAnswer(f"I couldn't read the file. {why}")
    lines = [line for line in attached["content"].splitlines() if line.strip()]
    if sum(line.startswith("|") for line in lines) > 2:
        return FirstAnswer(read_file(turn))
    count, begins = len(attached["content"].split()), "\n".join(f"> {line}" for line in lines[:3])
    return FirstAnswer(
        f"I've read `{attached['name']}`: {count:,} words. It begins:\n\n{begins}\n\n{NO_MODEL} It can't sum up."
    )


def _propose_change(words: str, tools: Mapping[str, str]) -> FirstAnswer | None:
    """Returns a proposal to change the newest schedule in a place, such as for "make it ten", or None for other
    messages."""
    wanted = re.fullmatch(rf"(?:(?:make|change|move|set|do) (?:it|that) )?(?:to |at )*{_TIME}(?: instead)?", words)
    if wanted is None or not re.search(r"^(?:make|change|move|set)|instead$", words):
        return None
    scheduled_here = tools.get(SCHEDULE_TOOL, "").partition("Scheduled here now: ")[2]
    known = re.findall(r"number (\d+), ([^;]+)", scheduled_here)
    if not known:
        return FirstAnswer(
            "Nothing is scheduled here that I could change. Write “every weekday at 9, sum up what was said here”, and "
            "then “make it ten”."
        )
    number, rule = known[-1]
    return FirstAnswer("I'll propose a change.", _schedule_call({"number": int(number), "cron": _cron(wanted, rule)}))


def _propose_schedule(message: str) -> FirstAnswer | None:
    """Returns a proposal for a new schedule if a message begins or ends with days, or None for other messages."""
    when = _WHEN.search(message)
    if when is None or len(message) > _MAX_CHARS or _ASKS_SOMETHING.match(message):
        return None
    before, after = (_POLITE.sub("", part.strip(_EDGES)) for part in (message[: when.start()], message[when.end() :]))
    if before and after and not before.casefold().startswith("remind"):
        return None
    what = f"{before} {after}".strip()
    if not what:
        return FirstAnswer(
            "What should I do then? Write it in one message: “every weekday at 9, sum up what was said here”."
        )
    words = what[0].upper() + what[1:]
    return FirstAnswer("I'll propose a schedule.", _schedule_call({"words": words, "cron": _cron(when, when["days"])}))


def _schedule_call(arguments: Mapping[str, object]) -> Call:
    return Call(SCHEDULE_TOOL, arguments, scheduled, "\n\nOnly members of the workspace can schedule something.")


def _cron(time: re.Match[str], days: str) -> str:
    """Returns a cron expression for a time of day and the days that a text mentions."""
    hour = (time["hour"] or str(_USUAL_HOUR)).casefold()
    number = _HOURS[hour] if hour in _HOURS else int(hour)
    if time["half"]:
        number = number % 12 + 12 * (time["half"].casefold() == "p")
    fields = [_DAYS[name.casefold()] for name in re.findall(_DAY, days, re.IGNORECASE)]
    return f"{int(time['minute'] or 0)} {number} * * {'*' if '*' in fields else ','.join(fields)}"


_HERE = "(?: here| in here| (?:on|in) this (?:channel|thread)| today| this week| for me| exactly)*"
_THIS = "(?: (?:this|the|that|my|our|attached|it))*"
_SUM_UP = "(?:summari[sz]e|sum up|recap)"
_YOU = "(?:you|it|this|this bot|typist)"
_FILE = "(?: (?:file|document|doc|pdf|spreadsheet|table|report|attachment|slides))?"
_SAID = "(?:said|written|wrote|happened|discussed|posted|new|going on)"
_FORMS: Mapping[Callable[[str, Mapping[str, str]], FirstAnswer], Sequence[str]] = {
    _greet: (
        "(?:hi|hello|hey|hiya|howdy|good (?:morning|afternoon|evening|day))(?:,? (?:there|typist|bot|all|everyone))?",
        "(?:this is a |just a )?test(?:ing)?|ping|are you there|is (?:anybody|anyone) there|hello world",
    ),
    _list_abilities: (
        f"(?:so,? )?what (?:can|do|does|are) {_YOU}(?: able to)? do{_HERE}",
        f"(?:what|how) can i (?:do|ask)(?: {_YOU})?{_HERE}|help(?: me)?|commands",
        f"(?:who|what) are you|what(?: is|'s) {_YOU}|how (?:can|do|does) {_YOU} (?:work|help)(?: me)?",
        f"how (?:do|can) i use {_YOU}",
    ),
    _catch_up: (
        f"(?:catch me up|bring me up to (?:date|speed)|what(?: did|'ve| have) i miss(?:ed)?){_HERE}",
        f"what(?: is|'s| has|'s been| has been)? {_SAID}{_HERE}(?: since .*)?",
        f"{_SUM_UP}{_THIS} (?:channel|thread|conversation|discussion)",
        f"(?:{_SUM_UP}|tell me) what(?: is| was| has been| we| they| people)? {_SAID}{_HERE}(?: since .*)?",
    ),
    _read_files: (f"(?:{_SUM_UP}|explain|read|describe|tl;?dr:?|what(?: is|'s) in|what does){_THIS}{_FILE}(?: say)?",),
    _report_no_news: (
        "(?:(?:what(?: is|'s| are)|any|(?:tell|give|show) me) )?(?:the )?(?:latest |today's )*"
        "(?:news|headlines|weather)(?: like)?(?: today| tomorrow| in [a-z ]{1,30})?",
    ),
}
"""Patterns of lowercase messages, by the function that answers them."""
