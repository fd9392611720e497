// Plays the proxy against clients and backends whose every move is spelled by a string of bytes: a fuzzer's
// input or a random one. Each client speaks HTTP/1.1 or HTTP/2, and so do the backends together. After each
// event all that must always hold is checked; at the end, that nothing waits for ever, nothing is left open,
// and no reservation is lost.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/choices.h"
#include "tests/support/h2_line.h"
#include "tests/support/peers.h"
#include "tests/support/stage.h"

namespace limpet::test {

class ExchangeScript {
 public:
  struct Outcome {
    std::string wrong;  // the first thing that went wrong; empty when nothing did
    // What came about, by which a test can tell that its plays were worth something.
    std::array<std::array<size_t, 2>, 2> answered_by{};  // by HTTP/2 of the client, and of the backend
    size_t answered = 0;
    size_t tunnels = 0;
    size_t repeated = 0;                          // requests that reached a second connection
    size_t over_rate = 0, shed = 0, refused = 0;  // requests; requests; connections
  };

  // `trace` gets the events, one a line, unless it is null.
  static Outcome play(std::span<const uint8_t> moves, std::string* trace = nullptr) {
    ExchangeScript script(moves, trace);
    script.play_all();
    return script.outcome();
  }

 private:
  static constexpr size_t kMostClients = 5;          // connections, at a time
  static constexpr std::ptrdiff_t kMostStreams = 6;  // of one
  static constexpr size_t kMostEvents = 600;
  // What may be queued towards one peer: all that one read brought, a head before it, and what rewriting and
  // chunking add.
  static constexpr size_t kMostQueued = 512 * 1024;
  static constexpr std::array<size_t, 8> kPieces{1, 2, 7, 100, 1000, 10'000, 65'536, kAll};
  static constexpr std::array<size_t, 6> kBodies{0, 1, 5, 1000, 20'000, 150'000};
  static constexpr std::array<uint32_t, 3> kWindows{1, 1000, 200'000};
  static constexpr std::array<uint32_t, 5> kResets{NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM,
                                                   NGHTTP2_INTERNAL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM};

  static constexpr std::array kRequestBits{std::string_view("GET / HTTP/1.1\r\nHost: a\r\n"),
                                           std::string_view("POST /x?y HTTP/1.1\r\nHost: a\r\n"),
                                           std::string_view("PUT / HTTP/1.0\r\n"),
                                           std::string_view("OPTIONS * HTTP/1.1\r\nHost: a\r\n"),
                                           std::string_view("Content-Length: 5\r\n"),
                                           std::string_view("Content-Length: 0\r\n"),
                                           std::string_view("Transfer-Encoding: chunked\r\n"),
                                           std::string_view("Max-Forwards: 0\r\n"),
                                           std::string_view("Connection: close\r\n"),
                                           std::string_view("Connection: keep-alive, x-tag\r\n"),
                                           std::string_view("Connection: upgrade\r\nUpgrade: websocket\r\n"),
                                           std::string_view("Expect: 100-continue\r\n"),
                                           std::string_view("\r\n"),
                                           std::string_view("\n"),
                                           std::string_view(" "),
                                           std::string_view("\r"),
                                           std::string_view("5\r\nhello\r\n"),
                                           std::string_view("0\r\n\r\n"),
                                           std::string_view("0\r\n"),
                                           std::string_view("X: y\r\n"),
                                           std::string_view("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
                                           std::string_view("hello"),
                                           std::string_view("HTTP/1.1"),
                                           std::string_view("Cookie: JSESSIONID=stolen\r\n")};
  static constexpr std::array kResponseBits{std::string_view("HTTP/1.1 200 OK\r\n"),
                                            std::string_view("HTTP/1.0 200 OK\r\n"),
                                            std::string_view("HTTP/1.1 101 Switching\r\n"),
                                            std::string_view("HTTP/1.1 100 Continue\r\n\r\n"),
                                            std::string_view("HTTP/1.1 204 None\r\n"),
                                            std::string_view("Content-Length: 5\r\n"),
                                            std::string_view("Content-Length: 6\r\n"),
                                            std::string_view("Transfer-Encoding: chunked\r\n"),
                                            std::string_view("Connection: upgrade\r\nUpgrade: websocket\r\n"),
                                            std::string_view("Connection: close\r\n"),
                                            std::string_view("Content-Type: text/event-stream\r\n"),
                                            std::string_view("Set-Cookie: JSESSIONID=made\r\n"),
                                            std::string_view("\r\n"),
                                            std::string_view("\n"),
                                            std::string_view("hello"),
                                            std::string_view("5\r\nhello\r\n"),
                                            std::string_view("0\r\n\r\n"),
                                            std::string_view("0\r\nX: y\r\n\r\n"),
                                            std::string_view("HTTP/1.1 \r\n\r\n"),
                                            std::string_view(" ")};

  ExchangeScript(std::span<const uint8_t> moves, std::string* trace)
      : choices_(moves), trace_(trace), stage_(make_settings(choices_)) {
    stage_.net.after_event = [this] { check(); };
    says_who_ = stage_.settings.pools[0].send_proxy != 0;
    by_http2_ = stage_.settings.pools[0].protocol == conf::Protocol::http2;
    if (choices_.flip()) stage_.net.events_in_turn = 2 + static_cast<unsigned>(choices_.below(4));
  }

  static conf::Settings make_settings(Choices& choices) {
    using conf::AffinityKind;
    using conf::Duration;
    static const std::array<std::vector<AffinityKind>, 4> kAffinities{
        std::vector{AffinityKind::cookie}, std::vector{AffinityKind::session_id, AffinityKind::ip},
        std::vector{AffinityKind::ip}, std::vector{AffinityKind::session_id, AffinityKind::cookie}};
    const size_t backends = 1 + choices.below(3);  // before the next choice, whichever compiler
    conf::Settings settings = settings_of(backends, choices.of(kAffinities));
    settings.listeners.push_back(settings.listeners[0]);
    settings.listeners[0].acme_challenges = "/srv/acme";
    settings.listeners[1].name = "behind";
    settings.listeners[1].address.port = 1;
    settings.listeners[1].proxy_protocol = true;
    settings.listeners[1].half_close = true;
    settings.limits.body = 100'000;
    settings.timeouts = {.idle = Duration(3000), .head = Duration(2500), .body = Duration(2600)};
    conf::Pool& pool = settings.pools[0];
    pool.timeouts = {.connect = Duration(2400),
                     .head = Duration(2700),
                     .body = Duration(2800),
                     .stream = Duration(3200),
                     .tunnel = Duration(3500),
                     .keep_alive = Duration(2900)};
    pool.max_sessions = 50;
    if (choices.one_in(4)) {
      pool.rate = {.requests = static_cast<uint32_t>(1 + choices.below(4)),
                   .burst = static_cast<uint32_t>(choices.below(4)),
                   .by = choices.flip() ? conf::RateBy::client : conf::RateBy::session};
    }
    if (choices.one_in(4)) {
      pool.shed = conf::Shed::new_sessions;
      pool.shed_in_flight = static_cast<uint32_t>(choices.below(3));
      pool.shed_queue_time = Duration(pool.shed_in_flight == 0 ? 100 : 0);
    }
    if (choices.one_in(4)) {
      for (conf::Listener& listener : settings.listeners) {
        listener.limits = {.connections = static_cast<uint32_t>(choices.below(4)),
                           .connections_per_client = static_cast<uint32_t>(choices.below(3)),
                           .new_connections_per_second = static_cast<uint32_t>(choices.below(3))};
      }
    }
    if (choices.flip()) pool.patience = Duration(300);
    if (choices.one_in(4)) pool.failover = conf::Failover::refuse;
    if (choices.one_in(4)) pool.backends[0].max_sessions = 1;
    pool.protocol = choices.flip() ? conf::Protocol::http2 : conf::Protocol::http1;
    if (pool.protocol == conf::Protocol::http1 && choices.one_in(4)) pool.send_proxy = 1;
    if (choices.one_in(3)) {
      pool.queue_timeout = Duration(2300);
      for (conf::Backend& backend : pool.backends)
        backend.max_connections = static_cast<uint32_t>(choices.below(3));
    }
    return settings;
  }

  // ---- the play

  void play_all() {
    const bool stuck_at_the_end = choices_.one_in(4);
    while (ok() && !choices_.none_left() && events_++ < kMostEvents) move();
    stage_.net.events_in_turn = 1;
    stage_.net.event_over();  // what waited for the turn's end reaches its peers, who take note of it
    if (ok() && !stuck_at_the_end) answer_all();
    if (ok()) time_out();
  }

  bool ok() const { return wrong_.empty(); }

  void move() {
    using Move = void (ExchangeScript::*)();
    using Self = ExchangeScript;
    static constexpr std::array<Move, 36> kMoves{&Self::new_client,
                                                 &Self::client_asks,
                                                 &Self::client_asks,
                                                 &Self::client_asks,
                                                 &Self::client_goes_on,
                                                 &Self::client_goes_on,
                                                 &Self::client_goes,
                                                 &Self::client_says_anything,
                                                 &Self::read,
                                                 &Self::read,
                                                 &Self::read,
                                                 &Self::read,
                                                 &Self::read_everything,
                                                 &Self::settle_dial,
                                                 &Self::settle_dial,
                                                 &Self::settle_dial,
                                                 &Self::backend_answers,
                                                 &Self::backend_answers,
                                                 &Self::backend_answers,
                                                 &Self::backend_goes_on,
                                                 &Self::backend_goes_on,
                                                 &Self::backend_goes,
                                                 &Self::backend_says_anything,
                                                 &Self::drain,
                                                 &Self::drain,
                                                 &Self::narrow,
                                                 &Self::pass,
                                                 &Self::handshake_ends,
                                                 &Self::read_file,
                                                 &Self::change_state,
                                                 &Self::change_state,
                                                 &Self::withdraw,
                                                 &Self::change_network,
                                                 &Self::give_up_idle,
                                                 &Self::reload,
                                                 &Self::end_of_days};
    (this->*choices_.of(kMoves))();
    if (ok()) stage_.deliver_permits();
  }

  void new_client() {
    std::set<const FakeStream*> live;
    for (const auto& client : clients_)
      if (client->stream.open()) live.insert(&client->stream);
    if (live.size() >= kMostClients || ending_) return;
    const size_t id = clients_.size();
    const size_t listener = choices_.one_in(4) && stage_.plan().listeners.size() > 1 ? 1 : 0;
    static const std::array<std::string_view, 3> kAddresses{"192.0.2.1", "192.0.2.2", "2001:db8::1"};
    log("client connects");
    const std::string_view address = choices_.of(kAddresses);
    FakeStream& stream = stage_.client(address, listener);
    addresses_.emplace_back(listener == 1 ? "192.0.2.7" : address);
    if (listener == 1) {
      stream.say("PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n");
    } else {
      stream.early = choices_.one_in(4);
    }
    clients_.push_back(std::make_unique<ClientPeer>(id, client_line(stream), tagged_));
  }

  Line& client_line(FakeStream& stream) {
    if (choices_.flip()) return *lines_.emplace_back(std::make_unique<Line>(stream));
    std::vector<nghttp2_settings_entry> settings;
    if (choices_.one_in(3)) settings.push_back({NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, choices_.of(kWindows)});
    return end_of(stream, H2Peer::Role::client, std::move(settings)).line();
  }

  H2End& end_of(FakeStream& stream, H2Peer::Role role, std::vector<nghttp2_settings_entry> settings) {
    return *ends_.emplace_back(std::make_unique<H2End>(stream, role, std::move(settings)));
  }
  // nullptr: HTTP/1.1 is spoken there.
  H2End* end_at(const FakeStream& stream) const {
    for (const auto& end : ends_)
      if (&end->stream == &stream) return end.get();
    return nullptr;
  }

  // The peer of this one's next request, which over HTTP/2 is another on the same connection.
  ClientPeer* next_of(ClientPeer* client) {
    H2End* const end = end_at(client->stream);
    if (end == nullptr || client->asked() == 0) return client;
    const auto& lines = end->lines;
    if (std::count_if(lines.begin(), lines.end(), [](const auto& line) { return line->is_open(); }) >
        kMostStreams)
      return nullptr;
    addresses_.push_back(addresses_[client->id()]);
    clients_.push_back(std::make_unique<ClientPeer>(clients_.size(), end->line(), tagged_));
    clients_.back()->keep_cookies_of(*client);
    return clients_.back().get();
  }

  void client_asks() {
    ClientPeer* client = pick(clients_, [](ClientPeer& c) {
      return c.stream.open() && c.sound && !c.may_have_gone && !c.in_body() && !c.reader.tunnel &&
             !c.awaits_upgrade();
    });
    if (client == nullptr) return new_client();
    client = next_of(client);
    if (client == nullptr) return;
    static const std::array<std::string_view, 8> kMethods{"GET",  "GET",    "POST",    "PUT",
                                                          "HEAD", "DELETE", "OPTIONS", "PATCH"};
    static const std::array<std::string_view, 8> kFields{"",
                                                         "",
                                                         "Connection: close\r\n",
                                                         "Connection: keep-alive\r\n",
                                                         "TE: trailers\r\nConnection: te\r\n",
                                                         "Expect: 100-continue\r\n",
                                                         "Authorization: NTLM abc\r\n",
                                                         "Accept: text/event-stream\r\n"};
    ClientPeer::Ask what;
    what.method = choices_.of(kMethods);
    if (what.method != "GET" && what.method != "HEAD")
      what.framing = static_cast<ClientPeer::Framing>(choices_.below(3));
    what.http_1_0 = what.framing != ClientPeer::Framing::chunked && choices_.one_in(8);
    if (what.framing == ClientPeer::Framing::length) what.length = choices_.of(kBodies);
    what.fields = choices_.of(kFields);
    what.upgrade = what.fields.empty() && choices_.one_in(6);
    if (choices_.one_in(8)) what.target = "/.well-known/acme-challenge/token";
    log(name(client->stream), " asks " + std::string(what.method));
    client->ask(what);
    if (choices_.flip()) client->stream.read();
  }

  void client_goes_on() {
    ClientPeer* const client = pick(clients_, [](ClientPeer& c) {
      return c.stream.open() && c.sound && !c.may_have_gone && (c.in_body() || c.reader.tunnel);
    });
    if (client == nullptr) return;
    const size_t size = choices_.of(kBodies);
    log(name(client->stream), " goes on by " + std::to_string(size));
    if (client->reader.tunnel) {
      client->say_tunnel(size);
    } else {
      client->say_body(size, choices_.flip());
    }
    if (choices_.flip()) client->stream.read();
  }

  void client_says_anything() {
    ClientPeer* const client =
        pick(clients_, [](ClientPeer& c) { return c.stream.open() && !c.may_have_gone; });
    if (client == nullptr) return new_client();
    H2End* const end = end_at(client->stream);
    const std::string bytes = end != nullptr ? any_frame() : anything(kRequestBits);
    log(name(client->stream), end != nullptr ? " says any frame" : " says " + bytes);
    each_at(clients_, client->stream, [](ClientPeer& peer) { peer.spoil(); });
    end != nullptr ? end->say_raw(bytes) : client->stream.say(bytes);
    if (choices_.flip()) client->stream.read();
  }

  void client_goes() {
    ClientPeer* const client =
        pick(clients_, [](ClientPeer& c) { return c.stream.open() && !c.may_have_gone; });
    if (client == nullptr) return;
    auto* const line = dynamic_cast<H2Line*>(&client->line);
    if (line != nullptr && choices_.flip()) {
      client->may_have_gone = true;
      log(name(client->stream), " cancels a stream");
      return line->reset(choices_.of(kResets));
    }
    each_at(clients_, client->stream, [](ClientPeer& peer) { peer.may_have_gone = true; });
    const bool resets = choices_.flip();
    log(name(client->stream), resets ? " resets" : " ends");
    if (resets) {
      client->stream.abort();
    } else {
      client->stream.end();
    }
  }

  void read() {
    FakeStream* const stream = pick(stage_.net.streams, [](FakeStream& s) { return s.can_read(); });
    if (stream == nullptr) return;
    const size_t most = choices_.of(kPieces);
    log("read from ", name(*stream));
    stream->read(most);
  }

  void settle_dial() {
    FakeStream* const stream = pick(stage_.net.streams, [](FakeStream& s) { return s.connecting(); });
    if (stream == nullptr) return;
    const bool refuses = choices_.one_in(4);
    log(name(*stream), refuses ? " refuses" : " is connected");
    if (refuses) {
      stream->refuse();
    } else {
      stream->connect();
    }
  }

  void backend_answers() {
    BackendPeer* const backend =
        pick(backends_, [](BackendPeer& b) { return b.stream.open() && b.can_answer(); });
    if (backend == nullptr) return;
    log(name(backend->stream), " answers");
    if (choices_.one_in(6)) {
      backend->say_interim(choices_.flip() ? "100 Continue" : "103 Early Hints");
    } else if ((backend->asked_to_upgrade() || choices_.one_in(8)) && choices_.flip()) {
      backend->switch_protocols();
    } else {
      backend->answer(choose_answer());
    }
    if (choices_.flip()) backend->stream.read();
  }

  BackendPeer::Answer choose_answer() {
    static constexpr std::array kStatuses{200, 200, 200, 204, 304, 401, 404, 503};
    BackendPeer::Answer answer;
    answer.status = choices_.of(kStatuses);
    answer.framing = static_cast<BackendPeer::Framing>(choices_.below(3));
    answer.http_1_0 = answer.framing != BackendPeer::Framing::chunked && choices_.one_in(6);
    if (answer.framing == BackendPeer::Framing::length) answer.length = choices_.of(kBodies);
    switch (choices_.below(8)) {
      case 0:
        answer.fields = "Connection: close\r\n";
        break;
      case 3:
        answer.fields = "Content-Type: text/event-stream\r\n";
        break;
      case 4:
        answer.fields = "WWW-Authenticate: NTLM\r\n";
        break;
      case 1:
        answer.fields = "Set-Cookie: JSESSIONID=; Max-Age=0\r\n";
        break;
      case 2:
        set_cookie_ = "Set-Cookie: JSESSIONID=id" + std::to_string(ids_++) + "; Path=/\r\n";
        answer.fields = set_cookie_;
        break;
      default:
        break;
    }
    return answer;
  }

  void backend_goes_on() {
    BackendPeer* const backend =
        pick(backends_, [](BackendPeer& b) { return b.stream.open() && (b.answering() || b.tunnel()); });
    if (backend == nullptr) return;
    const size_t size = choices_.of(kBodies);
    log(name(backend->stream), " goes on by " + std::to_string(size));
    if (backend->tunnel()) {
      backend->say_tunnel(size);
    } else {
      backend->say_body(size, choices_.flip());
    }
    if (choices_.flip()) backend->stream.read();
  }

  void backend_says_anything() {
    BackendPeer* const backend = pick(backends_, [](BackendPeer& b) { return can_speak(b); });
    if (backend == nullptr) return;
    H2End* const end = end_at(backend->stream);
    const std::string bytes = end != nullptr ? any_frame() : anything(kResponseBits);
    log(name(backend->stream), end != nullptr ? " says any frame" : " says " + bytes);
    each_at(backends_, backend->stream, [](BackendPeer& peer) { peer.spoil(); });
    end != nullptr ? end->say_raw(bytes) : backend->stream.say(bytes);
    if (choices_.flip()) backend->stream.read();
  }

  void backend_goes() {
    BackendPeer* const backend = pick(backends_, [](BackendPeer& b) { return can_speak(b); });
    if (backend == nullptr) return;
    auto* const line = dynamic_cast<H2Line*>(&backend->line);
    if (line != nullptr && choices_.flip()) return end_stream(*backend, *line);
    const bool resets = choices_.flip();
    log(name(backend->stream), resets ? " resets" : " ends");
    close(*backend, resets);
  }

  void end_stream(BackendPeer& backend, H2Line& line) {
    if (choices_.flip()) {
      log(name(backend.stream), " resets a stream");
      backend.ended = true;
      return line.reset(choices_.of(kResets));
    }
    log(name(backend.stream), " goes away behind a stream");
    end_at(backend.stream)->go_away(line);
    each_at(backends_, backend.stream,
            [&](BackendPeer& peer) { peer.ended = peer.ended || peer.line.is_disowned(); });
  }

  // The connection, and so what else is on it.
  void close(BackendPeer& backend, bool resets) {
    if (end_at(backend.stream) == nullptr) return resets ? backend.abort() : backend.end();
    each_at(backends_, backend.stream, [](BackendPeer& peer) { peer.ended = true; });
    resets ? backend.stream.abort() : backend.stream.end();
  }

  void drain() {
    FakeStream* const stream =
        pick(stage_.net.streams, [](FakeStream& s) { return s.open() && s.queued() != 0; });
    if (stream == nullptr) return;
    log("drain ", name(*stream));
    stream->drain(choices_.of(kPieces));
  }

  void narrow() {
    static constexpr std::array<size_t, 5> kRooms{kAll, 0, 1, 100, 5000};
    FakeStream* const stream = pick(stage_.net.streams, [](FakeStream& s) { return s.open(); });
    if (stream == nullptr) return;
    log("room at ", name(*stream));
    stream->room = choices_.of(kRooms);
  }

  void pass() {
    static constexpr std::array<net::Millis, 5> kTimes{1, 20, 100, 1100, 2700};
    const net::Millis time = choices_.of(kTimes);
    log("pass ", std::to_string(time));
    stage_.net.pass(time);
  }

  // What comes from now on is no early data.
  void handshake_ends() {
    ClientPeer* const client =
        pick(clients_, [](ClientPeer& c) { return c.stream.open() && c.stream.early; });
    if (client == nullptr) return;
    log("the handshake is over of ", name(client->stream));
    client->stream.early = false;
  }

  void read_file() {
    if (stage_.net.files_asked.empty()) return;
    const bool is_there = choices_.flip();
    log(is_there ? "a file is read" : "a file is not there");
    stage_.net.read_file(is_there ? std::optional<std::string>("token.key") : std::nullopt);
  }

  void change_state() {
    using State = routing::BackendState;
    static constexpr std::array kStates{State::up, State::up, State::draining, State::down,
                                        State::maintenance};
    const auto slot = any_slot();
    const State state = choices_.of(kStates);
    log("backend " + std::to_string(slot) + " is ", routing::text(state));
    stage_.put(slot, state);
  }

  void withdraw() {
    const auto slot = any_slot();
    log("withdraw ", std::to_string(slot));
    stage_.withdraw(slot);
  }

  void change_network() {
    static constexpr std::array kErrors{0, -EMFILE, -EADDRNOTAVAIL, -ENETUNREACH, -ENOMEM};
    FakeNet& net = stage_.net;
    net.can_dial = !choices_.one_in(4);
    net.addresses = static_cast<unsigned>(1 + choices_.below(3));
    net.bad_addresses = static_cast<unsigned>(choices_.below(3));
    net.dial_error = choices_.of(kErrors);
    log(net.can_dial ? "addresses: " : "nothing can be dialled; addresses: ", std::to_string(net.addresses));
  }

  void give_up_idle() {
    const bool all = choices_.flip();
    log(all ? "close what is idle" : "give up what is idle");
    if (all) {
      stage_.context().close_idle();
    } else {
      stage_.context().give_up_idle(net::kAnyDescriptor);
    }
    stage_.net.event_over();
  }

  // A listener leaves the file, or the pool does, and may come back while it drains.
  void reload() {
    if (!choices_.one_in(4)) return;
    const proxy::Plan& before = stage_.plan();
    auto settings = std::make_shared<conf::Settings>(*before.settings);
    auto next = std::make_shared<proxy::Plan>(before);
    if (choices_.flip()) {
      if (settings->listeners.size() == 1) return;
      log("a listener leaves");
      settings->listeners.pop_back();
      next->listeners.pop_back();
      next->tls.pop_back();
    } else if (settings->pools.empty()) {
      log("the pool is back");
      settings->pools = stage_.settings.pools;
      settings->routes = stage_.settings.routes;
    } else {
      log("the pool leaves");
      settings->pools.clear();
      settings->routes.clear();
    }
    next->routes = std::make_shared<const routing::Routes>(routing::Routes::from(*settings));
    next->settings = std::move(settings);
    stage_.follow(std::move(next));
  }

  void end_of_days() {
    if (!choices_.one_in(8)) return;
    const bool now = choices_.one_in(4);
    log(now ? "stop" : "shut down");
    ending_ = true;
    if (now) {
      stage_.stop();
    } else {
      stage_.shut_down();
    }
  }

  void read_everything() {
    log("read everything");
    while (ok() && deliver_once()) {
    }
  }

  bool deliver_once() {
    for (size_t i = 0; i < stage_.net.streams.size(); ++i) {
      FakeStream& stream = *stage_.net.streams[i];
      if (!stream.can_read()) continue;
      stream.read();
      return true;
    }
    return false;
  }

  // ---- the end

  // Everybody behaves from now on, so every request that was asked in full gets its answer, soon.
  void answer_all() {
    log("everybody behaves");
    FakeNet& net = stage_.net;
    net.can_dial = true;
    net.bad_addresses = 0;
    for (size_t slot = 0; slot < stage_.settings.pools[0].backends.size(); ++slot)
      stage_.put(static_cast<routing::Slot>(slot), routing::BackendState::up);
    constexpr net::Millis kSoon = 1200;  // patience is shorter, every timeout longer
    for (net::Millis waited = 0; ok() && waited < kSoon; waited += 100) {
      while (ok() && behave_once()) stage_.deliver_permits();
      if (!ok()) break;
      stage_.net.pass(100);
      stage_.deliver_permits();
    }
    for (const auto& client : clients_) {
      if (!ok() || !client->sound || client->may_have_gone) continue;
      if (!client->line.is_open() || client->reader.tunnel) continue;
      if (client->answered() < client->asked() && !has_queue_behind_tunnel())
        note(name(client->stream) + " has no answer though nothing is in its way");
      if (ending_ && client->asked() > 0) note(name(client->stream) + " stays when all are to end");
    }
  }

  // A tunnel may have the only place for as long as it is open.
  bool has_queue_behind_tunnel() const {
    const auto& backends = stage_.settings.pools[0].backends;
    return std::any_of(backends.begin(), backends.end(),
                       [](const auto& one) { return one.max_connections != 0; }) &&
           std::any_of(clients_.begin(), clients_.end(), [](const auto& one) { return one->reader.tunnel; });
  }

  bool behave_once() {
    if (deliver_once()) return true;
    if (!stage_.net.files_asked.empty()) {
      stage_.net.read_file(std::nullopt);
      return true;
    }
    for (size_t i = 0; i < stage_.net.streams.size(); ++i) {
      FakeStream& stream = *stage_.net.streams[i];
      stream.room = kAll;
      if (stream.connecting()) {
        stream.connect();
        return true;
      }
      if (stream.open() && stream.queued() != 0) {
        stream.drain();
        return true;
      }
    }
    for (const auto& backend : backends_) {
      if (!can_speak(*backend)) continue;
      if (backend->answering()) {
        backend->say_body(0);
        if (backend->answering()) backend->say_body(kBodies.back());
        return true;
      }
      if (backend->can_answer()) {
        backend->answer({});
        return true;
      }
      if (backend->sound) continue;
      close(*backend, false);
      return true;
    }
    return false;
  }

  // Nobody does anything any more, so everything ends by itself.
  void time_out() {
    log("nobody moves");
    check_rates();
    stage_.net.pass(3600'000);
    if (!stage_.net.files_asked.empty()) note("a file is waited for");
    for (const auto& stream : stage_.net.streams) {
      if (stream->open()) note(name(*stream) + " is left open");
    }
    const std::string books = stage_.books();
    if (!books.empty()) note(books);
  }

  // No client's requests have reached backends more often than it may send them.
  void check_rates() {
    const conf::RequestRate& rate = stage_.settings.pools[0].rate;
    if (rate.requests == 0 || rate.by != conf::RateBy::client) return;
    std::map<std::string_view, uint64_t> came;
    for (const auto& [tag, request] : tagged_)
      if (!request.sent.empty()) ++came[addresses_[std::stoul(tag.substr(1))]];
    const uint64_t passed_ms = stage_.net.now() - began_;
    const uint64_t most = rate.at_once() + rate.requests * passed_ms / 1000 + 1;
    for (const auto& [address, count] : came)
      if (count > most)
        note(std::to_string(count) + " requests of one client came through, not " + std::to_string(most));
  }

  // ---- what always holds

  void check() {
    meet_new_backends();
    if (!stage_.net.fault.empty()) note(stage_.net.fault);
    if (!stage_.context().to_client.empty()) note("bytes for a client were gathered and not sent");
    if (!stage_.context().to_backend.empty()) note("bytes for a backend were gathered and not sent");
    for (const auto& stream : stage_.net.streams) {
      if (stream->open() && stream->queued() > kMostQueued) note("too much is queued to " + name(*stream));
    }
    for (const auto& client : clients_) note(client->check());
    for (const auto& backend : backends_) note(backend->check());
  }

  void meet_new_backends() {
    for (; met_ < stage_.net.streams.size(); ++met_) {
      FakeStream& stream = *stage_.net.streams[met_];
      if (stream.address() == nullptr) continue;
      if (by_http2_) {
        end_of(stream, H2Peer::Role::server, server_settings());
      } else {
        lines_.push_back(std::make_unique<Line>(stream));
        backends_.push_back(std::make_unique<BackendPeer>(*lines_.back(), tagged_, says_who_));
      }
    }
    for (const auto& end : ends_) hear(*end);
  }

  std::vector<nghttp2_settings_entry> server_settings() {
    std::vector<nghttp2_settings_entry> settings;
    if (choices_.one_in(3))
      settings.push_back(
          {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<uint32_t>(1 + choices_.below(3))});
    if (choices_.one_in(3)) settings.push_back({NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, choices_.of(kWindows)});
    if (choices_.flip()) settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
    return settings;
  }

  // Requests that have come there have peers of their own.
  void hear(H2End& end) {
    const size_t known = end.lines.size();
    end.turn();
    if (!end.fault().empty()) note(name(end.stream) + " got " + end.fault());
    for (size_t i = known; i < end.lines.size(); ++i) {
      backends_.push_back(std::make_unique<BackendPeer>(*end.lines[i], tagged_, false));
      if (!end.sound) backends_.back()->spoil();
    }
  }

  void note(const std::string& what) {
    if (what.empty() || !wrong_.empty()) return;
    wrong_ = what;
    log("WRONG: ", what);
  }

  Outcome outcome() const {
    Outcome outcome{.wrong = wrong_};
    for (const auto& client : clients_) {
      outcome.answered_by[end_at(client->stream) != nullptr][by_http2_] += client->answered();
      outcome.answered += client->answered();
      outcome.tunnels += client->reader.tunnel ? 1 : 0;
    }
    for (const auto& [tag, request] : tagged_) outcome.repeated += request.sent.size() > 1 ? 1 : 0;
    const proxy::PoolMeter& meter = *meter_;
    outcome.over_rate = meter.rate_limited.value();
    outcome.shed = meter.reasons[static_cast<size_t>(routing::Reason::shed)].value();
    for (const auto& listener : listeners_)
      for (const auto& refused : listener->refused) outcome.refused += refused;
    return outcome;
  }

  // ---- helpers

  routing::Slot any_slot() {
    return static_cast<routing::Slot>(choices_.below(stage_.settings.pools[0].backends.size()));
  }

  static bool can_speak(const BackendPeer& backend) {
    return backend.stream.open() && !backend.stream.connecting() && !backend.ended;
  }

  template <class List, class Fits>
  auto pick(const List& list, Fits&& fits) -> decltype(list.front().get()) {
    std::vector<decltype(list.front().get())> fitting;
    for (const auto& each : list) {
      if (fits(*each)) fitting.push_back(each.get());
    }
    return fitting.empty() ? nullptr : fitting[choices_.below(fitting.size())];
  }

  // A bit of HTTP, or bytes of ASCII; never a tag.
  template <size_t N>
  std::string anything(const std::array<std::string_view, N>& bits) {
    if (!choices_.one_in(4)) return std::string(choices_.of(bits));
    std::string bytes(choices_.text(choices_.below(16)));
    for (char& c : bytes) {
      c = static_cast<char>(c & 0x7f);
      if (c == '~') c = '-';
    }
    return bytes;
  }

  // That nghttp2 knows nothing of at its peer. Heads and content are of ASCII: no letter, no tag that was
  // said before.
  std::string any_frame() {
    const auto type = static_cast<uint8_t>(choices_.below(12)),
               flags = static_cast<uint8_t>(choices_.below(256));
    const auto stream = static_cast<uint32_t>(choices_.below(24));
    std::string payload(choices_.text(choices_.below(60)));
    if (type == NGHTTP2_DATA || type == NGHTTP2_HEADERS || type == NGHTTP2_CONTINUATION) {
      for (char& c : payload) c = static_cast<char>(c & 0x7f);
    }
    return choices_.one_in(8) ? payload : frame(type, flags, stream, payload);
  }

  template <class List, class Do>
  static void each_at(const List& list, const FakeStream& stream, Do&& act) {
    for (const auto& each : list)
      if (&each->stream == &stream) act(*each);
  }

  std::string name(const FakeStream& stream) const {
    for (size_t i = 0; i < stage_.net.streams.size(); ++i) {
      if (stage_.net.streams[i].get() == &stream)
        return (stream.address() == nullptr ? "client " : "backend ") + std::to_string(i);
    }
    return {};
  }

  void log(std::string_view what, std::string_view more = {}) {
    if (trace_ != nullptr) trace_->append(what).append(more).append("\n");
  }

  Choices choices_;
  std::string* const trace_;
  Stage stage_;
  // Of the first plan; what it serves may leave later ones.
  const std::shared_ptr<proxy::PoolMeter> meter_ = stage_.plan().pools[0]->meters[0];
  const std::vector<std::shared_ptr<proxy::ListenerMeter>> listeners_ = stage_.plan().listeners;
  const net::Millis began_ = stage_.net.now();
  std::vector<std::string_view> addresses_;  // of the clients
  TaggedRequests tagged_;
  std::vector<std::unique_ptr<Line>> lines_;  // of HTTP/1.1
  std::vector<std::unique_ptr<H2End>> ends_;
  std::vector<std::unique_ptr<ClientPeer>> clients_;
  std::vector<std::unique_ptr<BackendPeer>> backends_;
  std::string set_cookie_;
  std::string wrong_;
  size_t met_ = 0;  // streams that were looked at for new backends
  size_t ids_ = 0;
  size_t events_ = 0;
  bool ending_ = false;
  bool by_http2_ = false;  // backends speak that
  bool says_who_ = false;  // each connection to a backend begins with a header of the PROXY protocol
};

}  // namespace limpet::test
