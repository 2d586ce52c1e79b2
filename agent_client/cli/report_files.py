"""Where a report goes: which files were asked for, and how each of them is written."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from agent_client.errors import ConfigError, ReportError
from agent_client.replaced_file import replacing
from agent_client.report.document import Report

STDOUT = "-"
MARKDOWN_SUFFIXES = (".md", ".markdown")
HTML_SUFFIXES = (".html", ".htm")
PDF_SUFFIXES = (".pdf",)
_AGAIN = "the report is not lost: run the command again with another -o"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Outputs that can be written, each once."""

    outputs: tuple[str, ...]
    """Names of files, and `STDOUT`."""
    browser: Path | None
    """Prints the PDF; None where none was asked for."""

    @staticmethod
    def checked(
        outputs: list[str], *, with_pdf: bool, browser: str, is_stdout_free: bool
    ) -> "ReportFiles":
        """Judge the outputs before any work is done for one that cannot be written.

        Args:
            outputs: as they stand on the command line.
            with_pdf: whether a PDF is wanted beside the first file.
            browser: path or name of the program that prints it, "" for the usual ones.
            is_stdout_free: whether the report may go to stdout.

        Raises:
            ConfigError: an output has an unknown form, cannot be written, or needs a browser that
                is not there.
        """
        from agent_client.report.pdf_form import find_browser

        if with_pdf:
            outputs = [*outputs, _beside_first_file(outputs)]
        for output in outputs:
            if output != STDOUT:
                _check_file(output)
            elif not is_stdout_free:
                raise ConfigError("stdout cannot take both --json and the report of -o -")
        needs_browser = any(_suffix(output) in PDF_SUFFIXES for output in outputs)
        if browser and not needs_browser:
            raise ConfigError("--browser prints a PDF, and none is asked for", hint="add --pdf")
        return ReportFiles(
            # A PDF last: its browser can fail, and must take no other form with it.
            outputs=tuple(sorted(dict.fromkeys(outputs), key=lambda o: _suffix(o) in PDF_SUFFIXES)),
            browser=find_browser(browser) if needs_browser else None,
        )

    async def write(self, report: Report) -> None:
        """Write the report in every form that was asked for.

        Raises:
            ReportError: a file cannot be written, or the browser printed no PDF.
        """
        for output in self.outputs:
            content = await self._form(report, _suffix(output))
            if output == STDOUT:
                sys.stdout.write(content.decode("utf-8"))
                sys.stdout.flush()
            else:
                _replace(Path(output), content)

    async def _form(self, report: Report, suffix: str) -> bytes:
        from agent_client.report.html_form import to_html
        from agent_client.report.markdown_form import to_markdown
        from agent_client.report.pdf_form import to_pdf

        if suffix in PDF_SUFFIXES and self.browser:
            return await to_pdf(to_html(report), self.browser)
        return (to_html if suffix in HTML_SUFFIXES else to_markdown)(report).encode("utf-8")


def _suffix(output: str) -> str:
    return Path(output).suffix.lower()


def _beside_first_file(outputs: list[str]) -> str:
    for output in outputs:
        if output != STDOUT:
            return str(Path(output).with_suffix(".pdf"))
    raise ConfigError("--pdf puts a PDF beside a file", hint="name it: -o report.pdf")


def _check_file(output: str) -> None:
    path = Path(output)
    if path.suffix.lower() not in (*MARKDOWN_SUFFIXES, *HTML_SUFFIXES, *PDF_SUFFIXES):
        raise ConfigError(
            f"output {output!r}: the form is not known", hint="end the name in .md, .html or .pdf"
        )
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError(
            f"output {output!r} cannot be written", hint="name a file in a folder that exists"
        )


def _replace(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as exc:
        raise ReportError(
            f"output {str(path)!r} cannot be written: {exc.strerror}", hint=_AGAIN
        ) from exc
