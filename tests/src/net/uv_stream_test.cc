// Streams on real sockets: what a slow, silent or vanished peer does to them.
#include "src/net/uv_stream.h"

#include <sys/un.h>

#include <filesystem>

#include "tests/src/net/loopback.h"
#include "tests/support/descriptors.h"

namespace limpet::net::uv_stream_test {

using namespace limpet::test;

// More than the kernel's buffers take, and no byte like the one a few before it.
std::string large() {
  std::string text(16 * 1024 * 1024, '\0');
  uint32_t state = 1;
  for (char& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return text;
}

TEST_CASE("bytes go both ways") {
  Pair pair;
  pair.socket.send("hello");
  CHECK(pair.until([&] { return pair.owner.bytes == "hello"; }));
  CHECK(pair.write("world"));
  CHECK(pair.stream->queued() == 0);
  CHECK(pair.receive(5) == "world");
  CHECK(pair.owner.drained == 0);
}

TEST_CASE("what a peer does not read is queued, in order, and told when it is gone") {
  Pair pair;
  const std::string text = large();
  CHECK(pair.write(text));
  CHECK(pair.stream->queued() > 0);
  CHECK(pair.stream->queued() < text.size());
  const size_t before = pair.stream->queued();
  CHECK(pair.write("and more"));
  CHECK(pair.stream->queued() == before + 8);
  pair.for_a_while();
  CHECK(pair.owner.drained == 0);
  CHECK(pair.receive(text.size() + 8) == text + "and more");
  CHECK(pair.until([&] { return pair.owner.drained != 0; }));
  CHECK(pair.stream->queued() == 0);
  CHECK(pair.owner.drained == 1);
}

TEST_CASE("more parts than one system call takes arrive whole") {
  Pair pair;
  std::vector<std::string> texts;
  std::vector<iovec> parts;
  std::string expected;
  for (int i = 0; i < 3000; ++i)
    texts.push_back(std::string(static_cast<size_t>(i % 7), static_cast<char>('a' + i % 26)));
  for (std::string& text : texts) {
    parts.push_back({text.data(), text.size()});
    expected += text;
  }
  CHECK(pair.stream->write(parts));
  CHECK(pair.receive(expected.size()) == expected);
}

TEST_CASE("a paused stream reads nothing until it is resumed") {
  Pair pair;
  pair.stream->pause();
  pair.socket.send("hello");
  pair.socket.end();
  pair.for_a_while();
  CHECK(pair.owner.events() == 0);
  pair.stream->resume();
  CHECK(pair.until([&] { return pair.owner.ends == 1; }));
  CHECK(pair.owner.bytes == "hello");
}

TEST_CASE("a peer's end is told once, and writing goes on") {
  Pair pair;
  pair.socket.end();
  CHECK(pair.until([&] { return pair.owner.ends == 1; }));
  pair.stream->pause();
  pair.stream->resume();
  pair.for_a_while();
  CHECK(pair.owner.ends == 1);
  CHECK(pair.write("still here"));
  CHECK(pair.receive(10) == "still here");
}

TEST_CASE("an end comes after what is queued, and reading goes on") {
  Pair pair;
  const std::string text = large();
  CHECK(pair.write(text));
  pair.stream->finish();
  CHECK(pair.receive() == text);
  CHECK(pair.ended);
  CHECK(pair.error == 0);
  pair.socket.send("hello");
  CHECK(pair.until([&] { return pair.owner.bytes == "hello"; }));
}

TEST_CASE("closing drops what is queued and ends all events") {
  Pair pair;
  const std::string text = large();
  CHECK(pair.write(text));
  pair.socket.send("unread");
  pair.stream->close();
  pair.stream->close();
  pair.forget();
  CHECK_FALSE(pair.write("late"));
  CHECK(pair.receive().size() < text.size());
  CHECK(pair.ended);
  CHECK(pair.owner.events() == 0);
}

TEST_CASE("a reset is seen as one") {
  Pair pair;
  CHECK(pair.write("some"));
  pair.stream->reset();
  pair.forget();
  pair.receive();
  CHECK(pair.ended);
  CHECK(pair.error == ECONNRESET);
  CHECK(pair.owner.events() == 0);
}

TEST_CASE("a write to a peer that has gone is refused sooner or later, and what it sent was read") {
  Pair pair;
  pair.socket.send("bye");
  CHECK(pair.until([&] { return pair.owner.bytes == "bye"; }));
  pair.socket.close();
  CHECK(pair.until([&] { return !pair.write("hello"); }));
  CHECK_FALSE(pair.write("hello"));
  CHECK(pair.stream->queued() == 0);
}

TEST_CASE("a peer that goes while something is queued is told, and the queue is given up") {
  Pair pair;
  CHECK(pair.write(large()));
  pair.socket.close();  // with bytes unread: a reset
  CHECK(pair.until([&] { return pair.owner.broken + pair.owner.ends != 0 && pair.stream->queued() == 0; }));
  CHECK_FALSE(pair.write("hello"));
}

TEST_CASE("a connection in the making takes bytes, and connects") {
  Loopback here;
  Owner owner;
  net::UvStream* const stream = here.dial(here.port, owner);
  char text[] = "early";
  const iovec part{text, 5};
  CHECK(stream->write({&part, 1}));
  CHECK_FALSE(stream->has_sent_since_mark());
  Owner accepted;
  CHECK(here.until([&] { return owner.connected == 1 && !here.accepted.empty(); }));
  here.accepted[0]->start(&accepted);
  CHECK(here.until([&] { return accepted.bytes == "early" && owner.drained == 1; }));
  stream->close();
}

TEST_CASE("a connection that is refused is told, once") {
  Loopback here;
  const int fd = connect_to("127.0.0.1", here.port);
  const uint16_t nobody = port_of(fd);  // a port in use, at which nobody listens
  Owner owner;
  net::UvStream* const stream = here.dial(nobody, owner);
  CHECK(here.until([&] { return owner.broken != 0; }));
  here.for_a_while();
  CHECK(owner.error == -ECONNREFUSED);
  CHECK(owner.events() == 1);
  stream->close();
  ::close(fd);
}

TEST_CASE("a connection that is given up before it is made tells nothing") {
  Loopback here;
  Owner owner;
  here.dial(here.port, owner)->close();
  here.dial(here.port, owner)->reset();
  int why = 0;
  net::UvStream::connect_unix(here.loop, "/nowhere/at/all.sock", net::kAnyDescriptor, &owner, why)->close();
  here.for_a_while();
  CHECK(owner.events() == 0);
}

TEST_CASE("a connection that would take one of the last descriptors is not made, and gives it back") {
  Loopback here;
  Owner owner;
  sockaddr_storage address;
  REQUIRE(to_sockaddr("127.0.0.1", here.port, address));
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  here.dial(here.port, owner)->close();  // libuv opens a descriptor of its own for the first one
  here.for_a_while();
  const size_t before = here.accepted.size();
  const int next = next_descriptor();
  int why = 0;
  CHECK(net::UvStream::connect(here.loop, to, next, &owner, why) == nullptr);
  CHECK(why == -EMFILE);
  why = 0;
  CHECK(net::UvStream::connect_unix(here.loop, "/nowhere/at/all.sock", next, &owner, why) == nullptr);
  CHECK(why == -EMFILE);
  here.for_a_while();
  CHECK(here.accepted.size() == before);
  CHECK(owner.events() == 0);
  CHECK(next_descriptor() == next);
  net::UvStream* const made = net::UvStream::connect(here.loop, to, next + 1, &owner, why);
  REQUIRE(made != nullptr);
  CHECK(here.until([&] { return owner.connected == 1; }));
  made->close();
}

TEST_CASE("without a descriptor there is no connection, and the reason is told") {
  Loopback here;
  Owner owner;
  sockaddr_storage address;
  REQUIRE(to_sockaddr("127.0.0.1", here.port, address));
  int why = 0;
  NoDescriptors none;
  CHECK(net::UvStream::connect(here.loop, reinterpret_cast<const sockaddr*>(&address), net::kAnyDescriptor,
                               &owner, why) == nullptr);
  CHECK(why == -EMFILE);
  net::UvStream* const made =
      net::UvStream::connect_unix(here.loop, "/nowhere/at/all.sock", net::kAnyDescriptor, &owner, why);
  REQUIRE(made != nullptr);
  CHECK(here.until([&] { return owner.broken == 1; }));
  CHECK(owner.error == -EMFILE);
  made->close();
}

TEST_CASE("a unix-domain socket is a stream like others") {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("limpet-uv-stream-" + std::to_string(getpid()) + ".sock");
  std::filesystem::remove(path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  Socket server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(bind(server.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(server.fd(), 1) == 0);

  Loopback here;
  Owner owner;
  int why = 0;
  net::UvStream* const stream =
      net::UvStream::connect_unix(here.loop, path.string(), net::kAnyDescriptor, &owner, why);
  CHECK(here.until([&] { return owner.connected == 1; }));
  Socket peer(server.accept());
  peer.send("hello");
  CHECK(here.until([&] { return owner.bytes == "hello"; }));
  stream->reset();

  std::filesystem::remove(path);
  Owner lost;
  net::UvStream* const nobody =
      net::UvStream::connect_unix(here.loop, path.string(), net::kAnyDescriptor, &lost, why);
  CHECK(here.until([&] { return lost.broken == 1; }));
  CHECK(lost.error == -ENOENT);
  nobody->close();
}

}  // namespace limpet::net::uv_stream_test
