# Any NGC image of PyTorch 2 with Python 3.10 or newer. CUDA 13 (images since 25.08) has no Volta (V100) any more: give
# FROM_IMAGE an older image there, see NVIDIA's framework support matrix.
ARG FROM_IMAGE=nvcr.io/nvidia/pytorch:25.12-py3
FROM ${FROM_IMAGE}

WORKDIR /workspace/hifigan
COPY requirements.txt /tmp/requirements.txt

# torch and torchaudio stay those of the image, which are built for its CUDA (the programs do not need torchaudio).
# The image pins its other packages in PIP_CONSTRAINT; the versions tested with this repository go first. The build fails
# if that replaced torch or broke its exchange of arrays with NumPy.
RUN python -c "import torch; print(torch.__version__)" > /tmp/torch.txt \
    && grep -vE '^(torch|torchaudio)==' /tmp/requirements.txt > /tmp/others.txt \
    && PIP_CONSTRAINT= pip install --no-cache-dir -r /tmp/others.txt \
    && python -c "import torch, numpy; print(torch.__version__); torch.from_numpy(numpy.zeros(1)).numpy()" \
        | diff - /tmp/torch.txt \
    && python -c "import librosa, scipy, soundfile, tensorboard, tqdm" \
    && rm /tmp/*.txt

# A .venv of the host in the mounted repository was made for another Python: the scripts must not take it.
ENV PYTHON=python3

# The repository belongs to the host's user, and benchmark tables ask git for the commit.
RUN git config --system --add safe.directory /workspace/hifigan
