"""The scenes of the sandbox's showcase: the questions on the page's cards, and the scripts that answer them.

The answers read like a model's own. Each scene's note explains which features of Typist its answers show.
"""

import json
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from demo.spreadsheet import spreadsheet
from slack_sandbox.files import UploadedFile
from slack_sandbox.page.guide import Reply
from slack_sandbox.sample_workspace import Post, Room

TOOL_SERVER, TRACKER = "notes", "tracker"
"""The names that the demo's MCP servers (notes_server.py, tracker_server.py) must have in the configuration."""
Script = Callable[[str], str]
"""Returns the answer to a question. The question is given in the form that a model reads, with its files."""

ATTACHED = re.compile(
    r"\(Attached: (?P<name>[^\n]+)\)\n(?:\(As [^\n]*\)\n)?(?P<fence>`{3,})[^\n]*\n(?P<content>.*?)\n(?P=fence)",
    re.DOTALL,
)
_RULE = re.compile(r"[| :-]+")
"""Matches the line below a table's header."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that a scene's answer makes after its script, and the rest of the answer."""

    tool: str
    arguments: Mapping[str, object]
    rest: Script
    """Returns the rest of the answer, given the tool's result or the reason why the tool wasn't called."""
    not_offered: str
    """The rest of the answer if the asker can't use the tool or its server isn't running yet."""
    then: "Call | None" = None
    """The call that follows this one instead of the rest of the answer. If only the other tool is offered, it replaces
    this call."""

    def first_offered(self, tools: Container[str]) -> "Call | None":
        """Returns the first call in the chain, beginning with this one, whose tool is offered, or None."""
        return self if self.tool in tools else self.then and self.then.first_offered(tools)

    def call_to(self, tool: str) -> "Call":
        """Returns the call to the given tool, which is this call or a later one in the chain."""
        return self if self.then is None or self.tool == tool else self.then.call_to(tool)

    @property
    def needs_server(self) -> bool:
        """Whether the call, or a later one in the chain, needs one of the demo's MCP servers."""
        return self.tool.startswith((TOOL_SERVER, TRACKER)) or bool(self.then and self.then.needs_server)


@dataclass(frozen=True, slots=True)
class Scene:
    """One card on the page."""

    title: str
    detail: str
    note: str
    """Explanation that the page shows next to the scene's answers. If several answers grow at once, the page also shows
    meters."""
    scripts: dict[str, Script]
    """Scripts by question. If there are several questions, they are asked at the same time, each by a different
    person."""
    file: UploadedFile | None = None
    """A file that is shared with the question."""
    room: Room | None = None
    """The channel where the questions are asked, if the scene has its own."""
    limited: bool = False
    """Whether the answer stops at a length limit, so that Continue is offered."""
    call: Call | None = None
    """The tool call that the first answer makes. If the call needs one of the demo's servers, the page asks the
    question in the direct message with the bot."""
    reply_calls: Mapping[str, Call] = field(default_factory=dict)
    """The tool calls that the answers in `reply_scripts` make, by the same messages."""
    replies: tuple[Reply, ...] = ()
    """Messages that people write below the first question."""
    reply_scripts: Mapping[str, Script] = field(default_factory=dict)
    """Scripts for replies that can be questions, depending on the channel's mode, and for choices, by message."""

    @property
    def waits(self) -> bool:
        """Whether the answer waits for somebody to click a button. All calls except for reading the channel ask
        somebody first."""
        return self.call is not None and self.call.tool != READ_TOOL

    @property
    def all_scripts(self) -> Mapping[str, Script]:
        return self.scripts | dict(self.reply_scripts)


def _says(text: str) -> Script:
    return lambda _: text


def read_file(text: str) -> str:
    """Returns an answer that is computed from a file's text in the prompt."""
    attached = ATTACHED.search(text)
    lines = attached["content"].splitlines() if attached else []
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|") and not _RULE.fullmatch(line)]
    if attached is None or len(rows) < 2:
        return "I couldn't read the file. The notice below says why."
    heading, *data = rows
    table = [heading, ["---"] + ["---:"] * (len(heading) - 1), *data]
    totals = [str(_total(row[column:][:1] for row in data)) for column in range(1, len(heading))]
    table.append([f"**{cell}**" for cell in ("Total", *totals)])
    most = max(data, key=lambda row: _total([row[1:2]]))
    return (
        f"Here are the {len(data)} rows of `{attached['name']}` with their totals:\n\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in table)
        + f"\n\n**{most[0]}** has the most {heading[1:2][0] if heading[1:] else 'of all'}: {_total([most[1:2]])}."
    )


def _hear(text: str) -> str:
    """Returns the answer to the card's clip, or for another clip, an answer that quotes its transcript in the
    prompt."""
    said = re.search(r"This is said in it:\)\n([^\n]+)", text)
    if said is None:
        return "I couldn't hear the clip. The notice below says why."
    return _MEASURE if said[1] == _SPOKEN else f"You said: “{said[1]}” I only have an answer to the clip of this card."


POST = re.compile(
    r"^(?P<who>[^\n,]{1,80}), \w{3} [\d-]{10} (?P<at>[\d:]{5}), ts [\d.]+(?:, \d+ repl\w+)?, (?P<link>https\S+)\n"
    r"> (?P<text>[^\n]*)",
    re.MULTILINE,
)
"""Matches a post with its link, in the form that a model reads."""


def catch_up(result: str) -> str:
    """Returns the rest of an answer that summarizes the launch, with links to the posts that the model read."""
    links = {post["text"]: f"[{post['who']}, {post['at']}]({post['link']})" for post in POST.finditer(result)}
    if not all(post.words in links for post in LAUNCH.posts):
        return f" I can only sum up #{LAUNCH.name}: pick the card Catch me up, and I'll do that there."
    return _LAUNCH_SUMMARY.format(*(links[post.words] for post in LAUNCH.posts))


LAUNCH = Room(
    "launch",
    (
        Post("grace", 214, "What's left before faster exports go live: load test, pricing page, docs, post."),
        Post("alan", 209, "I'm on the load test, against a copy of production."),
        Post("grace", 203, "Then I take the pricing page and the post. Ada has a draft of the docs already."),
        Post("alan", 162, "First run: 40 exports at once are fine. At 60 the queue grows and grows."),
        Post("grace", 158, "Does 60 ever happen? Our busiest customer runs 35."),
        Post("alan", 151, "Two large customers start on Monday. I'd go from 8 workers to 12 first."),
        Post("grace", 127, "Support asks whether old exports stay available. I'd say 90 days."),
        Post("alan", 125, "90 days is fine. The disk has room for a year."),
        Post("alan", 74, "Second run, with 12 workers: 80 at once, and the queue stays empty."),
        Post("grace", 70, "Great! Then we go live on Thursday at 10:00 UTC, unless somebody objects by tonight."),
        Post("alan", 31, "The docs still show the old dialog. Who can take a new screenshot?"),
        Post("grace", 18, "Ada, could you read the draft of the post by tonight?"),
    ),
)
_LAUNCH_SUMMARY = """\


**Faster exports go live on Thursday at 10:00 UTC**, unless somebody objects by tonight ({9}).

Settled:

- The load test passed: with 12 workers, 80 exports at once ({8}). With 8, it had failed at 60 ({3}).
- Old exports stay available for 90 days ({6}), and the disk has room for that ({7}).

Open:

- **Ada:** read the draft of the post by tonight ({11}).
- Somebody has to take a new screenshot for the docs ({10}).
"""
_SPOKEN = (
    "Hi! I'm on the train, so I'm saying this instead of typing. The nightly export was slow again on Tuesday. It "
    "began at two and took until six, and the dashboards were empty when people came in. I looked at the disk, and "
    "there is enough room. Nobody has changed the query since May. What I don't know is whether the new index on "
    "orders helps it or hurts it. Could you tell me which three things I should measure first, in which order, and "
    "what each of them would prove? If one of them needs somebody with access to production, please say so, and I'll "
    "ask Grace. Thanks, and please keep it short, because my battery is nearly empty."
)
_MEASURE = """\
Measure these three, in this order:

1. **The plan of the export's query**, with `explain (analyze, buffers)`. It proves whether the new index is used.
2. **The rows since May.** If there are twice as many, the query is as good as before, and has more to do.
3. **Writes to `orders` from two to six.** Each index slows them down. If they got slower, the index hurts.

Only the first one needs access to production, so ask Grace for it.
"""
_CLIP = b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42" + bytes(4_096)
"""The header of an audio file, and no sound, because nobody plays the clip."""


def _total(cells: Iterable[list[str]]) -> int:
    return sum(int(cell) for row in cells for cell in row if cell.isdecimal())


_STREAMING = """\
## Finding slow queries

PostgreSQL counts for you once `pg_stat_statements` is loaded. Sort by **total** time, not by the mean: a fast query \
that runs a million times costs more than a slow one that runs once a day.

| Query | Calls | Mean | Total |
|:--|--:|--:|--:|
| orders of a customer | 1,204,113 | 2.1 ms | **42 min** |
| latest events | 8,020 | 190 ms | 25 min |
| nightly report | 1 | 61 s | 1 min |

### Look at the worst ten

```sql
select query, calls, mean_exec_time, total_exec_time
from pg_stat_statements
order by total_exec_time desc
limit 10;
```

### Then change one thing at a time

1. Read the plan with `explain (analyze, buffers)`:
   - a *Seq Scan* on a large table lacks an index,
   - far more rows than expected mean old statistics.
2. Add the index, and run `analyze`.
3. Measure again tomorrow, with the same load.
"""

_RUNBOOK = (
    (
        "Notice it",
        "An alert tells you first, not a customer. Watch three numbers for ten minutes after each deployment: the "
        "share of failed requests, the time that the slowest twentieth takes, and the length of the queue. Compare "
        "them with the same hour of the day before. If one of them doubles, this runbook begins.",
    ),
    (
        "Say that you have it",
        "Write one line in the incident channel: what you see, since when, and that you are on it. Name one person who "
        "decides, and one who writes. Everybody else waits for a task. Two people who fix the same thing in different "
        "ways cost more time than the fault itself.",
    ),
    (
        "Roll back first",
        "Don't look for the cause yet. Roll back to the last version that was known to be good, with the button in "
        "the pipeline. It takes about four minutes. If the numbers recover, you have time to think. If they don't, "
        "the deployment wasn't the cause, and you have lost little.",
    ),
    (
        "If a migration was part of it",
        "Migrations only add columns and tables, so the old version runs on the new schema. Leave the schema as it "
        "is. Never drop a column during an incident: the data in it can't be restored in minutes. If a migration "
        "holds a lock, end that session, and nothing else.",
    ),
    (
        "If the roll back doesn't help",
        "Look for what else has changed: a setting, a certificate that has expired, a vendor with an incident of "
        "their own, or a customer with ten times the load. The change log of the last six hours names most causes. "
        "Turn off features that aren't needed, one after the other, "
        "and look at the numbers after each. Call the person who knows the part that changed, also at night.",
    ),
    (
        "Keep people informed",
        "Write an update every twenty minutes, even if nothing is new. Say what works, what doesn't, and when the "
        "next update comes. Don't name a cause before you are sure of it. Support uses the same words, so write them "
        "as a customer would read them.",
    ),
    (
        "Check that it is over",
        "All three numbers are back where they were yesterday, for at least fifteen minutes. Jobs that failed in the "
        "meantime have run again. Ask one customer who reported it whether it works for them. Only then say that it "
        "is over, in the same place where you said that it began.",
    ),
    (
        "Keep what you saw",
        "Save the graphs, the logs and the channel before they are rotated away. Write down the times: when it "
        "began, when you noticed, when you rolled back, and when it was over. The gap between the first two is often "
        "what is worth fixing most.",
    ),
    (
        "Find the cause",
        "Deploy the bad version to staging, with a copy of the load. Change one thing at a time. When you believe "
        "that you know the cause, write a test that fails because of it. If no test fails, you don't know it yet. Ask "
        "also why nothing before the deployment noticed it: that is often the cheaper thing to change.",
    ),
    (
        "Talk about it",
        "Meet within two days, for thirty minutes, with everybody who took part. Ask what made the mistake easy, not "
        "who made it. Agree on at most three changes, each with a name and a date. One of them shortens the time "
        "until somebody notices. Publish what you found, in a page that a new colleague understands.",
    ),
)
_LONG = "## When a deployment goes wrong\n\n" + "".join(
    f"### {number}. {title}\n\n{text}\n\n" for number, (title, text) in enumerate(_RUNBOOK, 1)
)

_SHARING = {
    "How do we roll back a migration?": """\
### Prefer to roll forward

A migration that only **adds** needs no way back: the old version of the program ignores the new column. Roll back the \
program, and leave the schema as it is.

If the migration has changed data:

1. Stop the jobs that write to the table.
2. Copy the rows into a table of their own, so that nothing is lost:

   ```sql
   create table orders_before as select * from orders;
   ```

3. Write a second migration that undoes the first, and review it like any other.
4. Try it on a copy of production, and note how long it takes.
5. Run it when few people work, and watch the locks in `pg_stat_activity`.

Drop a column only a release later, when no running version reads it any more. Then there is always one version to go \
back to.
""",
    "What is the difference between p95 and the average?": """\
### The average hides what hurts

Say that 100 people open a page. For 94 of them it takes 0.2 s, and for 6 of them 5 s.

| Figure | Value | What it says |
|:--|--:|:--|
| average | 0.5 s | “a little slow for everybody”, which is wrong |
| median | 0.2 s | half of them waited at most this long |
| p95 | 5 s | one in twenty waited at least this long |

- **Alert** on p95: it moves as soon as a few people suffer.
- **Plan capacity** with the average: it tells how much work there is in total.
- Never average the p95 of several servers. Merge their histograms, and take the p95 of that.
- With fewer than some hundred requests, p95 is the figure of a handful of people, and jumps.

So a page whose average is fine can still be slow for every twentieth visitor, each day.
""",
    "Draft a status update: search is slow, and we are on it.": """\
Here is a draft:

> **Search is slow**
>
> Since 09:40 UTC, searches take up to 20 seconds, and some of them fail. Everything else works: you can open, edit \
and share documents as usual.
>
> We have found that one of three search servers is down, and are starting another one. We expect searches to be back \
to normal within an hour.
>
> Next update: 10:30 UTC, or earlier if something changes.

Before you post it:

- Check the time. People compare it with what they saw.
- Keep “up to 20 seconds” only if you have measured it.
- Leave out the server if you aren't sure yet: an update that has to be taken back costs more trust than a vague one.
- Tell support when you post it, so that they use the same words.
""",
}

NOTE_TOOL = f"{TOOL_SERVER}__add_note"
"""The note tool's name in requests to a model."""
_TOOL_MISSING = (
    "\n\nThat doesn't work right now: the server of the tool is still starting, or you may not use tools. "
    "**Regenerate** tries again."
)


def _note_result(result: str) -> str:
    added = re.search(r"^Note (\d+): (.*)", result, re.MULTILINE)
    return f"\n\nDone. Note {added[1]} says:\n\n> {added[2]}" if added else "\n\nAll right, I didn't add the note."


TASKS_TOOL = f"{TRACKER}__my_tasks"


def _tasks(result: str) -> str:
    try:
        read = json.loads(result[result.index("{") : result.rindex("}") + 1])
        tasks = "".join(f"- {task}\n" for task in read["tasks"])
    except (ValueError, KeyError, TypeError):
        return "\n\nThe tracker didn't tell."
    return f"\n\nIn the tracker, {read['person']} has to do this:\n\n{tasks}"


CHOICE_TOOL = "offer_choices"
READ_TOOL = "read_channel"
SCHEDULE_TOOL = "schedule"
SIGN_IN_TOOL = "sign_in"
"""Names of the bot's own tools in requests to a model."""

_SUM_UP = "Sum up what was said here since your last summary."
"""The task of the schedule that a card creates."""


def scheduled(result: str) -> str:
    """Returns the rest of an answer that proposed a schedule. `result`: the tool's result."""
    if known := re.search(r"That's already scheduled[^.\n]*\.", result):
        return f"\n\n{known[0]}"
    if "Created schedule" not in result and "Changed schedule" not in result:
        return "\n\nAll right, I won't change anything."
    done = "scheduled" if "Created schedule" in result else "changed"
    return f"\n\nIt's {done}. Press **Time passes** below to see the next run."


_READ = Call(READ_TOOL, {"newest": 100}, catch_up, "\n\nI can't read this channel: BOT_READ_CHANNEL is off.")
_FIRST = "Our nightly export has been slow since Tuesday. Where do we look first?"
_NEXT = "The disk has room. And then?"
_RESTARTED = "I restarted the export an hour ago."
_THANKS = "Thanks! Is it faster now?"
_SUMMARY = "What have we found so far?"
_RULED_OUT = "So we can rule out the disk?"
_WHEN = "When do exports go live?"
_TOMORROW = "I'll look at its plan tomorrow."


SCENES = (
    Scene(
        "Watch an answer stream",
        "Headings, a table and code grow in a thread.",
        "Typist shows the words while the model writes. Slack allows about 50 edits a minute in a workspace, so each "
        "call carries everything that was written since the one before. The last call adds the buttons and the "
        "footer. Regenerate writes another answer in its place. Previous and Next swap the two for everyone.",
        {"How do I find our slow queries?": _says(_STREAMING)},
    ),
    Scene(
        "Stop or continue",
        "A long answer: press Stop while it grows, or Continue at its length limit.",
        "Press Stop while it grows: the text so far stays, and the model writes no further. Or wait for its length "
        "limit: Continue adds to the same message, and Save as canvas keeps the complete answer. Simulate Slack "
        "failures has switches. Turn one on while an answer grows, turn it off, and the answer recovers.",
        {"Write a runbook for a deployment that goes wrong, in full.": _says(_LONG)},
        limited=True,
    ),
    Scene(
        "Share a spreadsheet",
        "Typist downloads an Excel file and reads it.",
        "Typist downloads the file from Slack, reads it in a process of its own, and puts its sheet into the prompt as "
        "a table. The notice below the answer names what was not read: here a hidden sheet. To see a file that can't "
        "be read, turn on File downloads refused in Simulate Slack failures, and press Regenerate.",
        {"What are the totals in this file?": read_file},
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
        "Slack has transcribed this clip, so no model has to. Slack transcribes a clip when a person opens its "
        "transcript. With BOT_TRANSCRIBE, a model transcribes the others. In a direct message, a clip is a question "
        "without any words beside it.",
        {"Please answer what I say here.": _hear},
        UploadedFile("Audio clip (from the showcase).m4a", _CLIP, transcript=_SPOKEN),
    ),
    Scene(
        "Three people ask at once",
        "Three answers stay within Slack's limits. Watch the meters.",
        "",
        {question: _says(text) for question, text in _SHARING.items()},
    ),
    Scene(
        "A busy thread",
        "Two people write. See when Typist answers, and when it stays out.",
        "Ada needs no mention while nobody else writes here. Once Grace writes, Typist answers mentions, and whoever "
        "it answered last, until somebody else writes. It leaves messages alone that begin with somebody's name. "
        "/typist settings changes that for a channel. Now write here yourself.",
        {
            _FIRST: _says(
                "At its disk: is there room left? A full volume slows down every write.\n\nRun `df -h` on the host "
                "of the export, and compare it with Monday."
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
            _NEXT: _says(
                "At its slowest query. While the export runs, look in `pg_stat_activity` for one that has been active "
                "for minutes."
            ),
            _RESTARTED: _says("Good. Then compare tonight's run with last night's, not with the one you interrupted."),
            _SUMMARY: _says(
                "So far:\n\n- The disk has room.\n- Grace restarted the export an hour ago.\n\nStill open: which "
                "of its queries is slow, and whether the next run is faster."
            ),
            _RULED_OUT: _says("A full disk, yes. A slow one, not yet: `iostat -x 5` shows it while the export runs."),
            _TOMORROW: _says("All right. `explain (analyze, buffers)` shows where its time goes."),
        },
    ),
    Scene(
        "Catch me up",
        "Typist reads a channel of twelve posts, and links to what matters.",
        "Asked about a channel, a model reads the posts before the question, and a thread if it wants one, but no "
        "other channel. Each link leads to the post that says so. The footer says how much was read. From then on, a "
        "tool that writes asks you first.",
        {"Catch me up on this channel.": _says("I'll read what was said here.")},
        room=LAUNCH,
        call=_READ,
    ),
    Scene(
        "Come back each weekday",
        "Ask for a summary at nine. Create the schedule, then let time pass.",
        "Press Create below the answer: nobody else can, and no model. Then press Time passes, below it: the next run "
        "begins. A run acts in the name of the person who created it, at their cost, and uses only tools that "
        "read. Stop ends the schedule. /typist schedules lists, changes and pauses it.",
        {"Each weekday at 9, sum up what was said here since the day before.": _says("I'll propose a schedule.")},
        room=LAUNCH,
        call=Call(
            SCHEDULE_TOOL,
            {"words": _SUM_UP, "cron": "0 9 * * 1-5"},
            scheduled,
            "\n\nOnly members of the workspace can schedule something.",
        ),
        reply_scripts={_SUM_UP: _says("I'll read what was said here.")},
        reply_calls={_SUM_UP: _READ},
    ),
    Scene(
        "Remember something",
        "Tell Typist a fact once. It knows it in this channel from then on.",
        "What begins with remember: is kept word for word, without a model, and only for this channel. Undo below the "
        "answer takes it back. The footer of a later answer counts the memories that its model has read. /typist "
        "memory lists them, with edit and remove.",
        {"remember: exports go live on Thursdays at 10:00 UTC": _says("I'll keep that in mind.")},
        replies=(Reply(0, _WHEN, to="app"), Reply(0, "What do you remember?", to="app")),
        reply_scripts={
            _WHEN: _says("On Thursdays at 10:00 UTC."),
            "What do you remember?": _says("That exports go live on Thursdays at 10:00 UTC."),
        },
    ),
    Scene(
        "Choose an answer",
        "Typist isn't sure what you mean, and asks back with buttons.",
        "The model isn't sure what you mean, so it asks back. Everyone here can choose, and the first choice counts as "
        "a message from that person. Regenerate in the menu of the answer above lets you choose again.",
        {"Announce that exports are faster now.": _says("Sure.")},
        call=Call(
            CHOICE_TOOL,
            {"question": "Who is it for?", "choices": ["Our customers", "Our developers", "The whole company"]},
            _says("\n\nWho is it for: our customers, our developers, or the whole company?"),
            "\n\nWho is it for: our customers, our developers, or the whole company?",
        ),
        reply_scripts={
            "Our customers": _says(
                "> **Exports now take half as long**\n>\n> Your exports finish in half the time. You don't need to do "
                "anything."
            ),
            "Our developers": _says(
                "> `export_rows` now streams from a cursor instead of loading all rows: 41 s before, 19 s now. The "
                "format stays the same."
            ),
            "The whole company": _says("> Good news: exports take half as long as last week. Thanks, data team!"),
        },
    ),
    Scene(
        "Approve a tool call",
        "The answer asks you before it runs a tool. Opens your direct message.",
        "The tool belongs to an MCP server on this machine, which keeps notes until the sandbox stops. It changes "
        "something, so it runs only if you approve it. Details below the answer lists the call and who approved it. "
        "Regenerate lets you try Deny.",
        {"Please note that the export failed on Tuesday.": _says("I'll add that to the notes.")},
        call=Call(NOTE_TOOL, {"text": "The export failed on Tuesday."}, _note_result, _TOOL_MISSING),
    ),
    Scene(
        "Sign in as yourself",
        "A tool that acts with your own account. Opens your direct message.",
        "The tracker is an MCP server on this machine that shows each person their own tasks. Press Sign in, choose "
        "who you are there, and paste the address of the page that doesn't open: Typist needs no public address. Only "
        "you can press, no model reads the address, and the account is kept encrypted. /typist accounts signs you out.",
        {"What do I have to do according to the tracker?": _says("I'll look at your tasks.")},
        call=Call(
            SIGN_IN_TOOL,
            {"server": TRACKER},
            _says("\n\nAll right. Without your account, I can't see your tasks."),
            _TOOL_MISSING,
            then=Call(TASKS_TOOL, {}, _tasks, _TOOL_MISSING),
        ),
    ),
)
