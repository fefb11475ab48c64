# The image holds the code, its packages and the commands hifigan-say, -infer, -train ... scripts/docker/build.sh builds it.
#
#   VARIANT     gpu (default) or cpu
#   FROM_IMAGE  of `gpu`: an NGC image with PyTorch. CUDA 13 dropped Volta (V100), which needs 24.12-py3
#   CPU_IMAGE   of `cpu`: an image with Python 3.11 to 3.13, its module venv, and apt-get
#   EXTRAS      extras of pyproject.toml to install (default: train)
ARG VARIANT=gpu
ARG FROM_IMAGE=nvcr.io/nvidia/pytorch:26.08-py3
ARG CPU_IMAGE=python:3.11-slim
ARG EXTRAS=train

FROM ${CPU_IMAGE} AS cpu-build
# The compiler stays in this stage: the engine's C code is compiled here, for all processors.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS
ENV HOME=/home/hifigan PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
WORKDIR /workspace
COPY pyproject.toml requirements.txt scripts/docker/check.py scripts/docker/pins.py ./
RUN python3 -m venv /opt/venv \
    && python pins.py $EXTRAS > pins.txt \
    && pip install --extra-index-url "$TORCH_CPU_INDEX" --requirement pins.txt \
    && python check.py cpu
COPY common common
COPY hifigan hifigan
RUN python -m hifigan.engine.native

FROM ${CPU_IMAGE} AS cpu-packages
COPY --from=cpu-build /opt/venv /opt/venv
COPY --from=cpu-build /home/hifigan /home/hifigan
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 SIZE_MB=350

FROM ${FROM_IMAGE} AS gpu-packages
ARG EXTRAS
# The image's torch and numpy stay: NVIDIA built them for each other. The image's PIP_CONSTRAINT, which pins other packages
# too, gives way to these two, so that the versions in requirements.txt are installed.
ENV PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=/workspace/kept.txt SIZE_MB=inf
WORKDIR /workspace
COPY pyproject.toml requirements.txt scripts/docker/check.py scripts/docker/pins.py ./
RUN python check.py record kept.txt \
    && python pins.py $EXTRAS > pins.txt \
    && sed --in-place --regexp-extended '/^(torch|numpy)==/d' pins.txt \
    && pip install --requirement pins.txt \
    && python check.py compare kept.txt

FROM ${VARIANT}-packages
WORKDIR /workspace/hifigan
COPY . .
# HOME and USER also hold for `docker run --user`, whose user has no entry in the image. PYTHON: a mounted clone may contain
# the host's .venv, built for another Python.
ENV HOME=/home/hifigan USER=hifigan PYTHON=python
# The bill of materials of the image, in CycloneDX, for scanners of vulnerabilities.
LABEL io.github.hifigan-recipe.sbom="/usr/share/sbom/hifigan.cdx.json"
# Editable, so that the commands run the code of this folder, also where a clone is mounted over it. The checks also write
# the bytecode of what they import, as root. pip does not, since most modules are never imported.
RUN pip install --no-deps --editable . \
    && python scripts/docker/check.py speak \
    && python scripts/docker/check.py train \
    && python scripts/docker/check.py size $SIZE_MB \
    && python scripts/docker/sbom.py /usr/share/sbom/hifigan.cdx.json \
    && useradd --uid 10001 --home-dir /home/hifigan hifigan \
    && mkdir -p data output pretrained_models \
    && chmod 1777 . data output pretrained_models \
    && chmod -R a+rwX /home/hifigan
USER 10001
RUN python scripts/docker/check.py speak
CMD ["bash"]
