"""Completion scripts for shells, made from the grammar; pressing TAB starts no Python.

What is completed beyond commands and flags is read off the metavars: where a file or a folder is
taken, the shell offers those.
"""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args, get_origin

SHELLS = ("bash", "zsh", "fish")
HOW_TO = """Write the script of your shell into a file that it reads when it starts:

  bash  {program} completion bash > ~/.local/share/bash-completion/completions/{program}
        (needs the package bash-completion; without it, name the file in ~/.bashrc:
        source FILE)
  zsh   {program} completion zsh > ~/.zfunc/_{program}
        (with fpath=(~/.zfunc $fpath) before compinit in ~/.zshrc)
  fish  {program} completion fish > ~/.config/fish/completions/{program}.fish

Make the folder first where it is not there, and write the script again after an update.
"""
_FILES = frozenset(("FILE", "PATH", "SOURCE", "DATASET"))
_FOLDERS = frozenset(("DIR", "FOLDER", "RUN"))
_WORD = re.compile(r"[A-Z]{1,40}")


def completion_script(
    parser: argparse.ArgumentParser,
    shell: str,
    *,
    choices: Mapping[str, Sequence[str]],
    commands: Mapping[str, str],
) -> str:
    """The script that completes a program's command line.

    Args:
        parser: the whole grammar. It is changed, and should not parse anything afterwards.
        shell: one of `SHELLS`.
        choices: words to offer, by flag or, for a positional, by metavar.
        commands: shell commands that print the words to offer, by flag or metavar.
    """
    import shtab

    for action in _actions(parser):
        names = (*action.option_strings, str(action.metavar or ""))
        words = frozenset(_WORD.findall(names[-1]))
        if action.help == argparse.SUPPRESS and not action.option_strings:
            action.help = ""  # left out of the help, for the usage says it; not of this
        if command := next(filter(None, map(commands.get, names)), ""):
            _complete(action, shtab.cmd(command))
        elif offered := next(filter(None, map(choices.get, names)), ()):
            action.choices = offered
        elif words & _FOLDERS:
            _complete(action, shtab.DIRECTORY)
        elif words & _FILES:
            _complete(action, shtab.FILE)
    return shtab.complete(parser, shell)


def fixed_words(annotation: object) -> Iterator[str]:
    """The words that a setting is limited to, by its type; none where it takes others too."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for part in get_args(annotation):
            yield from fixed_words(part)


def _complete(action: argparse.Action, how: Mapping[str, object]) -> None:
    action.complete = how  # pyright: ignore[reportAttributeAccessIssue] where shtab looks for it


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage]
        yield action
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            for command in dict.fromkeys(action.choices.values()):
                yield from _actions(command)
