"""Faults on demand, such as broken responses, lost acknowledgments and slow calls. Each fault occurs a given number of
times, or until it is stopped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

SHOWING = ("chat.update", "chat.startStream", "chat.appendStream", "chat.stopStream")
"""The calls that show an answer: edits and native-stream calls."""
ASSISTANT_THREADS = (
    "assistant.threads.setStatus",
    "assistant.threads.setTitle",
    "assistant.threads.setSuggestedPrompts",
)
"""The methods that Slack plans to retire in February 2027."""
_SEVERAL: Mapping[tuple[str, ...], str] = {SHOWING: "edits and streams", ASSISTANT_THREADS: "assistant.threads.*"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault type and its settings. `method`: one method, several methods, or None for all. `times`: the number of
    calls that it affects, or None if it lasts until it is stopped."""

    name: str
    label: str
    method: str | tuple[str, ...] | None = None
    times: int | None = None
    match_text: str = ""
    """Applies only to calls whose arguments contain this text. Faults with different texts can be active together."""
    done: bool = False
    """Whether the call takes effect before its response is broken."""
    retry_after_s: int = 5
    delay_s: float = 3.0
    error: str = ""
    location: str = "http://files.example/"
    more_bytes: int = 1_000_000
    status: int = 403

    @property
    def detail(self) -> str:
        setting = {
            "rate_limit": f"429, Retry-After {self.retry_after_s} s",
            "slow": f"{self.delay_s:g} s",
            "refuse": self.error,
            "no_statuses": self.error,
            "unknown_error": self.error,
            "end_after_hello": self.error,
            "file_redirect": self.location,
            "file_larger": f"{self.more_bytes:,} extra bytes",
            "file_slow": f"{self.delay_s:g} s for each 64 kB",
            "file_refused": f"HTTP {self.status}",
        }.get(self.name, "")
        methods = self.method
        if isinstance(methods, tuple):
            methods = _SEVERAL.get(methods, ", ".join(methods))
        return ", ".join(part for part in (methods, setting, self.done and "the call takes effect") if part)

    def concerns(self, method: str | None, arguments: Mapping[str, object] | None) -> bool:
        methods = self.method if isinstance(self.method, tuple) else (self.method,)
        return (self.method is None or method in methods) and (not self.match_text or self.match_text in str(arguments))


class FaultSettings(TypedDict, total=False):
    """Settings for `Faults.start`. A fault ignores settings that it doesn't use."""

    method: str | tuple[str, ...] | None
    times: int | None
    match_text: str
    done: bool
    retry_after_s: int
    delay_s: float
    error: str
    location: str
    more_bytes: int
    status: int


ANSWER_FAULTS = (
    Fault("drop_request", "Request lost", SHOWING),
    Fault("lose_response", "Response lost", SHOWING, done=True),
    Fault("no_answer", "No response", SHOWING),
    Fault("stream_timeout", "HTTP 408"),
    Fault("error_500", "HTTP 500"),
    Fault("unavailable", "HTTP 503", "apps.connections.open"),
    Fault("text_200", "HTTP 200 with plain text"),
    Fault("html_200", "HTTP 200 with an HTML page"),
    Fault("empty_200", "HTTP 200 with an empty body"),
    Fault("list_200", "HTTP 200 with a JSON list"),
    Fault("internal_error", "Internal error", error="internal_error"),
    Fault("unknown_error", "Unknown error", error="flux_capacitor_drained"),
    Fault("refuse", "Edits refused", "chat.update", error="cant_update_message"),
    Fault("no_statuses", "Statuses and titles gone", ASSISTANT_THREADS, error="method_deprecated"),
)
"""Faults that replace a call's response. The first active one in this order applies."""
CALL_FAULTS = (
    Fault("rate_limit", "Rate limited", SHOWING),
    Fault("strict_posts", "At most five posts per channel in 5 s, including stream starts"),
    Fault("slow", "Slow responses"),
    Fault("close_stream", "Native streams closed by Slack", "chat.appendStream"),
    *ANSWER_FAULTS,
)
EVENT_FAULTS = (
    Fault("redeliver", "Events delivered twice"),
    Fault("unacked", "Acknowledgments lost"),
    Fault("silent", "Events lost, while connections stay up"),
    Fault("foreign_team", "Events with another workspace's team_id (Slack Connect)"),
)
FILE_FAULTS = (
    Fault("file_redirect", "File downloads redirected"),
    Fault("file_refused", "File downloads refused"),
    Fault("file_larger", "Files larger than announced"),
    Fault("file_slow", "Slow file downloads"),
)
CONNECTION_FAULTS = (
    Fault("end_after_hello", "Connections ended right after hello", error="too_many_websockets"),
    # These two happen once, when they are started.
    Fault("drop_socket", "Drop the connections"),
    Fault("refresh", "Ask the app to reconnect"),
)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A response that isn't the Web API's JSON object."""

    status: int
    content_type: str
    text: str


RAW_ANSWERS: Mapping[str, RawAnswer] = {
    "stream_timeout": RawAnswer(408, "text/plain", "stream timeout"),
    "error_500": RawAnswer(500, "text/html", "<html>Internal Server Error</html>"),
    "unavailable": RawAnswer(503, "text/plain", "upstream connect error or disconnect/reset before headers"),
    "text_200": RawAnswer(200, "text/plain", "ok"),
    "html_200": RawAnswer(200, "text/html", "<!DOCTYPE html><html><title>Slack</title></html>"),
    "empty_200": RawAnswer(200, "application/json", ""),
    "list_200": RawAnswer(200, "application/json", "[]"),
}
GROUPS: Mapping[str, Sequence[Fault]] = {
    "Web API calls": CALL_FAULTS,
    "Events": EVENT_FAULTS,
    "Files": FILE_FAULTS,
    "WebSocket connections": CONNECTION_FAULTS,
}
"""All faults, by the part of Slack that they affect."""
FAULTS = {fault.name: fault for group in GROUPS.values() for fault in group}


class Faults:
    """Starts, stops and counts faults. `actions` run the faults that happen once."""

    def __init__(self) -> None:
        self.actions: dict[str, Callable[[], None]] = {}
        self.listeners: list[Callable[[], None]] = []
        self._active: dict[tuple[str, str], Fault] = {}

    def start(self, name: str, **settings: Unpack[FaultSettings]) -> None:
        """Starts a fault, or runs it if it happens once. Raises KeyError for an unknown name."""
        fault = replace(FAULTS[name], **settings)
        if name in self.actions:
            self.actions[name]()
            return
        self._active[name, fault.match_text] = fault
        self._notify()

    def stop(self, name: str, match_text: str = "") -> None:
        self._active.pop((FAULTS[name].name, match_text), None)
        self._notify()

    def stop_all(self) -> None:
        self._active.clear()
        self._notify()

    def take(self, name: str, method: str | None = None, arguments: Mapping[str, object] | None = None) -> Fault | None:
        """Counts a call and returns the fault that applies to it, or None."""
        fault = next((f for f in self._active.values() if f.name == name and f.concerns(method, arguments)), None)
        if fault is None:
            return None
        if fault.times is not None:
            if fault.times > 1:
                self._active[name, fault.match_text] = replace(fault, times=fault.times - 1)
            else:
                del self._active[name, fault.match_text]
            self._notify()
        return fault

    def active(self, name: str) -> Fault | None:
        return next((fault for fault in self._active.values() if fault.name == name), None)

    def _notify(self) -> None:
        for listener in self.listeners:
            listener()
