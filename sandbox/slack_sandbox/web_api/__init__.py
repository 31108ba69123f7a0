"""The Web API: its calls over HTTP, what all methods share, and a module for each group of methods."""
