# The image holds the code, its packages and the commands hifigan-say, -infer, -train ... scripts/docker/build.sh builds it.
#
#   VARIANT     gpu (default) or cpu
#   FROM_IMAGE  of `gpu`: an NGC image with PyTorch. CUDA 13 dropped Volta (V100), which needs 24.12-py3
#   CPU_IMAGE   of `cpu`: an image with Python 3.10 to 3.13 and apt-get
ARG VARIANT=gpu
ARG FROM_IMAGE=nvcr.io/nvidia/pytorch:26.08-py3
ARG CPU_IMAGE=python:3.11-slim

FROM ${CPU_IMAGE} AS cpu-packages
# gcc stays in the image: the engine compiles its C code for the processor it runs on, which need not be the one that
# builds the image. Without a compiler, inference is slower.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
ENV VENV=/opt/venv PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1
WORKDIR /workspace
COPY requirements.txt ./
COPY scripts/lib/env.sh scripts/lib/
RUN bash -c 'set -euo pipefail; source scripts/lib/env.sh; setup_env requirements.txt'

FROM ${FROM_IMAGE} AS gpu-packages
# The image's torch and numpy stay: NVIDIA built them for each other. The image's PIP_CONSTRAINT, which pins other packages
# too, gives way to these two, so that the versions in requirements.txt are installed.
ENV PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=/workspace/kept.txt
WORKDIR /workspace
COPY requirements.txt scripts/docker/check.py ./
RUN python check.py record kept.txt \
    && sed --in-place --regexp-extended '/^(torch|numpy)==/d' requirements.txt \
    && pip install --requirement requirements.txt \
    && python check.py compare kept.txt

FROM ${VARIANT}-packages
WORKDIR /workspace/hifigan
COPY . .
# Editable, so that the commands run the code of this folder, also where a clone is mounted over it.
RUN pip install --no-deps --editable . \
    && useradd --uid 10001 --create-home hifigan \
    && mkdir -p data output pretrained_models \
    && chmod 1777 . data output pretrained_models /home/hifigan

# HOME and USER also hold for `docker run --user`, whose user has no entry in the image. PYTHON: a mounted clone may contain
# the host's .venv, built for another Python.
ENV HOME=/home/hifigan USER=hifigan PYTHON=python
USER 10001
# The library that the engine compiles here serves processors of the same kind. On others, any user may add one.
RUN python scripts/docker/check.py speak && chmod -R a+rwX /home/hifigan/.cache
CMD ["bash"]
