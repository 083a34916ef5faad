"""The program `crashlens` of the wheel: the program itself, with a user's own commands."""

import os
import sys

from . import _crashlens, commands


def main() -> int:
    if not os.environ.get("CRASHLENS_NO_COMMANDS"):
        for problem in commands.load():
            print(f"crashlens: {problem}", file=sys.stderr)
    sys.stderr.flush()
    return _crashlens.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
