"""``python -m genaug``."""

from genaug.cli import main

if __name__ == "__main__":
    main()
