"""`python -m glassnet` is the same as `glassnet`."""

from glassnet.cli import main

main()
