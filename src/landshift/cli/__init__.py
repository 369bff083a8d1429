"""The command line: thin commands over the Python functions of the same names."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; a landshift error becomes a paragraph on stderr and its exit code."""
    import sys

    from landshift.cli.app import app
    from landshift.cli.console import complain
    from landshift.errors import LandshiftError

    try:
        app()
    except LandshiftError as error:
        complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
