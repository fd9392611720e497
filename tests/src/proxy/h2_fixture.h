// The stage's clients and backends where they speak HTTP/2.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/src/proxy/proxy_fixture.h"
#include "tests/support/h2_peer.h"

namespace limpet::test {

// A client.
struct Visit {
  explicit Visit(Proxy& proxy, std::vector<nghttp2_settings_entry> settings = {})
      : stream(proxy.client()), peer(stream, H2Peer::Role::client, std::move(settings)) {}

  int32_t ask(const Headers& head, bool more = false) {
    const int32_t stream_id = peer.ask(head, more);
    peer.exchange();
    return stream_id;
  }
  H2Peer::Message& operator[](int32_t id) {
    peer.exchange();
    return peer[id];
  }

  FakeStream& stream;
  H2Peer peer;
};

inline conf::Settings speaking_http2(size_t backends = 1, std::vector<Kind> affinity = {Kind::ip}) {
  conf::Settings settings = settings_of(backends, std::move(affinity));
  settings.pools[0].protocol = conf::Protocol::http2;
  return settings;
}

// Connected as the index-th.
struct Server {
  explicit Server(Proxy& proxy, size_t index = 0, std::vector<nghttp2_settings_entry> settings = {})
      : stream(proxy.backend(index)), peer(stream, H2Peer::Role::server, std::move(settings)) {
    peer.exchange();
  }
  void say(int32_t id, std::string_view content = "ok") {
    peer.exchange();
    peer.answer(id, {{":status", "200"}, {"content-length", std::to_string(content.size())}}, true);
    peer.content(id, content, true);
    peer.exchange();
  }
  H2Peer::Message& operator[](int32_t id) {
    peer.exchange();
    return peer[id];
  }

  FakeStream& stream;
  H2Peer peer;
};

}  // namespace limpet::test
