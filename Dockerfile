# kcm as an image, without a shell and without a package manager:
#   docker build --build-arg DIGEST=sha256:… --build-arg REVISION=$(git rev-parse HEAD) -t kcm:0.1.0 .
# DIGEST pins the image that it is built with: docker buildx imagetools inspect python:3.13-slim-bookworm
ARG IMAGE=python:3.13-slim-bookworm
ARG DIGEST

FROM ${IMAGE}${DIGEST:+@${DIGEST}} AS build
WORKDIR /src
# Every wheel is checked against its hash in the lock; dependencies change less often than code.
COPY requirements.lock .
RUN pip download --quiet --require-hashes --only-binary=:all: --dest /wheels -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY kcm kcm
COPY controllers controllers
# Nothing is fetched from here on: kcm and what it needs at run time come from the checked wheels.
RUN pip install --quiet --no-index --upgrade --find-links=/wheels setuptools \
 && pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m venv --without-pip /opt/kcm \
 && pip --python /opt/kcm/bin/python install --quiet --no-index --no-compile --find-links=/wheels kcm
COPY deploy/image/assemble.py .
# Compiled, since the root cannot be written; but for the large client that only kubeconfigs of some kinds need.
RUN python assemble.py /opt/kcm /rootfs \
 && python -m compileall -q --invalidation-mode unchecked-hash -x /kubernetes/ -s /rootfs /rootfs

FROM scratch
ARG VERSION=0.1.0
ARG REVISION
LABEL org.opencontainers.image.title="kcm" \
      org.opencontainers.image.description="A Kubernetes controller manager in Python" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /rootfs /
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/tmp
USER 65532:65532
EXPOSE 8085
# Process 1 passes signals on and reaps (kcm/cli/init.py): no other init is needed.
ENTRYPOINT ["/opt/kcm/bin/kcm", "run"]
