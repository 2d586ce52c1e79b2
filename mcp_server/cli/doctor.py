"""`seekling-mcp doctor`: does the server work here, and what to do where it does not."""

import argparse
import shutil
import sys

from mcp_server.cli.colour import has_colour
from mcp_server.cli.json_output import print_json
from mcp_server.doctor import report
from mcp_server.doctor.findings import Section
from mcp_server.doctor.installation import installation
from mcp_server.hosts.own_program import own_command


def run(options: argparse.Namespace) -> int:
    """Examine and print; 1 when something that is needed does not work.

    Raises:
        ConfigError: a setting is wrong.
    """
    printer = _Printer(is_quiet=options.json or options.quiet)
    command = own_command()
    printer.show(Section("installation", tuple(installation(command))))
    try:
        # Only now: where packages are missing, all this cannot be imported.
        import anyio

        from mcp_server.cli.doctor_checks import look
        from mcp_server.cli.settings import load_settings
    except ImportError:
        if not report.count(printer.sections, "problem"):
            raise
        return _conclude(printer, as_json=options.json)
    anyio.run(look, options, load_settings(options), command, printer.show)
    return _conclude(printer, as_json=options.json)


def _conclude(printer: "_Printer", *, as_json: bool) -> int:
    sections = printer.sections
    if as_json:
        print_json(report.as_json(sections))
    else:
        print(report.conclusion(sections))
    return 1 if report.count(sections, "problem") else 0


class _Printer:
    """Prints sections as they come, and keeps them."""

    def __init__(self, *, is_quiet: bool) -> None:
        self.sections: list[Section] = []
        self._is_quiet = is_quiet
        self._has_colour = sys.stdout is not None and has_colour(sys.stdout)
        self._width = shutil.get_terminal_size().columns

    def show(self, section: Section) -> None:
        self.sections.append(section)
        if not self._is_quiet:
            text = report.section_text(section, width=self._width, has_colour=self._has_colour)
            print(text, flush=True)
