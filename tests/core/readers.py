"""A channel that does every call, as the readers of one reply see it."""

from dataclasses import dataclass, field
from typing import TypeVar

from bot.reply.attachments import AttachedFile
from bot.reply.edits import Post, Update
from bot.reply.messages import Begin, Call, Delete, PageView, Upload
from bot.reply.reply import Reply
from tests.reply.outcomes import done

C = TypeVar("C")


@dataclass
class ReadersChannel:
    shown: dict[str, PageView] = field(default_factory=dict)
    files: dict[str, tuple[AttachedFile, ...]] = field(default_factory=dict)
    posted: int = 0
    deleted_files: list[str] = field(default_factory=list)

    def take(self, call: Call) -> str:
        match call:
            case Post(view=view):
                self.posted += 1
                ts = f"{self.posted}.0"
                self.shown[ts] = view
                return ts
            case Upload(files=files):
                self.posted += 1
                self.files[f"{self.posted}.0"] = files
                return f"{self.posted}.0"
            case Update(ts=ts, view=view):
                self.shown[ts] = view
            case Delete(ts=ts, file_ids=file_ids):
                self.shown.pop(ts, None)
                self.files.pop(ts, None)
                self.deleted_files += file_ids
        assert not isinstance(call, Begin), "no page may be streamed here"
        return call.ts

    def text(self) -> str:
        return "".join(view.markdown for view in self.shown.values())


def next_of(reply: Reply, kind: type[C]) -> C:
    call = reply.next_call()
    assert isinstance(call, kind)
    return call


def show_all(reply: Reply, channel: ReadersChannel) -> int:
    calls = 0
    while (call := reply.next_call()) is not None:
        assert call.question == reply.job.question
        done(reply, call, channel.take(call))
        calls += 1
    return calls
