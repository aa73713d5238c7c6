# gpusim with a compiler, so that the cpu backend runs at full speed; for GPUs build with
#     docker build --build-arg BASE=nvidia/cuda:13.0.1-runtime-ubuntu24.04 --build-arg EXTRAS=viz,formats,study,mpi,cuda13 -t gpusim:cuda .
# and run with `docker run --gpus all`.
ARG BASE=python:3.13-slim-bookworm
FROM ${BASE}
ARG EXTRAS=viz,formats,study,mpi
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends \
        g++ python3-venv libegl1 libgl1 libxrender1 libgomp1 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN python3 -m venv /opt/gpusim && /opt/gpusim/bin/pip install -q --no-cache-dir -c constraints.txt ".[${EXTRAS}]"
ENV PATH=/opt/gpusim/bin:$PATH XDG_CACHE_HOME=/tmp/cache
# Compiles the kernels, and fails if the build cannot run or draw.
RUN mkdir -m 1777 -p /tmp/cache && gpusim run plaque --until "6 min" --backend cpu --no-picture -o /tmp/built \
        && case "$EXTRAS" in *viz*) gpusim render /tmp/built -o /tmp/built/picture.png;; esac \
        && rm -r /tmp/built && chmod -R a+rwX /tmp/cache
RUN useradd --create-home gpusim
USER gpusim
WORKDIR /work
ENTRYPOINT ["gpusim"]
CMD ["--help"]
