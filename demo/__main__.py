"""`python -m demo export.zip` starts the sandbox with a Slack export.

All other arguments are passed to `typist sandbox`.
"""

import os
import signal
import sys
from pathlib import Path

from bot.__main__ import set_default_home
from files_to_markdown import isolation

USAGE = "Usage: python -m demo EXPORT.zip [arguments of typist sandbox]"


def main() -> None:
    """Opens the export, runs the sandbox and exits the process, so it never returns."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(USAGE, file=sys.stderr)
        os._exit(2)
    set_default_home()
    isolation.hide_memory()
    from bot.cli.command_line import run_command
    from demo.export import in_use, workspace_name
    from slack_sandbox.export.archive import ExportError
    from slack_sandbox.export.opened import open_export

    path = Path(sys.argv[1])
    try:
        export = open_export(path, workspace_name(path.name), _progress)
    except ExportError as error:
        print(f"typist: {error}", file=sys.stderr)
        os._exit(2)
    print(*export.report.lines(), sep="\n", flush=True)
    in_use.set(export)
    # An export is for asking about what was said. Slack lets only agents search, for the person who asks.
    os.environ.setdefault("BOT_SLACK_SEARCH", "on")
    os._exit(run_command(["sandbox", "--agent", *sys.argv[2:]]))


def _progress(read: int, total: int) -> None:
    """Shows how much has been read, but only on a terminal."""
    if sys.stderr.isatty() and total:
        end = "\r" if read < total else "\n"
        print(f"Reading the export: {100 * read // total} %", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
