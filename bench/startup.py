"""Start-up time of the command line: whole processes, against `import torch`."""

import subprocess
import sys
from functools import partial
from pathlib import Path

from bench.measure import arguments, finish, timed, warmed_up

REPOSITORY = Path(__file__).resolve().parent.parent
HELP, TORCH = "python run.py --help", "python -c 'import torch'"
COMMANDS = {
    HELP: ["run.py", "--help"],
    TORCH: ["-c", "import torch"],
    "python run.py with a typo": ["run.py", "methud=kl"],
    "python -c pass": ["-c", "pass"],
}


def process(name: str) -> None:
    """Run a command to its end, discarding its output."""
    subprocess.run([sys.executable, *COMMANDS[name]], cwd=REPOSITORY, capture_output=True, check=False)


def main(given: list[str] | None = None) -> None:
    options = arguments(__doc__ or "", seconds=40).parse_args(given)
    names = [HELP, TORCH] if options.quick else list(COMMANDS)
    times = warmed_up({name: timed(partial(process, name)) for name in names}, options)
    rows = [times.row(name, TORCH, at_most=1.0 if name == HELP else None) for name in names if name != TORCH]
    finish(options, "start-up: whole processes", [times.row(TORCH), *rows])


if __name__ == "__main__":
    main()
