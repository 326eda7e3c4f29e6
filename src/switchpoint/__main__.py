"""``python -m switchpoint``."""

from switchpoint.cli.commands import main

main()
