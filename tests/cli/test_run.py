"""Which signals end the bot."""

import signal

import pytest

from bot.cli.run import ending_signals


@pytest.mark.parametrize(
    ("disposition", "ends"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)], ids=["by itself", "with nohup"]
)
def test_bot_ends_when_its_terminal_closes_unless_nohup_keeps_that_away(
    disposition: signal.Handlers, ends: bool
) -> None:
    earlier = signal.signal(signal.SIGHUP, disposition)
    try:
        assert ending_signals()[:2] == (signal.SIGTERM, signal.SIGINT)
        assert (signal.SIGHUP in ending_signals()) is ends
    finally:
        signal.signal(signal.SIGHUP, earlier)
