"""Compose the config, check it and run its task: `python run.py --help`."""

from ktlight.cli import main

if __name__ == "__main__":
    main()
