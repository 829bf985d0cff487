"""The command `callytics`: an operator's and a script's way to everything, kept quick to start.

Command modules import only Typer and the domain's enums; what a command needs, it imports itself.
"""


def main() -> None:
    """Run the command line and end the process with its exit code (docs/cli.md)."""
    from callytics.cli.app import app

    app(prog_name="callytics")
