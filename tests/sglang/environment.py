"""Set up the environment in which a real SGLang 0.5.23 runs without a GPU, and its two models.

    python tests/sglang/environment.py [DIR]

Needs Linux on x86-64, CPython 3.11 and glibc 2.34 (Debian 12, Ubuntu 22.04), since SGLang's wheels
do. Everything comes from the package index by the hashes of `requirements.txt`, but one thing: of
PyTorch the index has only builds for GPUs on this platform, so that the build for CPUs comes from
PyTorch's own index, unless one that pip is configured with has it. The models are made of the
embedded model's file (`make_models.py`).
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs

from agent_client.engine.weights import DEFAULT_MODEL, MODELS, is_verified, models_dir

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
TORCH_REQUIREMENTS = HERE / "requirements-torch.txt"
MODEL_MAKER = HERE / "make_models.py"
CHAT_TEMPLATE = HERE / "qwen3_template.jinja"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
PYTHON_VERSION = (3, 11)
STAMP = ".complete"
"""In each folder that is finished: the hash of what it was made by."""
SGLANG_MODELS = ("tiny-qwen3", "coder")


def default_folder() -> Path:
    """Where the environment lies when no folder is named."""
    named = os.environ.get("SGLANG_VENV")
    return Path(named) if named else HERE.parents[1] / ".venv-sglang"


def python(environment: Path) -> Path:
    return environment / "bin" / "python"


def model_folder(model: str) -> Path:
    """Where one of `SGLANG_MODELS` lies: in the user's cache."""
    return platformdirs.user_cache_path("seekling") / "sglang" / model


def set_up(environment: Path) -> None:
    """Make the environment and the models complete; what is there and unchanged is kept."""
    set_up_packages(environment)
    embedded = MODELS[DEFAULT_MODEL]
    source = models_dir() / embedded.file_name
    if not is_verified(source, embedded.sha256):
        sys.exit("the embedded model is missing; run: seekling engine pull")
    for model in SGLANG_MODELS:
        make_model(environment, model, source)


def is_complete(environment: Path) -> bool:
    return all(
        (folder / STAMP).exists() for folder in (environment, *map(model_folder, SGLANG_MODELS))
    )


def set_up_packages(environment: Path) -> None:
    wanted = digest(REQUIREMENTS, TORCH_REQUIREMENTS)
    stamp = environment / STAMP
    if is_stamped(stamp, wanted):
        return
    sys.stderr.write(f"installing SGLang into {environment} (600 MB to fetch, 2.6 GB on disk)\n")
    run(interpreter(), "-m", "venv", "--clear", str(environment))
    install = (str(python(environment)), "-m", "pip", "install", "-qq", "--no-deps")
    install += ("--disable-pip-version-check", "--only-binary=:all:", "--require-hashes")
    torch = (*install, "-r", str(TORCH_REQUIREMENTS))
    if subprocess.run(torch, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        run(*torch, "--index-url", TORCH_INDEX)
    run(*install, "-r", str(REQUIREMENTS))
    # The wheel of torchvision is made for GPUs. Its compiled part does not load without one, but
    # this module describes functions of that part when it is imported. SGLang calls none of them.
    (packages(environment) / "torchvision" / "_meta_registrations.py").write_text("")
    stamp.write_text(wanted)


def make_model(environment: Path, model: str, source: Path) -> None:
    folder = model_folder(model)
    wanted = digest(MODEL_MAKER, CHAT_TEMPLATE)
    if is_stamped(folder / STAMP, wanted):
        return
    sys.stderr.write(f"making the model {model}\n")
    run(str(python(environment)), str(MODEL_MAKER), model, str(source), str(folder))
    (folder / STAMP).write_text(wanted)


def digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_stamped(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text() == wanted


def interpreter() -> str:
    """Find a Python of the version that the hashes are for."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        sys.exit("the wheels of SGLang for CPUs are for Linux on x86-64 only")
    name = "python{}.{}".format(*PYTHON_VERSION)
    found = sys.executable if sys.version_info[:2] == PYTHON_VERSION else shutil.which(name)
    return found or sys.exit(f"{name} is needed and not on PATH")


def packages(environment: Path) -> Path:
    return environment / "lib" / "python{}.{}".format(*PYTHON_VERSION) / "site-packages"


def run(*command: str) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"failed: {' '.join(command)}")


if __name__ == "__main__":
    set_up(Path(sys.argv[1]) if len(sys.argv) > 1 else default_folder())
