// What waits for the end of a turn of the loop, what does not, and what becomes of it when its stream ends
// first.
#include "src/net/outbox.h"

#include "tests/src/net/loopback.h"

namespace limpet::net::outbox_test {

using namespace limpet::test;
using net::Outbox;

// What has arrived at the socket by now, without the loop.
std::string arrived(Socket& socket) {
  bool ended = false;
  int error = 0;
  return socket.take(ended, error);
}

TEST_CASE("small writes of one turn of the loop leave together at its end") {
  Pair pair;
  pair.stream->mark();
  CHECK(pair.write("some"));
  CHECK(pair.write(" and more"));
  CHECK(arrived(pair.socket) == "");
  CHECK_FALSE(pair.stream->has_sent_since_mark());
  uv_run(pair.loop.uv(), UV_RUN_NOWAIT);
  CHECK(pair.stream->has_sent_since_mark());
  CHECK(arrived(pair.socket) == "some and more");
  pair.stream->mark();
  CHECK_FALSE(pair.stream->has_sent_since_mark());
}

TEST_CASE("what is too large to wait is sent at once, after what waited") {
  Pair pair;
  const std::string large(Outbox::kMostBytes, 'x');
  CHECK(pair.write("head"));
  CHECK(pair.write(large));
  CHECK(pair.stream->has_sent_since_mark());
  CHECK(arrived(pair.socket) == "head" + large);
}

TEST_CASE("what just fits waits") {
  Pair pair;
  CHECK(pair.write(std::string(Outbox::kMostBytes, 'x')));
  CHECK(arrived(pair.socket) == "");
  CHECK(pair.receive(Outbox::kMostBytes).size() == Outbox::kMostBytes);
}

TEST_CASE("behind what a slow peer has not taken nothing waits a second time") {
  Pair pair;
  CHECK(pair.write(std::string(16 * 1024 * 1024, 'x')));
  const size_t queued = pair.stream->queued();
  CHECK(queued > 0);
  CHECK(pair.write("more"));
  CHECK(pair.stream->queued() == queued + 4);
  CHECK(pair.stream->has_sent_since_mark());
}

TEST_CASE("a stream that finishes sends what waits, and one that is closed does not") {
  Pair finished, closed;
  CHECK(finished.write("last words"));
  finished.stream->finish();
  CHECK(finished.receive() == "last words");
  CHECK(closed.write("last words"));
  closed.stream->close();
  closed.forget();
  CHECK(closed.receive() == "");
  CHECK(closed.ended);
}

TEST_CASE("one stream more than there are places for has all others sent at once") {
  Loopback loopback;
  std::vector<std::unique_ptr<Socket>> sockets;
  std::vector<Owner> owners(Outbox::kMostStreams + 1);
  for (size_t i = 0; i < owners.size(); ++i) {
    sockets.push_back(std::make_unique<Socket>(connect_to("127.0.0.1", loopback.port)));
    REQUIRE(loopback.until([&] { return loopback.accepted.size() == i + 1; }));
    loopback.accepted[i]->start(&owners[i]);
  }
  const iovec part{const_cast<char*>("x"), 1};
  for (size_t i = 0; i < Outbox::kMostStreams; ++i) CHECK(loopback.accepted[i]->write({&part, 1}));
  for (size_t i = 0; i < Outbox::kMostStreams; ++i) CHECK(arrived(*sockets[i]) == "");
  CHECK(loopback.accepted.back()->write({&part, 1}));
  for (size_t i = 0; i < Outbox::kMostStreams; ++i) CHECK(arrived(*sockets[i]) == "x");
  CHECK(arrived(*sockets.back()) == "");
  uv_run(loopback.loop.uv(), UV_RUN_NOWAIT);
  CHECK(arrived(*sockets.back()) == "x");
}

}  // namespace limpet::net::outbox_test
