"""The console script, and `python -m uv_link_doctor`, which is the same."""

import signal
import sys


def main() -> int:
    """As `cli.main`; until that has been loaded, Ctrl-C just ends us: nothing was done that could be told of."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # Not where somebody has us ignore it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from uv_link_doctor.cli import main as run  # noqa: PLC0415  (see above)

    return run()


if __name__ == "__main__":
    sys.exit(main())
