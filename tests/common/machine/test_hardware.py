"""The description of a machine, and GPUs for which this build of PyTorch has no code."""

import subprocess

import pytest
import torch

from common import distributed
from common.errors import InputError
from common.machine import hardware
from common.resources import available_cores
from prepare_dataset import PrepareConfig


def test_commit(tmp_path):
    assert hardware.commit(tmp_path) == "unknown"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path]
    subprocess.run([*git, "init", "-q"], check=True)
    assert hardware.commit(tmp_path) == "unknown"  # before the first commit
    (tmp_path / "file").write_text("a")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert hardware.commit(tmp_path) == head[:10]
    (tmp_path / "file").write_text("b")
    assert hardware.commit(tmp_path) == f"{head[:10]} with local changes"


def test_the_command_names_the_instruction_set_if_it_was_chosen(monkeypatch):
    for value, expected in (("", "python -m tool --flag"), ("avx2", "HIFIGAN_CPU_ISA=avx2 python -m tool --flag")):
        monkeypatch.setenv("HIFIGAN_CPU_ISA", value)
        assert hardware.describe(torch.device("cpu"), "tool", ["--flag"])["command"] == expected


def test_defaults_work_on_all_cores() -> None:
    assert PrepareConfig(extract_mels=True).n_workers == available_cores()


CUDA_13 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]
CUDA_12 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]


@pytest.fixture
def gpu(monkeypatch):
    """Return a function that pretends to have a GPU, and PyTorch built for some architectures."""

    def pretend(name, capability, builds):
        for function, value in {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "set_device": lambda device: None,
            "get_device_name": lambda device=None: name,
            "get_device_capability": lambda device: capability,
            "get_arch_list": lambda: builds,
        }.items():
            monkeypatch.setattr(torch.cuda, function, value)
        monkeypatch.setattr(torch.version, "cuda", "13.0")

    return pretend


@pytest.mark.parametrize(
    ("capability", "builds"),
    [
        ((7, 5), CUDA_13),
        ((7, 0), CUDA_12),
        ((8, 9), CUDA_13),  # code for 8.6
        ((9, 0), CUDA_13),
        ((10, 3), CUDA_13),  # code for 10.0
        ((12, 1), CUDA_13),
        ((13, 0), CUDA_13),  # compiled at run time
        ((9, 0), ["sm_80", "sm_90a"]),
        ((10, 3), ["sm_90", "sm_100f"]),
        ((9, 0), []),  # unknown: PyTorch will see
    ],
)
def test_gpus_with_kernels(capability, builds, gpu):
    gpu("GPU", capability, builds)
    assert distributed.select_device(True) == torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("name", "capability", "builds", "message"),
    [
        (
            "Tesla V100-SXM2-16GB",
            (7, 0),
            CUDA_13,
            "has kernels for GPUs of compute capability 7.5 to 12.0, not for Tesla V100-SXM2-16GB (7.0); install one "
            "that has them (pip install torch --index-url https://download.pytorch.org/whl/cu126), or omit the "
            "flag to use the CPU",
        ),
        (
            "NVIDIA B200",
            (10, 0),
            CUDA_12,
            "has kernels for GPUs of compute capability 5.0 to 9.0, not for NVIDIA B200 (10.0); install one that has "
            "them (a newer PyTorch), or omit the flag to use the CPU",
        ),
        ("other", (9, 1), ["sm_80", "sm_90a"], "8.0 to 9.0, not for other (9.1); install one that has them (a newer P"),
        ("other", (11, 0), ["sm_100f", "sm_120"], "10.0 to 12.0, not for other (11.0); install one that has them (a n"),
    ],
)
def test_gpus_without_kernels_are_refused_in_one_line(name, capability, builds, message, gpu):
    gpu(name, capability, builds)
    with pytest.raises(InputError) as caught:
        distributed.select_device(True)
    assert f"--cuda: this PyTorch ({torch.__version__}) " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gpus_of_amd_are_not_judged(gpu, monkeypatch):
    gpu("Instinct", (9, 4), ["gfx942"])
    monkeypatch.setattr(torch.version, "cuda", None)
    hardware.check_kernels(torch.device("cuda", 0))
