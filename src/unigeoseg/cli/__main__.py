"""Entry point of `python -m unigeoseg.cli`."""

from unigeoseg.cli.main import main

main()
