"""The exit codes that scripts can rely on; the README lists them."""

CHECK_FAILED = 1
INPUT = 2
MODEL = 3
SYSTEM = 4
INTERRUPTED = 130
