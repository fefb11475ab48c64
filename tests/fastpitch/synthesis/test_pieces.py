"""Text settings of checkpoints and flags, and phrases as pieces of speech."""

import dataclasses
import random
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from common.synthesis.phrases import Phrase
from common.text import TextProcessor
from fastpitch.synthesis.flags import SpeechConfig
from fastpitch.synthesis.pieces import read_pieces
from fastpitch.synthesis.text_flags import text_processor
from tests.support.models import fastpitch_info


def pieces(phrases, cfg=None, dataset=Path("nowhere"), **config):
    """Convert phrases to pieces. Skipped phrases are an error."""
    cfg = cfg or SpeechConfig(fastpitch="f.pt", p_arpabet=0.0)
    model = fastpitch_info({}, **config)
    return read(phrases, dataset, cfg, model, text_processor(cfg, model))


def read(phrases, dataset, cfg, model, processor):
    problems = []
    found = read_pieces(phrases, Path("p.tsv"), dataset, cfg, model, processor, problems)
    assert not problems
    return found


LETTERS = TextProcessor(p_arpabet=0)


def test_long_texts_become_pieces_in_order():
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0, split_longer_than=20)
    made = pieces([Phrase("a.wav", text="One. " * 10), Phrase("b.wav", text="Two.")], cfg)
    assert [(piece.name, piece.index, piece.count) for piece in made] == [
        *(("a.wav", i, 3) for i in range(3)),
        ("b.wav", 0, 1),
    ]
    assert [LETTERS.decode(piece.ids) for piece in made] == ["one. one. one. one."] * 2 + ["one. one.", "two."]


def test_texts_are_split_where_the_model_has_seen_no_longer_ones():
    text = [Phrase("a.wav", text="One. " * 10)]
    model = fastpitch_info({})
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0)
    processor = text_processor(cfg, model)
    assert len(read(text, Path(), cfg, model, processor)) == 1
    model.train_setup["longest_text"] = 20
    assert [piece.count for piece in read(text, Path(), cfg, model, processor)] == [3, 3, 3]
    longer = dataclasses.replace(cfg, split_longer_than=49)
    assert len(read(text, Path(), longer, model, processor)) == 1


def test_pieces_without_sound_are_left_out():
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0, split_longer_than=10)
    made = pieces([Phrase("a.wav", text="Nine one. ~~~~~~~~~~. Two three. ~~~~~~~~~~")], cfg)
    assert [LETTERS.decode(piece.ids) for piece in made] == ["nine one.", ".", "two three."]
    assert [(piece.index, piece.count) for piece in made] == [(0, 3), (1, 3), (2, 3)]


def test_texts_with_pitch_are_not_split(tmp_path):
    text = "One sentence. Another sentence."
    hz = torch.arange(len(LETTERS.encode(text)), dtype=torch.float32)
    torch.save(hz, tmp_path / "hz.pt")
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0, split_longer_than=5)
    (piece,) = pieces([Phrase("a.wav", text=text, pitch="hz.pt")], cfg, tmp_path)
    assert torch.equal(piece.pitch_hz, hz)


def test_speakers():
    cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.0, speaker="3")
    phrases = [Phrase("a.wav", text="One."), Phrase("b.wav", text="Two.", speaker="0")]
    assert [piece.speaker for piece in pieces(phrases, cfg, n_speakers=4)] == [3, 0]
    with pytest.raises(InputError, match=r"--speaker: speaker '3' is unknown to f.pt, whose speaker is 0 only"):
        pieces(phrases, cfg)


def test_random_words_depend_on_the_seed_and_the_text_alone(dictionary):
    text = "Hello world, so many words. " * 4
    phrases = [Phrase("a.wav", text=text), Phrase("b.wav", text="Hello hello hello."), Phrase("c.wav", text=text)]

    def ids(seed, *names):
        cfg = SpeechConfig(fastpitch="f.pt", p_arpabet=0.5, cmudict_path=dictionary, seed=seed)
        random.seed()  # what else is random must not matter
        return [piece.ids for piece in pieces([phrase for phrase in phrases if phrase.output[0] in names], cfg)]

    first, second, third = ids(1, *"abc")
    assert first == third != second
    assert ids(1, "b") == [second]
    assert ids(2, "a") != [first]
    assert set(map(len, [first, LETTERS.encode(text)])) != {len(first)}, "no word was replaced"
