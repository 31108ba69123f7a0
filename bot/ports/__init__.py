"""The services' ports: small protocols for everything outside of them, grouped by subject.

A service takes exactly the ports that it calls. bot/store, bot/slack and bot/providers implement them, and
bot/wiring.py puts both together. A port has one contract test (tests/contracts), which runs on everything that
implements it.
"""
