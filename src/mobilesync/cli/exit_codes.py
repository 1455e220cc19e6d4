"""How a command ends, for scripts."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The value is what the shell sees; `MEANINGS` says what to do."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    RETRY = 3
    REFUSED = 4
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "it is done",
    ExitCode.FAILURE: "it failed; the sentence on standard error says why",
    ExitCode.USAGE: "the command line or the settings are wrong",
    ExitCode.RETRY: "not now (unreachable, overloaded, draining); the same command may work later",
    ExitCode.REFUSED: "the server refused it, and will again until something is changed",
    ExitCode.INTERRUPTED: "it was interrupted with Ctrl-C",
}
assert set(MEANINGS) == set(ExitCode), "every code needs its meaning"
