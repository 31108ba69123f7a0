"""What Slack shows beside a reply after one try, by what is on record and what an earlier try has posted unheard."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import pytest

from bot.core.job import MENTION_ROLES, MessageRole, RecordedMessage
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.errors import Refusal, Refused
from bot.reply.outbox_sender import SideMessage, ready_message
from bot.services.side_messages import update_side_messages
from bot.slack.json_values import Payload
from tests.services.answering import QUESTION
from tests.services.parts import stores_of, workspace_of

ENTRY = OutboxEntry(7, OutboxKind.SIDE_MESSAGES, 0.0, 1, 1, 2, QUESTION, (), mention_due_at=1.0)
READY = ready_message(ENTRY)
UNHEARD = READY.as_recorded()
EARLIER = RecordedMessage("6.1", MessageRole.MENTION, 1)
LINK = RecordedMessage("", MessageRole.LINK, 1)
OTHER = ready_message(replace(ENTRY, version=1)).metadata


@dataclass
class Thread:
    in_slack: Mapping[str, Payload] = field(default_factory=dict)
    """The messages that aren't on record."""
    is_ours: bool = True
    """Whether no other process has taken the entry."""
    error: Refused | None = None
    happened: list[str] = field(default_factory=list)

    async def unrecorded_messages(self, entry: OutboxEntry, roles: Collection[MessageRole]) -> Mapping[str, Payload]:
        return self.in_slack

    async def post_side_message(self, entry: OutboxEntry, message: SideMessage, still: Callable[[], bool]) -> str:
        self.happened.append("post")
        if self.error:
            raise self.error
        return "9.0"

    async def delete_side_messages(self, entry: OutboxEntry, ts: Collection[str]) -> None:
        self.happened += [f"delete {one}" for one in sorted(ts)]

    async def record_posting(self, entry: OutboxEntry, message: RecordedMessage) -> bool:
        self.happened.append(f"on record {message.ts or 'without ts'}")
        return self.is_ours

    async def record_posted(self, entry: OutboxEntry, message: RecordedMessage) -> None:
        self.happened.append(f"on record {message.ts}")

    async def record_deleted(self, entry: OutboxEntry, messages: Collection[RecordedMessage]) -> None:
        self.happened += [f"off record {message.ts or 'without ts'}" for message in messages]

    async def show(self, entry: OutboxEntry, wanted: SideMessage | None) -> list[str]:
        """Shows what an entry says; returns what happened."""
        await update_side_messages(
            stores_of(outbox=self), workspace_of(outbox_sender=self), entry, wanted, MENTION_ROLES
        )
        return self.happened


POSTED = ["on record without ts", "post", "on record 9.0"]


@pytest.mark.parametrize(
    ("beside", "stale", "in_slack", "wanted", "happens"),
    [
        ([], [], {}, None, []),
        ([], [], {}, READY, POSTED),
        ([EARLIER], [], {}, READY, POSTED),
        ([EARLIER], [EARLIER], {}, None, ["delete 6.1", "off record 6.1"]),
        ([EARLIER], [EARLIER], {}, READY, ["delete 6.1", *POSTED, "off record 6.1"]),
        ([UNHEARD], [], {}, READY, [*POSTED, "off record without ts"]),
        ([UNHEARD], [], {"8.0": READY.metadata}, READY, ["on record 8.0", "off record without ts"]),
        ([UNHEARD], [], {"8.0": READY.metadata}, None, ["delete 8.0", "off record without ts"]),
        ([UNHEARD], [], {"8.0": OTHER}, READY, ["delete 8.0", *POSTED, "off record without ts"]),
        ([UNHEARD], [UNHEARD], {}, None, ["off record without ts"]),
        ([LINK], [LINK], {}, None, []),
    ],
    ids=[
        "nothing",
        "first",
        "beside one that is true",
        "stale",
        "in place of a stale one",
        "lost",
        "unheard",
        "unheard and stale",
        "unheard and another",
        "lost and stale",
        "another role",
    ],
)
async def test_one_message_is_shown_and_none_that_is_stale(
    beside: list[RecordedMessage],
    stale: list[RecordedMessage],
    in_slack: Mapping[str, Payload],
    wanted: SideMessage | None,
    happens: list[str],
) -> None:
    entry = replace(ENTRY, side_messages=tuple(beside), outdated_messages=tuple(stale))
    assert await Thread(in_slack).show(entry, wanted) == happens


async def test_nothing_is_posted_if_another_process_has_taken_the_entry() -> None:
    assert await Thread(is_ours=False).show(ENTRY, READY) == ["on record without ts"]


async def test_post_that_fails_stays_on_record_without_a_ts() -> None:
    thread = Thread(error=Refused("chat.postMessage", "timeout", Refusal.TRANSIENT))
    with pytest.raises(Refused):
        await thread.show(replace(ENTRY, side_messages=(UNHEARD,)), READY)
    assert thread.happened == ["on record without ts", "post"]
