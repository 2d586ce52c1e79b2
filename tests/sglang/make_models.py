"""Make the models that the real SGLang serves, in the form of Hugging Face folders.

    .venv-sglang/bin/python tests/sglang/make_models.py coder MODEL.gguf FOLDER
    .venv-sglang/bin/python tests/sglang/make_models.py tiny-qwen3 MODEL.gguf FOLDER

`coder` is the embedded model itself, its weights taken from the GGUF file and written as bfloat16:
1.3 GB. `tiny-qwen3` has the shape of Qwen3 with two small layers of random weights, and the
tokens and the chat format of Qwen3: 45 MB. What it writes is forced by `shim/scripted_output.py`.

Runs in the environment of `environment.py`, the only one that has these packages.
"""
# pyright: reportMissingImports=false

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

TEMPLATE = Path(__file__).with_name("qwen3_template.jinja")
QWEN3_TOKENS = ("<tool_response>", "</tool_response>", "<think>", "</think>")
"""What Qwen3 has more than Qwen2.5; their ids follow those of Qwen2.5."""
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen cuts text before it looks for tokens; llama.cpp knows it by the name `qwen2`."""
ENDOFTEXT, IM_END = 151643, 151645
VOCABULARY = 151936
"""Rows of the embedding; those past the last token are never used."""

# Of GGUF's kinds of tokens.
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4

NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""GGUF's names of weights, and those of Hugging Face."""


class Gguf:
    """A GGUF file of a Qwen2 model."""

    def __init__(self, file: Path) -> None:
        self._reader = gguf.GGUFReader(file)

    def value(self, name: str) -> Any:
        return self._reader.fields[name].contents()

    def weights(self) -> dict[str, Any]:
        """All weights by Hugging Face's names, as bfloat16."""
        found: dict[str, Any] = {}
        for tensor in self._reader.tensors:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            found[hugging_face_name(tensor.name)] = torch.tensor(values, dtype=torch.bfloat16)
        return found

    def tokenizer(self, more: tuple[str, ...] = ()) -> Any:
        """Rebuild the tokenizer, with more tokens after those that it has."""
        tokens = self.value("tokenizer.ggml.tokens")
        kinds = self.value("tokenizer.ggml.token_type")
        normal = {token: n for n, token in enumerate(tokens) if kinds[n] == NORMAL}
        merges = [tuple(pair.split(" ")) for pair in self.value("tokenizer.ggml.merges")]
        made = Tokenizer(models.BPE(vocab=normal, merges=merges))
        made.normalizer = normalizers.NFC()
        made.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(WORDS), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        made.decoder = decoders.ByteLevel()
        # Their ids follow from their order: they come right after the normal ones.
        for token, kind in zip(tokens, kinds, strict=True):
            if kind in (CONTROL, USER_DEFINED):
                made.add_tokens([AddedToken(token, normalized=False, special=kind == CONTROL)])
        made.add_tokens([AddedToken(token, normalized=False) for token in more])
        assert made.token_to_id("<|im_end|>") == IM_END
        return made


def hugging_face_name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    block = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
    if block is None:
        return f"{NAMES[stem]}.{kind}"
    return f"model.layers.{block[1]}.{NAMES[block[2]]}.{kind}"


def make_coder(source: Gguf, folder: Path) -> None:
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": source.value("qwen2.embedding_length"),
        "intermediate_size": source.value("qwen2.feed_forward_length"),
        "num_hidden_layers": source.value("qwen2.block_count"),
        "num_attention_heads": source.value("qwen2.attention.head_count"),
        "num_key_value_heads": source.value("qwen2.attention.head_count_kv"),
        "max_position_embeddings": source.value("qwen2.context_length"),
        "rms_norm_eps": source.value("qwen2.attention.layer_norm_rms_epsilon"),
        "rope_theta": source.value("qwen2.rope.freq_base"),
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    write(folder, config, source.weights(), source.tokenizer())
    (folder / "chat_template.jinja").write_text(source.value("tokenizer.chat_template"), "utf-8")


def make_tiny_qwen3(source: Gguf, folder: Path) -> None:
    hidden, inner, layers, heads, key_heads, head_size = 64, 128, 2, 4, 2, 16
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "attention_bias": False,
        "head_dim": head_size,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "max_position_embeddings": 40_960,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }
    torch.manual_seed(0)
    weights = {"model.embed_tokens": random(VOCABULARY, hidden), "model.norm": torch.ones(hidden)}
    for layer in range(layers):
        weights |= {
            f"model.layers.{layer}.{name}": values
            for name, values in {
                "input_layernorm": torch.ones(hidden),
                "self_attn.q_proj": random(heads * head_size, hidden),
                "self_attn.k_proj": random(key_heads * head_size, hidden),
                "self_attn.v_proj": random(key_heads * head_size, hidden),
                "self_attn.o_proj": random(hidden, heads * head_size),
                "self_attn.q_norm": torch.ones(head_size),
                "self_attn.k_norm": torch.ones(head_size),
                "post_attention_layernorm": torch.ones(hidden),
                "mlp.gate_proj": random(inner, hidden),
                "mlp.up_proj": random(inner, hidden),
                "mlp.down_proj": random(hidden, inner),
            }.items()
        }
    named = {f"{name}.weight": values for name, values in weights.items()}
    write(folder, config, named, source.tokenizer(QWEN3_TOKENS))
    shutil.copy(TEMPLATE, folder / "chat_template.jinja")


def random(rows: int, columns: int) -> Any:
    return torch.randn(rows, columns) * 0.02


def write(
    folder: Path, config: Mapping[str, object], weights: dict[str, Any], tokenizer: Any
) -> None:
    shared = {"vocab_size": VOCABULARY, "hidden_act": "silu", "attention_dropout": 0.0}
    ends = {"bos_token_id": ENDOFTEXT, "eos_token_id": IM_END}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", shared | ends | dict(config))
    write_json(
        folder / "generation_config.json",
        ends | {"eos_token_id": [IM_END, ENDOFTEXT], "pad_token_id": ENDOFTEXT},
    )
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "model_max_length": config["max_position_embeddings"],
        },
    )


def write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


MAKERS: Mapping[str, Callable[[Gguf, Path], None]] = {
    "coder": make_coder,
    "tiny-qwen3": make_tiny_qwen3,
}

if __name__ == "__main__":
    _, kind, source, target = sys.argv
    unfinished = Path(f"{target}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    MAKERS[kind](Gguf(Path(source)), unfinished)
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
