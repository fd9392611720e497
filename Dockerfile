# Limpet in a small image that runs as a user of its own. Give it a configuration that listens at "*:8080":
#   docker run -p 8080:8080 -v "$PWD/limpet:/etc/limpet" limpet
# The folder holds limpet.toml, and the keys that Limpet makes there at its first start: user 10001 has to write in it.
FROM debian:trixie-slim AS build
WORKDIR /limpet
COPY scripts/lib.sh scripts/
RUN bash -c '. scripts/lib.sh && need build_needs'
COPY . .
RUN bash -c '. scripts/lib.sh && build release limpet && strip build/limpet'

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends libllhttp9.2 libnghttp2-14 libspdlog1.15 libssl3t64 libuv1t64 libxxhash0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin limpet \
    && install -d -o limpet /etc/limpet
COPY --from=build /limpet/build/limpet /usr/local/bin/
USER limpet
EXPOSE 8080
STOPSIGNAL SIGTERM
# Healthy is what answers at LIMPET_HEALTH_PORT: a request without a Host is refused by Limpet itself (400) and troubles no backend.
ENV LIMPET_HEALTH_PORT=8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/$LIMPET_HEALTH_PORT && printf 'GET / HTTP/1.1\\r\\n\\r\\n' >&3 && read -r -t 2 answer <&3 && [[ $answer == 'HTTP/1.1 '* ]]"]
ENTRYPOINT ["limpet"]
CMD ["run", "/etc/limpet/limpet.toml"]
