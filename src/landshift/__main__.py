"""``python -m landshift`` is the command line."""

from __future__ import annotations

from landshift.cli import main

main()
