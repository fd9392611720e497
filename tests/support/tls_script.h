// Plays TLS streams, as servers and as clients, against OpenSSL alone, whose bytes come in pieces, changed,
// or in the midst of others, while whoever owns the streams writes, finishes, pauses and closes: every move
// is spelled by a string of bytes. Whatever came, nobody is told what the other has not said.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/net/tls_connector.h"
#include "src/net/tls_server.h"
#include "src/net/tls_stream.h"
#include "tests/support/choices.h"
#include "tests/support/fake_net.h"
#include "tests/support/tls_identity.h"
#include "tests/support/tls_peer.h"

namespace limpet::test {

// One stream, its owner, and its peer.
class TlsTalk final : net::StreamOwner {
 public:
  using Role = TlsPeer::Role;

  TlsTalk(FakeNet& net, net::TlsRoom& room, Choices& choices, Role ours, net::SslPtr own, net::SslPtr other)
      : peer(std::move(other), ours == Role::server ? Role::client : Role::server),
        net_(net),
        choices_(choices),
        ours_(ours),
        made_(new net::TlsStream(room, std::move(own))),
        stream_(made_) {
    const bool serves = ours == Role::server;
    int error = 0;
    made_->attach(serves ? net::StreamPtr(&net.accept()) : net.dial({}, 0, made_->as_owner(), error));
    below = net.streams.back().get();
    made_->start(this);
  }
  ~TlsTalk() { stream_.reset(); }

  TlsPeer peer;
  FakeStream* below = nullptr;
  std::string to_us;     // on the wire, and not yet come
  std::string to_peer;   // the same the other way
  std::string early;     // that the peer has said before its handshake was over
  bool spoilt = false;   // what came was not all of what the peer has said, or more
  bool refuses = false;  // the peer must not be believed
  std::string wrong;     // the first thing that is wrong

  bool serves() const { return ours_ == Role::server; }
  bool is_connected() const { return connected_; }
  bool is_broken() const { return broken_; }
  bool is_closed() const { return stream_ == nullptr; }
  bool has_heard_end() const { return ended_; }

  // The peer begins, and so does the stream.
  void begin() {
    if (serves()) made_->accept({});
    if (serves()) peer.start();
    collect();
  }
  void peer_says(size_t size) {
    if (!peer.is_open() || peer_ended_) return;
    const std::string text = next_text(said_.size(), size);
    const int taken = SSL_write(peer.tls(), text.data(), static_cast<int>(text.size()));
    if (taken > 0) said_.append(text, 0, static_cast<size_t>(taken));
    ERR_clear_error();
    collect();
  }
  void peer_says_early(size_t size) {
    early = next_text(0, size);
    peer.send_early(early);
    collect();
  }
  void peer_asks_for_keys(bool both) {
    if (!peer.is_open() || peer_ended_) return;
    if (SSL_version(peer.tls()) == TLS1_3_VERSION) {
      SSL_key_update(peer.tls(), both ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    } else {
      SSL_renegotiate(peer.tls());
      spoilt = true;  // it is refused
    }
    SSL_do_handshake(peer.tls());
    ERR_clear_error();
    collect();
  }
  void peer_ends() {
    if (!peer.is_open()) return;
    peer.end();
    peer_ended_ = true;
    ERR_clear_error();
    collect();
  }
  void collect() { to_us += peer.output(); }
  // The connection below ends, or is refused.
  void go_away(bool resets) {
    gone_ = spoilt = true;
    if (below->connecting()) return below->refuse();
    resets ? below->abort() : below->end();
  }

  // So much of what is on the wire comes.
  void come(size_t most) {
    if (gone_) to_us.clear();
    if (below->connecting()) return;
    const size_t size = std::min(most, to_us.size());
    below->say(std::string_view(to_us).substr(0, size));
    to_us.erase(0, size);
    while (below->can_read()) below->read(most);
    check();
  }
  void go(size_t most) {
    to_peer += std::exchange(below->received, {});
    const size_t size = std::min(most, to_peer.size());
    if (size != 0) peer.receive(std::string_view(to_peer).substr(0, size));
    to_peer.erase(0, size);
    ERR_clear_error();
    collect();
    check();
  }
  // Until neither has anything more to say.
  void carry() {
    for (size_t turns = 0; turns < 100; ++turns) {
      if (below->connecting()) below->connect();
      come(kAll);
      net_.end_turn();
      if (below->open() && below->queued() != 0) below->drain();
      go(kAll);
      if (to_us.empty() && !below->can_read() && below->received.empty()) return;
    }
    note("the two never come to an end");
  }

  void write(size_t size) {
    if (is_closed() || !may_write()) return;
    const std::string text = next_text(written_.size(), size);
    const size_t cut = text.size() / 3;
    const std::array<iovec, 2> parts{iovec{const_cast<char*>(text.data()), cut},
                                     iovec{const_cast<char*>(text.data()) + cut, text.size() - cut}};
    stream_->mark();
    const bool taken = stream_->write(parts);
    if (taken) written_ += text;
    if (taken && finished_) note("what was written behind the end was taken");
    if (taken && net_.events_in_turn == 1 && !stream_->has_sent_since_mark())
      note("what was sent is not known");
  }
  void finish() {
    if (is_closed() || !may_write()) return;
    stream_->finish();
    finished_ = true;
  }
  void pause(bool pauses) {
    if (is_closed()) return;
    pauses ? stream_->pause() : stream_->resume();
  }
  void close(bool resets) {
    if (is_closed()) return;
    net::Stream* const stream = stream_.release();
    resets ? stream->reset() : stream->close();
    made_ = nullptr;
    if (below->open()) note("a closed stream leaves the one below open");
  }

  void check() {
    if (!wrong.empty()) return;
    const bool is_said = (early + said_).starts_with(heard_) || said_.starts_with(heard_);
    if (!is_said) note("the owner was told what its peer has not said");
    if (!written_.starts_with(peer.plain)) note("the peer was told what was not written");
    if (refuses && connected_) note("a peer was believed that must not be");
  }
  // Once all has been carried: nothing is missing, where nobody has spoilt anything.
  void check_end() {
    if (spoilt || is_closed()) return;
    if (refuses) {
      if (!broken_) note("a peer that must not be believed was not refused");
      return;
    }
    if (!connected_ || broken_)
      return note(std::string("no connection came about: ") + std::string(made_->failure()));
    const bool took_early = SSL_get_early_data_status(peer.tls()) == SSL_EARLY_DATA_ACCEPTED;
    if (heard_ != (took_early ? early + said_ : said_)) note("the owner has not heard all");
    if (peer.plain != written_) note("the peer has not heard all");
    if (finished_ && !peer.was_ended()) note("the peer has not heard the end");
    if (peer_ended_ && !ended_) note("the owner has not heard the end");
    if (!peer_ended_ && ended_) note("the owner heard an end that was not said");
  }

 private:
  void on_connected() override {
    if (connected_ || is_over()) note("it is connected again");
    connected_ = true;
    act();
  }
  void on_bytes(std::string_view bytes) override {
    if (!connected_ || is_over()) note("bytes out of time");
    if (bytes.empty()) note("bytes that are none");
    heard_ += bytes;
    act();
  }
  void on_end() override {
    if (!connected_ || is_over()) note("an end out of time");
    ended_ = true;
    act();
  }
  void on_drained() override {
    if (!connected_) note("drained out of time");
    act();
  }
  void on_broken(int error) override {
    if (broken_) note("it broke again: " + std::to_string(error));
    broken_ = true;
    act();
  }

  bool is_over() const { return ended_ || broken_; }
  bool may_write() const { return connected_ && !finished_; }
  void act() {
    if (is_closed()) return note("a closed stream tells something");
    switch (choices_.below(16)) {
      case 1:
        return write(choices_.below(256));
      case 2:
        return finish();
      case 3:
        return pause(true);
      case 4:
        return close(false);
      case 5:
        return close(true);
      default:
        return;
    }
  }
  // Other bytes at each place, so that what is out of place shows.
  std::string next_text(size_t from, size_t size) const {
    std::string text(size + 1, '\0');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>((from + i) * 167 + (from + i) / 251);
    return text;
  }
  void note(std::string what) {
    if (wrong.empty()) wrong = std::move(what);
  }

  FakeNet& net_;
  Choices& choices_;
  const Role ours_;
  net::TlsStream* made_;
  net::StreamPtr stream_;
  std::string said_, heard_, written_;
  bool connected_ = false, ended_ = false, broken_ = false, finished_ = false, peer_ended_ = false,
       gone_ = false;
};

class TlsScript {
 public:
  struct Outcome {
    std::string wrong;  // the first thing that went wrong; empty when nothing did
    // What came about, by which a test can tell that its plays were worth something.
    size_t connected = 0, resumed = 0, early = 0, broken = 0, ended = 0;
  };

  static Outcome play(std::span<const uint8_t> moves) {
    TlsScript script(moves);
    return script.run();
  }

 private:
  static constexpr size_t kMostMoves = 200;
  static constexpr std::array<size_t, 8> kPieces{1, 2, 5, 17, 100, 1000, 20'000, kAll};
  static constexpr std::array<size_t, 6> kSizes{0, 1, 100, 5000, 16'384, 70'000};
  // Records, or their beginnings (RFC 8446, section 5.1; RFC 5246, section 7).
  static constexpr std::array<std::string_view, 12> kBits{
      std::string_view("\x14\x03\x03\x00\x01\x01", 6),              // change_cipher_spec
      std::string_view("\x15\x03\x03\x00\x02\x01\x00", 7),          // close_notify
      std::string_view("\x15\x03\x03\x00\x02\x02\x28", 7),          // handshake_failure
      std::string_view("\x15\x03\x03\x00\x02\x01\x64", 7),          // no_renegotiation
      std::string_view("\x16\x03\x03\x00\x04\x00\x00\x00\x00", 9),  // HelloRequest
      std::string_view("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10),
      std::string_view("\x17\x03\x03\x00\x00", 5),
      std::string_view("\x17\x03\x03\x40\x00", 5),
      std::string_view("\x17\x03\x03\xff\xff", 5),
      std::string_view("\x18\x03\x03\x00\x03\x01\xff\xff", 8),               // a heartbeat
      std::string_view("\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10", 11),  // of SSL 2
      std::string_view("GET / HTTP/1.1\r\n\r\n")};

  // What all plays share; made once, by honest handshakes.
  struct Shared {
    Shared() {
      conf::ListenerTls settings;
      settings.early_data = true;
      std::string error;
      issued = issue({.names = "DNS:shop.example"});
      server = net::TlsServer::make(identity_of({issued}, settings), error);
      auto trust = std::make_shared<net::TlsTrust>();
      trust->authorities = believing({issued});
      connector = net::TlsConnector::make(std::move(trust), error);
      REQUIRE(server != nullptr);
      REQUIRE(connector != nullptr);
      peers = server_context(issued);
      SSL_CTX_set_session_cache_mode(peers.get(), SSL_SESS_CACHE_OFF);  // no run knows of another
      for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsPeer client(clients(version), TlsPeer::Role::client),
            serving(server->accept(), TlsPeer::Role::server);
        converse(client, serving);
        REQUIRE(client.is_open());
        sessions[version == TLS1_3_VERSION] = {SSL_get1_session(client.tls()), SSL_SESSION_free};
      }
    }
    static SharedContext clients(int version) {
      static const std::array made{client_context(), client_context()};
      const SharedContext& context = made[version == TLS1_3_VERSION];
      speak_only(context.get(), version);
      return context;
    }
    Issued issued;
    std::unique_ptr<net::TlsServer> server;
    std::unique_ptr<net::TlsConnector> connector;
    SharedContext peers;  // of servers
    std::array<std::shared_ptr<SSL_SESSION>, 2> sessions;
  };
  static Shared& shared() {
    static Shared made;
    return made;
  }

  explicit TlsScript(std::span<const uint8_t> moves) : choices_(moves) { shared(); }
  // The streams end before what they stand on.
  ~TlsScript() {
    talks_.clear();
    net_.graveyard.clear();
  }

  Outcome run() {
    if (choices_.one_in(4)) net_.events_in_turn = 2;
    for (size_t i = 1 + choices_.below(2); i > 0; --i) begin();
    for (size_t i = 0; i < kMostMoves && !choices_.none_left() && wrong().empty(); ++i) move();
    end();
    Outcome outcome{.wrong = wrong()};
    for (const auto& talk : talks_) {
      outcome.connected += talk->is_connected() ? 1 : 0;
      outcome.resumed += talk->is_connected() && talk->peer.is_resumed() ? 1 : 0;
      outcome.early += SSL_get_early_data_status(talk->peer.tls()) == SSL_EARLY_DATA_ACCEPTED ? 1 : 0;
      outcome.broken += talk->is_broken() ? 1 : 0;
      outcome.ended += talk->has_heard_end() ? 1 : 0;
    }
    return outcome;
  }

  void begin() {
    const int version = choices_.flip() ? TLS1_3_VERSION : TLS1_2_VERSION;
    const bool serves = !choices_.one_in(3), resumes = choices_.flip(), is_early = choices_.flip();
    if (!serves) {
      const bool is_other = choices_.one_in(4);
      net::SslPtr other(SSL_new(shared().peers.get()));
      SSL_set_min_proto_version(other.get(), version);
      SSL_set_max_proto_version(other.get(), version);
      add(TlsTalk::Role::client,
          shared().connector->connect_as(is_other ? "other.example" : "shop.example", session_),
          std::move(other));
      talks_.back()->refuses = is_other;
      return talks_.back()->begin();
    }
    net::SslPtr other(SSL_new(Shared::clients(version).get()));
    SSL_SESSION* const session = shared().sessions[version == TLS1_3_VERSION].get();
    if (resumes) {
      // A copy, for one that breaks spoils it.
      const std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> copy(SSL_SESSION_dup(session),
                                                                           SSL_SESSION_free);
      SSL_set_session(other.get(), copy.get());
    }
    add(TlsTalk::Role::server, shared().server->accept(), std::move(other));
    if (resumes && is_early && version == TLS1_3_VERSION)
      talks_.back()->peer_says_early(choices_.of(kSizes) % 16'000);
    talks_.back()->begin();
  }
  void add(TlsTalk::Role role, net::SslPtr own, net::SslPtr other) {
    talks_.push_back(
        std::make_unique<TlsTalk>(net_, room_, choices_, role, std::move(own), std::move(other)));
  }

  void move() {
    TlsTalk& talk = *talks_[choices_.below(talks_.size())];
    switch (choices_.below(24)) {
      case 0:
      case 1:
      case 2:
        talk.carry();
        break;
      case 3:
      case 4:
      case 5:
        talk.come(choices_.of(kPieces));
        break;
      case 6:
      case 7:
        talk.go(choices_.of(kPieces));
        break;
      case 8:
      case 9:
        talk.peer_says(choices_.of(kSizes));
        break;
      case 10:
        talk.peer_asks_for_keys(choices_.flip());
        break;
      case 11:
        talk.peer_ends();
        break;
      case 12:
      case 13:
        talk.write(choices_.of(kSizes));
        break;
      case 14:
        talk.finish();
        break;
      case 15:
        talk.pause(choices_.flip());
        break;
      case 16:
        talk.close(choices_.flip());
        break;
      case 17:
      case 18:
        spoil(talk);
        break;
      case 19:
        talk.below->room = choices_.of(kPieces);
        break;
      case 20:
        if (talk.below->open() && talk.below->queued() != 0) talk.below->drain(choices_.of(kPieces));
        break;
      case 21:
        if (talk.below->connecting()) talk.below->connect();
        break;
      case 22:
        talk.go_away(choices_.flip());
        break;
      default:
        net_.end_turn();
        break;
    }
    talk.check();
  }

  // What is on its way is changed, cut, told twice, or preceded by something else.
  void spoil(TlsTalk& talk) {
    std::string& wire = talk.to_us;
    const size_t at = wire.empty() ? 0 : (choices_.below(256) * 256 + choices_.below(256)) % wire.size();
    talk.spoilt = true;
    switch (choices_.below(6)) {
      case 0:
        if (!wire.empty()) wire[at] = static_cast<char>(wire[at] ^ (1 << choices_.below(8)));
        break;
      case 1:
        if (!wire.empty()) wire[at] = static_cast<char>(choices_.below(256));
        break;
      case 2:
        wire.erase(at, 1 + choices_.below(256));
        break;
      case 3:
        wire.insert(at, wire.substr(at, 1 + choices_.below(256)));
        break;
      case 4:
        wire.insert(at, choices_.of(kBits));
        break;
      default:
        wire.insert(choices_.flip() ? at : 0, choices_.text(choices_.below(64)));
        break;
    }
  }

  // Everybody listens to the end.
  void end() {
    net_.events_in_turn = 1;
    net_.event_over();
    for (const auto& talk : talks_) {
      if (!wrong().empty()) return;
      talk->below->room = kAll;
      talk->pause(false);
      talk->carry();
      talk->pause(false);  // within what it heard it may have paused again
      talk->carry();
      talk->check_end();
    }
  }

  std::string wrong() const {
    for (const auto& talk : talks_)
      if (!talk->wrong.empty()) return talk->wrong;
    return net_.fault;
  }

  Choices choices_;
  FakeNet net_;
  net::TlsRoom room_{net_.graveyard};
  net::TlsSession session_;  // of the clients
  std::vector<std::unique_ptr<TlsTalk>> talks_;
};

}  // namespace limpet::test
