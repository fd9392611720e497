// A TLS stream against OpenSSL, over a stream whose every read the test decides.
#include "src/net/tls_stream.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <functional>

#include "tests/support/fake_net.h"
#include "tests/support/tls_peer.h"

namespace limpet::net::tls_stream_test {

using namespace limpet::test;
using Role = TlsPeer::Role;

// Of an alert, which OpenSSL 3.5 words anew.
std::string words_of(int reason) { return ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason)); }

// Hears the stream, remembers, and does what the test wants done within a callback.
struct Hearer final : StreamOwner {
  std::string bytes, events;  // c: connected, b: bytes, e: end, d: drained, x: broken
  int error = 0;
  std::function<void(char)> within;

  void on_connected() override { hear('c'); }
  void on_bytes(std::string_view more) override {
    bytes.append(more);
    hear('b');
  }
  void on_end() override { hear('e'); }
  void on_drained() override { hear('d'); }
  void on_broken(int why) override {
    error = why;
    hear('x');
  }
  size_t heard(char what) const {
    return static_cast<size_t>(std::count(events.begin(), events.end(), what));
  }

 private:
  void hear(char what) {
    events += what;
    if (within) within(what);
  }
};

const Issued& identity() {
  static const Issued issued = issue({});
  return issued;
}

struct Talk {
  explicit Talk(Role ours = Role::server, int version = TLS1_3_VERSION)
      : room(net.graveyard), peer(context_of(other(ours), version), other(ours)) {
    const SharedContext context = context_of(ours, version);
    SSL_CTX_set_num_tickets(context.get(), 1);
    SslPtr tls(SSL_new(context.get()));
    ours == Role::server ? SSL_set_accept_state(tls.get()) : SSL_set_connect_state(tls.get());
    made = new TlsStream(room, std::move(tls));
    stream.reset(made);
    if (ours == Role::server) {
      below = &net.accept();
      made->attach(StreamPtr(below));
      made->start(&hearer);
      made->accept({});
      peer.start();
    } else {
      int error = 0;
      made->attach(net.dial({}, 0, made->as_owner(), error));
      below = net.streams.back().get();
      made->start(&hearer);
      below->connect();
    }
  }
  ~Talk() {
    stream.reset();
    net.graveyard.clear();
    CHECK(net.fault == "");
  }

  static Role other(Role role) { return role == Role::server ? Role::client : Role::server; }
  static SharedContext context_of(Role role, int version) {
    SharedContext made = role == Role::server ? server_context(identity()) : client_context();
    speak_only(made.get(), version);
    return made;
  }

  // What the peer has to say comes in, in reads of so many bytes.
  void come(size_t piece = Loop::kReadSize) {
    below->say(peer.output());
    while (below->can_read()) below->read(piece);
  }
  // Carries bytes both ways until neither has any.
  void carry(size_t piece = Loop::kReadSize) {
    for (size_t before = 1; before != 0;) {
      come(piece);
      const std::string wire = take();
      before = wire.size();
      for (size_t at = 0; at < wire.size(); at += piece)
        peer.receive(std::string_view(wire).substr(at, piece));
    }
  }
  // What the stream has put on the wire.
  std::string take() { return std::exchange(below->received, {}); }
  bool write(std::string_view text) {
    const iovec part{const_cast<char*>(text.data()), text.size()};
    return stream->write({&part, 1});
  }
  bool write(const std::vector<std::string>& texts) {
    std::vector<iovec> parts;
    for (const std::string& text : texts) parts.push_back({const_cast<char*>(text.data()), text.size()});
    return stream->write(parts);
  }

  FakeNet net;
  TlsRoom room;
  Hearer hearer;
  TlsPeer peer;
  FakeStream* below = nullptr;
  TlsStream* made = nullptr;  // `stream`, until that is closed
  StreamPtr stream;
};

struct Open : Talk {
  explicit Open(Role ours = Role::server, int version = TLS1_3_VERSION) : Talk(ours, version) {
    carry();
    REQUIRE(hearer.events == "c");
    REQUIRE(peer.is_open());
    hearer.events.clear();
  }
};

std::string large() {
  std::string text(1'000'000, '\0');
  uint32_t state = 1;
  for (char& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return text;
}

TEST_CASE("a TLS stream carries bytes both ways, as server and as client, however they are cut") {
  for (const Role ours : {Role::server, Role::client}) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      for (const size_t piece : {size_t{1}, size_t{7}, size_t{1500}, Loop::kReadSize}) {
        CAPTURE(version);
        CAPTURE(piece);
        Talk talk(ours, version);
        talk.carry(piece);
        REQUIRE(talk.hearer.events == "c");
        talk.peer.send("question");
        talk.carry(piece);
        CHECK(talk.hearer.bytes == "question");
        CHECK(talk.write("answer"));
        talk.carry(piece);
        CHECK(talk.peer.plain == "answer");
        CHECK(talk.hearer.heard('x') == 0);
      }
    }
  }
}

TEST_CASE("a TLS stream carries what takes many records, both ways") {
  const std::string text = large();
  for (const size_t piece : {size_t{1500}, Loop::kReadSize}) {
    Open open;
    CHECK(open.write(text));
    open.peer.send(text);
    open.carry(piece);
    CHECK(open.peer.plain == text);
    CHECK(open.hearer.bytes == text);
  }
}

TEST_CASE("what one read brings is told in one piece") {
  Open open;
  const std::string text = large().substr(0, 60'000);
  for (size_t at = 0; at < text.size(); at += 1000) open.peer.send(text.substr(at, 1000));
  open.below->say(open.peer.output());
  open.below->read();
  CHECK(open.hearer.events == "b");
  CHECK(open.hearer.bytes.size() > 55'000);
  open.carry();
  CHECK(open.hearer.bytes == text);
}

TEST_CASE("bytes that come with the end of the handshake are told after it") {
  Talk talk;
  talk.come();
  talk.peer.receive(talk.take());
  REQUIRE(talk.peer.is_open());
  talk.peer.send("early bird");
  talk.come();
  CHECK(talk.hearer.events == "cb");
  CHECK(talk.hearer.bytes == "early bird");
}

TEST_CASE("whoever takes a TLS stream over when it is connected hears what comes with that") {
  Talk talk;
  Hearer next;
  talk.hearer.within = [&](char) { talk.stream->start(&next); };
  talk.come();
  talk.peer.receive(talk.take());
  talk.peer.send("for the next");
  talk.come();
  CHECK(talk.hearer.events == "c");
  CHECK(next.bytes == "for the next");
}

TEST_CASE("many small parts become one record, and large ones as few as hold them") {
  Open open;
  CHECK(open.write("with the ticket"));
  open.carry();
  open.peer.plain.clear();
  CHECK(open.write(std::vector<std::string>(100, "0123456789")));
  CHECK(record_types(open.below->received) == std::string(1, kDataRecord));
  open.carry();
  CHECK(open.peer.plain.size() == 1000);
  CHECK(open.write({"head", std::string(2 * SSL3_RT_MAX_PLAIN_LENGTH, 'x'), "", "tail"}));
  CHECK(record_types(open.below->received) == std::string(3, kDataRecord));
  open.carry();
  CHECK(open.peer.plain.ends_with("xtail"));
  CHECK(open.peer.plain.size() == 1000 + 2 * SSL3_RT_MAX_PLAIN_LENGTH + 8);
}

TEST_CASE("a ticket goes out in front of the first bytes that are written, and not before") {
  Talk talk;
  talk.carry();
  REQUIRE(talk.peer.is_open());
  const auto session = [&] { return SSL_get0_session(talk.peer.tls()); };
  CHECK(SSL_SESSION_has_ticket(session()) == 0);
  talk.peer.send("question");
  talk.carry();
  CHECK(SSL_SESSION_has_ticket(session()) == 0);
  CHECK(talk.write("answer"));
  CHECK(record_types(talk.below->received) == std::string(2, kDataRecord));
  talk.carry();
  CHECK(talk.peer.plain == "answer");
  CHECK(SSL_SESSION_has_ticket(session()) == 1);
  CHECK(talk.write("more"));
  CHECK(record_types(talk.below->received) == std::string(1, kDataRecord));
}

TEST_CASE("a peer's close_notify is told once, and writing goes on") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Open open(Role::server, version);
    open.peer.send("last words");
    open.peer.end();
    open.below->end();
    open.come();
    CHECK(open.hearer.events == "be");
    CHECK(open.hearer.bytes == "last words");
    CHECK(open.write("answer"));
    open.peer.receive(open.take());
    CHECK(open.peer.plain == "answer");
    CHECK(open.hearer.events == "be");
  }
}

TEST_CASE("what comes behind a close_notify is not read") {
  Open open;
  open.peer.end();
  open.come();
  open.below->sends("anything");
  CHECK(open.hearer.events == "e");
}

TEST_CASE("finish says that nothing more follows, once, and reading goes on") {
  Open open;
  CHECK(open.write("last words"));
  open.stream->finish();
  open.stream->finish();
  CHECK(open.below->finished());
  open.peer.receive(open.take());
  CHECK(open.peer.plain == "last words");
  CHECK(open.peer.was_ended());
  CHECK_FALSE(open.write("more"));
  open.peer.send("still there");
  open.come();
  CHECK(open.hearer.bytes == "still there");
}

TEST_CASE("after a finish nothing is sent, neither an answer to what the peer asks of TLS nor an alert") {
  Open open;
  open.stream->finish();
  for (int round = 0; round < 3; ++round) {
    REQUIRE(SSL_key_update(open.peer.tls(), SSL_KEY_UPDATE_REQUESTED) == 1);
    open.peer.send("asked");
    open.come();
  }
  CHECK(open.hearer.bytes == "askedaskedasked");
  open.below->sends(std::string("\x17\x03\x03\x00\x01x", 6));
  CHECK(open.hearer.events == "bbbx");
  CHECK(open.net.fault == "");
}

TEST_CASE("an end without a close_notify is told as a broken connection, after what came before it") {
  Open open;
  open.peer.send("cut he");
  open.below->say(open.peer.output());
  open.below->sends_end();
  CHECK(open.hearer.events == "bx");
  CHECK(open.hearer.bytes == "cut he");
  CHECK(open.hearer.error == net::kTlsTruncated);
}

TEST_CASE("an end within a record, or within the handshake, is told as a broken connection") {
  Open open;
  open.peer.send("cut");
  const std::string wire = open.peer.output();
  open.below->say(wire.substr(0, wire.size() - 1));
  open.below->sends_end();
  CHECK(open.hearer.events == "x");

  Talk talk;
  talk.below->say(talk.peer.output().substr(0, 40));
  talk.below->sends_end();
  CHECK(talk.hearer.events == "x");
  CHECK(talk.hearer.error == net::kTlsFailed);
}

TEST_CASE("a reset is told as what it is") {
  Open open;
  open.below->sends_abort();
  CHECK(open.hearer.events == "x");
  CHECK(open.hearer.error == -ECONNRESET);
  CHECK_FALSE(open.write("anything"));
}

TEST_CASE("what is no TLS breaks the handshake, by an alert, and OpenSSL's reason is kept") {
  Talk talk;
  talk.below->sends("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(talk.hearer.events == "x");
  CHECK(talk.hearer.error == kTlsFailed);
  CHECK(talk.made->failure() == "http request");
  CHECK(talk.below->finished());
  CHECK_FALSE(talk.write("anything"));

  Talk other;
  other.below->sends(std::string("\x16\x03\x01\x00\x05hello", 10));
  CHECK(other.hearer.events == "x");
  CHECK(record_types(other.below->received) == std::string(1, kAlertRecord));
  other.below->sends("more");
  other.below->sends_end();
  CHECK(other.hearer.events == "x");
}

TEST_CASE("a record that was tampered with breaks the stream by an alert, after what came before it") {
  Open open;
  open.take();
  open.peer.send("true");
  std::string wire = open.peer.output();
  open.peer.send("false");
  wire += open.peer.output();
  wire.back() = static_cast<char>(wire.back() ^ 1);
  open.below->sends(wire);
  CHECK(open.hearer.events == "bx");
  CHECK(open.hearer.bytes == "true");
  CHECK(open.hearer.error == kTlsFailed);
  CHECK(open.made->failure() == "decryption failed or bad record mac");
  CHECK(open.below->finished());
  open.peer.receive(open.take());
  CHECK(open.peer.failure == words_of(SSL_R_SSLV3_ALERT_BAD_RECORD_MAC));
}

TEST_CASE("a client hears what a server refuses it for") {
  Talk talk(Role::client);
  talk.below->sends(std::string("\x15\x03\x03\x00\x02\x02\x28", 7));
  CHECK(talk.hearer.events == "x");
  CHECK(talk.made->failure() == words_of(SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE));
}

TEST_CASE("nothing may be written before the handshake is over") {
  Talk talk;
  CHECK_FALSE(talk.write("early"));
  talk.carry();
  CHECK(talk.peer.plain == "");
  CHECK(talk.write("now"));
}

TEST_CASE("a TLS stream without OpenSSL's part breaks when it is begun") {
  FakeNet net;
  TlsRoom room(net.graveyard);
  Hearer hearer;
  auto* const stream = new TlsStream(room, nullptr);
  const StreamPtr owned(stream);
  stream->attach(StreamPtr(&net.accept()));
  stream->start(&hearer);
  stream->accept({});
  CHECK(hearer.events == "x");
  CHECK(hearer.error == kTlsFailed);
}

TEST_CASE("a TLS stream may be closed or reset within whatever it tells") {
  for (const bool resets : {false, true}) {
    for (const char when : {'c', 'b', 'e', 'x'}) {
      CAPTURE(resets);
      CAPTURE(when);
      Talk talk;
      talk.hearer.within = [&](char what) {
        if (what != when) return;
        Stream* const stream = talk.stream.release();
        resets ? stream->reset() : stream->close();
      };
      talk.carry();
      if (talk.below->open()) {
        talk.peer.send("last words");
        when == 'x' ? talk.below->abort() : talk.peer.end();
        talk.come();
      }
      CHECK_FALSE(talk.below->open());
      CHECK(talk.hearer.events.back() == when);
      CHECK((talk.below->end_seen == FakeStream::End::reset) == resets);
    }
  }
}

TEST_CASE(
    "what came is told after an owner that finishes within its callback, and not after one that closes") {
  Talk talk;
  talk.hearer.within = [&](char what) {
    if (what == 'c') talk.stream->finish();
  };
  talk.come();
  talk.peer.receive(talk.take());
  talk.peer.send("too late");
  talk.come();
  CHECK(talk.hearer.bytes == "too late");
}

TEST_CASE("a paused TLS stream reads nothing until it is resumed") {
  Open open;
  open.stream->pause();
  open.peer.send("hello");
  open.come();
  CHECK(open.hearer.events == "");
  open.stream->resume();
  open.come();
  CHECK(open.hearer.bytes == "hello");
}

TEST_CASE("what the peer does not take is queued, and told when it is gone") {
  Open open;
  open.below->room = 100;
  CHECK(open.write(std::string(10'000, 'x')));
  CHECK(open.stream->queued() > 9'000);
  open.below->drain();
  CHECK(open.stream->queued() == 0);
  CHECK(open.hearer.events == "d");
  open.carry();
  CHECK(open.peer.plain.size() == 10'000);
}

TEST_CASE("what the handshake queued is no owner's to be told of") {
  Talk talk;
  talk.below->room = 10;
  talk.come();
  talk.below->drain();
  CHECK(talk.hearer.events == "");
}

TEST_CASE("a TLS stream knows whether anything was sent since the mark") {
  Open open;
  open.stream->mark();
  CHECK_FALSE(open.stream->has_sent_since_mark());
  CHECK(open.write("something"));
  CHECK(open.stream->has_sent_since_mark());
  open.stream->mark();
  open.below->abort();
  CHECK_FALSE(open.write("nothing"));
  CHECK_FALSE(open.stream->has_sent_since_mark());
}

TEST_CASE("a peer may change its keys, and ask for others") {
  for (const int wish : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
    Open open;
    for (int round = 0; round < 3; ++round) {
      REQUIRE(SSL_key_update(open.peer.tls(), wish) == 1);
      open.peer.send("under new keys");
      open.carry();
      CHECK(open.write("and back"));
      open.carry();
    }
    CHECK(open.hearer.bytes.size() == 3 * std::string("under new keys").size());
    CHECK(open.peer.plain.size() == 3 * std::string("and back").size());
    CHECK(open.hearer.heard('x') == 0);
  }
}

TEST_CASE("a peer that asks for answers on and on, and reads none, is cut") {
  Open open;
  open.below->room = 0;
  CHECK(open.write(std::string(100'000, 'x')));
  size_t rounds = 0;
  while (open.hearer.events.empty() && ++rounds < 10'000) {
    REQUIRE(SSL_key_update(open.peer.tls(), SSL_KEY_UPDATE_REQUESTED) == 1);
    REQUIRE(SSL_do_handshake(open.peer.tls()) == 1);
    open.come();
  }
  CHECK(open.hearer.events == "x");
  CHECK(rounds > 100);
  CHECK(open.made->failure() == "the peer asks for answers and does not read them");
}

}  // namespace limpet::net::tls_stream_test
