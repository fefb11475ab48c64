"""The shell scripts: their syntax, and the commands that they run."""

import dataclasses
import os
import re
import subprocess

import pytest

from tests.support.paths import REPOSITORY
from voice.training.flags import VoiceTrainingConfig

SCRIPTS = [*sorted((REPOSITORY / "scripts").rglob("*.sh")), REPOSITORY / ".ci" / "run"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_syntax(path):
    subprocess.run(["bash", "-n", path], check=True)
    if path.parent.name != "lib":
        assert path.read_text().startswith("#!/usr/bin/env bash\n")


def test_scripts_are_executable():
    paths = [path for path in SCRIPTS if path.parent.name != "lib"] + list((REPOSITORY / "platform").glob("*.sh"))
    assert [path for path in paths if not os.access(path, os.X_OK)] == []


# Described and read by a script, but sensibly exported for all of them, or belonging to other programs.
OF_ALL_SCRIPTS = {
    *("PYTHON", "VENV", "DATA_DIR", "MODELS_DIR", "HIFIGAN_TEST_DATA", "TORCH_CPU_INDEX", "CMUDICT_URL", "CMUDICT_SHA"),
    *("IMAGE", "FROM_IMAGE", "GPUS", "VARIANT", "MOUNT", "OMP_NUM_THREADS", "SLURM_JOB_ID"),
}
# A shell may export these for something else, and names of one word, unless they are terms of this field.
GENERAL = {"LOG_FILE", "WORK_DIR"}
TERMS = {"AMP", "EPOCHS", "FASTPITCH", "HIFIGAN", "RECOGNISER", "TORCHSCRIPT"}


def test_list_of_variables_is_complete():
    described, read = set(), {"KEEP_ARCHIVE"}  # which only Python reads
    for path in SCRIPTS:
        comments, code = re.fullmatch(r"((?:#[^\n]*\n)+)(.*)", path.read_text(), re.DOTALL).groups()
        described.update(re.findall(r"[A-Z][A-Z_]+", comments))
        read.update(re.findall(r"\$\{!?([A-Z][A-Z_]+)", code), re.findall(r"\b([A-Z][A-Z_]+):[a-z]", code))
    text = (REPOSITORY / "scripts" / "lib" / "variables.sh").read_text()
    listed = re.search(r'SCRIPT_VARIABLES="([^"]*)"', text)[1].split()
    assert listed == sorted(set(listed))
    wanted = (described & read) - OF_ALL_SCRIPTS - GENERAL
    assert set(listed) == {name for name in wanted if "_" in name or name in TERMS}


def test_every_script_looks_for_variables_of_others():
    other_names = {"train.sh", "download_model.sh"}
    for path in (REPOSITORY / "scripts").rglob("*.sh"):
        if path.parent.name != "lib" and path.name not in other_names:
            name = path.relative_to(REPOSITORY).as_posix()
            assert re.search(rf"^name_unread_variables {name}( |$)", path.read_text(), re.MULTILINE), name


@pytest.fixture
def recorder(tmp_path):
    """Return a function that runs a script with a fake interpreter, and returns the arguments it received."""
    program = tmp_path / "python"
    program.write_text(
        "#!/usr/bin/env bash\n"
        'if [[ $1 == -c ]]; then [[ $2 != *device_count* ]] || echo "${FAKE_GPUS:-${NUM_GPUS:-0}}"; exit 0; fi\n'
        f'printf "%s\\n" "$@" >{tmp_path}/arguments\n'
        f"env >{tmp_path}/environment\n"
    )
    program.chmod(0o755)

    def run(script, *args, **variables):
        environment = {"PATH": os.environ["PATH"], "PYTHON": str(program), **variables}
        done = subprocess.run(
            ["bash", REPOSITORY / "scripts" / script, *args],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return (tmp_path / "arguments").read_text().splitlines(), done.stderr

    return run


def get_value(arguments, flag):
    return arguments[arguments.index(flag) + 1]


@pytest.mark.parametrize("script", ["train_lj22khz.sh", "train.sh"])
def test_recipe_on_eight_gpus(script, recorder):
    words, warning = recorder(script, "--extra", FAKE_GPUS="8")
    assert words[:6] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "8", "train.py"]
    assert get_value(words, "--batch-size") == "16"
    assert get_value(words, "--grad-accumulation") == "1"
    assert get_value(words, "--epochs") == "6500"
    assert "--cuda" in words
    assert "--amp" not in words
    assert words[-1] == "--extra"
    assert warning == ""


def test_fastpitch_recipe(recorder):
    words, warning = recorder("train_fastpitch.sh", "--extra", FAKE_GPUS="8", AMP="true", OPTIMIZER="adamw")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "8", "-m", "fastpitch.train"]
    assert words[:7] == launcher
    values = {
        flag: get_value(words, flag) for flag in ("--batch-size", "--grad-accumulation", "--epochs", "--optimizer")
    }
    assert values == {"--batch-size": "16", "--grad-accumulation": "2", "--epochs": "1000", "--optimizer": "adamw"}
    assert {"--cuda", "--amp", "--extra"} <= set(words)
    assert warning == ""
    words, warning = recorder("train_fastpitch.sh", NUM_GPUS="0", BATCH_SIZE="8", GRAD_ACCUMULATION="1")
    assert words[:2] == ["-m", "fastpitch.train"]
    assert "1 x 8 x 1 = 8, the recipe's global batch is 256" in warning


def test_documented_commands(recorder):
    words, warning = recorder("train_lj22khz.sh", NUM_GPUS="1", BATCH_SIZE="16", GRAD_ACCUMULATION="8", AMP="true")
    assert words[0] == "train.py"
    assert get_value(words, "--grad-accumulation") == "8"
    assert "--amp" in words
    assert warning == ""
    words, warning = recorder("train.sh", NUM_GPUS="8", BS="64", GRAD_ACCUMULATION="1", EPOCHS="10")
    assert (get_value(words, "--batch-size"), get_value(words, "--epochs")) == ("64", "10")
    assert "8 x 64 x 1 = 512" in warning


SEVERAL = {"FAKE_GPUS": "8", "RDZV_ENDPOINT": "node1:29400"}


def test_two_machines(recorder, tmp_path):
    words, warning = recorder("train_lj22khz.sh", "--extra", NNODES="2", BATCH_SIZE="4", **SEVERAL)
    launch, rest = words[: words.index("train.py")], words[words.index("train.py") :]
    assert launch == [
        *["-m", "torch.distributed.run", "--rdzv-backend", "c10d", "--rdzv-endpoint", "node1:29400"],
        *["--rdzv-id", "hifigan", "--nnodes", "2", "--nproc-per-node", "8", "--max-restarts", "10"],
    ]
    assert get_value(rest, "--grad-accumulation") == "2"  # 2 x 8 x 4 x 2 = 128
    assert "--global-batch-size" not in rest
    assert rest[-1] == "--extra"
    assert warning == ""
    environment = (tmp_path / "environment").read_text()
    assert "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1\n" in environment
    assert "TORCH_ELASTIC_SHUTDOWN_TIMEOUT=120\n" in environment


def test_machines_count_in_the_warning(recorder):
    _, warning = recorder("train_lj22khz.sh", NNODES="2", GRAD_ACCUMULATION="1", **SEVERAL)
    assert "NNODES x NUM_GPUS x BATCH_SIZE x GRAD_ACCUMULATION = 2 x 8 x 16 x 1 = 256" in warning
    _, warning = recorder("train_lj22khz.sh", NNODES="1:2", BATCH_SIZE="8", GRAD_ACCUMULATION="1", **SEVERAL)
    assert "1 to 2 x 8 x 8 x 1 = 64 to 128" in warning


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"RDZV_ID": "mine", "SLURM_JOB_ID": "7"}, {"--rdzv-id": "mine", "--max-restarts": "10"}),
        ({"SLURM_JOB_ID": "7", "MAX_RESTARTS": "2"}, {"--rdzv-id": "7", "--max-restarts": "2"}),
    ],
)
def test_name_and_restarts_of_the_job(variables, expected, recorder):
    words, _ = recorder("train.sh", NNODES="2", **SEVERAL, **variables)
    assert {flag: get_value(words, flag) for flag in expected} == expected


def test_range_of_machines_keeps_the_global_batch(recorder):
    words, warning = recorder("train_lj22khz.sh", NNODES="1:2", BATCH_SIZE="8", **SEVERAL)
    assert get_value(words, "--nnodes") == "1:2"
    assert get_value(words, "--global-batch-size") == "128"
    assert "--grad-accumulation" not in words
    assert warning == ""
    words, warning = recorder("train_lj22khz.sh", "--global_batch_size", "96", NNODES="1:3", NUM_GPUS="1", **SEVERAL)
    assert words.count("--grad-accumulation") + words.count("--global-batch-size") == 0
    assert warning == ""


@pytest.mark.parametrize("nnodes", ["1", "1:1"])
def test_one_machine_restarts_only_where_asked(nnodes, recorder, tmp_path):
    words, _ = recorder("train_lj22khz.sh", NNODES=nnodes, NUM_GPUS="1", RDZV_ENDPOINT="node1:29400")
    assert words[0] == "train.py"
    words, _ = recorder("train_lj22khz.sh", NNODES=nnodes, NUM_GPUS="1", MAX_RESTARTS="3")
    assert words[2:8] == ["--standalone", "--nproc-per-node", "1", "--max-restarts", "3", "train.py"]
    assert "TORCH_DISABLE_SHARE_RDZV_TCP_STORE" not in (tmp_path / "environment").read_text()


def test_restarts_need_the_checkpoints(recorder):
    with pytest.raises(subprocess.CalledProcessError) as error:
        recorder("train_lj22khz.sh", NNODES="2", RESUME="false", **SEVERAL)
    assert error.value.stderr.splitlines()[-1].startswith("error: RESUME: 'false', but restarted processes")
    words, _ = recorder("train_lj22khz.sh", NNODES="2", RESUME="false", MAX_RESTARTS="0", **SEVERAL)
    assert "--no-resume" in words


@pytest.mark.parametrize("endpoint", ["", "node1", "node1:", "node1:port", "node1:0", "a b:1"])
def test_where_machines_meet_must_be_told(endpoint, recorder):
    with pytest.raises(subprocess.CalledProcessError) as error:
        recorder("train_lj22khz.sh", NNODES="2", RDZV_ENDPOINT=endpoint)
    assert error.value.stderr.startswith(f"error: RDZV_ENDPOINT: '{endpoint}' is not the host:port")
    assert len(error.value.stderr.splitlines()) == 1


def test_range_that_cannot_share_the_global_batch_is_refused(recorder):
    with pytest.raises(subprocess.CalledProcessError) as error:
        recorder("train_lj22khz.sh", NNODES="1:4", NUM_GPUS="1", RDZV_ENDPOINT="node1:29400")
    assert error.value.stderr.startswith("error: NNODES: '1:4' includes 3, but 3 x 1 x 16 segments cannot share")
    assert len(error.value.stderr.splitlines()) == 1


PLATFORMS = {
    "DGXA100_HiFi-GAN_AMP_1GPU.sh": (1, 128, 1, True), "DGXA100_HiFi-GAN_TF32_1GPU.sh": (1, 128, 1, False),
    "DGXA100_HiFi-GAN_AMP_4GPU.sh": (4, 32, 1, True), "DGXA100_HiFi-GAN_TF32_4GPU.sh": (4, 32, 1, False),
    "DGXA100_HiFi-GAN_AMP_8GPU.sh": (8, 16, 1, True), "DGXA100_HiFi-GAN_TF32_8GPU.sh": (8, 16, 1, False),
    "DGX1_HiFi-GAN_AMP_1GPU.sh": (1, 64, 2, True), "DGX1_HiFi-GAN_FP32_1GPU.sh": (1, 32, 4, False),
    "DGX1_HiFi-GAN_AMP_4GPU.sh": (4, 32, 1, True), "DGX1_HiFi-GAN_FP32_4GPU.sh": (4, 32, 1, False),
    "DGX1_HiFi-GAN_AMP_8GPU.sh": (8, 16, 1, True), "DGX1_HiFi-GAN_FP32_8GPU.sh": (8, 16, 1, False),
}  # fmt: skip


@pytest.mark.parametrize("name", PLATFORMS)
def test_platform(name, recorder):
    gpus, batch, accumulation, amp = PLATFORMS[name]
    words, warning = recorder(f"../platform/{name}", "--extra")
    assert ("--nproc-per-node" in words) == (gpus > 1)
    assert gpus == 1 or get_value(words, "--nproc-per-node") == str(gpus)
    assert get_value(words, "--batch-size") == str(batch)
    assert get_value(words, "--grad-accumulation") == str(accumulation)
    assert ("--amp" in words) == amp
    assert get_value(words, "--output") == f"output/{name.removesuffix('.sh')}", "one would continue another's run"
    # On Ampere, grouped convolutions are slower in half precision.
    assert ("--no-amp-grouped-conv" in words) == (amp and name.startswith("DGXA100"))
    assert words[-1] == "--extra"
    assert warning == ""


def test_fine_tuning_goes_on_to_epoch_10000_at_three_times_the_rate(recorder):
    words, _ = recorder("train_lj22khz.sh", FINE_TUNE_DIR="mels")
    assert get_value(words, "--input-mels-dir") == "mels"
    assert get_value(words, "--fine-tune-lr-factor") == "3"
    assert get_value(words, "--epochs") == "10000"
    words, _ = recorder("train_lj22khz.sh")
    assert "--input-mels-dir" not in words
    assert "--fine-tune-lr-factor" not in words


def test_every_variable_reaches_its_flag(recorder):
    variables = {
        "OUTPUT_DIR": "--output", "LOG_FILE": "--log-file", "DATASET_DIR": "--dataset-path", "EPOCHS": "--epochs",
        "TRAIN_FILELIST": "--training-files", "VAL_FILELIST": "--validation-files", "SEED": "--seed",
        "EPOCHS_THIS_JOB": "--epochs-this-job", "VAL_INTERVAL": "--validation-interval",
        "SAMPLES_INTERVAL": "--samples-interval", "CHECKPOINT_INTERVAL": "--checkpoint-interval",
        "LEARNING_RATE": "--learning-rate", "LEARNING_RATE_DECAY": "--learning-rate-decay",
        "BMARK_EPOCHS_NUM": "--benchmark-epochs-num", "FINE_TUNE_DIR": "--input-mels-dir",
        "FINE_TUNE_LR_FACTOR": "--fine-tune-lr-factor",
    }  # fmt: skip
    words, _ = recorder("train_lj22khz.sh", RESUME="false", **{name: f"value of {name}" for name in variables})
    for name, flag in variables.items():
        assert get_value(words, flag) == f"value of {name}"
    assert "--no-resume" in words
    assert "--cuda" not in words  # without a GPU it runs on the CPU, with the recipe's global batch
    assert get_value(words, "--grad-accumulation") == "8"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("NUM_GPUS", "abc"), ("NUM_GPUS", "08"), ("BATCH_SIZE", "0"), ("BS", "-1"), ("AMP", "1"), ("RESUME", "no")],
        *[
            ("NNODES", "0"),
            ("NNODES", "two"),
            ("NNODES", "2:1"),
            ("NNODES", "1:2:3"),
            ("NNODES", "1:"),
            ("NNODES", ":2"),
        ],
        *[("MAX_RESTARTS", "-1"), ("MAX_RESTARTS", "many")],
    ],
)
def test_impossible_variables_are_named(name, value, recorder):
    with pytest.raises(subprocess.CalledProcessError) as error:
        recorder("train_lj22khz.sh", **{name: value})
    assert error.value.stderr.startswith(f"error: {name}: '{value}' is not ")
    assert len(error.value.stderr.splitlines()) == 1


def test_inference_example(recorder):
    words, _ = recorder("inference_example.sh", CUDA="true", AMP="true", TORCHSCRIPT="true", BATCH_SIZE="2")
    assert {"--cuda", "--amp", "--torchscript"} < set(words)
    assert get_value(words, "--output") == "output/audio_devset10_amp_torchscript_bs2"
    assert get_value(words, "--batch-size") == "2"
    assert "--fastpitch" not in words
    words, _ = recorder("inference_example.sh", "--pace", "1.2", CUDA="false", FASTPITCH="my model.pt")
    assert get_value(words, "--fastpitch") == "my model.pt"
    assert get_value(words, "--output") == "output/audio_devset10_fastpitch"
    assert words[-2:] == ["--pace", "1.2"]


def test_inference_benchmark(recorder, tmp_path):
    words, _ = recorder(
        "inference_benchmark.sh", CUDA="true", AMP="true", BATCH_SIZE="1", REPEATS="100", MODELS_DIR=str(tmp_path),
        WAVS="my wavs",
    )  # fmt: skip
    assert words == [
        *["-m", "benchmarks.inference.benchmark", "--cuda", "--wavs", "my wavs", "--repeats", "100"],
        *["--minutes", "3.25", "--hifigan", "v1", "v2", "v3", "--batch-size", "1"],
    ]
    published = tmp_path / "hifigan-lj-v2" / "generator_v2"
    recordings = tmp_path / "data" / "ljspeech-mini" / "wavs"
    for path in (published, recordings / "a.wav"):
        path.parent.mkdir(parents=True)
        path.touch()
    test_data = {"MODELS_DIR": str(tmp_path), "HIFIGAN_TEST_DATA": str(tmp_path)}
    words, _ = recorder("inference_benchmark.sh", CUDA="false", **test_data)
    assert words[2:] == ["--wavs", str(recordings), "--hifigan", "v1", str(published), "v3"]
    variables = {
        "FASTPITCH": "--fastpitch", "PHRASES": "--phrases", "WAVS": "--wavs", "DENOISING": "--denoising",
        "REPEATS": "--repeats", "WARMUP": "--warmup", "MINUTES": "--minutes", "STARTS": "--starts",
        "OUTPUT_DIR": "--output",
    }  # fmt: skip
    lists = {"HIFIGAN": "a.pt v2", "BATCH_SIZE": "2 4", "SECONDS_LIST": "1 3.5", "BACKENDS": "a.ts b.onnx"}
    words, _ = recorder(
        "inference_benchmark.sh", "--seconds", "3", CUDA="false", TORCHSCRIPT="false", AMP="false", FULL="true",
        **{name: f"value of {name}" for name in variables}, **lists,
    )  # fmt: skip
    for name, flag in variables.items():
        assert get_value(words, flag) == f"value of {name}"
    text = " ".join(words)
    assert "--hifigan a.pt v2 --batch-size 2 4 --seconds-list 1 3.5 --backends a.ts b.onnx" in text
    assert words[-5:] == ["--full", "--no-amp", "--no-torchscript", "--seconds", "3"]
    assert "--cuda" not in words
    for name in ("FULL", "AMP", "TORCHSCRIPT", "CUDA"):
        with pytest.raises(subprocess.CalledProcessError) as error:
            recorder("inference_benchmark.sh", **{name: "1"})
        assert error.value.stderr == f"error: {name}: '1' is not true or false\n"


def test_train_benchmark(recorder):
    words, _ = recorder("train_benchmark.sh", CUDA="true")
    assert words == ["-m", "benchmarks.training.benchmark", "--cuda", "--layers", "--minutes", "4.25"]
    variables = {
        "STEPS": "--steps", "REPEATS": "--repeats", "AGREEMENT": "--agreement-steps", "NUM_WORKERS": "--num-workers",
        "OUTPUT_DIR": "--output", "MINUTES": "--minutes",
    }  # fmt: skip
    words, _ = recorder(
        "train_benchmark.sh", "--warmup", "2", CUDA="false", AMP="false", BATCH_SIZE="2 4", HIFIGAN_CONFIG="v1 v3",
        **{name: f"value of {name}" for name in variables},
    )  # fmt: skip
    for name, flag in variables.items():
        assert get_value(words, flag) == f"value of {name}"
    assert "--hifigan-config v1 v3 --batch-size 2 4 --no-amp --warmup 2" in " ".join(words)
    assert "--cuda" not in words
    for name in ("AMP", "CUDA"):
        with pytest.raises(subprocess.CalledProcessError) as error:
            recorder("train_benchmark.sh", **{name: "1"})
        assert error.value.stderr == f"error: {name}: '1' is not true or false\n"


def test_training_of_a_voice(recorder, tmp_path, monkeypatch):
    """Every variable at the top of the script becomes a flag of the program, which starts where the user is."""
    monkeypatch.chdir(tmp_path)
    flags = [field for field in dataclasses.fields(VoiceTrainingConfig) if "help" in field.metadata]
    fields = {field.name: field.default for field in flags}
    names = {
        "WORK_DIR": "work", "NUM_WORKERS": "n_workers", "BASE_GENERATOR": "vocoder_base",
        "HIFIGAN_CONFIG": "vocoder_config", "DESCRIPTION": "description",
        **{name.upper(): name for name in fields if name.startswith(("vocoder_", "fastpitch_", "fine_tuning_"))},
        **{name.upper(): name for name in ("seed", "num_gpus", "discriminator_width", "base_share", "base", "hours")},
        **{name.upper(): name for name in ("binarization_warmup_epochs", "evaluation_clips", "patience", "sentences")},
        **{name.upper(): name for name in ("recogniser", "licence", "consent", "known_faults")},
    }  # fmt: skip
    del names["VOCODER_BASE"], names["VOCODER_CONFIG"]
    for name in ("COMPARE", "ESTIMATE_ONLY", "PARALLEL"):
        assert name.lower() in fields
    assert set(names.values()) | {"compare", "estimate_only", "parallel", "output"} == set(fields)
    values = dict.fromkeys(names, "7")
    words, _ = recorder(
        "train_voice.sh", "set", "-o", "ann", COMPARE="a=1 b=2", ESTIMATE_ONLY="true", PARALLEL="true", **values
    )
    assert words[:2] == ["-m", "voice.training"]
    assert words[-3:] == ["set", "-o", "ann"]
    for name in names.values():
        assert get_value(words, f"--{name.replace('_', '-')}") == "7"
    compared = words[words.index("--compare") + 1 :]
    assert compared[:2] == ["a=1", "b=2"]
    assert compared[2].startswith("--")  # the list would take the data set too
    assert {"--estimate-only", "--parallel"} <= set(words)
    environment = (tmp_path / "environment").read_text().splitlines()
    assert f"PYTHONPATH={REPOSITORY}" in environment
    assert f"PWD={tmp_path}" in environment
    text = (REPOSITORY / "scripts" / "train_voice.sh").read_text()
    described = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    assert [name for name in (*names, "COMPARE", "ESTIMATE_ONLY", "PARALLEL") if name not in described] == []
    for name in ("vocoder_epochs", "base_share"):
        assert f"{name.upper()} ({fields[name]:g})" in described
    words, _ = recorder("train_voice.sh", "set", "-o", "ann")
    assert words == ["-m", "voice.training", "--num-gpus", "0", "set", "-o", "ann"]


@pytest.mark.parametrize("status", [0, 1])
def test_optional_packages_never_stop_a_script(tmp_path, status):
    program = tmp_path / "python"
    program.write_text(f'#!/usr/bin/env bash\nprintf "%s\\n" "$*" >>{tmp_path}/arguments\nexit {status}\n')
    program.chmod(0o755)
    line = "source scripts/lib/env.sh; add_optional requirements-evaluation.txt pesq pystoi; echo went on"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "PYTHON": str(program), "VENV": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    calls = (tmp_path / "arguments").read_text().splitlines()
    pins = [row for row in (REPOSITORY / "requirements-evaluation.txt").read_text().splitlines() if "==" in row]
    assert [call.split()[-1] for call in calls] == pins[:2]
    assert all("--constraint requirements.txt" in call for call in calls)
    notes = [f"note: the optional package {name} could not be installed" in done.stdout for name in ("pesq", "pystoi")]
    assert notes == [bool(status)] * 2
    assert done.stdout.endswith("went on\n")


def test_variables_of_another_script_are_named_in_one_line(recorder, tmp_path):
    everyday = {"VENV": "v", "MODELS_DIR": "m", "DATA_DIR": "d", "HOME": "/", "LANG": "C", "USER": "u", "SHELL": "s"}
    everyday |= {"CUDA": "12.8", "FULL": "1", "FAST": "1", "STEPS": "3", "MINUTES": "5", "SEED": "7", "LOG_FILE": "log"}
    words, note = recorder("prepare_dataset.sh", BATCH_SIZE="4", AMP="true", NUM_WORKERS="2", EPOCHS="", **everyday)
    assert note == "note: scripts/prepare_dataset.sh does not read AMP, BATCH_SIZE\n"
    assert get_value(words, "--n-workers") == "2"
    # FASTPITCH_EPOCHS contains EPOCHS, and is not the same.
    _, note = recorder("train_voice.sh", "set", "-o", "ann", EPOCHS="4", FASTPITCH_EPOCHS="4")
    assert note == "note: scripts/train_voice.sh does not read EPOCHS (here it is VOCODER_EPOCHS)\n"
    # A script that calls another one reads the variables of both, and the other one is silent.
    base = tmp_path / "hifigan_gen_checkpoint_1.pt"
    base.touch()
    given = {"BASE_CHECKPOINT": str(base), "FINE_TUNE_DIR": str(tmp_path), "EPOCHS": "9", "GRAD_ACCUMULATION": "8"}
    _, note = recorder("fine_tune.sh", DATASET_PATH="set", **given)
    assert note == "note: scripts/fine_tune.sh does not read DATASET_PATH (here it is DATASET_DIR)\n"


@pytest.mark.parametrize("found", ["0", "4"])
@pytest.mark.parametrize("script", ["train_lj22khz.sh", "train_fastpitch.sh", "train_voice.sh", "fine_tune.sh"])
def test_more_gpus_than_there_are_is_one_line(script, found, recorder, tmp_path):
    base = tmp_path / "hifigan_gen_checkpoint_1.pt"
    base.touch()
    given = {"BASE_CHECKPOINT": str(base), "FINE_TUNE_DIR": str(tmp_path)} if script == "fine_tune.sh" else {}
    with pytest.raises(subprocess.CalledProcessError) as error:
        recorder(script, NUM_GPUS="8", FAKE_GPUS=found, **given)
    assert error.value.stderr == (
        f"error: NUM_GPUS: '8', but PyTorch finds {found} on this machine; set a smaller number, or 0 for the CPU\n"
    )
    assert not (tmp_path / "arguments").exists()


def test_inference_example_takes_the_downloaded_model(recorder, tmp_path):
    def choose(**variables):
        return get_value(recorder("inference_example.sh", MODELS_DIR=str(tmp_path), **variables)[0], "--hifigan")

    authors = tmp_path / "hifigan-lj-v1" / "generator_LJSpeech.pth.tar"
    assert choose() == str(authors)
    (tmp_path / "hifigan").mkdir()
    fine_tuned = tmp_path / "hifigan" / "hifigan_gen_checkpoint_10000_ft.pt"
    fine_tuned.touch()
    assert [choose(), choose(FASTPITCH="f.pt")] == [str(authors), str(fine_tuned)]
    plain = tmp_path / "hifigan" / "hifigan_gen_checkpoint_6500.pt"
    plain.touch()
    assert [choose(), choose(FASTPITCH="f.pt")] == [str(plain), str(fine_tuned)]
    assert choose(HIFIGAN="own.pt") == "own.pt"
