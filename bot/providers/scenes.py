"""The scenes of the sandbox's showcase: the questions of the page's cards, and the scripts that answer them."""

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Script = Callable[[str], str]
"""Takes a question with its files, as a model reads it, and returns the answer."""

_ATTACHED = re.compile(r"\(Attached: (?P<name>[^\n]+)\)\n(?P<fence>`{3,})\w*\n(?P<content>.*?)\n(?P=fence)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Scene:
    """One card of the page."""

    title: str
    detail: str
    shows: str
    """The subject of its answers. It follows "shows" in their first line."""
    scripts: dict[str, Script]
    """The scripts by question. Several questions are asked at the same time, each by another person."""
    file: tuple[str, str] | None = None
    """A file that is shared with the question: name and text."""
    limited: bool = False
    """Whether its answer stops at a length limit, so that Continue is offered."""


def _says(text: str) -> Script:
    return lambda _: text


def _read_file(text: str) -> str:
    """Returns an answer that is computed from the file's text in the prompt."""
    attached = _ATTACHED.search(text)
    rows = list(csv.reader(attached["content"].splitlines())) if attached else []
    if attached is None or len(rows) < 2:
        return "The file did not reach the prompt. The notice below says why."
    heading, *lines = rows
    table = [heading, ["---"] + ["---:"] * (len(heading) - 1), *lines]
    totals = [str(_total(line[column:][:1] for line in lines)) for column in range(1, len(heading))]
    table.append([f"**{cell}**" for cell in ("Total", *totals)])
    return (
        f"I read `{attached['name']}`: {len(lines)} rows. Typist downloaded it from Slack with its bot token and put "
        "its text into the prompt. The script computed the totals from that text.\n\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in table)
        + "\n\nText, images and PDFs work like this. A file that can't be read is named in a notice below the answer."
        "\n\nTo see that, open **Simulate Slack failures**, turn on *File downloads refused*, and press Regenerate."
    )


def _total(cells: Iterable[list[str]]) -> int:
    return sum(int(cell) for row in cells for cell in row if cell.isdecimal())


_STREAMING = """\
## How an answer appears

A model writes word by word. Typist shows that by **editing one message** again and again. Slack allows about \
50 edits a minute in a workspace, so each edit carries everything that was written since the one before.

| Answers at once | Edits a minute for each |
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

1. A failed edit isn't repeated. The next one carries the newest text.
2. The last edit is never skipped:
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
        "Each piece of text goes into a draft. Nothing pushes the text at Slack. An edit is computed from two things: "
        "what Slack should show, and what it does show. If they are equal, no call is made.",
    ),
    (
        "Edits are paced",
        "About fifty edits fit into a minute, for the whole workspace. Typist shares them among the answers that are "
        "growing now, holds one back for the end of each answer, and keeps a few for the first words of new ones. "
        "Long answers get slower edits as they grow, short ones finish quickly.",
    ),
    (
        "You may stop it",
        "The Stop button ends an answer in mid-sentence. The text so far stays, and the model is disconnected, so that "
        "it costs nothing more. Only the person who asked, or a Typist admin, can stop an answer. You can try that: "
        "choose Grace at the lower left, and press Stop on an answer to Ada.",
    ),
    (
        "Slack fails",
        "Requests get lost, responses get lost, and Slack asks for patience with HTTP 429. A call that failed is not "
        "recorded as shown, so the next one carries the newest text anyway. The panel Simulate Slack failures has a "
        "switch for each of these failures. Turn one on while an answer grows, and watch the answer recover.",
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
        "The last edit",
        "The end of an answer is recorded in the database and shown in Slack, in this order. If Slack doesn't take the "
        "last edit, an outbox entry repeats it until Slack does. If you waited for more than a minute, Typist mentions "
        "you when the answer is ready.",
    ),
)
_LONG = "## The life of an answer\n\n" + "".join(
    f"### {number}. {title}\n\n{text}\n\n" for number, (title, text) in enumerate(_CHAPTERS, 1)
)

_SHARING = (
    (
        "How are edits shared?",
        "### Edits go where they are needed\n\n"
        "Three answers grow right now, and they share about 50 edits a minute. Each one "
        "gets an edit every few seconds. Watch the meter of `chat.update` in the panel: it moves, and it stays below "
        "its limit.\n\n",
    ),
    (
        "Who gets the next edit?",
        "### The most urgent one\n\nTypist keeps a few edits for the first words of new answers, and one for the end "
        "of each answer. So nobody looks at an empty placeholder for long, and a complete answer looks complete at "
        "once.\n\n",
    ),
    (
        "What if Slack says slow down?",
        "### Typist waits as long as Slack asks\n\nA response of HTTP 429 names a number of seconds. Typist makes no "
        "edit before that, slows down a little afterwards, and then shows everything that was written in the "
        "meantime.\n\n",
    ),
)
_COUNTED = "".join(
    f"- Line {number} of 12: {text}\n"
    for number, text in enumerate(
        (
            "this line came with the first edits,",
            "and this one while two other answers grew as well.",
            "Each edit carries all the text so far,",
            "so a lost edit costs a moment and no words.",
            "The answers of the other two people are in threads of their own.",
            "Open them from the channel, and they are just as far.",
            "The panel lists what each answer has cost so far:",
            "one chat.postMessage for the placeholder,",
            "one chat.update for each edit,",
            "and a few calls to read the thread.",
            "The last edit is reserved for each answer,",
            "so this line and the buttons below come on time.",
        ),
        1,
    )
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
        "Share a file",
        "Typist downloads a CSV file and reads it.",
        "how a shared file is read",
        {"What are the totals in this file?": _read_file},
        (
            "questions.csv",
            "day,questions,edits\nMonday,42,361\nTuesday,57,490\nWednesday,38,322\nThursday,61,533\nFriday,29,240\n",
        ),
    ),
    Scene(
        "Three people ask at once",
        "Their answers share Slack's edit limit. Watch its meter.",
        "how answers share Slack's edit limit",
        {question: _says(text + _COUNTED) for question, text in _SHARING},
    ),
)
