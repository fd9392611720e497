// Plays how connections begin: clients that speak the PROXY protocol, TLS and HTTP in this order, or in none,
// in pieces, changed, with early data or certificates of their own, and that go when they like, while the
// operator changes what is shown, time passes, and the worker ends. Every move is spelled by a string of
// bytes. Whoever is served is who they are, by what they have spoken; whoever does everything right is
// served.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/proxy/proxy_protocol.h"
#include "tests/support/choices.h"
#include "tests/support/message_reader.h"
#include "tests/support/stage.h"
#include "tests/support/tls_identity.h"
#include "tests/support/tls_peer.h"

namespace limpet::test {

class EntranceScript {
 public:
  struct Outcome {
    std::string wrong;  // the first thing that went wrong; empty when nothing did
    // What came about, by which a test can tell that its plays were worth something.
    size_t answered = 0, full = 0, resumed = 0, failed = 0, early = 0;
    std::array<size_t, proxy::kConnectionLimits> refused{};  // connections, by the limit
  };

  static Outcome play(std::span<const uint8_t> moves) {
    EntranceScript script(moves);
    return script.run();
  }

 private:
  static constexpr size_t kMostClients = 6, kMostMoves = 150;
  static constexpr std::array<uint32_t, 4> kPerClient{1, 2, 1000, 1000};  // 1000 counts, and refuses nobody
  static constexpr std::array<size_t, 8> kPieces{1, 2, 5, 20, 100, 500, 5000, kAll};
  static constexpr std::array<std::string_view, 8> kBits{
      "PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\n",
      "PROXY UNKNOWN\r\n",
      "PROXY ",
      "\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      std::string_view("\x16\x03\x01\x02\x00\x01", 6),
      std::string_view("\x15\x03\x03\x00\x02\x02\x28", 7),
      std::string_view("\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c", 16)};

  // What all plays share.
  struct Shared {
    Issued authority = issue({.common_name = "authority", .is_authority = true});
    Issued person = issue({.common_name = "person", .issuer = &authority});
    net::SharedTlsIdentity first = identity_that_takes_all("DNS:one.example");
    net::SharedTlsIdentity second = identity_that_takes_all("DNS:two.example");
    std::array<SharedContext, 2> clients{clients_of(TLS1_2_VERSION), clients_of(TLS1_3_VERSION)};
    std::array<std::shared_ptr<SSL_SESSION>, 2> sessions{session_of(0), session_of(1)};

    net::SharedTlsIdentity identity_that_takes_all(std::string_view names) const {
      conf::ListenerTls settings;
      settings.early_data = true;
      settings.clients.mode = conf::TlsClients::Mode::optional;
      settings.clients.subject = "X-Subject";
      auto made =
          std::make_shared<net::TlsIdentity>(*identity_of({issue({.names = std::string(names)})}, settings));
      made->client_authorities = believing({authority});
      return made;
    }
    static SharedContext clients_of(int version) {
      SharedContext made = client_context();
      speak_only(made.get(), version);
      return made;
    }
    std::shared_ptr<SSL_SESSION> session_of(size_t version) const {
      std::string error;
      const auto server = net::TlsServer::make(first, error);
      REQUIRE(server != nullptr);
      TlsPeer client(clients[version], TlsPeer::Role::client),
          serving(server->accept(), TlsPeer::Role::server);
      converse(client, serving);
      REQUIRE(client.is_open());
      return {SSL_get1_session(client.tls()), SSL_SESSION_free};
    }
  };
  static const Shared& shared() {
    static const Shared made;
    return made;
  }

  // Listener 0 speaks TLS; 1 expects the PROXY protocol's header before that; 2 expects it before HTTP.
  static conf::Settings settings(Choices& choices) {
    conf::Settings made = settings_of(1, {conf::AffinityKind::ip});
    made.limits.handshakes = 3;
    made.timeouts.handshake = conf::Duration(5000);
    made.timeouts.head = conf::Duration(6000);
    made.listeners.resize(3, made.listeners[0]);
    for (size_t i = 0; i < made.listeners.size(); ++i) {
      made.listeners[i].address.port = static_cast<uint16_t>(8000 + i);
      made.listeners[i].proxy_protocol = i != 0;
      conf::ListenerLimits& limits = made.listeners[i].limits;
      limits.connections_per_client = choices.of(kPerClient);
      if (choices.one_in(3)) limits.connections = static_cast<uint32_t>(1 + choices.below(3));
      if (choices.one_in(4)) limits.new_connections_per_second = static_cast<uint32_t>(1 + choices.below(3));
      if (i == 2) continue;
      made.listeners[i].tls.clients.mode = conf::TlsClients::Mode::optional;
      made.listeners[i].tls.clients.subject = "X-Subject";
    }
    return made;
  }

  struct Client {
    FakeStream& stream;
    std::unique_ptr<TlsPeer> tls;  // nullptr: none
    std::string address;           // that is told of it
    std::string tag;
    size_t listener;
    std::string to_send;   // on the wire, and not yet come
    bool refused = false;  // at once
    bool shows_itself = false;
    bool asks_early = false;
    bool sound = true;  // it has said nothing but what is right, in time
    size_t asked = 0;
    std::string plain = {};  // that it was told
    size_t answered = 0;
  };

  explicit EntranceScript(std::span<const uint8_t> moves) : choices_(moves), stage_(settings(choices_)) {
    show(shared().first);
    stage_.net.after_event = [this] { check(); };
  }
  ~EntranceScript() { stage_.net.after_event = {}; }

  Outcome run() {
    if (choices_.one_in(4)) stage_.net.events_in_turn = 3;
    for (size_t i = 0; i < kMostMoves && !choices_.none_left() && outcome_.wrong.empty(); ++i) move();
    stage_.net.events_in_turn = 1;
    stage_.net.event_over();
    if (!choices_.one_in(4)) behave();
    if (outcome_.wrong.empty()) time_out();
    for (const auto& client : clients_) {
      outcome_.answered += client->answered;
      if (client->tls)
        outcome_.early += SSL_get_early_data_status(client->tls->tls()) == SSL_EARLY_DATA_ACCEPTED ? 1 : 0;
    }
    return outcome_;
  }

  void move() {
    switch (choices_.below(20)) {
      case 0:
      case 1:
      case 2:
        return new_client();
      case 3:
      case 4:
      case 5:
      case 6:
        return with_client([this](Client& client) { come(client, choices_.of(kPieces)); });
      case 7:
      case 8:
      case 9:
        return with_client([this](Client& client) { converse_with(client); });
      case 10:
      case 11:
        return with_client([this](Client& client) { ask(client); });
      case 12:
      case 13:
        return serve_backends();
      case 14:
        return with_client([this](Client& client) { spoil(client); });
      case 15:
        return with_client([this](Client& client) {
          client.sound = false;
          choices_.flip() ? client.stream.end() : client.stream.abort();
          client.stream.read();
        });
      case 16:
        return pass();
      case 17:
        return show(choices_.flip() ? shared().first : shared().second);
      case 18:
        return with_client([this](Client& client) { client.stream.room = choices_.of(kPieces); });
      default:
        return end_of_days();
    }
  }

  void new_client() {
    if (clients_.size() == kMostClients || ending_) return;
    const size_t listener = choices_.below(3), version = choices_.below(2);
    const std::string number = std::to_string(choices_.below(3));
    const bool is_one_too_many = is_over(listener, "192.0.2." + number);
    auto made = std::make_unique<Client>(Client{.stream = stage_.client("192.0.2." + number, listener),
                                                .tls = nullptr,
                                                .address = "192.0.2." + number,
                                                .tag = "client-" + std::to_string(clients_.size()),
                                                .listener = listener,
                                                .to_send = ""});
    Client& client = *clients_.emplace_back(std::move(made));
    if (client.stream.open() == is_one_too_many) note("a limit of connections is not held to");
    if (!client.stream.open()) return refuse(client);
    if (listener != 0) {
      client.address = "203.0.113." + number;
      const proxy::ProxiedEnds ends{conf::IpAddress::parse(client.address).value(),
                                    conf::IpAddress::parse("192.0.2.99").value()};
      client.to_send = proxy::proxy_header(choices_.flip() ? 1 : 2, ends);
    }
    if (listener == 2) return;
    net::SslPtr tls(SSL_new(shared().clients[version].get()));
    client.shows_itself = choices_.one_in(3);
    if (client.shows_itself) {
      SSL_use_certificate(tls.get(), shared().person.certificate.get());
      SSL_use_PrivateKey(tls.get(), shared().person.key.get());
    } else if (choices_.flip()) {
      const std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> copy(
          SSL_SESSION_dup(shared().sessions[version].get()), SSL_SESSION_free);
      SSL_set_session(tls.get(), copy.get());
      client.asks_early = version == 1 && choices_.flip();
    }
    client.tls = std::make_unique<TlsPeer>(std::move(tls), TlsPeer::Role::client);
    if (client.asks_early) {
      client.tls->send_early(request_of(client));
      ++client.asked;
    }
    client.tls->start();
    client.to_send += client.tls->output();
  }

  // By the limits of what is known when a connection comes.
  bool is_over(size_t listener, const std::string& address) {
    const conf::ListenerLimits& limits = stage_.settings.listeners[listener].limits;
    size_t all = 0, of_this = 0;
    for (const auto& client : clients_) {
      if (!client->stream.open() || client->listener != listener) continue;
      ++all;
      of_this += client->address == address ? 1 : 0;
    }
    if (limits.connections != 0 && all >= limits.connections) return true;
    if (listener != 0) return false;  // a header is going to tell whose it is
    return is_too_fast(address, limits.new_connections_per_second) ||
           of_this >= limits.connections_per_client;
  }
  // So many at once, of which each comes back in its time.
  bool is_too_fast(const std::string& address, uint32_t a_second) {
    if (a_second == 0) return false;
    const uint64_t now = stage_.net.monotonic_us(), interval = 1'000'000 / a_second;
    uint64_t& full_at = full_at_.try_emplace(address, 0).first->second;
    const uint64_t then = std::max(full_at, now) + interval;
    if (then > now + interval * a_second) return true;
    full_at = then;
    return false;
  }
  // It was reset, and told nothing.
  void refuse(Client& client) {
    client.sound = false;
    client.refused = true;
    if (client.stream.end_seen != FakeStream::End::reset || !client.stream.received.empty())
      note("a connection is refused by more than a reset");
  }

  static std::string request_of(const Client& client) {
    return "GET / HTTP/1.1\r\nHost: a\r\nX-Tag: " + client.tag + "\r\nX-Subject: forged\r\n\r\n";
  }
  // Once at a time, and only where it can.
  void ask(Client& client) {
    if (client.asked != client.answered || !client.stream.open()) return;
    if (client.tls == nullptr) {
      client.to_send += request_of(client);
      ++client.asked;
    } else if (client.tls->is_open() && !client.tls->was_ended() && client.tls->failure.empty()) {
      client.tls->send(request_of(client));
      client.to_send += client.tls->output();
      ++client.asked;
    }
  }

  void come(Client& client, size_t most) {
    const size_t size = std::min(most, client.to_send.size());
    if (client.sound || client.stream.open())
      client.stream.say(std::string_view(client.to_send).substr(0, size));
    client.to_send.erase(0, size);
    while (client.stream.can_read()) client.stream.read(most);
    hear(client);
  }
  void hear(Client& client) {
    const std::string wire = std::exchange(client.stream.received, {});
    if (wire.empty()) return;
    if (client.tls == nullptr) {
      client.plain += wire;
    } else {
      client.tls->receive(wire);
      client.plain = client.tls->plain;
      client.to_send += client.tls->output();
      ERR_clear_error();
    }
    MessageReader reader(MessageReader::Side::responses);
    for (size_t i = 0; i < client.asked; ++i) reader.expect_answer(false);
    reader.feed(client.plain);
    if (!client.sound) return;
    if (!reader.fault.empty()) note("a client got " + reader.fault);
    client.answered = 0;
    for (const auto& message : reader.messages) client.answered += message.complete ? 1 : 0;
  }
  void converse_with(Client& client) {
    for (size_t turns = 0; turns < 50; ++turns) {
      come(client, kAll);
      stage_.net.end_turn();
      if (client.stream.open() && client.stream.queued() != 0) client.stream.drain();
      hear(client);
      if (client.to_send.empty() && !client.stream.can_read()) return;
    }
    note("a client and its connection never come to an end");
  }

  void spoil(Client& client) {
    client.sound = false;
    if (client.tls == nullptr) anybody_ = true;
    std::string& wire = client.to_send;
    const size_t at = wire.empty() ? 0 : (choices_.below(256) * 256 + choices_.below(256)) % wire.size();
    switch (choices_.below(4)) {
      case 0:
        if (!wire.empty()) wire[at] = static_cast<char>(wire[at] ^ (1 << choices_.below(8)));
        break;
      case 1:
        wire.erase(at, 1 + choices_.below(64));
        break;
      case 2:
        wire.insert(choices_.flip() ? at : 0, choices_.of(kBits));
        break;
      default:
        wire.insert(at, choices_.text(choices_.below(32)));
        break;
    }
  }

  void pass() {
    static constexpr std::array<net::Millis, 4> kTimes{10, 1000, 4000, 7000};
    const net::Millis time = choices_.of(kTimes);
    // Who takes long is not waited for.
    if (time >= 1000)
      for (const auto& client : clients_) client->sound = false;
    stage_.net.pass(time);
  }

  void show(const net::SharedTlsIdentity& identity) {
    auto next = std::make_shared<proxy::Plan>(stage_.plan());
    next->tls[0] = next->tls[1] = identity;
    stage_.follow(std::move(next));
  }

  void end_of_days() {
    if (!choices_.one_in(4)) return;
    ending_ = true;
    choices_.flip() ? stage_.shut_down() : stage_.stop();
  }

  // What has reached backends is looked at, and answered.
  void serve_backends() {
    for (size_t i = 0; i < stage_.net.streams.size(); ++i) {
      FakeStream& stream = *stage_.net.streams[i];
      if (stream.address() == nullptr || !stream.open()) continue;
      stream.connect();
      stage_.net.end_turn();
      for (const auto& message : read(stream)) {
        check_request(message);
        if (!stream.open()) break;
        stream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      }
    }
  }
  std::deque<MessageReader::Message> read(FakeStream& stream) {
    MessageReader reader(MessageReader::Side::requests);
    reader.feed(std::exchange(stream.received, {}));
    if (!reader.fault.empty()) note("a backend got " + reader.fault);
    return reader.messages;
  }

  // Who asks is who it is, and what it has shown is told, and nothing else.
  void check_request(const MessageReader::Message& message) {
    const std::string tag = message.field("x-tag"), from = message.field("x-forwarded-for");
    const std::string proto = message.field("x-forwarded-proto"), subject = message.field("x-subject");
    if (anybody_ && proto == "http") return;
    for (const auto& client : clients_) {
      if (client->tag != tag) continue;
      const bool is_safe = client->tls != nullptr;
      if (client->sound && from != client->address)
        note("a request is from " + from + ", not " + client->address);
      if (proto != (is_safe ? "https" : "http")) note("a request came by " + proto);
      const bool shows = client->shows_itself && client->tls->is_open();
      if (is_safe && subject != (shows ? "CN=person" : "")) note("a client is told to be " + subject);
      const bool is_early = !message.field("early-data").empty();
      if (is_early && !client->asks_early) note("a request is told to be early");
      const bool has_shaken_hands = !is_safe || client->tls->is_open() || is_early;
      if (!has_shaken_hands) note("a request came before its handshake");
      return;
    }
    if (tag.empty()) return;
    note("a request is nobody's: " + tag);
  }

  // Whoever has done nothing wrong is served.
  void behave() {
    for (int round = 0; round < 6; ++round) {
      for (const auto& client : clients_) {
        client->stream.room = kAll;
        if (client->stream.open()) converse_with(*client);
        if (round < 3) ask(*client);
      }
      serve_backends();
    }
    const auto let_in =
        std::count_if(clients_.begin(), clients_.end(), [](const auto& client) { return !client->refused; });
    if (ending_ || !outcome_.wrong.empty() || let_in > stage_.settings.limits.handshakes) return;
    for (const auto& client : clients_) {
      if (!client->sound) continue;
      if (may_be_refused(*client)) continue;
      if (client->asked == 0 || client->answered != client->asked)
        note(client->tag + " did everything right and is not served");
    }
  }

  // For what its header has told, or another's that was spoilt; then it was reset, and told nothing.
  bool may_be_refused(const Client& client) const {
    const conf::ListenerLimits& limits = stage_.settings.listeners[client.listener].limits;
    if (client.listener == 0 || client.stream.open()) return false;
    size_t others = 0;
    for (const auto& other : clients_)
      others += other->listener == client.listener && (other->address == client.address || !other->sound);
    return (others > limits.connections_per_client || limits.new_connections_per_second != 0) &&
           client.stream.end_seen == FakeStream::End::reset && client.plain.empty();
  }

  // Nobody does anything any more, so everything ends, and the handshakes add up.
  void time_out() {
    stage_.net.pass(3600'000);
    for (const auto& stream : stage_.net.streams)
      if (stream->open()) note("a connection is left open");
    if (stage_.has_clients()) note("a client's connection is left");
    if (stage_.context().handshakes.count() != 0) note("a handshake is left under way");
    size_t safe = 0;
    for (const auto& client : clients_) safe += client->tls ? 1 : 0;
    for (const auto& meter : stage_.plan().listeners) {
      const auto ended = [&](proxy::HandshakeEnd end) {
        return meter->handshakes[static_cast<size_t>(end)].load();
      };
      outcome_.full += ended(proxy::HandshakeEnd::full);
      outcome_.resumed += ended(proxy::HandshakeEnd::resumed);
      outcome_.failed += ended(proxy::HandshakeEnd::failed);
      for (size_t i = 0; i < meter->refused.size(); ++i) outcome_.refused[i] += meter->refused[i];
      if (meter->connections != 0) note("a connection is counted that is gone");
      if (meter->clients.clients() != 0) note("a client is counted that has no connection");
    }
    if (outcome_.full + outcome_.resumed + outcome_.failed > safe) note("a handshake ended twice");
    const std::string books = stage_.books();
    if (!books.empty()) note(books);
  }

  void check() {
    if (!stage_.net.fault.empty()) note(stage_.net.fault);
    if (stage_.context().handshakes.count() > stage_.settings.limits.handshakes)
      note("too many handshakes are under way");
    for (size_t i = 0; i < stage_.plan().listeners.size(); ++i) check_limits(i);
  }
  void check_limits(size_t listener) {
    const conf::ListenerLimits& limits = stage_.settings.listeners[listener].limits;
    std::map<std::string, size_t> served;
    size_t all = 0;
    for (const auto& client : clients_) {
      if (client->listener != listener || !client->stream.open()) continue;
      ++all;
      if (client->sound && client->answered != 0) ++served[client->address];
    }
    if (limits.connections != 0 && all > limits.connections) note("a listener has too many connections");
    for (const auto& [address, count] : served)
      if (count > limits.connections_per_client) note("a client has too many connections");
  }
  template <class Do>
  void with_client(Do&& act) {
    if (!clients_.empty()) act(*clients_[choices_.below(clients_.size())]);
  }
  void note(std::string what) {
    if (outcome_.wrong.empty()) outcome_.wrong = std::move(what);
  }

  Choices choices_;
  Outcome outcome_;
  std::vector<std::unique_ptr<Client>> clients_;
  Stage stage_;
  std::map<std::string, uint64_t> full_at_;  // of whom comes to listener 0: when it may open so many again
  bool ending_ = false;
  bool anybody_ = false;  // what comes without TLS may say that it is anybody's
};

}  // namespace limpet::test
