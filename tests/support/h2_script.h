// Plays the proxy with HTTP/2 on either side or both, every move spelled by a string of bytes. Each request
// has a number, which its content and its answer's are made of: nobody may ever see a piece of another's.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/choices.h"
#include "tests/support/h2_peer.h"
#include "tests/support/stage.h"

namespace limpet::test {

class H2Script {
 public:
  struct Outcome {
    std::string wrong;  // the first thing that went wrong; empty when nothing did
    size_t answered = 0, cancelled = 0, raw = 0;
  };

  static Outcome play(std::span<const uint8_t> moves) {
    H2Script script(moves);
    script.play_all();
    return script.outcome_;
  }

 private:
  static constexpr size_t kMostClients = 4, kMostEvents = 400, kMostQueued = 1024 * 1024;
  static constexpr std::array<size_t, 6> kPieces{1, 9, 40, 1000, 20'000, kAll};
  static constexpr std::array<size_t, 5> kContents{0, 3, 900, 30'000, 200'000};
  static constexpr std::array<uint32_t, 5> kErrors{NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM,
                                                   NGHTTP2_INTERNAL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM};

  struct Client {
    FakeStream* stream;
    std::unique_ptr<H2Peer> peer;
    std::vector<std::pair<int32_t, size_t>> asked;  // streams, and their requests' numbers
    bool is_sane = true;                            // has said nothing that no client would
  };
  struct Server {
    FakeStream* stream;
    std::unique_ptr<H2Peer> peer;  // nullptr: HTTP/1.1
    std::vector<int32_t> answering;
    size_t read = 0;  // of what an HTTP/1.1 one received
  };

  explicit H2Script(std::span<const uint8_t> moves) : choices_(moves), stage_(settings_for(choices_)) {
    stage_.net.after_event = [this] { check(); };
    if (choices_.flip()) stage_.net.events_in_turn = 3;
  }

  static conf::Settings settings_for(Choices& choices) {
    using conf::Duration;
    conf::Settings settings = settings_of(1 + choices.below(2), {conf::AffinityKind::ip});
    settings.pools[0].protocol = choices.flip() ? conf::Protocol::http2 : conf::Protocol::http1;
    if (choices.one_in(4)) settings.pools[0].backends[0].max_connections = 2;
    settings.limits.streams = 8;
    settings.timeouts = {.idle = Duration(3000), .head = Duration(2500), .body = Duration(2600)};
    settings.pools[0].timeouts = {.connect = Duration(2400),
                                  .head = Duration(2700),
                                  .body = Duration(2800),
                                  .stream = Duration(3200),
                                  .tunnel = Duration(3500),
                                  .keep_alive = Duration(2900)};
    return settings;
  }

  // "[7]" over and over.
  static std::string text_of(size_t number, size_t size) {
    const std::string one = "[" + std::to_string(number) + "]";
    std::string all;
    while (all.size() < size) all += one;
    all.resize(size);
    return all;
  }
  static size_t number_in(std::string_view path) {
    size_t number = 0;
    for (const char digit : path.substr(1))
      if (digit >= '0' && digit <= '9') number = number * 10 + static_cast<size_t>(digit - '0');
    return number;
  }

  void play_all() {
    for (size_t event = 0; event < kMostEvents && !choices_.none_left() && outcome_.wrong.empty(); ++event) {
      find_servers();
      move();
    }
    stage_.net.after_event = {};
    stage_.stop();
    for (const auto& stream : stage_.net.streams)
      if (stream->open()) note("a connection was left open");
    note(stage_.net.fault);
    note(stage_.books());
  }

  void find_servers() {
    for (size_t i = servers_.size(); i < stage_.net.dials(); ++i) {
      FakeStream& stream = stage_.net.dialed(i);
      servers_.push_back({&stream, nullptr, {}});
      if (stage_.settings.pools[0].protocol != conf::Protocol::http2) continue;
      std::vector<nghttp2_settings_entry> settings;
      if (choices_.flip()) settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2});
      servers_.back().peer = std::make_unique<H2Peer>(stream, H2Peer::Role::server, std::move(settings));
    }
  }

  void move() {
    switch (choices_.below(16)) {
      case 0:
        return open();
      case 1:
      case 2:
      case 3:
        return ask();
      case 4:
        return content();
      case 5:
        return with_client([this](Client& client) {
          if (client.asked.empty()) return;
          ++outcome_.cancelled;
          client.peer->reset(client.asked[choices_.below(client.asked.size())].first, choices_.of(kErrors));
        });
      case 6:
        return with_client([this](Client& client) {
          const size_t choice = choices_.below(8);
          if (choice == 0) client.stream->end();
          if (choice == 1) client.stream->abort();
          if (choice == 2) client.stream->room = choices_.of(kPieces);
          if (choice == 3) client.peer->opens_windows = !client.peer->opens_windows;
          if (choice == 4) client.peer->ping();
          client.stream->drain(choices_.of(kPieces));
        });
      case 7:
        return raw();
      case 8:
        return with_server([this](Server& server) {
          choices_.one_in(6) ? server.stream->refuse() : server.stream->connect();
        });
      case 9:
      case 10:
        return answer();
      case 11:
        return with_server([this](Server& server) {
          const size_t choice = choices_.below(10);
          if (choice == 0) server.stream->end();
          if (choice == 1) server.stream->abort();
          if (choice == 2) server.stream->room = choices_.of(kPieces);
          if (server.peer && choice == 3) server.peer->go_away(choices_.flip() ? 1 : 0x7fff'ffff);
          if (server.peer && choice == 4) server.peer->opens_windows = !server.peer->opens_windows;
          if (server.peer && choice == 5 && !server.answering.empty())
            server.peer->reset(server.answering[choices_.below(server.answering.size())],
                               choices_.of(kErrors));
          server.stream->drain(choices_.of(kPieces));
        });
      case 12:
        if (choices_.one_in(20)) return stage_.shut_down();
        if (choices_.one_in(20)) return stage_.withdraw(0);
        return stage_.net.pass(choices_.flip() ? 100 : 2'000);
      default:
        return speak();
    }
  }

  template <class Do>
  void with_client(Do&& act) {
    if (!clients_.empty()) act(clients_[choices_.below(clients_.size())]);
  }
  template <class Do>
  void with_server(Do&& act) {
    if (!servers_.empty()) act(servers_[choices_.below(servers_.size())]);
  }

  void open() {
    std::erase_if(clients_, [](const Client& client) { return !client.stream->open(); });
    if (clients_.size() == kMostClients) return;
    FakeStream& stream = stage_.client("192.0.2." + std::to_string(1 + choices_.below(3)));
    clients_.push_back({&stream, std::make_unique<H2Peer>(stream), {}});
  }

  void ask() {
    if (clients_.empty()) open();
    with_client([this](Client& client) {
      const size_t number = ++numbers_;
      const bool more = choices_.flip();
      Headers head{{":method", more ? "POST" : "GET"},
                   {":scheme", "http"},
                   {":authority", "a"},
                   {":path", "/" + std::to_string(number)}};
      if (choices_.one_in(4)) head.emplace_back("cookie", "a=b");
      if (choices_.one_in(4)) head.emplace_back("content-type", "application/grpc");
      const int32_t id = client.peer->ask(head, more);
      if (id > 0) client.asked.emplace_back(id, number);
    });
    speak();
  }

  void content() {
    with_client([this](Client& client) {
      if (client.asked.empty()) return;
      const auto [id, number] = client.asked[choices_.below(client.asked.size())];
      const bool ends = choices_.flip();
      client.peer->content(id, text_of(number, choices_.of(kContents) / 3 * 3), ends);
      if (ends && choices_.flip())
        client.peer->trailers(id, {{"x-number", std::to_string(number)},
                                   {"x-more", std::string(choices_.of(kContents) / 10, 'x')}});
    });
  }

  void answer() {
    with_server([this](Server& server) {
      server.stream->connect();
      if (server.peer == nullptr) return answer_http1(server);
      server.peer->hear();
      for (const auto& [id, message] : server.peer->messages) {
        if (id == 0 || !message.heads_done) continue;
        if (std::find(server.answering.begin(), server.answering.end(), id) != server.answering.end())
          continue;
        server.answering.push_back(id);
        const size_t number = number_in(server.peer->messages[id].field(":path"));
        if (choices_.one_in(4)) server.peer->answer_interim(id, {{":status", "103"}});
        server.peer->answer(id, {{":status", "200"}, {"x-number", std::to_string(number)}}, true);
        server.peer->content(id, text_of(number, choices_.of(kContents)), choices_.flip());
        if (choices_.flip()) break;
      }
      if (!server.answering.empty() && choices_.flip()) {
        const int32_t id = server.answering[choices_.below(server.answering.size())];
        choices_.flip() ? server.peer->trailers(id, {{"grpc-status", "0"}})
                        : server.peer->content(id, "", true);
      }
    });
    speak();
  }

  void answer_http1(Server& server) {
    const std::string& received = server.stream->received;
    const size_t line = received.find(" HTTP/1.1\r\n", server.read);
    if (line == std::string::npos) return;
    server.read = line + 1;
    const size_t slash = received.rfind('/', line);
    const size_t number = number_in(std::string_view(received).substr(slash, line - slash));
    const std::string text = text_of(number, choices_.of(kContents));
    server.stream->say("HTTP/1.1 200 OK\r\nX-Number: " + std::to_string(number) +
                       "\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" +
                       (choices_.one_in(5) ? text.substr(0, text.size() / 2) : text));
  }

  // Frames that no peer of nghttp2's would say.
  void raw() {
    ++outcome_.raw;
    const auto type = static_cast<uint8_t>(choices_.below(12));
    const auto flags = static_cast<uint8_t>(choices_.below(256));
    const auto stream = static_cast<uint32_t>(choices_.below(24));
    std::string payload(choices_.text(choices_.below(60)));
    const std::string bytes = choices_.one_in(8) ? payload : frame(type, flags, stream, payload);
    if (choices_.flip()) {
      with_client([&](Client& client) {
        client.is_sane = false;
        client.stream->say(bytes);
        client.stream->read();
      });
    } else {
      with_server([&](Server& server) {
        if (server.peer == nullptr) return;
        servers_are_sane_ = false;
        server.stream->connect();
        server.stream->say(bytes);
        server.stream->read();
      });
    }
  }

  // Somebody says a part of what it has to say, and hears.
  void speak() {
    const size_t size = choices_.of(kPieces);
    if (choices_.flip()) {
      with_client([&](Client& client) {
        client.stream->say(client.peer->next());
        client.stream->read(size);
        client.stream->read_all();
        client.peer->hear();
        look_at(client);
      });
    } else {
      with_server([&](Server& server) {
        server.stream->connect();
        if (server.peer) server.stream->say(server.peer->next());
        server.stream->read(size);
        if (size == kAll) server.stream->read_all();
        if (server.peer) server.peer->hear();
        if (server.peer) look_at(server);
      });
    }
  }

  void look_at(Server& server) {
    for (const auto& [id, message] : server.peer->messages) {
      for (const auto& [name, value] : message.trailers) {
        if (name == "x-number" && value != std::to_string(number_in(message.field(":path"))))
          note("a backend was told another's trailers");
      }
    }
  }

  void look_at(Client& client) {
    if (client.peer->broken && client.is_sane) note("what a client was told is no HTTP/2");
    for (const auto& [id, number] : client.asked) {
      const H2Peer::Message& message = client.peer->messages[id];
      const std::string told = message.field("x-number");
      if (told.empty() || !servers_are_sane_) continue;
      if (told != std::to_string(number) && client.is_sane) note("a client was told another's answer");
      if (message.content != text_of(number, message.content.size()) && client.is_sane)
        note("a client was told another's content");
      outcome_.answered += message.ended ? 1 : 0;
    }
  }

  void check() {
    note(stage_.net.fault);
    if (!stage_.context().to_client.empty()) note("bytes for a client were gathered and not sent");
    if (!stage_.context().to_backend.empty()) note("bytes for a backend were gathered and not sent");
    for (const auto& stream : stage_.net.streams)
      if (stream->open() && stream->queued() > kMostQueued) note("too much is queued for one peer");
  }
  void note(const std::string& wrong) {
    if (outcome_.wrong.empty()) outcome_.wrong = wrong;
  }

  Choices choices_;
  Stage stage_;
  std::vector<Client> clients_;
  std::vector<Server> servers_;
  bool servers_are_sane_ = true;  // none has said what no server would
  size_t numbers_ = 0;
  Outcome outcome_;
};

}  // namespace limpet::test
