"""Models: their input (prompt.py), their output (events.py), two vendor APIs, and wrappers for each model."""
