# crosscheck, built: docker build -t crosscheck . && docker run --rm --shm-size=1g crosscheck smoke --engine lattice
FROM debian:12
RUN apt-get update -q && apt-get install -y -q --no-install-recommends ca-certificates curl git && rm -rf /var/lib/apt/lists/*
RUN curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain stable
ENV PATH=/root/.cargo/bin:$PATH
WORKDIR /crosscheck
# The packages change seldom: a layer of their own.
COPY ci/setup ci/setup
RUN ci/setup && rm -rf /var/lib/apt/lists/*
COPY . .
RUN ci/build release
ENTRYPOINT ["build/release/crosscheck"]
CMD ["smoke"]
