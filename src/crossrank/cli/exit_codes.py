"""The exit codes that scripts can rely on; the README lists them."""

CHECK_FAILED = 1
INPUT = 2
MODEL = 3
SYSTEM = 4
INTERRUPTED = 130
# A shell's exit code for a program that was ended by SIGPIPE, because the reader of its output has exited.
READER_LEFT = 141
