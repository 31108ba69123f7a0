"""The showcase: Typist in a Slack on this machine, with a scripted, local or pasted model. `typist sandbox` runs it."""
