"""`python -m newsquake`: the same as the console script."""

from newsquake.cli import main

main()
