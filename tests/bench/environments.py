"""Environments of their own for what others wrote: none of it is a dependency of ours.

    python -m tests.bench.environments [NAME …]      # install them, all without a name

Each lives in `.venv-bench/NAME` of the checkout, made at its first use and again when its packages
have changed here; `make clean` removes them. Versions are pinned, so that figures can be compared.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-bench"
PACKAGES: dict[str, tuple[str, ...]] = {
    "inspect": ("inspect_ai==0.3.285", "openai==3.54.0", "mcp==1.30.0"),
    "smolagents": ("smolagents==1.26.0", "openai==2.45.0"),
    "qwen-agent": (
        "qwen-agent==0.0.34",
        "openai==3.54.0",
        # what it imports and does not require
        "numpy==2.4.6",
        "python-dateutil==4.0.0",
        "soundfile==0.14.0",
        "tqdm==4.70.1",
    ),
    "charts": ("matplotlib==3.10.8",),
    "mcp-server-fetch": ("mcp-server-fetch==2026.10.24",),
    "duckduckgo-mcp-server": ("duckduckgo-mcp-server==0.7.0",),
    "ddgs": ("ddgs[mcp]==9.16.1",),
    "trafilatura": ("trafilatura==2.3.1", "lxml_html_clean==0.4.6"),
    "readability": ("readability-lxml==0.9", "lxml_html_clean==0.4.6"),
    "resiliparse": ("resiliparse==2.0.1",),
    "chromerag": ("chromerag==0.1.4",),
    "block-model": ("numpy==2.4.6", "scipy==1.17.1", "scikit-learn==1.9.1", "selectolax==1.0.2"),
    "bm25s": ("bm25s[core]==0.3.16", "PyStemmer==3.1.0"),
    "fuzz": ("atheris==3.0.0",),
    "audit": ("pip-audit==2.10.1",),
}
"""What each of them holds, as pip takes it."""


def python_of(name: str) -> Path:
    """The interpreter of an environment, which is installed first if it is not there.

    Raises:
        KeyError: there is no such environment.
        subprocess.CalledProcessError: it cannot be installed; pip has said why.
    """
    wanted = "\n".join(PACKAGES[name]) + "\n"
    folder = FOLDER / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    sys.stderr.write(f"installing {', '.join(PACKAGES[name])} into {folder.name}\n")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, *PACKAGES[name]], check=True)
    stamp.write_text(wanted)
    return python


def program_of(name: str, program: str) -> str:
    """Path of a program that an environment has."""
    return str(python_of(name).with_name(program))


def versions_of(name: str, *packages: str) -> dict[str, str]:
    """Which versions an environment has of some packages."""
    ask = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    asked = [str(python_of(name)), "-c", ask, *packages]
    said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    return dict(zip(packages, said, strict=True))


if __name__ == "__main__":
    for each in sys.argv[1:] or PACKAGES:
        python_of(each)
