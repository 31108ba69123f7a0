"""What can be made to go wrong, on demand: for so many times, or until it is switched off."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault and its settings. `method` None: any method; `times` None: until it is switched off."""

    name: str
    label: str
    method: str | None = None
    times: int | None = None
    containing: str = ""
    """Only calls whose arguments hold this text; faults of one kind about different texts are on side by side."""
    done: bool = False
    """Slack does the call and only its answer is broken. Off: Slack doesn't do the call."""
    retry_after_s: int = 5
    delay_s: float = 3.0
    error: str = ""
    """The name that a refusal gives."""
    location: str = "http://files.example/"
    more_bytes: int = 1_000_000
    status: int = 403

    @property
    def detail(self) -> str:
        """How it is set, in words for the page."""
        said = {
            "rate_limit": f"429, Retry-After {self.retry_after_s} s",
            "slow": f"{self.delay_s:g} s",
            "refuse": self.error,
            "unknown_error": self.error,
            "file_redirect": self.location,
            "file_larger": f"{self.more_bytes:,} bytes more",
            "file_slow": f"{self.delay_s:g} s for each 64 kB",
            "file_refused": f"HTTP {self.status}",
        }.get(self.name, "")
        return ", ".join(part for part in (self.method, said, self.done and "the call is done") if part)


class FaultSettings(TypedDict, total=False):
    """What `Faults.start` can set; a fault reads only what concerns it."""

    method: str | None
    times: int | None
    containing: str
    done: bool
    retry_after_s: int
    delay_s: float
    error: str
    location: str
    more_bytes: int
    status: int


ANSWER_FAULTS = (
    Fault("drop_request", "Connection dropped before the call is done", "chat.update"),
    Fault("lose_response", "Call done, response lost", "chat.update", done=True),
    Fault("no_answer", "No answer until the app gives up", "chat.update"),
    Fault("stream_timeout", "HTTP 408, stream timeout"),
    Fault("error_500", "HTTP 500"),
    Fault("unavailable", "HTTP 503 as text", "apps.connections.open"),
    Fault("text_200", "HTTP 200 with text"),
    Fault("html_200", "HTTP 200 with an HTML page"),
    Fault("empty_200", "HTTP 200 with nothing in it"),
    Fault("list_200", "HTTP 200 with a JSON list"),
    Fault("internal_error", "internal_error", error="internal_error"),
    Fault("unknown_error", "An error with an unknown name", error="flux_capacitor_drained"),
    Fault("refuse", "Edits refused", "chat.update", error="cant_update_message"),
)
"""A call gets such an answer, or none, in place of its own; the first that is on wins."""
CALL_FAULTS = (
    Fault("rate_limit", "Rate limit storm", "chat.update"),
    Fault("slow", "Slow answers"),
    *ANSWER_FAULTS,
)
EVENT_FAULTS = (
    Fault("redeliver", "Each event delivered twice"),
    Fault("unacked", "Acknowledgements lost"),
    Fault("foreign_team", "Events name the team of a Slack Connect host"),
)
FILE_FAULTS = (
    Fault("file_redirect", "Files are elsewhere"),
    Fault("file_refused", "Files refused"),
    Fault("file_larger", "Files larger than said"),
    Fault("file_slow", "Files come slowly"),
)
INSTANT_FAULTS = (
    Fault("drop_socket", "Drop the sockets now"),
    Fault("refresh", "Refresh the connections now"),
)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer that isn't the Web API's JSON object."""

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
"""By the name of the fault."""
FAULTS = {fault.name: fault for fault in (*CALL_FAULTS, *EVENT_FAULTS, *FILE_FAULTS, *INSTANT_FAULTS)}


class Faults:
    """The switches. `actions` does the faults that happen at once and stay off."""

    def __init__(self) -> None:
        self.actions: dict[str, Callable[[], None]] = {}
        self.listeners: list[Callable[[], None]] = []
        self._on: dict[tuple[str, str], Fault] = {}

    def start(self, name: str, **settings: Unpack[FaultSettings]) -> None:
        """Switches a fault on, or does it at once. Raises KeyError for a name that does not exist."""
        fault = replace(FAULTS[name], **settings)
        if name in self.actions:
            self.actions[name]()
            return
        self._on[name, fault.containing] = fault
        self._notify()

    def stop(self, name: str, containing: str = "") -> None:
        """Raises KeyError for a name that does not exist."""
        self._on.pop((FAULTS[name].name, containing), None)
        self._notify()

    def take(self, name: str, method: str | None = None, arguments: Mapping[str, object] | None = None) -> Fault | None:
        """The fault, where it is on for this method and these arguments; one of its times is then used up."""
        fault = next((each for each in self._on.values() if each.name == name and _applies(each, arguments)), None)
        if fault is None or fault.method not in (None, method):
            return None
        if fault.times is not None:
            if fault.times > 1:
                self._on[name, fault.containing] = replace(fault, times=fault.times - 1)
            else:
                del self._on[name, fault.containing]
            self._notify()
        return fault

    def active(self, name: str) -> Fault | None:
        """The fault as it is set now, None where it is off."""
        return next((each for each in self._on.values() if each.name == name), None)

    def _notify(self) -> None:
        for listener in self.listeners:
            listener()


def _applies(fault: Fault, arguments: Mapping[str, object] | None) -> bool:
    return not fault.containing or fault.containing in str(arguments)
