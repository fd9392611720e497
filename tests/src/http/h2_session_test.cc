#include "src/http/h2_session.h"

#include <doctest/doctest.h>

#include <deque>

#include "tests/support/h2_peer.h"

namespace limpet::http::h2_session_test {

using namespace limpet::test;

// One end of a connection whose streams take nothing of what comes.
struct End : H2Session::Owner, net::StreamOwner {
  struct Untaken : H2Session::Stream {
    void on_head(bool) override {}
    void on_content(std::string_view piece) override { told += piece.size(); }
    void on_content_end() override {}
    void on_closed(H2Error, bool) override { is_closed = true; }

    size_t told = 0;
    bool is_closed = false;
  };

  explicit End(H2Session::Role role)
      : session(role, *this, {.head = {.head = 1000, .target = 100, .fields = 10}}, 0) {
    carrier.start(this);
  }

  H2Session::Stream* on_new_stream() override { return &streams.emplace_back(); }
  void on_ping_answered() override {}
  void on_bytes(std::string_view bytes) override {
    session.feed(bytes, 0);
    send();
  }
  void on_end() override {}
  void on_drained() override {}
  void on_broken(int) override {}
  void send() {
    bool is_broken = false;
    session.send(carrier, scratch, is_broken);
    carrier.post();
  }

  FakeNet net;
  FakeStream& carrier = net.accept();
  net::Gather scratch;
  std::deque<Untaken> streams;
  H2Session session;
};

constexpr int kMore = 20;  // streams than the connection's window has room for, at this size
constexpr size_t kSize = 60 * 1024;

TEST_CASE("answers that nobody took, and that are over, take nothing from those that follow") {
  End client(H2Session::Role::client);
  H2Peer server(client.carrier, H2Peer::Role::server);
  for (int i = 0; i < kMore; ++i) {
    End::Untaken& stream = client.streams.emplace_back();
    client.session.send_request(stream, "http", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true);
    client.send();
    server.exchange();
    server.answer(stream.id(), {{":status", "200"}}, true);
    const bool is_reset = i % 2 != 0;
    server.content(stream.id(), std::string(kSize, 'x'), !is_reset);
    server.exchange();
    if (is_reset) server.reset(stream.id());
    server.exchange();
    CHECK(stream.told == kSize);
    CHECK(stream.is_closed);
    client.session.consume(stream, stream.told);  // too late, and counts for nothing
  }
}

TEST_CASE("content that nobody took of a request that was cancelled takes nothing from others") {
  End server(H2Session::Role::server);
  H2Peer client(server.carrier);
  for (size_t i = 0; i < kMore; ++i) {
    const int32_t id =
        client.ask({{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}}, true);
    client.content(id, std::string(kSize, 'x'));
    client.exchange();
    CHECK(server.streams[i].told == kSize);
    client.reset(id);
    client.exchange();
    CHECK(server.streams[i].is_closed);
  }
}

}  // namespace limpet::http::h2_session_test
