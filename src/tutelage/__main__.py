"""`python -m tutelage`, which is also how `torchrun` starts a stage."""

from tutelage.cli import main

main()
