# syntax=docker/dockerfile:1
# docker build --target runtime -t driftseal .            the engine and the command line, for a CPU
# docker build --target runtime-cuda -t driftseal:cuda .  the same with the CUDA module; docker run --gpus all
#
# scripts/check-dockerfile runs these steps in a bare root where there is no builder.

FROM debian:12 AS build
WORKDIR /src
COPY scripts/setup scripts/setup
RUN scripts/setup packages && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DDRIFTSEAL_TORCH=OFF -DDRIFTSEAL_CUDA=OFF \
      -DDRIFTSEAL_TESTS=OFF \
 && cmake --build /build --target driftseal \
 && cmake --install /build --prefix /opt/driftseal --component programs --strip

# nvcc from PyPI: no vendor repository, and the module has the CUDA runtime inside.
FROM build AS build-cuda
RUN python3 -m venv /cuda \
 && /cuda/bin/pip install --no-cache-dir "nvidia-cuda-nvcc==13.0.*" "nvidia-cuda-crt==13.0.*" "nvidia-nvvm==13.0.*" \
      "nvidia-cuda-runtime==13.0.*" "nvidia-cuda-cccl==13.0.*" \
 && ln -s "$(echo /cuda/lib/python3*/site-packages/nvidia/cu13)" /cuda/toolkit
RUN CUDA_HOME=/cuda/toolkit PATH=/cuda/toolkit/bin:$PATH cmake -S . -B /build-cuda -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DDRIFTSEAL_TORCH=OFF -DDRIFTSEAL_CUDA=ON -DDRIFTSEAL_TESTS=OFF \
 && cmake --build /build-cuda --target driftseal_cuda \
 && cmake --install /build-cuda --prefix /opt/driftseal --component cuda --strip

FROM debian:12-slim AS runtime
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates curl libgrpc++1.51 \
      libprotobuf32 libabsl20220623 libhwy1 libprometheus-cpp-core1.0 libsimdjson14 libspdlog1.10 libsqlite3-0 libssl3 \
      libsvm3 zlib1g >/dev/null \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 65532 driftseal \
 && useradd --uid 65532 --gid 65532 --home-dir /var/lib/driftseal --shell /usr/sbin/nologin driftseal \
 && install -d -o 65532 -g 65532 -m 750 /var/lib/driftseal /srv/models
COPY --from=build /opt/driftseal /usr/local
# Fails here rather than at the first start where a library is missing.
RUN driftseal --version
USER 65532:65532
WORKDIR /var/lib/driftseal
ENV DRIFTSEAL_ARTIFACT_ROOT=/srv/models DRIFTSEAL_STATE_DIR=/var/lib/driftseal \
    DRIFTSEAL_MODEL_DIR=/srv/models/driftseal_detector DRIFTSEAL_LOG_FORMAT=json
EXPOSE 50051 8000
# Alive, with or without TLS; orchestrators have probes of their own (deploy/kubernetes.yaml).
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD curl -fs http://127.0.0.1:8000/healthz || curl -fsk https://127.0.0.1:8000/healthz
# Listens inside the container alone until tokens are there: -e DRIFTSEAL_TOKENS_FILE=... and serve --grpc-listen
# 0.0.0.0:50051 --http-listen 0.0.0.0:8000
ENTRYPOINT ["driftseal"]
CMD ["serve"]

FROM runtime AS runtime-cuda
COPY --from=build-cuda /opt/driftseal /usr/local
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
