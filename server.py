"""`python server.py`: the same as `easel serve`, with the same flags, without installing."""

from __future__ import annotations

import sys

from engine.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "serve")
    main()
