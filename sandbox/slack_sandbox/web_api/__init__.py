"""The Web API: calls over HTTP, code shared by all methods, and a module for each group of methods."""
