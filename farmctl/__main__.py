"""``python -m farmctl`` is the command line."""

from farmctl.cli import main

main()
