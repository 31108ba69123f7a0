"""The showcase: Typist in a simulated Slack on this machine, with a scripted or local model or a pasted key. `typist
sandbox` runs it."""
