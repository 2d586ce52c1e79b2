"""Runs under the fuzzer's own Python: calls one target with inputs that atheris makes.

    python -m tests.fuzz.driver TARGET [option of libFuzzer …] CORPUS

Our packages and the small pure ones that they hand hostile bytes to are instrumented, so that an
input that reaches new code is kept and changed further.
"""
# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false
# pyright: reportAttributeAccessIssue=false

import importlib
import logging
import pkgutil
import sys

import atheris

INSTRUMENTED = ["mcp_server", "agent_client", "protego", "markdown_it", "h11", "mammoth"]


def main() -> None:
    """Fuzz until libFuzzer's limits end it; it exits with a status of its own."""
    name, *options = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=INSTRUMENTED):
        from mcp_server import extract
        from tests.fuzz.targets import TARGETS

        # Else they would be imported at their first document, which is too late to be seen.
        for found in pkgutil.walk_packages(extract.__path__, f"{extract.__name__}."):
            importlib.import_module(found.name)
    atheris.Setup([sys.argv[0], *options], TARGETS[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
