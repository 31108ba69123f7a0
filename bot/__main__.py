"""Entry point of `typist` and `python -m bot`.

Nothing heavy is imported before Ctrl-C is handled, because imports take up to a second, and an interrupted import ends
in a traceback.
"""

import os
import signal
import sys


def main() -> None:
    # Ctrl-C ends the process at once. A Python handler wouldn't: a read of stdin that starts right after the signal
    # would first wait for input. `run`, `sandbox` and `check` replace this once they have something to shut down.
    # Elsewhere nothing is lost: the database rolls back, and vendors notice that the connection is closed.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from files_to_markdown import isolation

    set_default_home()
    # The environment contains tokens from the start.
    isolation.hide_memory()
    from bot.cli.command_line import run_command

    code = run_command(sys.argv[1:])
    # A normal interpreter exit can take seconds on a busy machine, and shutdown has five seconds in total.
    os._exit(code)


def set_default_home() -> None:
    """Sets HOME as Docker would for a user who isn't in /etc/passwd, because some libraries need a home directory when
    they are imported."""
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = "/"


if __name__ == "__main__":
    main()
