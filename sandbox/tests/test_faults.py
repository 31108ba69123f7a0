"""The page's faults that lose or limit calls affect those that show an answer, and each lists them."""

import pytest

from slack_sandbox.faults import ASSISTANT_THREADS, CALL_FAULTS, FAULTS, SHOWING, Fault, Faults

OTHERS = ("refuse", "no_statuses", "close_stream", "unavailable", "strict_posts")
SHOWS_ANSWERS = [fault for fault in CALL_FAULTS if fault.name not in OTHERS]


@pytest.mark.parametrize("method", SHOWING)
@pytest.mark.parametrize("fault", SHOWS_ANSWERS, ids=lambda fault: fault.name)
def test_switch_hits_edits_and_streams(fault: Fault, method: str) -> None:
    faults = Faults()
    faults.start(fault.name)
    assert faults.take(fault.name, method) is not None


@pytest.mark.parametrize("fault", CALL_FAULTS, ids=lambda fault: fault.name)
def test_switch_that_hits_some_calls_says_which(fault: Fault) -> None:
    several = {SHOWING: "edits and streams", ASSISTANT_THREADS: "assistant.threads.*"}
    named = several[fault.method] if isinstance(fault.method, tuple) else fault.method or ""
    assert fault.detail.startswith(named)


def test_fault_of_one_method_leaves_others_alone() -> None:
    faults = Faults()
    faults.start("drop_request", method="chat.postMessage", times=1)
    assert FAULTS["drop_request"].method == SHOWING
    assert faults.take("drop_request", "chat.update") is None
    assert faults.take("drop_request", "chat.postMessage") is not None
    assert faults.take("drop_request", "chat.postMessage") is None
