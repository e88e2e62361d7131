"""The byte-pair tokenizer of CLIP (Radford et al. 2021), from the vocabulary that OpenAI published with it."""

from __future__ import annotations

import gzip
from functools import lru_cache
from importlib.resources import files

from transformers import CLIPTokenizer

BOS, EOS = 49406, 49407
_MERGES = 48894


@lru_cache(maxsize=1)
def _tokenizer() -> CLIPTokenizer:
    packed = files("engine.diffusion.text").joinpath("data", "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").split("\n")
    merges = [(first, second) for first, second in (line.split() for line in lines[1 : 1 + _MERGES])]
    alphabet = _byte_characters()
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet), *(first + second for first, second in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: index for index, token in enumerate(tokens)}, merges=merges)


def _byte_characters() -> list[str]:
    """One printable character per byte, in the order of the vocabulary: printable bytes stand for themselves, the rest come after."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(256 + k) for k in range(others)]


def token_ids(text: str) -> list[int]:
    """Ids of a text without start and end. Text is put into Unicode NFC and lower case, and runs of white space become one space.

    What UTF-8 cannot encode (half of a surrogate pair) becomes U+FFFD. Time grows linearly with the text.
    """
    clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _tokenizer().backend_tokenizer.encode(clean, add_special_tokens=False).ids


def token_pieces(text: str) -> list[str]:
    """The pieces that a text is cut into, as they are spelt, in its order."""
    tokenizer = _tokenizer()
    tokens = tokenizer.convert_ids_to_tokens(token_ids(text))
    return [token.removesuffix("</w>") for token in tokens]
