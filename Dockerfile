# Any NGC image with PyTorch 2 and Python 3.10 or newer works. CUDA 13 (images since 25.08) dropped Volta (V100): on those
# GPUs set FROM_IMAGE to an older image (see NVIDIA's framework support matrix).
ARG FROM_IMAGE=nvcr.io/nvidia/pytorch:25.12-py3
FROM ${FROM_IMAGE}

WORKDIR /workspace/hifigan
COPY requirements.txt /tmp/requirements.txt

# Keep the image's torch and torchaudio, which are built for its CUDA. PIP_CONSTRAINT, which pins the image's other packages,
# is cleared so that this repository's tested versions are installed. The build fails if that replaces torch or breaks its
# NumPy interface.
RUN python -c "import torch; print(torch.__version__)" > /tmp/torch.txt \
    && grep -vE '^(torch|torchaudio)==' /tmp/requirements.txt > /tmp/others.txt \
    && PIP_CONSTRAINT= pip install --no-cache-dir -r /tmp/others.txt \
    && python -c "import torch, numpy; print(torch.__version__); torch.from_numpy(numpy.zeros(1)).numpy()" \
        | diff - /tmp/torch.txt \
    && python -c "import librosa, scipy, soundfile, tensorboard, tqdm, jinja2" \
    && rm /tmp/*.txt

# The mounted repository may contain the host's .venv, built for another Python. The scripts must not use it.
ENV PYTHON=python3

# The repository belongs to the host's user, and benchmark reports ask git for the commit.
RUN git config --system --add safe.directory /workspace/hifigan
