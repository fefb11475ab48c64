"""Folders of models are complete checkpoints, and other folders are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from common.files.checkpoints import read_file
from common.files.model_folders import card_metadata, find_model_file, read_config, write_model_folder
from fastpitch import load_fastpitch
from tests.support.models import FOLDER_TENSORS, FOLDER_VALUES, make_fastpitch, make_model_folder
from tests.support.paths import REPOSITORY


@pytest.mark.parametrize("place", ["", "model.safetensors"])
def test_a_folder_is_read_as_a_checkpoint(place: str, tmp_path: Path) -> None:
    make_model_folder(tmp_path / "model")
    content = read_file(tmp_path / "model" / place)
    tensors = content.pop("generator")
    assert content == FOLDER_VALUES
    assert {name: value.tolist() for name, value in tensors.items()} == {
        name: value.tolist() for name, value in FOLDER_TENSORS.items()
    }


def test_half_precision_is_for_matrices(tmp_path: Path) -> None:
    tensors = read_file(make_model_folder(tmp_path / "model", "fp16"))["generator"]
    assert tensors["a.weight"].tolist() == [[1.0, float(torch.tensor(0.1).half())]]
    assert tensors["a.bias"].item() == torch.tensor(0.1).item()
    with pytest.raises(InputError, match="precision: 'bf16' is neither fp32 nor fp16"):
        make_model_folder(tmp_path / "other", "bf16")
    with pytest.raises(InputError, match=r"other: w: has a value that fp16 cannot hold; save it with precision='fp32'"):
        write_model_folder(tmp_path / "other", "generator", {"w": torch.full((1, 1), 1e6)}, FOLDER_VALUES, "fp16", "")
    assert not (tmp_path / "other").exists()


def test_the_card_is_kept_and_other_files_are_not_overwritten(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "model")
    (folder / "README.md").write_text("My own.\n")
    make_model_folder(folder, "fp16")
    assert (folder / "README.md").read_text() == "My own.\n"
    cases = (("config.json", '{"model_type": "bert"}'), ("model.safetensors", "x"), ("config.json", "{"))
    for number, (name, content) in enumerate(cases):
        other = tmp_path / str(number)
        other.mkdir()
        (other / name).write_text(content)
        with pytest.raises(InputError, match=f"{name}: exists and does not belong to a model of this project"):
            make_model_folder(other)
        assert [(path.name, path.read_text()) for path in other.iterdir()] == [(name, content)]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "model: not the folder of a model: config.json is missing"),
        ({"model_type": "speecht5_hifigan"}, r"model: config.json is of another program \(model_type speecht5_hifigan"),
        ([], "model: config.json is of another program; only folders that save_pretrained wrote"),
        ({"format": "hifigan-recipe", "state": "x"}, "model: config.json: state is 'x', not generator or state_dict"),
        ({"format": "hifigan-recipe", "state": "state_dict"}, "holds a FastPitch model, not a HiFi-GAN generator"),
        ({"format": "hifigan-recipe", "state": "generator"}, "model: model.safetensors is missing; copy or download"),
    ],
)
def test_other_folders_are_refused(config: object, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=message) as caught:
        find_model_file(folder, state="generator")
    assert "\n" not in str(caught.value)


def test_messages_name_the_hub(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^org/name: not the folder of a model"):
        read_config(tmp_path, "org/name")


def test_a_config_of_another_program_beside_a_file_is_ignored(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "model")
    (folder / "config.json").write_text('{"format": "other"}')
    assert set(read_file(folder / "model.safetensors")) == set(FOLDER_TENSORS)


def test_an_error_while_writing_leaves_the_folder_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up at the weights, or at config.json, in a new folder and in one with a model."""

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    old = {path.name: path.read_bytes() for path in make_model_folder(tmp_path / "old", "fp16").iterdir()}
    for folder, expected in ((tmp_path / "old", old), (tmp_path / "new", {})):
        for method in ("write_bytes", "write_text"):
            with monkeypatch.context() as patch:
                patch.setattr(Path, method, full)
                with pytest.raises(OSError, match="No space left"):
                    make_model_folder(folder)
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected
        assert read_file(make_model_folder(folder))["generator"].keys() == FOLDER_TENSORS.keys()


def test_a_kill_between_the_files_leaves_a_folder_that_is_named_and_can_be_saved_again(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors is missing"):
        find_model_file(folder)
    assert find_model_file(make_model_folder(folder)).is_file()


def read_card(path: Path) -> dict[str, object]:
    """Return what the hub's own package reads at the top of a model card."""
    hub = pytest.importorskip("huggingface_hub")
    found: dict[str, object] = hub.ModelCard.load(path).data.to_dict()
    return found


def test_metadata_of_a_card(tmp_path: Path) -> None:
    lines = card_metadata(("a-tag", "hifigan"), "cc-by-4.0", "en", "org/base")
    (tmp_path / "README.md").write_text("\n".join([*lines, "", "# Title", ""]))
    assert read_card(tmp_path / "README.md") == {
        "license": "cc-by-4.0",
        "language": "en",
        "library_name": "hifigan-recipe",
        "base_model": "org/base",
        "pipeline_tag": "text-to-speech",
        "tags": ["a-tag", "hifigan"],
    }


def test_only_what_is_known_is_metadata() -> None:
    wanted = ["---", "library_name: hifigan-recipe", "pipeline_tag: text-to-speech", "tags:", "- a", "---"]
    assert card_metadata(("a",)) == card_metadata(("a",), licence="Ask me") == wanted


def test_the_card_of_the_shipped_voice() -> None:
    found = read_card(REPOSITORY / "pretrained" / "kathleen" / "README.md")
    assert (found["license"], found["language"]) == ("cc0-1.0", "en")
    assert (found["library_name"], found["pipeline_tag"]) == ("hifigan-recipe", "text-to-speech")
    assert found["tags"] == ["hifigan", "fastpitch", "speech-synthesis"]


def test_the_language_comes_from_the_text_settings(tmp_path: Path) -> None:
    model, _ = load_fastpitch(make_fastpitch(tmp_path / "f.pt"))
    model.save_pretrained(tmp_path / "model", base_model="org/base")
    found = read_card(tmp_path / "model" / "README.md")
    assert (found["language"], found["base_model"], found["tags"]) == (
        "en",
        "org/base",
        ["fastpitch", "speech-synthesis"],
    )
