"""The scenes of the sandbox's showcase: the questions of the page's cards, and the scripts that answer them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sandbox.demo.spreadsheet import spreadsheet
from sandbox.files import UploadedFile
from sandbox.page.guide import Reply

TOOL_SERVER = "notes"
"""The name under which the demo's MCP server (sandbox/demo/notes_server.py) has to be configured."""
Script = Callable[[str], str]
"""Takes a question with its files, as a model reads it, and returns the answer."""

_ATTACHED = re.compile(
    r"\(Attached: (?P<name>[^\n]+)\)\n\(As Markdown[^\n]*\)\n(?P<fence>`{3,})markdown\n(?P<content>.*?)\n(?P=fence)",
    re.DOTALL,
)
_RULE = re.compile(r"[| :-]+")
"""The line below a table's header."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that a scene's answer calls after its script, and what it says then."""

    tool: str
    arguments: Mapping[str, object]
    rest: Script
    """Takes what the tool returned, or why it wasn't called, and returns the rest of the answer."""
    not_offered: str
    """The rest of the answer if the asker may not use the tool, or its server isn't running yet."""

    @property
    def needs_server(self) -> bool:
        """Whether it is a tool of the demo's MCP server."""
        return self.tool.startswith(TOOL_SERVER)


@dataclass(frozen=True, slots=True)
class Scene:
    """One card of the page."""

    title: str
    detail: str
    shows: str
    """The subject of its answers. It follows "shows" in their first line."""
    scripts: dict[str, Script]
    """The scripts by question. Several questions are asked at the same time, each by another person."""
    file: UploadedFile | None = None
    """A file that is shared with the question."""
    limited: bool = False
    """Whether its answer stops at a length limit, so that Continue is offered."""
    call: Call | None = None
    """What its first answer calls. If that needs the server, the page asks in the direct message with the bot."""
    replies: tuple[Reply, ...] = ()
    """What people write below the first question."""
    reply_scripts: Mapping[str, Script] = field(default_factory=dict)
    """The scripts of the replies that a channel's mode may make questions, and of choices, by their words."""

    @property
    def all_scripts(self) -> Mapping[str, Script]:
        return self.scripts | dict(self.reply_scripts)


def _says(text: str) -> Script:
    return lambda _: text


def _read_file(text: str) -> str:
    """Returns an answer that is computed from the file's text in the prompt."""
    attached = _ATTACHED.search(text)
    lines = attached["content"].splitlines() if attached else []
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|") and not _RULE.fullmatch(line)]
    if attached is None or len(rows) < 2:
        return "The file did not reach the prompt. The notice below says why."
    heading, *data = rows
    table = [heading, ["---"] + ["---:"] * (len(heading) - 1), *data]
    totals = [str(_total(row[column:][:1] for row in data)) for column in range(1, len(heading))]
    table.append([f"**{cell}**" for cell in ("Total", *totals)])
    return (
        f"I read `{attached['name']}`: {len(data)} rows. Typist downloaded it from Slack with its bot token, read it "
        "in a process of its own, and put its sheet into the prompt as a table. The script computed the totals from "
        "that text.\n\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in table)
        + "\n\nOffice files, mails, text and PDFs work like this with any model, and images with models that see. A "
        "notice below the answer names what was not read: here the spreadsheet has a hidden sheet."
        "\n\nTo see a file that can't be read, open **Simulate Slack failures**, turn on *File downloads refused*, and "
        "press Regenerate."
    )


def _hear(text: str) -> str:
    """Returns an answer that is computed from the transcript in the prompt."""
    said = re.search(r"This is said in it:\)\n([^\n]+)", text)
    if said is None:
        return "The clip's transcript did not reach the prompt. The notice below says why."
    return (
        f"I read {len(said[1].split())} words. Slack had transcribed the clip already, so no model had to.\n\n"
        "Slack transcribes a clip when a person opens its transcript. With `BOT_TRANSCRIBE`, a model transcribes the "
        "other clips, each of them once. In a direct message, a clip is a question without any words beside it."
    )


_SPOKEN = (
    "Hi! I'm on the train, so I'm saying this instead of typing. The nightly export was slow again on Tuesday. It "
    "began at two and took until six, and the dashboards were empty when people came in. I looked at the disk, and "
    "there is enough room. Nobody has changed the query since May. What I don't know is whether the new index on "
    "orders helps it or hurts it. Could you tell me which three things I should measure first, in which order, and "
    "what each of them would prove? If one of them needs somebody with access to production, please say so, and I'll "
    "ask Grace. Thanks, and please keep it short, because my battery is nearly empty."
)
_CLIP = b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42" + bytes(4_096)
"""The head of a clip, and silence: nobody plays it."""


def _total(cells: Iterable[list[str]]) -> int:
    return sum(int(cell) for row in cells for cell in row if cell.isdecimal())


_STREAMING = """\
## How an answer appears

A model writes word by word. Typist shows the words **while the model writes**. Slack allows about 50 edits a minute \
in a workspace, so each call carries everything that was written since the one before.

| Answers at once | Edits a minute each |
|:--|--:|
| 1 | 50 at most |
| 3 | 16 at most |
| 20 | 2 at most |

### Code keeps its shape

```python
def next_call(shown: str, desired: str) -> str | None:
    \"\"\"Returns the edit that brings Slack up to date, None if nothing changed.\"\"\"
    return desired if desired != shown else None
```

### So do lists

1. A failed call isn't repeated. The next one carries the newest text.
2. The last call is never skipped:
   - it adds the buttons below,
   - and the footer with the model's name.

Press **Regenerate** below to see another attempt replace this one. **Previous** then shows this one again.
"""

_CHAPTERS = (
    (
        "A question arrives",
        "Slack delivers your message as an event over a WebSocket. Typist decides whether it is a question, writes a "
        "job into its database, and only then acknowledges the event. If the process dies before that, Slack delivers "
        "the event again. A question is stored once, even if its event comes twice.",
    ),
    (
        "A worker claims it",
        "A worker takes the oldest job that may start. Jobs of one thread run one after the other, so that each answer "
        "can read the one before it. Many threads are answered at the same time. A placeholder appears at once, so "
        "that you know that you were heard.",
    ),
    (
        "The model writes",
        "Each piece of text goes into a draft. Nothing pushes the text at Slack. A call is computed from two things: "
        "what Slack should show, and what it does show. If they are equal, no call is made.",
    ),
    (
        "Calls are paced",
        "About fifty edits fit into a minute, for the whole workspace. Typist shares them among the answers that are "
        "growing now, holds one back for the end of each answer, and keeps a few for the first words of new ones. "
        "Slack's native streams have limits of their own. Typist can use them where edits get scarce.",
    ),
    (
        "You may stop it",
        "The Stop button ends an answer in mid-sentence. The text so far stays, and the model is disconnected, so that "
        "it costs nothing more. Only the person who asked, or a Typist admin, can stop an answer. You can try that: "
        "choose Grace under Writing as (☰ on a small screen), and press Stop on an answer to Ada.",
    ),
    (
        "Slack fails",
        "Requests get lost, responses get lost, and Slack asks for patience with HTTP 429. A call that failed is not "
        "recorded as shown, so the next one carries the newest text anyway. The panel Simulate Slack failures has a "
        "switch for each of these failures. Turn one on while an answer grows, turn it off, and the answer recovers.",
    ),
    (
        "A process dies",
        "Other workers notice within seconds that its heartbeat has stopped. One of them takes the job over, reads "
        "the text on record, and asks the model to go on from there. You see a short pause, and then the next words.",
    ),
    (
        "The length limit",
        "Each answer has a limit of tokens, which keeps costs within bounds. An answer that reaches it ends with a "
        "notice and with a button. Continue asks the model to go on exactly where it stopped, in the same message.",
    ),
    (
        "The last call",
        "The end of an answer is recorded in the database and shown in Slack, in this order. If Slack doesn't take the "
        "last call, an outbox entry repeats it until Slack does. If you waited for more than a minute, Typist mentions "
        "you when the answer is ready.",
    ),
    (
        "A canvas keeps it",
        "A long, complete answer like this one has the button Save as canvas. Press it, and Typist writes the "
        "answer into a canvas that the people of the conversation can read, and posts a link to it here. A question "
        "that ends with “as a canvas” gets one without a press. Delete removes the answer together with its canvas. "
        "Regenerate leaves the canvas as it is.",
    ),
)
_LONG = "## The life of an answer\n\n" + "".join(
    f"### {number}. {title}\n\n{text}\n\n" for number, (title, text) in enumerate(_CHAPTERS, 1)
)

_SHARING = (
    (
        "How are edits shared?",
        "### Edits go where they are needed\n\n"
        "Three answers grow right now. Slack allows about 50 edits a minute in the workspace, and the answers share "
        "them. The meters count the calls: `chat.update` is an edit, `chat.appendStream` adds to a native stream. "
        "None of them reaches its limit.\n\n",
    ),
    (
        "Who gets the next edit?",
        "### The most urgent one\n\nTypist keeps a few edits for the first words of new answers, and one for the end "
        "of each answer. So nobody looks at an empty placeholder for long, and a complete answer looks complete at "
        "once.\n\n",
    ),
    (
        "What if Slack says slow down?",
        "### Typist waits as long as Slack asks\n\nA response of HTTP 429 names a number of seconds. Typist doesn't "
        "repeat the call before that. Then it shows everything that was written in the meantime, and goes on a "
        "little slower.\n\n",
    ),
)
_COUNTED = "".join(
    f"- Line {number} of 12: {text}\n"
    for number, text in enumerate(
        (
            "this line came first,",
            "and this one while two other answers grew as well.",
            "Each call to Slack carries all the words since the last one,",
            "so a lost call costs a moment and no words.",
            "The answers of the other two people are in threads of their own.",
            "Open them from the channel, and they are just as far along.",
            "The panel lists the calls of each answer so far:",
            "one `chat.postMessage` for the placeholder,",
            "and edits or appends for the words.",
            "The more answers grow, the fewer calls each one gets.",
            "The last call is reserved for each answer,",
            "so this line and the buttons below come on time.",
        ),
        1,
    )
)

NOTE_TOOL = f"{TOOL_SERVER}__add_note"
"""The tool's name in requests to a model."""
_ASKING = f"""\
To note that, I need the tool `{TOOL_SERVER}.add_note`. It belongs to an MCP server on this machine, which keeps notes \
until the sandbox stops. The tool changes something, so it runs only if you approve it.

"""
_NOTE_TOOL_MISSING = (
    "I can't use the tool: its server is still starting, or you may not use tools. **Regenerate** tries again."
)


def _note_result(result: str) -> str:
    if not re.search(r"^Note \d+: ", result, re.MULTILINE):
        return f"\n\nThe server added no note. A model reads this in place of a result:\n\n```\n{result}\n```"
    return (
        f"\n\nYou approved the call, and the server ran it. A model reads the result as data:\n\n```\n{result}\n```\n\n"
        "**Details** below lists the call and who approved it. Press **Regenerate** to try *Deny*."
    )


CHOICE_TOOL = "offer_choices"
"""The bot's own tool, in requests to a model."""
_CHOSEN = (
    "\n\nI treated your choice as a message from you. Everyone here could have chosen, and the first choice counts. "
    "Press **Regenerate** on the answer above to choose again."
)

_FIRST = "Our nightly export has been slow since Tuesday. Where do we look first?"
_NEXT = "The disk has room. And then?"
_RESTARTED = "I restarted the export an hour ago."
_THANKS = "Thanks! Is it faster now?"
_SUMMARY = "What have we found so far?"
_RULED_OUT = "So we can rule out the disk?"
_TOMORROW = "I'll look at its plan tomorrow."


def _sum_up(text: str) -> str:
    """Returns an answer that says which of the messages above were not answered: those that came with the question."""
    reasons = {
        _NEXT: "this channel wants a mention for each question",
        _RESTARTED: "it doesn't mention me, and its writer isn't the person I was talking with",
        _THANKS: "it begins with somebody else's name",
    }
    silent = "".join(f"- “{words}”: {reason}.\n" for words, reason in reasons.items() if words in text)
    return (
        "The disk has room, and the export was restarted. You mentioned me, so I answer.\n\n"
        f"I read these messages, and didn't answer them:\n\n{silent}"
    )


SCENES = (
    Scene(
        "Watch an answer stream",
        "Headings, a table and code grow in a thread.",
        "how streaming looks",
        {"Show me how an answer streams.": _says(_STREAMING)},
    ),
    Scene(
        "Stop or continue",
        "A long answer: press Stop while it grows, or Continue at its length limit.",
        "Stop, the length limit and Continue",
        {"Tell me the life of an answer, in full.": _says(_LONG)},
        limited=True,
    ),
    Scene(
        "Share a spreadsheet",
        "Typist downloads an Excel file and reads it.",
        "how a shared file is read",
        {"What are the totals in this file?": _read_file},
        UploadedFile(
            "questions.xlsx",
            spreadsheet(
                (
                    ("day", "questions", "edits"),
                    ("Monday", "42", "361"),
                    ("Tuesday", "57", "490"),
                    ("Wednesday", "38", "322"),
                    ("Thursday", "61", "533"),
                    ("Friday", "29", "240"),
                ),
                hidden=(("day", "guess"), ("Monday", "40")),
            ),
        ),
    ),
    Scene(
        "Ask by voice",
        "Send a voice clip; its transcript appears above the answer.",
        "how a voice clip is read",
        {"Please answer what I say here.": _hear},
        UploadedFile("Audio clip (from the showcase).m4a", _CLIP, transcript=_SPOKEN),
    ),
    Scene(
        "Three people ask at once",
        "Their answers share Slack's limits. Watch the meters.",
        "how answers share Slack's limits",
        {question: _says(text + _COUNTED) for question, text in _SHARING},
    ),
    Scene(
        "A busy thread",
        "Two people write. See when Typist answers, and when it stays out.",
        "when Typist answers in a thread",
        {
            _FIRST: _says(
                "At its disk: is there room left?\n\nYou mentioned me, so I answer. Go on **without a mention**: as "
                "long as nobody else writes here, I know that you mean me, unless this channel answers mentions only."
            )
        },
        replies=(
            Reply(0, _NEXT),
            Reply(1, _RESTARTED),
            Reply(0, _THANKS, to=1),
            Reply(1, _SUMMARY, to="app"),
            Reply(1, _RULED_OUT),
            Reply(0, _TOMORROW),
        ),
        reply_scripts={
            _NEXT: _says("At its slowest query.\n\nThere was no mention, but only the two of us talk here."),
            _RESTARTED: _says(
                "Good to know.\n\nNobody mentioned me, and I wasn't talking with you. By this channel's settings I "
                "answer such messages, too."
            ),
            _SUMMARY: _sum_up,
            _RULED_OUT: _says(
                "Yes.\n\nI answered you last, so you need no mention until somebody else writes.\n\nNow write here "
                "yourself. `/typist mentions` changes what I answer in this channel."
            ),
            _TOMORROW: _says(
                "All right.\n\nNobody mentioned me, and I wasn't talking with you. By this channel's settings I "
                "answer such messages, too."
            ),
        },
    ),
    Scene(
        "Choose an answer",
        "Typist isn't sure what you mean, and asks back with buttons.",
        "choices below an answer",
        {"Announce that exports are faster now.": _says("I can write that in a minute.")},
        call=Call(
            CHOICE_TOOL,
            {"question": "Who is it for?", "choices": ["Our customers", "Our developers", "The whole company"]},
            _says("\n\nI couldn't ask back."),
            "Typist offers no choices here: BOT_CHOICES is off, or a bot asked.",
        ),
        reply_scripts={
            "Our customers": _says(
                "> Your exports now finish in half the time. You don't need to do anything." + _CHOSEN
            ),
            "Our developers": _says(
                "`export_rows` streams from a cursor instead of loading all rows: 41 s before, 19 s now." + _CHOSEN
            ),
            "The whole company": _says(
                "> Good news: exports take half as long as last week. Thanks, data team!" + _CHOSEN
            ),
        },
    ),
    Scene(
        "Approve a tool call",
        "The answer asks you before it runs a tool. Opens your direct message.",
        "a tool call with an approval",
        {"Please note that the export failed on Tuesday.": _says(_ASKING)},
        call=Call(NOTE_TOOL, {"text": "The export failed on Tuesday."}, _note_result, _NOTE_TOOL_MISSING),
    ),
)
