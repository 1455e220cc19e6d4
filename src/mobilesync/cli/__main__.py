"""The entrance: `mobilesync …` and `python -m mobilesync.cli …`.

Strategy: nothing that may be missing is imported before it is needed. The command line needs the
extra `server`; who has only the SDK gets a sentence that says so instead of a traceback.
"""

import sys


def main() -> None:
    """Run the command line and exit with one of its exit codes."""
    try:
        from mobilesync.cli.root import run

        code = run(sys.argv[1:])
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "mobilesync"}:
            raise
        sys.stderr.write(
            f"Error: this command needs {missing}, which is not installed.\n"
            "Hint: install the server with its tools: pip install 'mobilesync[server]'\n"
        )
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
