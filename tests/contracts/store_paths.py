"""Paths: calls to the store in order, written in words, each compared with the model of the store.

    ask 1, claim -> 1, w2 edit 1, finish 1 -> no, claim -> 1v1

is: somebody asks question 1, worker w1 claims it, the question is edited through worker w2, the attempt at its first
version can't end the job, and the next claim gets its version 1. What stands after an arrow is the result of the call.
The model checks everything else: all results, states, entries and notifications.

Questions are named by their number, in the order of writing, with a letter for another thread (`d` and `t`, with
another workspace). Odd and even ones have different askers. `1+3` are claimed together.
"""

from collections import Counter
from collections.abc import Sequence

from bot.core.calls import CallState, Decision
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, EnqueueResult, Job, State, Wish, sentence_notice
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.errors import EndReason
from bot.models.prompt import Effort
from bot.store.erasure import QUESTION
from tests.contracts.store_machine import THREADS, WORKERS, Machine
from tests.contracts.stores import SAID

LETTERS = ("", "d", "t")
SHOWN_AT = "1800000000.0"


def paths_in(text: str) -> dict[str, str]:
    """Returns paths by their names. Each name is a line, and its path stands indented below it."""
    paths: dict[str, str] = {}
    name = ""
    for line in filter(str.strip, text.splitlines()):
        if line.startswith(" "):
            paths[name] = f"{paths.get(name, '')} {line.strip()}".strip()
        else:
            name = line
            assert name not in paths, name
    return paths


def play(database_url: str, path: str) -> State:
    """Makes the calls of a path, has a worker end all that is left, and returns the state of question 1 at the end of
    the path. Raises AssertionError."""
    machine: Machine = type("DatabaseMachine", (Machine,), {"database_url": database_url})()
    machine.open(set())
    player = Player(machine)
    try:
        for step in filter(None, path.split(", ")):
            player.make(step)
        machine.read(WORKERS[0], THREADS[0])
        reached = machine.states.get(player.ids.get("1", 0), State.ABSENT)
    except BaseException:
        machine.close()
        raise
    machine.teardown()
    return reached


class Player:
    """Makes the calls of one path. Each method is a word; it returns the call's result in words."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.model = machine.model
        self.ids: dict[str, int] = {}
        self.claims: dict[str, list[tuple[str, Job]]] = {}
        self.entries: dict[str, list[OutboxEntry]] = {}
        self.edited_at = 10
        self.replies: dict[str, str] = {}
        """The replies that were last compared: they are read when they should have changed, and at the end."""

    def make(self, step: str) -> None:
        call, _, expected = step.partition(" -> ")
        words = call.split()
        worker = words.pop(0) if words[0] in WORKERS else WORKERS[0]
        result = getattr(self, words[0])(worker, *words[1:])
        assert not expected or result == expected, f"{step}: {result}"
        self.machine.invariants_hold()
        if (replies := self.model.replies(THREADS[0])) != self.replies:
            self.replies = replies
            self.machine.read(worker, THREADS[0])

    def ask(self, worker: str, name: str, *how: str) -> str:
        """Asks; a needed placeholder may be on its way (`posting`) or recorded (`shown`). Everything asked `again` is
        one event, whatever it asks."""
        thread, number = _place(name)
        event = 100 if "again" in how else number + 10 * THREADS.index(thread)
        self.machine.enqueue(worker, event, thread, number, "full" in how)
        taken = self.machine.result
        if not isinstance(taken, EnqueueResult):
            return "known"
        job_id = self.ids[name] = max(self.model.jobs)
        if "posting" in how or "shown" in how:
            self.machine.begin_placeholder(worker, job_id)
        if "shown" in how:
            self.machine.record_placeholder(worker, job_id, (SHOWN_AT,))
        return "queued" if taken.needs_placeholder else "ready"

    def post(self, worker: str, name: str, *how: str) -> str:
        """Begins to post a placeholder, perhaps that of an earlier version."""
        return "begun" if self.machine.begin_placeholder(worker, self.ids[name], int("earlier" in how)) else "no"

    def can_post(self, worker: str, name: str) -> str:
        """Returns whether its placeholder would appear below those of earlier questions."""
        self.machine.read_can_post(worker, self._number(name))
        return self._said()

    def announce(self, worker: str, name: str) -> None:
        self.machine.record_placeholder(worker, self.ids[name], (SHOWN_AT,))

    def pass_s(self, _worker: str, seconds: str) -> None:
        self.machine.pass_time(float(seconds))

    def claim(self, worker: str, limit: str = "9") -> str:
        return self._claimed(self.machine.claim(worker, int(limit)).values)

    def watch(self, worker: str, silent: str) -> str:
        """Polls while another worker is silent, until its jobs are taken over."""
        return self._claimed(self.machine.watch(worker, {silent}).values)

    def _claimed(self, claims: Sequence[tuple[str, Job]]) -> str:
        for claim in claims:
            self.claims.setdefault(_name(claim[1].question), []).append(claim)
        return " & ".join(_claim_name(job) for _, job in claims) or "none"

    def _claim(self, name: str, which: Sequence[str] = ()) -> tuple[str, Job]:
        """Returns the last claim of a job, or its first one for what comes `late`; or one that never was."""
        never = Job(self.ids.get(name, 0), Question(_place(name)[0], name, "", ""), 1)
        return self.claims.get(name, [(WORKERS[0], never)])[0 if "late" in which else -1]

    def _number(self, name: str) -> int:
        return sorted(self.model.jobs).index(self.ids[name])

    def _said(self) -> str:
        return "yes" if self.machine.result else "no"

    def beat(self, worker: str, name: str, *which: str) -> str:
        """Returns what the worker hears of the job."""
        owner, job = self._claim(name, which)
        self.machine.heartbeat(owner, [(owner, job)])
        pulse = self.model.heartbeat(owner, [job])
        kinds = {"stop": pulse.ids_to_stop, "restart": pulse.ids_to_restart, "ours": pulse.owned_ids}
        return next((kind for kind, ids in kinds.items() if job.id in ids), "lost")

    def write(self, _worker: str, name: str, *which: str) -> None:
        """Records some more text; with `unheard`, the writer doesn't learn that it is on record."""
        self.machine.write(self._claim(name, which), "One, two. ", "beats" in which, "unheard" not in which)

    def write_late(self, _worker: str, name: str, number: str) -> None:
        self.machine.write_late(self._claim(name), int(number))

    def release(self, _worker: str, name: str, *how: str) -> str:
        """Hands a job over; `interrupted`, because its model has failed."""
        self.machine.release(self._claim(name, how), "interrupted" in how)
        return self._said()

    def finish(self, _worker: str, name: str, *how: str) -> str:
        """Ends an attempt: stopped, denied, or whole; with a mention of its asker, unshown, or without text."""
        reason = next((EndReason(word) for word in how if word in ("stopped", "denied")), EndReason.WHOLE)
        claim, kind = self._claim(name, how), OutboxKind.REPLY if "unshown" in how else None
        answer = self.machine.answer_of(claim[1])
        if "empty" not in how:
            answer.append(f"Yes {claim[1].attempts}. ")
        self.machine.end_attempt(claim, End(reason, sentence_notice("A notice.")), answer.text, "mention" in how, kind)
        return self._said()

    def step(self, _worker: str, name: str, *calls: str) -> str:
        states = [CallState(word) for word in calls if word != "late"]
        self.machine.take_step(self._claim(name, calls), SAID.text, states, waits=False)
        return self._said()

    def wait(self, _worker: str, name: str, *how: str) -> str:
        """Gives the job up until its calls are decided; with `mention`, its asker is mentioned a minute later. With
        `read`, people have read what it asks for two seconds."""
        self.machine.wait(self._claim(name, how), 60.0 if "mention" in how else None, 2.0 if "read" in how else 0.0)
        return self._said()

    def begin(self, _worker: str, name: str, index: str = "0", *which: str) -> str:
        self.machine.begin_call(self._claim(name, which), int(index))
        return self._said()

    def end(self, _worker: str, name: str, index: str = "0", *which: str) -> str:
        self.machine.end_call(self._claim(name, which), int(index), CallState.DONE)
        return self._said()

    def earlier_calls(self, _worker: str, name: str) -> str:
        """Returns the calls that may have changed something for an earlier version."""
        self.machine.read_calls(self._claim(name))
        return " ".join(state.value for state in self.model.earlier_calls(self._claim(name)[1])) or "none"

    def decide(self, worker: str, name: str, decision: str, index: str = "0", by: str = "U9") -> str:
        self.machine.decide(worker, self._number(name), int(index), Decision(decision), by)
        return self._said()

    def expire(self, worker: str, *when: str) -> str:
        self.machine.expire_approvals(worker, late="late" in when)
        return str(self.machine.result)

    def follow(self, _worker: str, name: str, *which: str) -> str:
        """Takes along what was asked meanwhile."""
        before = {job_id for job_id, job in self.model.jobs.items() if job.answered_with is None}
        self.machine.take_follow_ups(self._claim(name, which))
        taken = [self.model.jobs[job_id] for job_id in before if self.model.jobs[job_id].answered_with is not None]
        return "+".join(sorted(_name(job.question) for job in taken)) or "none"

    def stop(self, worker: str, name: str) -> str:
        self.machine.request_stop(worker, self._number(name))
        return self._said()

    def edit(self, worker: str, name: str, *how: str) -> str:
        """Edits a question to new words or back; the edit arrives late, or in the same second as the last one."""
        self.edited_at += 0 if "same" in how else 1
        at = 10 if "late" in how else self.edited_at
        text = f"Question {name[-1]}" if "back" in how else f"Why {name}, {self.edited_at}, {len(how)}?"
        self.machine.edit_at(worker, self.ids[name], text, f"18.{at:04d}")
        return self._said()

    def delete(self, worker: str, name: str) -> str:
        """Deletes a question, perhaps before it is asked."""
        if name in self.ids:
            self.machine.delete_question(worker, self._number(name))
        else:
            self.machine.delete_early(worker, *_place(name))
        return self._said()

    def delete_answer(self, worker: str, name: str) -> None:
        self.machine.delete_answer(worker, self._number(name))

    def regenerate(self, worker: str, name: str, *how: str) -> str:
        """Has a question answered once more, or its answer continued, with some effort."""
        effort = next((Effort(word) for word in how if word in [*Effort]), None)
        self.machine.regenerate(worker, self._number(name), Wish(effort, continues="continued" in how), "full" in how)
        return self._said()

    def erase(self, worker: str, *what: str) -> str:
        """Erases a person, a thread, a person in a thread, or everything; returns how many questions."""
        user_id = next((word for word in what if word.startswith("U")), None)
        self.machine.erase(worker, user_id, THREADS[0] if "thread" in what else None, 0)
        assert isinstance(self.machine.result, Counter)
        return str(self.machine.result[QUESTION])

    def outbox(self, worker: str) -> str:
        """Takes what is due; returns what each reply shows, and what is said or cleared beside it."""
        taken = self.machine.take_outbox_entries(worker).values
        for entry in taken:
            self.entries.setdefault(_entry_name(entry), []).append(entry)
        return " & ".join(sorted(map(_entry_name, taken))) or "none"

    def _entry(self, kind: str, which: Sequence[str]) -> OutboxEntry:
        return self.entries[kind][0 if "late" in which else -1]

    def complete(self, worker: str, kind: str, *which: str) -> None:
        self.machine.complete_outbox_entry(self._entry(kind, which), worker)

    def postpone(self, worker: str, kind: str, *which: str) -> None:
        self.machine.postpone_outbox_entry(self._entry(kind, which), worker)

    def show(self, worker: str, kind: str, pages: str, *which: str) -> None:
        self.machine.record_shown_pages(self._entry(kind, which), worker, int(pages))

    def end_of(self, worker: str, kind: str, *which: str) -> str:
        self.machine.read_unshown_end(self._entry(kind, which), worker)
        return self._said()

    def pages(self, _worker: str, name: str, number: str = "1", *which: str) -> None:
        self.machine.record_pages(self._claim(name, which), int(number))

    def message(self, worker: str, user_id: str, at: str) -> str:
        """Returns what is known when a person writes at a question's place."""
        thread, number = _place(at)
        self.machine.at_message(worker, thread, user_id, number)
        found = self.machine.result
        facts = {"takes_part": "has_bot", "others": "has_others", "quiet": "is_quiet"}
        return " ".join(fact for fact, name in facts.items() if getattr(found, name)) or "nothing"

    def line(self, worker: str, user_id: str, at: str) -> None:
        thread, number = _place(at)
        self.machine.record_line(worker, thread, user_id, number)

    def group(self, worker: str, at: str, starter: str | None = None) -> None:
        thread, number = _place(at)
        self.machine.mark_group(worker, thread, number, starter)

    def quiet(self, worker: str, at: str, *, is_quiet: bool = True) -> str:
        thread, number = _place(at)
        self.machine.switch(worker, thread, number, is_quiet)
        return self._said()

    def loud(self, worker: str, at: str) -> str:
        return self.quiet(worker, at, is_quiet=False)

    def audit(self, worker: str) -> str:
        entries = self.machine.runner.run(self.machine.stores[worker].audit.page(1, 1_000))
        said = []
        for entry in entries:
            facts = [entry[fact] for fact in ("state", "decision", "end", "erased") if fact in entry]
            said.append("-".join([entry["kind"], *facts, *(["edited"] if "edited" in entry else [])]))
        return " ".join(said)


def _entry_name(entry: OutboxEntry) -> str:
    if entry.kind is OutboxKind.REPLY:
        return entry.target.name.lower()
    if entry.mention_due_at is None:
        return "clear" if entry.outdated_messages else "beside"
    return "mention" if entry.waits_until is None else "ask"


def _place(name: str) -> tuple[ThreadKey, int]:
    return THREADS[LETTERS.index(name.rstrip("0123456789"))], int(name.lstrip("dt"))


def _name(question: Question) -> str:
    return f"{LETTERS[THREADS.index(question.thread)]}{int(question.ts.partition('.')[2])}"


def _claim_name(job: Job) -> str:
    others = [follow_up.question for follow_up in job.follow_ups]
    names = "+".join(_name(question) for question in (*job.earlier_questions, job.question, *others))
    return f"{names}v{job.version}" if job.version else names
