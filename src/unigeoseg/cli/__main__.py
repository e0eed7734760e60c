"""So that `python -m unigeoseg.cli` works too."""

from unigeoseg.cli.main import main

main()
