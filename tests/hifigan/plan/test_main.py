"""Plans for any sampling rate: values, real generators, and rejected input."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from common.audio import AudioConfig
from common.cli import run
from common.errors import InputError
from hifigan import Generator
from hifigan.config import PRESETS, GeneratorConfig, read_config_file
from hifigan.plan import __main__
from hifigan.plan.__main__ import Request, make_plan
from hifigan.plan.rules import upsample_rates


@pytest.mark.parametrize("like", PRESETS)
def test_the_published_rate_and_hop_give_the_published_configuration(like: str) -> None:
    for hop in (None, 256):
        made = make_plan(Request(22050, like, hop))
        assert made.generator == PRESETS[like]
        assert (made.audio, made.segment_size, made.remarks) == (AudioConfig(), 8192, ())


# rates, FFT, hop, window, bands, fmax, segment
PROPOSED = {
    16000: ((8, 6, 2, 2), 1024, 192, 768, 80, 7600.0, 6144),
    24000: ((8, 8, 2, 2), 1024, 256, 1024, 80, 8000.0, 8192),
    44100: ((8, 8, 4, 2), 2048, 512, 2048, 100, 16000.0, 16384),
    48000: ((8, 8, 4, 2), 2048, 512, 2048, 100, 16000.0, 16384),
}


@pytest.mark.parametrize("rate", PROPOSED)
def test_proposals(rate: int) -> None:
    made = make_plan(Request(rate))
    audio = made.audio
    found = (made.generator.upsample_rates, audio.filter_length, audio.hop_length, audio.win_length, audio.num_mels)
    assert (*found, audio.mel_fmax, made.segment_size) == PROPOSED[rate]


@pytest.mark.parametrize("like", PRESETS)
def test_generators_make_whole_hops(like: str) -> None:
    for hop in (96, 160, 192, 240, 300, 441, 480, 512, 576, 600):
        made = make_plan(Request(24000, like, hop))
        thin = dataclasses.replace(made.generator, upsample_initial_channel=32)
        with torch.no_grad():
            assert Generator(thin)(torch.zeros(1, 80, 3)).shape == (1, 1, 3 * hop)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000])
def test_plans_of_every_hop_of_a_rate_keep_the_published_proportions(rate: int) -> None:
    default = __main__.default_hop(rate)
    assert abs(default / rate / (256 / 22050) - 1) <= 0.1
    shortest, longest = math.ceil(0.006 * rate), math.floor(0.014 * rate)
    hops = [hop for hop in range(shortest, longest) if upsample_rates(hop, 4)]
    assert default in hops
    for hop in {default, *hops[:: len(hops) // 3]}:
        made = make_plan(Request(rate, hop_length=hop))  # itself checked by all that train.py checks
        audio = made.audio
        assert audio.win_length % hop == 0
        assert audio.filter_length >= audio.win_length >= 4 * hop
        assert 0.039 < audio.win_length / rate < 0.07
        assert audio.filter_length % 2 == hop % 2
        assert 0.3 < made.segment_size / rate < 0.45
        assert made.segment_size % (8 * hop) == 0
        assert audio.fmax_hz <= 0.95 * rate / 2


def test_a_plan_is_read_back_as_it_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "my.json"
    assert __main__.main(["--sampling_rate", "44100", "--like=v2", "--num-mels", "96", "-o", str(file)]) == 0
    generator, signal = read_config_file(file)
    made = make_plan(Request(44100, "v2", num_mels=96))
    assert generator == made.generator
    assert AudioConfig.from_dict(signal) == made.audio
    assert (signal["segment_size"], signal["mel_fmax_loss"]) == (16384, None)
    lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line for line in lines}
    assert made.to_dict().keys() == json.loads(file.read_text()).keys() <= shown.keys()
    assert shown["num_mels"].split() == ["num_mels", "96", "as", "given"]
    assert "other hops (--hop-length): 350 (7.9 ms: 7 5 5 2), 448 (10.2 ms: 8 7 4 2)" in "\n".join(lines)


def refused(capsys: pytest.CaptureFixture[str], words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        run(lambda: __main__.main(words.split()), "hifigan.plan")
    error = capsys.readouterr().err
    assert caught.value.code == 1
    assert error.count("\n") == 1, error
    return error.removeprefix("hifigan.plan: error: ").strip()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "--sampling-rate: is required (see python -m hifigan.plan --help)"),
        ("--sampling-rate 24", "--sampling-rate: 24; give 8000 to 192000 Hz"),
        (
            "--sampling-rate 24000 --hop-length 257",
            "--hop-length: 257 is not a product of 3 to 5 rates from 2 to 10; the nearest that are: 256 and 270",
        ),
        (
            "--sampling-rate 16000 --hop-length 65",  # 64 is the shortest, 4 ms
            "--hop-length: 65 is not a product of 3 to 5 rates from 2 to 10; the nearest that are: 64 and 70",
        ),
        (
            "--sampling-rate 22050 --hop-length 4096",
            "--hop-length: 4096 is 185.8 ms at 22050 Hz; give 89 to 551 (4 to 25 ms)",
        ),
        ("--sampling-rate 24000 --hop-length 0", "--hop-length: 0 is 0.0 ms at 24000 Hz"),
        (
            "--sampling-rate 24000 --segment-size 8000",
            "--segment-size: 8000 is not a multiple of the hop length 256",
        ),
        ("--sampling-rate 24000 --segment-size 256", "--segment-size: 256 is too short, needs more than 384 samples"),
        ("--sampling-rate 24000 --mel-fmax 12001", "mel_fmin 0.0 and mel_fmax 12001.0 must lie in order"),
        ("--sampling-rate 24000 --filter-length 1025", "filter_length 1025 minus it must be even"),
        ("--sampling-rate 24000 --win-length 1024 --filter-length 512", "win_length 1024 is longer"),
    ],
)
def test_impossible_requests(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, words)


def test_bands_without_a_bin_are_refused_and_the_advice_works(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--sampling-rate 48000 --filter-length 1024 --num-mels"
    error = refused(capsys, f"{words} 160")
    assert error.startswith("--num-mels: ")
    assert "of 160 bands from 0 to 16000 Hz hold no bin of an FFT of 1024; give at most" in error
    most = int(error.partition("at most ")[2].partition(",")[0])
    assert f"give at most {most}," in refused(capsys, f"{words} {most + 1}")
    assert __main__.main(f"{words} {most}".split()) == 0
    make_plan(Request(48000, num_mels=160, filter_length=4096))


def test_remarks(caplog: pytest.LogCaptureFixture) -> None:
    assert make_plan(Request(24000)).remarks == ()
    short_hop = make_plan(Request(16000, hop_length=80))
    published = 13 * 256 / 22050
    seen = short_hop.generator.receptive_field_frames * 80 / 16000
    assert seen < 0.75 * published
    assert short_hop.remarks == (
        f"the generator sees {1000 * seen:.0f} ms to either side, the published one 151 ms; a longer hop would help",
    )
    assert "the window is 2.0 hops" in make_plan(Request(24000, filter_length=512)).remarks[0]
    assert "less than 891 samples" in make_plan(Request(24000, segment_size=768)).remarks[0]
    assert __main__.main("--sampling-rate 44100 --hop-length 441".split()) == 0
    assert "an odd hop needs an odd FFT" in caplog.text


def test_an_odd_hop_is_centred_all_the_same() -> None:
    """Frame k lies on sample hop * k + hop / 2: the middle of the window, less the reflection."""
    audio = make_plan(Request(44100, hop_length=441)).audio
    assert (audio.filter_length, audio.win_length, audio.num_frames(4410)) == (2205, 2205, 10)
    assert audio.win_length / 2 - audio.padding == 441 / 2


def test_a_plan_that_training_would_refuse_is_none() -> None:
    made = make_plan(Request(24000))
    with pytest.raises(InputError, match="--hop-length: 256, but the upsampling rates"):
        dataclasses.replace(made, generator=GeneratorConfig((8, 8, 4, 2), (16, 16, 8, 4)))
