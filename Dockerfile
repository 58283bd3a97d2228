# getnet-bids as an image: see docs/hpc.rst. Nothing is downloaded at run time.
#   docker build -t getnet_bids .                                                     CPU
#   docker build -t getnet_bids:cuda --build-arg TORCH_INDEX=https://pypi.org/simple .    CUDA
# BASE: any image with Python 3.11 or newer and its venv module. TORCH_INDEX: the package index for torch; empty means
# pip's default. The PIP_* arguments give pip a mirror or a certificate during the build and are not kept in the image.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_CERT
WORKDIR /src
COPY containers/install.sh containers/lock.txt containers/
RUN sh containers/install.sh dependencies
COPY pyproject.toml setup.py README.rst LICENSE ./
COPY getnet_bids getnet_bids
COPY workflows workflows
COPY training training
RUN sh containers/install.sh package

FROM ${BASE} AS app
COPY --from=build /opt/getnet /opt/getnet
COPY containers/check.py /opt/getnet-check.py
COPY docs/hpc/getnet-slurm.sh /opt/
# HOME is not set, since Apptainer brings the user's own. What libraries would write there goes to /tmp or is made now.
ENV PATH=/opt/getnet/bin:$PATH \
    LANG=C.UTF-8 \
    NO_ET=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLBACKEND=agg \
    MPLCONFIGDIR=/tmp/matplotlib \
    TEMPLATEFLOW_AUTOUPDATE=off \
    TEMPLATEFLOW_HOME=/opt/templateflow
RUN python -W ignore -c "import templateflow.conf" && chmod -R go+rX /opt/templateflow /opt/getnet-*
USER 1000:1000
WORKDIR /tmp
RUN HOME=/nonexistent OMP_NUM_THREADS=1 python /opt/getnet-check.py && rm -rf /tmp/matplotlib
ENTRYPOINT ["getnet-bids"]

# docker build --target test -t getnet_bids:test . && docker run --rm getnet_bids:test
FROM app AS test
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_CERT
USER 0
WORKDIR /tests
COPY constraints.txt pyproject.toml ./
RUN python -m ensurepip && python -m pip install --no-cache-dir --constraint constraints.txt pytest bids-validator-deno
COPY tests tests
USER 1000:1000
ENTRYPOINT ["python", "-m", "pytest", "-p", "no:cacheprovider", "tests"]

FROM app
ARG BASE
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="getnet_bids" \
      org.opencontainers.image.description="GetNet intensity (bias field) correction of MR images: a BIDS App" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}"
