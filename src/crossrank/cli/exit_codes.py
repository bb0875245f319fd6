"""The exit codes that scripts can rely on; the README lists them."""

CHECK_FAILED = 1
INPUT = 2
MODEL = 3
SYSTEM = 4
INTERRUPTED = 130
# What a shell says of a program that SIGPIPE ended: the one that reads its output has left.
READER_LEFT = 141
