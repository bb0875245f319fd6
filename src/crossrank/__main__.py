"""``python -m crossrank``."""

from crossrank.cli.main import main

if __name__ == "__main__":
    main()
