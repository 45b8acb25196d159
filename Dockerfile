# kcm as an image: docker build -t kcm:0.1.0 .
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
# Every wheel is checked against its hash in the lock; dependencies change less often than code.
COPY requirements.lock .
RUN pip download --quiet --require-hashes --only-binary=:all: --dest /wheels -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY kcm kcm
COPY controllers controllers
# Nothing is fetched from here on: kcm and what it needs at run time come from the checked wheels.
RUN pip install --quiet --no-index --find-links=/wheels setuptools \
 && pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m venv --without-pip /opt/kcm \
 && pip --python /opt/kcm/bin/python install --quiet --no-index --find-links=/wheels kcm

FROM ${BASE}
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/kcm /opt/kcm
USER 65532:65532
EXPOSE 8085
ENTRYPOINT ["/opt/kcm/bin/kcm", "run"]
