"""Learned words in prompts, compared with a transformers module whose vocabulary is larger by these words."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from engine.diffusion.checkpoints import load_checkpoint
from engine.diffusion.devices import choose
from engine.diffusion.memory import Memory
from engine.diffusion.text.chunks import LENGTH, called, chunk
from engine.diffusion.text.embedding_files import load_embedding, save_embedding
from engine.diffusion.text.embeddings import Words
from engine.diffusion.text.encode import encode
from engine.diffusion.text.tokenizer import BOS, EOS, token_ids
from engine.errors import ModelFormatError
from engine.values.embedding import Embedding
from tests.diffusion import small_checkpoint

PREFIX = "cond_stage_model.transformer.text_model."
WIDTH = 64


def vectors(count: int, width: int = WIDTH, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * 0.02


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return small_checkpoint.write(tmp_path_factory.mktemp("models") / "small.safetensors")


@pytest.fixture(scope="module")
def memory():
    return Memory(choose("cpu", "reference"))


@pytest.fixture(scope="module")
def clip(file):
    return load_checkpoint(file).clip


@pytest.fixture(scope="module")
def enlarged(file):
    """transformers' own module with rows for two learned words appended to its vocabulary: ids 49408 and 49409."""
    config = CLIPTextConfig(
        vocab_size=49410, hidden_size=WIDTH, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, hidden_act="quick_gelu"
    )
    module = CLIPTextModel(config).eval()
    state = {name.removeprefix(PREFIX): value.float() for name, value in load_file(file).items() if name.startswith(PREFIX)}
    name = "embeddings.token_embedding.weight"
    state[name] = torch.cat([state[name], vectors(2)])
    module.load_state_dict(state)

    @torch.no_grad()
    def run(ids: list[int]) -> torch.Tensor:
        row = [BOS, *ids, EOS] + [EOS] * (LENGTH - 2 - len(ids))
        return module(input_ids=torch.tensor([row])).last_hidden_state

    return run


def folder(path) -> Words:
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    return Words(files, lambda name: path / name)


class Warnings(list):
    def __call__(self, message: str, hint: str) -> None:
        self.append(f"{message} {hint}")


def test_a_word_stands_for_its_vectors(clip, memory, enlarged):
    known = clip.with_embedding(Embedding("thing", {"clip_l": vectors(2)}))
    (condition,) = encode(memory, known, "a red embedding:thing on white")
    ids = [*token_ids("a red"), 49408, 49409, *token_ids("on white")]
    expected = enlarged(ids)
    torch.testing.assert_close(condition.context, expected)
    torch.testing.assert_close(condition.pooled, expected[:, len(ids) + 1])
    (plain,), (again,) = encode(memory, known, "a red circle"), encode(memory, clip, "a red circle")
    assert torch.equal(plain.context, again.context)


def test_a_word_is_weighed_like_any_other(clip, memory, enlarged):
    known = clip.with_embedding(Embedding("thing", {"clip_l": vectors(2)}))
    (condition,) = encode(memory, known, "a (embedding:thing:1.5) dog")
    own, empty = enlarged([*token_ids("a"), 49408, 49409, *token_ids("dog")]), enlarged([])
    expected = own.clone()
    expected[:, 2:4] = empty[:, 2:4] + 1.5 * (own[:, 2:4] - empty[:, 2:4])
    torch.testing.assert_close(condition.context, expected)


KNOWN = {"one": [torch.zeros(4)], "two": [torch.ones(4)] * 2, "a,b": [torch.zeros(4)], "nine": [torch.zeros(4)] * 9}


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "embedding:one": ["V"],
        "a embedding:one b": ["a", "V", "b"],
        "a\nembedding:one b": ["a", "V", "b"],
        "embedding: one b": ["V", "b"],
        "embedding:one, b": ["V", ",", "b"],
        "embedding:one,, b": ["V", ",,", "b"],
        "embedding:a,b c": ["V", "c"],
        "embedding:two embedding:one": ["V", "V", "V"],
        "aembedding:one": ["aembedding", ":", "one"],
        "a embedding:nobody b": ["a", "b"],
        "a embedding:nobody, b": ["a", ",", "b"],
        "embedding:": ["embedding", ":"],
        "(embedding:one:1.2)": ["V"],
    }.items(),
)
def test_calls_are_found_as_comfyui_finds_them(text, expected):
    row = chunk(text, find=KNOWN.get)[0]
    ids = [token for token in row[1:] if token.id != EOS]
    wanted = [id for piece in expected for id in ([None] if piece == "V" else token_ids(piece))]
    assert [None if token.vector is not None else token.id for token in ids] == wanted


def test_a_short_word_moves_whole_to_the_next_chunk_and_a_long_one_is_cut():
    def ends(text: str) -> list[int]:
        return [[token.id for token in row].index(EOS) for row in chunk(text, find=KNOWN.get)]

    assert ends("cat " * 74 + "embedding:two") == [75, 3]
    assert ends("cat " * 74 + "embedding:nine") == [76, 9]


def test_names_called_are_listed():
    assert called("embedding:one, (b embedding:two:1.2)\nembedding:three aembedding:four embedding:") == ["one,", "two", "three"]


def test_files_are_found_by_name_with_and_without_ending_in_every_folder(tmp_path):
    for name in ("b.pt", "b.safetensors", "sub/deep/c.bin", "sub/b.safetensors", "sub/d.pt", "exact", "exact.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    words = folder(tmp_path)
    found = {name: words.file_of(name) for name in ("b", "b.pt", "c", "deep/c", "sub/b", "exact", "ub/b", "", "e")}
    assert found == {
        "b": "b.safetensors", "b.pt": "b.pt", "c": "sub/deep/c.bin", "deep/c": "sub/deep/c.bin", "sub/b": "sub/b.safetensors",
        "exact": "exact", "ub/b": None, "": None, "e": None,
    }  # fmt: skip


def forms(width: int) -> dict:
    value = vectors(2, width)
    table = {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(value)}, "name": "x", "step": 3}
    return {
        "params.safetensors": {"emb_params": value},
        "single.safetensors": {"<thing>": value},
        "xl.safetensors": {"clip_l": value, "clip_g": vectors(2, 1280)},
        "bundle.safetensors": {"bundle_emb.x.string_to_param.*": value},
        "half.safetensors": {"emb_params": value.half()},
        "a1111.pt": table,
        "diffusers.bin": {"<thing>": value},
        "list.pt": [{"a": value[:1]}, {"b": value[1:], "other": vectors(1, 33)}],
    }


@pytest.mark.parametrize("name", forms(4))
@pytest.mark.parametrize("width", [WIDTH, 768])
def test_every_form_of_file_gives_the_same_vectors(tmp_path, name, width):
    content = forms(width)[name]
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    embedding = load_embedding(path)
    assert embedding.name == path.stem
    expected = vectors(2, width)
    if name.startswith("half"):
        expected = expected.half().float()
    assert torch.equal(embedding.of("clip_l"), expected)


def test_one_vector_without_a_second_dimension_is_a_row(tmp_path):
    save_file({"emb_params": vectors(1)[0]}, tmp_path / "flat.safetensors")
    assert load_embedding(tmp_path / "flat.safetensors").of("clip_l").shape == (1, WIDTH)


@pytest.mark.parametrize("encoders", [("*",), ("clip_l",), ("clip_g",), ("clip_l", "clip_g")])
def test_what_is_saved_comes_back(tmp_path, encoders):
    widths = {"*": 64, "clip_l": 768, "clip_g": 1280}
    embedding = Embedding("thing", {encoder: vectors(3, widths[encoder]) for encoder in encoders}, {"modelspec.title": "a thing"})
    save_embedding(tmp_path / "saved.safetensors", embedding)
    assert ("emb_params" in load_file(tmp_path / "saved.safetensors")) == (encoders in (("*",), ("clip_l",)))
    again = load_embedding(tmp_path / "saved.safetensors")
    assert again.vectors.keys() == set(encoders) and again.metadata["modelspec.title"] == "a thing"
    assert all(torch.equal(again.vectors[encoder], embedding.vectors[encoder]) for encoder in encoders)


def test_files_of_the_folder_are_called_by_name_and_read_again_when_they_change(clip, memory, enlarged, tmp_path):
    save_file({"emb_params": vectors(1)}, tmp_path / "thing.safetensors")
    (first,) = encode(memory, clip, "a embedding:thing, dog", folder(tmp_path))
    torch.testing.assert_close(first.context, enlarged([*token_ids("a"), 49408, *token_ids(", dog")]))
    save_file({"emb_params": vectors(2)}, tmp_path / "thing.safetensors")
    (second,) = encode(memory, clip, "a embedding:thing, dog", folder(tmp_path))
    torch.testing.assert_close(second.context, enlarged([*token_ids("a"), 49408, 49409, *token_ids(", dog")]))


def test_an_unknown_name_is_left_out_and_told_with_near_names(clip, memory, tmp_path):
    (tmp_path / "bad_hands.pt").touch()
    told = Warnings()
    words = Words(["bad_hands.pt"], lambda name: tmp_path / name, told)
    (condition,), (without,) = encode(memory, clip, "a embedding:bad_hand dog", words), encode(memory, clip, "a dog")
    assert torch.equal(condition.context, without.context)
    assert len(told) == 1 and "'bad_hand'" in told[0] and "bad_hands" in told[0]


def test_vectors_of_another_width_are_left_out_and_told_with_both_widths(clip, memory, tmp_path):
    save_file({"emb_params": vectors(2, 768)}, tmp_path / "big.safetensors")
    told = Warnings()
    words = Words(["big.safetensors"], lambda name: tmp_path / name, told)
    (condition,) = encode(memory, clip, "a embedding:big dog embedding:big", words)
    assert torch.equal(condition.context, encode(memory, clip, "a dog")[0].context)
    assert len(told) == 1 and "big.safetensors" in told[0] and "768" in told[0] and "64" in told[0]


def test_an_embedding_for_another_encoder_only_does_not_fit(clip, memory):
    told = Warnings()
    known = clip.with_embedding(Embedding("thing", {"clip_g": vectors(1)}))
    encode(memory, known, "embedding:thing", Words(warn=told))
    assert len(told) == 1 and "clip_g 64" in told[0]


def test_a_damaged_file_that_is_called_is_an_error(clip, memory, tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelFormatError, match=r"broken\.safetensors"):
        encode(memory, clip, "embedding:broken", folder(tmp_path))
