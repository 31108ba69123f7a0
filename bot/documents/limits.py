"""The limits of the process that reads a document. Both sides know them."""

MAX_DOCUMENT_BYTES = 64 * 2**20
"""More than any file that is downloaded."""
MEMORY_BYTES = 384 * 2**20
"""Of addresses, which is more than of memory in use."""
CPU_S = 6
WALL_S = 8.0
"""Also for a process that waits for a CPU."""
MAX_OUTPUT_BYTES = 5 * 2**20
"""More than MAX_CHARS take."""
OUT_OF_MEMORY = 3
"""The exit code of a process that couldn't get more memory."""
