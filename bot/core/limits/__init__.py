"""Who may ask, how much may be used, and what was."""
