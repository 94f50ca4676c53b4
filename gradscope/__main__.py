"""The command line as a module: ``python -m gradscope``."""

import sys

from gradscope.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
