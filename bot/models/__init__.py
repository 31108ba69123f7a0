"""Models: what they read and write (prompt.py, events.py), two vendors, and wrappers for each model."""
