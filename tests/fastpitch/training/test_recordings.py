"""Recordings as FastPitch gets them, and what is refused before any work starts."""

import numpy as np
import pytest
import soundfile
import torch

from common.audio import SILENCE, AudioConfig, MelSpectrogram
from common.errors import InputError
from common.text import TextProcessor
from common.training.sampling import ClipKey
from fastpitch.alignment import interpolated_prior
from fastpitch.training.recordings import CachedSpeech, SpeechClip, SpeechDataset, collate, read_recordings
from tests.support.paths import PARITY

AUDIO = AudioConfig(framing="tacotron")
LETTERS = TextProcessor(p_arpabet=0)


def open_all(root, **changes):
    arguments = {"text": LETTERS, "pitch_mean_hz": 210.0, "pitch_std_hz": 40.0, **changes}
    return SpeechDataset(read_recordings([root / "all.txt"], root, 2), AUDIO, **arguments)


def test_rows_become_recordings(recordings, tmp_path):
    (tmp_path / "one.txt").write_text("wavs/x.wav|pitch/x.pt|Words, and more.\n\n")
    (tmp_path / "two.txt").write_text("wavs/y.wav | pitch/y.pt | Text | 1\n")
    made = read_recordings([tmp_path / "one.txt", tmp_path / "two.txt"], recordings, 2)
    assert made == [
        SpeechClip(recordings / "wavs/x.wav", recordings / "pitch/x.pt", "Words, and more.", 0),
        SpeechClip(recordings / "wavs/y.wav", recordings / "pitch/y.pt", "Text", 1),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("wavs/x.wav", "found 1 columns"),
        ("wavs/x.wav|a text", "expected wav|pitch|text or wav|pitch|text|speaker, found 2 columns"),
        ("wavs/x.wav|pitch/x.pt||0", "expected wav|pitch|text"),
        ("wavs/x.wav|pitch/x.pt|a|b|0", "found 5 columns"),
        ("wavs/x.wav|pitch/x.pt|text|2", "speaker '2', but the model's are 0 to 1"),
        ("wavs/x.wav|pitch/x.pt|text|-1", "speaker '-1'"),
        ("wavs/x.wav|pitch/x.pt|text|anna", "speaker 'anna'"),
        ("/elsewhere/x.wav|pitch/x.pt|text", "file lists name paths inside the data set"),
    ],
)
def test_rows_of_another_form_are_named(row, message, tmp_path):
    (tmp_path / "list.txt").write_text(f"wavs/good.wav|pitch/good.pt|text\n{row}\n")
    with pytest.raises(InputError) as error:
        read_recordings([tmp_path / "list.txt"], tmp_path, 2)
    assert str(error.value).startswith(f"{tmp_path / 'list.txt'}: {row.split('|')[0]}: ")
    assert message in str(error.value)


def test_an_example_is_what_its_files_hold(recordings):
    dataset = open_all(recordings)
    example = dataset[ClipKey(3, 0)]
    wav, _ = soundfile.read(recordings / "wavs/b/001.wav", dtype="float32")
    assert torch.equal(example.mel, MelSpectrogram(AUDIO)(torch.from_numpy(wav)[None])[0])  # not normalised
    assert LETTERS.decode(example.ids.tolist()) == "four words of text."
    f0 = torch.load(recordings / "pitch/b/001.pt")[0]
    voiced = f0 > 0
    assert 0 < voiced.sum() < len(f0)
    torch.testing.assert_close(example.pitch[voiced], (f0[voiced] - 210) / 40)
    assert not example.pitch[~voiced].any()
    assert example.speaker == 1


def test_which_words_become_phonemes_depends_on_seed_clip_and_draw_alone(recordings):
    def texts(seed, draws):
        text = TextProcessor(p_arpabet=0.5, cmudict_path=PARITY / "cmudict_of_text")
        dataset = open_all(recordings, text=text, seed=seed)
        return [dataset[ClipKey(1, draw)].ids.tolist() for draw in draws]

    assert texts(0, range(8)) == texts(0, reversed(range(8)))[::-1]
    assert len({tuple(ids) for ids in texts(0, range(8))}) > 1
    assert texts(0, range(8)) != texts(1, range(8))


def test_cached_examples_are_the_same(recordings):
    dataset = open_all(recordings)
    cached = CachedSpeech(dataset)
    assert len(cached) == len(dataset) == 5
    for clip in range(5):
        ids, mel, pitch, speaker = cached[ClipKey(clip, 7)]
        expected = dataset[ClipKey(clip, 0)]
        assert torch.equal(ids, expected.ids)
        assert torch.equal(mel, expected.mel)
        assert torch.equal(pitch, expected.pitch)
        assert speaker == expected.speaker


def test_batches_are_filled_up_with_padding_silence_and_unvoiced_frames(recordings):
    examples = [open_all(recordings)[ClipKey(clip, 0)] for clip in (2, 1, 4)]
    batch = collate(examples, padding_id=7)
    frames, symbols = batch.mel.size(2), batch.ids.size(1)
    assert frames == max(example.mel.size(1) for example in examples)
    assert symbols == max(len(example.ids) for example in examples)
    assert batch.mel_lens.tolist() == [example.mel.size(1) for example in examples]
    assert batch.speaker.tolist() == [0, 1, 0]
    assert batch.pitch.shape == (3, 1, frames)
    for i, example in enumerate(examples):
        length, text = example.mel.size(1), len(example.ids)
        assert torch.equal(batch.mel[i, :, :length], example.mel)
        assert (batch.mel[i, :, length:] == SILENCE).all()
        assert torch.equal(batch.ids[i, :text], example.ids)
        assert (batch.ids[i, text:] == 7).all()
        assert torch.equal(batch.pitch[i, 0, :length], example.pitch)
        assert not batch.pitch[i, 0, length:].any()
        expected = torch.from_numpy(interpolated_prior(length, text)).float()
        torch.testing.assert_close(batch.prior[i, :length, :text], expected)
        assert not batch.prior[i, length:].any()
        assert not batch.prior[i, :, text:].any()


def test_unusable_recordings_are_counted_and_named(recordings, tmp_path):
    torch.save(torch.ones(1, 7), tmp_path / "short.pt")
    np.save(tmp_path / "flat.npy", np.ones((2, 35), np.float32))
    wav, pitch = recordings / "wavs/a/000.wav", recordings / "pitch/a/000.pt"
    click = tmp_path / "click.wav"
    soundfile.write(click, np.zeros(450), 22050)
    cases = {
        SpeechClip(wav, tmp_path / "none.pt", "text"): "none.pt: no such pitch",
        SpeechClip(wav, tmp_path / "short.pt", "text"): f"short.pt: 7 values, but {wav} has 35 frames",
        SpeechClip(wav, tmp_path / "flat.npy", "text"): "flat.npy: expected a pitch of shape [1, frames], got [2, 35]",
        SpeechClip(wav, pitch, "very long " * 4): f"{wav}: 39 symbols of text for 35 frames of audio",
        SpeechClip(wav, pitch, "{HH AX L}"): f"{wav}: ",
        SpeechClip(click, pitch, "a"): f"{click}: 450 samples are too few, need more than 512",
        SpeechClip(wav, pitch, "good"): None,
    }
    dataset = SpeechDataset(list(cases), AUDIO, LETTERS, 210.0, 40.0)
    with pytest.raises(InputError) as error:
        dataset.check()
    assert str(error.value).startswith("6 of 7 recordings cannot be used: ")
    for recording, message in cases.items():
        alone = SpeechDataset([recording], AUDIO, LETTERS, 210.0, 40.0)
        if message is None:
            alone.check()
            continue
        with pytest.raises(InputError) as error:
            alone.check()
        assert message in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"short\.pt: 7 values"):  # replaced after the check
        SpeechDataset([list(cases)[1]], AUDIO, LETTERS, 210.0, 40.0)[ClipKey(0, 0)]
