"""Order of the stages."""

from types import SimpleNamespace

from benchmarks.inference.rounds import Case
from benchmarks.inference.stages import plan_stages
from benchmarks.inference.ways import VocoderWay, WayMaker


def never() -> VocoderWay:
    raise AssertionError("planning makes nothing")


WAYS = [
    WayMaker(f"{program} {precision}", precision, never, is_runtime=program == "onnxruntime")
    for program in ("eager", "onnxruntime")
    for precision in ("fp32", "fp16")
]
MODELS = [SimpleNamespace(name=name, ways=WAYS) for name in ("V1", "V2")]
CASES = {name: [Case([0] * 2), Case([0]), Case([0], 1), Case([0], 0, True)] for name in ("V1", "V2")}


def names(cuda):
    return [(s.model.name, s.case.name, tuple(way.name for way in s.ways)) for s in plan_stages(MODELS, CASES, cuda)]


def test_on_a_gpu_the_first_model_in_16_bits_comes_first_and_exports_last():
    found = names(cuda=True)
    main, pytorch, runtimes = (
        "batch 1, length 0",
        ("eager fp32", "eager fp16"),
        ("onnxruntime fp32", "onnxruntime fp16"),
    )
    assert found[:3] == [("V1", main, ("eager fp16",)), ("V1", main, ("eager fp32",)), ("V2", main, pytorch)]
    assert {ways for _, _, ways in found[3:9]} == {pytorch}
    assert [ways for _, _, ways in found[9:]] == [runtimes] * 8
    assert [(model, case) for model, case, _ in found[9:11]] == [("V1", main), ("V2", main)]


def test_everything_is_measured_once():
    for cuda in (False, True):
        found = [(model, case, way) for model, case, ways in names(cuda) for way in ways]
        assert len(found) == len(set(found)) == 2 * 4 * 4
