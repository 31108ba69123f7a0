"""The entry of `typist` and `python -m bot`.

It imports nothing of weight before Ctrl-C is taken care of: imports take up to a second, and an interrupted import ends
in a traceback.
"""

import os
import signal
import sys


def main() -> None:
    """Runs the command line of this process and exits: it doesn't return."""
    # Ctrl-C ends the process at once. A handler in Python would not: a read of stdin that begins right after the signal
    # waits for its end. `run`, `sandbox` and `check` replace this once they have something to end. Elsewhere nothing is
    # lost: the database rolls back, and vendors see that the connection is closed.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from files_to_markdown import isolation

    give_home()
    # The environment holds tokens from the first moment on.
    isolation.hide_memory()
    from bot.cli.command_line import run_command

    code = run_command(sys.argv[1:])
    # A normal interpreter exit can take seconds on a busy machine, and shutdown has five seconds in all.
    os._exit(code)


def give_home() -> None:
    """Gives a user without an entry in /etc/passwd the home that Docker would: libraries look for one on import."""
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = "/"


if __name__ == "__main__":
    main()
