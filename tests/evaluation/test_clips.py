"""Matching recordings with resynthesised files in a folder."""

from evaluation.clips import find_clips, find_resynthesised


def test_copies_are_found_by_path_then_by_name(tmp_path):
    for name in ("ref/a/1.wav", "ref/b/1.wav", "ref/b/2.wav", "copies/a/1.flac", "copies/x/2.wav", "copies/x/1.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    clips = find_clips(tmp_path / "ref", tmp_path)
    assert [clip.name for clip in clips] == ["a/1", "b/1", "b/2"]
    found = find_resynthesised(tmp_path / "copies", clips)
    # b/1 does not match x/1, because two recordings are called 1.
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in found.items()} == {
        "a/1": "copies/a/1.flac",
        "b/2": "copies/x/2.wav",
    }
