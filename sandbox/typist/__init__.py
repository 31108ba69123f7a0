"""Typist in the sandbox: the only part of it that knows the bot. `typist sandbox` starts it."""
