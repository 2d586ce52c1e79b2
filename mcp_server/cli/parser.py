"""What the grammar is made with: parsers whose help fits a screen and whose errors help.

Options whose help is `Rare` are left out of `--help`; `--help-all` shows them too.
"""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

CLOSE_RATIO = 0.7
"""How alike two words are, from 0 to 1, before one is taken for the other mistyped."""
_MIN_PREFIX_CHARS = 4
_ONE_TEXT = ("QUESTION", "QUERY", "TOPIC")


class UsageError(Exception):
    """The command line cannot be understood."""


class Rare(str):
    """The help of an option that few people need: only `--help-all` shows it."""

    __slots__ = ()


class FullFormatter(argparse.RawDescriptionHelpFormatter):
    """Writes the help with all options, and descriptions and examples as they stand."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **({"max_help_position": 26} | options))


class ScreenFormatter(FullFormatter):
    """Leaves out the rare options, so that the help fits a screen."""

    def add_argument(self, action: argparse.Action) -> None:
        """Add an option, unless it is rare."""
        if not isinstance(action.help, Rare):
            super().add_argument(action)


class Parser(argparse.ArgumentParser):
    """A parser with `--help-all`, and with errors in one line that name what was likely meant."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options |= {"formatter_class": ScreenFormatter, "allow_abbrev": False}
        super().__init__(*arguments, **options)
        if self.add_help:
            text = Rare("show all options, also those that are rarely used")
            self.add_argument("--help-all", action=_HelpAll, nargs=0, help=text)

    def format_help(self) -> str:
        """The help; where options were left out, with a line on how to see them."""
        rare = [action for action in self._actions if isinstance(action.help, Rare)]
        if self.formatter_class is not ScreenFormatter or len(rare) < 2:
            return super().format_help()
        epilog = self.epilog or ""
        self.epilog = f"{len(rare) - 1} more options: {self.prog} --help-all\n\n{epilog}"
        try:
            return super().format_help()
        finally:
            self.epilog = epilog

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse all of the arguments: whichever parser meets one that it does not know says so.

        Raises:
            UsageError: the arguments cannot be understood.
        """
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._about(unknown))
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        joint = " See" if message.endswith("?") else "; see"
        raise UsageError(f"{message}{joint} {self.prog} --help")

    def _about(self, unknown: Sequence[str]) -> str:
        places = self._get_positional_actions()
        if not unknown[0].startswith("-") and places and places[-1].metavar in _ONE_TEXT:
            return f"the {places[-1].metavar.lower()} is one argument: put it in quotation marks"
        message = f"unrecognized arguments: {' '.join(unknown)}"
        meant = closest(unknown[0].partition("=")[0], self._option_string_actions)
        return f"{message}; did you mean {meant}?" if meant else message

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Accept a choice; name all of them, and the likely one, for any other value."""
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        meant = closest(str(value), choices)
        guess = f"; did you mean {meant!r}?" if meant else ""
        raise argparse.ArgumentError(
            action, f"invalid choice: {value!r} (choose from {', '.join(choices)}){guess}"
        )


class _HelpAll(argparse.Action):
    """Print the help with all options."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        parser.formatter_class = FullFormatter
        parser.print_help()
        parser.exit()


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` most likely stands for, cut short or mistyped; "" for none."""
    import difflib

    names = list(known)
    if len(word) >= _MIN_PREFIX_CHARS:
        longer = [name for name in names if name.startswith(word)]
        if len(longer) == 1:
            return longer[0]
    return next(iter(difflib.get_close_matches(word, names, n=1, cutoff=CLOSE_RATIO)), "")
