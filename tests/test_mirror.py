"""Each module has a test file of its name in the mirrored place, or a row below with the test file that covers it."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

TESTS = REPOSITORY / "tests"
FOLDERS = ("common", "hifigan", "fastpitch", "evaluation", "voice", "benchmarks", "demo", "scripts")

READINGS = "common/text/english/test_cleaners.py"

# module: (test file below tests/ that covers it, reason)
COVERED_ELSEWHERE = {
    "common/files/generators/file.py": ("common/files/generators/test_read.py", "steps of all readers"),
    "common/files/generators/names.py": ("hifigan/export/test_programs.py", "names of the programs that it writes for"),
    "common/files/generators/shapes.py": ("hifigan/test_checkpoint.py", "recognises the shapes of whole generators"),
    "common/files/generators/write.py": ("hifigan/export/test_programs.py", "its list of writers is tested there"),
    "common/files/generators/writing.py": ("hifigan/export/test_programs.py", "steps of all writers"),
    **{
        f"common/files/generators/programs/{name}.py": (
            "common/files/generators/test_read.py",
            "a file of that program has to load and to sound the same",
        )
        for name in (
            *("bshall", "coqui", "everyvoice", "gpt_sovits", "hifigan_authors", "natspeech", "nemo"),
            *("parallel_wavegan", "speechbrain", "transformers"),
        )
    },
    **{
        f"common/files/bounded/{name}.py": ("stress/files/test_limits.py", "its input is a hostile file")
        for name in ("plain_values", "regular_files", "torch_files", "zip_archives")
    },
    "scripts/peer_samples.py": ("scripts/test_check_formats.py", "runs in an environment with other programs"),
    "common/audio_config.py": ("common/test_audio.py", "the settings of what that file tests"),
    "common/audio_input/names.py": ("common/test_audio_files.py", "names of the files that it reads"),
    "fastpitch/synthesis/flags.py": ("fastpitch/synthesis/test_text_flags.py", "its values come from a command line"),
    "fastpitch/training/extract_flags.py": ("voice/training/test_commands.py", "its values come from a command line"),
    "hifigan/engine/precisions.py": ("hifigan/engine/test_select.py", "names of what it chooses among"),
    "hifigan/export/flags.py": ("programs/test_export.py", "its values come from a command line"),
    "hifigan/gpu/activation_kernels.py": ("hifigan/gpu/test_activation.py", "what activation.py launches"),
    "hifigan/gpu/generator_layers.py": ("hifigan/gpu/test_activation.py", "compared with the plain generator there"),
    "hifigan/gpu/power_iteration_kernels.py": (
        "hifigan/gpu/test_power_iteration.py",
        "what power_iteration.py launches",
    ),
    "hifigan/gpu/weight_kernels.py": ("hifigan/gpu/test_weight_norm.py", "what weight_norm.py launches"),
    "hifigan/synthesis/vocode_flags.py": ("hifigan/test_vocode.py", "its values come from a command line"),
    "voice/recordings/flags.py": ("voice/recordings/test_preparation.py", "its values come from a command line"),
    "voice/recordings/segment.py": ("voice/recordings/test_segmenting.py", "the values that its steps hand on"),
    "voice/recordings/written.py": ("voice/recordings/test_table.py", "what table.py compares with"),
    "voice/pack_flags.py": ("voice/test_pack.py", "its values come from a command line"),
    "common/data/flags.py": ("programs/prepare_dataset/test_errors.py", "its values come from a command line"),
    "common/data/list_writer.py": ("programs/prepare_dataset/test_file_lists.py", "its input is a data set"),
    "common/download/datasets.py": ("scripts/test_download_scripts.py", "run through scripts/download_dataset.sh"),
    "common/download/models.py": ("scripts/test_download_scripts.py", "run through scripts/download_models.sh"),
    "common/synthesis/sources.py": ("programs/inference/test_resynthesis.py", "its input is a whole command line"),
    "common/synthesis/speed.py": ("programs/inference/test_vocoding.py", "figures of a whole run of inference.py"),
    "common/text/__main__.py": ("common/text/test_describe.py", "prints what describe.py returns"),
    "common/text/any_language/notation.py": ("common/text/test_processor.py", "one pattern, used by the processor"),
    "common/text/any_language/pieces.py": ("common/text/english/test_sentences.py", "needs a language's sentence ends"),
    "common/text/english/figures/amounts.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/figures/dates.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/figures/digit_groups.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/figures/fractions.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/figures/mathematics.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/figures/money.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/figures/numbers.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/figures/ranges.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/figures/times.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/figures/units.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/rules.py": (READINGS, "every step applies its rules"),
    "common/text/english/words/abbreviations.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/words/capitals.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/words/mixed.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/words/roman.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/words/signs.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/words/web.py": (READINGS, "tables of sentences by kind"),
    "common/text/english/symbols.py": ("parity/test_text.py", "published checkpoints fix the order"),
    "common/training/flags.py": ("programs/test_documented_flags.py", "each flag is run through both trainers"),
    "common/training/loop.py": ("programs/train/test_resume.py", "abstract; run with the vocoder's subclass"),
    "common/training/state.py": ("programs/train/test_resume.py", "abstract; run with the vocoder's subclass"),
    "hifigan/engine/cpu_c.py": ("hifigan/engine/test_cpu.py", "every engine test runs in C and on oneDNN alone"),
    "hifigan/engine/native/structures.py": ("hifigan/engine/native/test_vector.py", "C reads its memory layout"),
    "hifigan/synthesis/flags.py": ("programs/inference/test_flags.py", "its values come from a command line"),
    "hifigan/synthesis/load.py": ("programs/inference/test_checkpoints.py", "its input is a command line"),
    "hifigan/synthesis/run.py": ("programs/inference/test_vocoding.py", "a whole run of inference.py"),
    "hifigan/synthesis/stream_vocoder.py": ("programs/inference/test_streaming.py", "its input is a stream of files"),
    "hifigan/training/flags.py": ("programs/train/test_flags.py", "its values come from a command line"),
    "fastpitch/synthesis/job.py": ("programs/inference/test_speech_errors.py", "its input is a phrase file"),
    "fastpitch/training/loaders.py": ("fastpitch/test_train.py", "compared as whole training runs"),
    "fastpitch/training/state.py": ("fastpitch/test_train.py", "compared as whole training runs"),
    "evaluation/config.py": ("programs/test_evaluate.py", "its values come from a command line"),
    "evaluation/report/content.py": ("evaluation/report/test_page.py", "the page shows it"),
    "evaluation/report/pictures.py": ("programs/test_listening_report.py", "seen in a browser"),
    "evaluation/report/write.py": ("programs/test_listening_report.py", "needs the results of a whole evaluation"),
    "evaluation/spoken/results.py": ("programs/test_evaluate_texts.py", "needs the results of a whole evaluation"),
    "evaluation/spoken/work.py": ("programs/test_evaluate_texts.py", "needs a whole evaluation"),
    "evaluation/work.py": ("programs/test_evaluate.py", "needs a whole evaluation"),
    "voice/recordings/texts/pairing.py": ("voice/recordings/texts/test_alignment.py", "a step of the alignment"),
    "voice/recordings/texts/words.py": ("voice/recordings/texts/test_alignment.py", "the words that are aligned"),
    "benchmarks/inference/cases.py": ("benchmarks/inference/test_benchmark.py", "needs models and a whole benchmark"),
    "benchmarks/inference/report.py": (
        "benchmarks/inference/test_benchmark.py",
        "compared with its JSON file",
    ),
    "benchmarks/inference/ways.py": ("benchmarks/inference/test_benchmark.py", "needs models and a whole benchmark"),
    "benchmarks/synthetic_voice.py": ("benchmarks/inference/test_benchmark.py", "most tests listen to it"),
    **{
        f"benchmarks/gpu/{name}.py": ("benchmarks/test_gpu_first.py", "stages of that program")
        for name in ("findings", "machine", "synthesis", "training")
    },
    "benchmarks/inference/config.py": ("benchmarks/inference/test_benchmark.py", "its values come from a command line"),
    "benchmarks/inference/session.py": ("benchmarks/inference/test_benchmark.py", "a whole run of that benchmark"),
    "benchmarks/training/config.py": ("benchmarks/training/test_benchmark.py", "its values come from a command line"),
    "benchmarks/training/session.py": ("benchmarks/training/test_benchmark.py", "a whole run of that benchmark"),
    "benchmarks/training/worker.py": ("benchmarks/training/test_benchmark.py", "a process of that benchmark"),
}


def expected_test(module: str) -> Path:
    path = Path(module)
    name = "main" if path.stem == "__main__" else path.stem
    return TESTS / path.parent / f"test_{name}.py"


MODULES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for folder in FOLDERS
    for path in (REPOSITORY / folder).rglob("*.py")
    if path.name != "__init__.py"
)


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_a_test_file_or_a_reason(module):
    if module not in COVERED_ELSEWHERE:
        assert expected_test(module).is_file(), f"write {expected_test(module)}, or name the file that tests {module}"


@pytest.mark.parametrize("module", COVERED_ELSEWHERE)
def test_reasons_are_true(module):
    """The module exists, has no test file of its own, and the named test file imports it or runs it."""
    assert module in MODULES
    assert not expected_test(module).exists(), "it has a test file: remove the row"
    covering, _ = COVERED_ELSEWHERE[module]
    dotted = module.removesuffix(".py").replace("/", ".")
    text = (TESTS / covering).read_text(encoding="utf-8")
    scripts = [path for path in (REPOSITORY / "scripts").glob("*.sh") if path.stem in text]
    run_by_script = any(dotted in path.read_text(encoding="utf-8") for path in scripts)
    assert run_by_script or REPOSITORY / module in imported_files(TESTS / covering)


def test_each_test_file_has_a_module():
    """A notebook counts as a module. Programs, shell scripts, parity and the whole repository have other test files."""
    others = {"scripts"}
    found = [
        path.relative_to(TESTS)
        for folder in FOLDERS
        if folder not in others
        for path in (TESTS / folder).rglob("test_*.py")
    ]
    notebooks = [path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "demo").glob("*.ipynb")]
    modules = {expected_test(module).relative_to(TESTS) for module in [*MODULES, *notebooks]}
    assert [str(path) for path in found if path not in modules and path.stem != "test_cleaners"] == []


def imported_files(path: Path) -> set[Path]:
    """Return every file of the repository that a file imports, directly or through others."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        for found in find_imports(waiting.pop()) - seen:
            seen.add(found)
            waiting.append(found)
    return seen


@cache
def find_imports(path: Path) -> frozenset[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = set()
    for name in names:
        base = REPOSITORY.joinpath(*name.split("."))
        files |= {base.with_suffix(".py"), base / "__init__.py"}
    return frozenset(file for file in files if file.is_file())
