// What must hold of a configuration file, whatever stands in it: each fault stands somewhere in it, in one
// line, and what loads can be put to use: its pools and routes serve a request at each of its listeners.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "conf/findings.h"
#include "conf/load.h"
#include "routing/loops.h"
#include "tests/support/choices.h"
#include "tests/support/message_reader.h"
#include "tests/support/stage.h"

namespace limpet::test {

class SettingsCheck {
 public:
  struct Outcome {
    std::string wrong;
    // What came about, by which a test can tell that its files were worth something.
    bool is_loaded = false;
    size_t answered = 0;
  };

  static Outcome check(std::span<const uint8_t> bytes) {
    SettingsCheck check;
    check.run(text_of(Choices(bytes)));
    return check.outcome_;
  }

 private:
  static constexpr std::array<std::string_view, 64> kValues{
      "\n[[listener]]\naddress = \"*:8080\"\n",
      "\n[[pool]]\nname = \"shop\"\n",
      "\n[[pool.backend]]\nname = \"a\"\naddress = \"127.0.0.1:9001\"\n",
      "\n[[pool.backend]]\nname = \"b\"\naddress = \"unix:/run/b.sock\"\n",
      "\n[[route]]\nhost = \"a.example\"\npath = \"/x\"\npool = \"shop\"\n",
      "\n[[listener]]\nname = \"two\"\naddress = \"[::1]:81\"\n",
      "\n[[pool]]\nname = \"api\"\n[[pool.backend]]\nname = \"c\"\naddress = \"api.example:80\"\n",
      "\n[listener.tls]\ncertificates = [{ file = \"a.pem\", key = \"a.key\" }]\n",
      "\n[listener.tls.clients]\n",
      "\n[pool.tls]\n",
      "\n[pool.health]\n",
      "\n[pool.session_id]\nsources = [\"cookie:S\", \"header:X\", \"query:q\", \"path:p\"]\n",
      "affinity = [\"session-id\", \"cookie\"]\n",
      "affinity = [\"session-id\", \"ip\"]\n",
      "affinity = \"ip\"\n",
      "storage = \"backup\"\n",
      "[\"session-id\", \"cookie\"]",
      "= ",
      "\"30s\"",
      "\"0s\"",
      "\"16KiB\"",
      "\"1h30m\"",
      "\"250ms\"",
      "\"shop\"",
      "\"a\"",
      "\"/x\"",
      "\"*\"",
      "\"10.0.0.0/8\"",
      "\"2001:db8::/32\"",
      "\"127.0.0.1:9180\"",
      "\"http\"",
      "\"[500-504]\"",
      "[\"500-504\", 404]",
      "[]",
      "true",
      "false",
      "0",
      "1",
      "2",
      "100",
      "-1",
      "65535",
      "9223372036854775807",
      "99999999999999999999",
      "1e999",
      "0x10",
      "1979-05-27T07:32:00Z",
      "\"\"",
      "'''",
      "\"\"\"",
      "\\u0000",
      "\\U0010FFFF",
      "{ ",
      " }",
      "\n",
      "\r\n",
      "# ",
      ".",
      "[",
      "]",
      "[[",
      "]]",
      "\"least-sessions\"",
      "\"move\""};

  // Above 191 stands one of the keys that there are, which are more than fit elsewhere.
  static std::string text_of(Choices choices) {
    static const std::vector<std::string> keys = conf::known_keys();
    std::string text;
    while (!choices.none_left()) {
      const size_t choice = choices.below(256);
      if (choice < 128) {
        text.push_back(static_cast<char>(choice));
      } else if (choice < 192) {
        text.append(kValues[choice - 128]);
      } else if (choice < 255) {
        const std::string& key = keys[(choice * 256 + choices.below(256)) % keys.size()];
        text.append(choice < 208 ? key : key.substr(key.rfind('.') + 1)).append(choice < 240 ? " = " : "");
      } else {
        text.append(choices.text(choices.below(16)));
      }
    }
    return text;
  }

  void run(const std::string& text) {
    const auto loaded = conf::load_text(text, "f.toml", routing::check_loops);
    const auto again = conf::load_text(text + "\n# the same", "f.toml", routing::check_loops);
    if (loaded.index() != again.index()) note("a comment makes a difference");
    if (const auto* faults = std::get_if<conf::Faults>(&loaded)) return check_faults(*faults, text);
    outcome_.is_loaded = true;
    const conf::Settings& settings = std::get<conf::Settings>(loaded);
    if (again.index() == 0 && !(std::get<conf::Settings>(again) == settings))
      note("a comment changes something");
    if (conf::Findings none("f.toml"); true) {
      routing::check_loops(settings, none);
      if (!none.none()) note("what was found to be good is not");
    }
    check_use(settings);
  }

  void check_faults(const conf::Faults& faults, const std::string& text) {
    if (faults.empty()) note("nothing is wrong, and nothing is had");
    const auto lines = static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n')) + 1;
    uint32_t last = 0;
    for (const conf::Fault& fault : faults) {
      if (fault.message.empty() || fault.line > lines || (fault.line != 0 && fault.column == 0))
        note("a fault stands nowhere: " + fault.text());
      if (fault.line < last) note("faults are out of order");
      last = fault.line;
      const std::string told = fault.text();
      const bool is_line =
          std::none_of(told.begin(), told.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; });
      if (!is_line) note("a fault is more than a line of text: " + told);
    }
  }

  // With a stage's own keys; addresses are dialled on no network.
  void check_use(const conf::Settings& settings) {
    if (settings.listeners.empty() || settings.pools.empty())
      return note("nothing listens, or nothing serves");
    constexpr size_t kMost = 4;
    Stage stage(settings);
    for (size_t listener = 0; listener < std::min(settings.listeners.size(), kMost); ++listener) {
      std::vector<std::pair<std::string, std::string>> asked{{"a.example", "/"}};
      for (size_t i = 0; i < std::min(settings.routes.size(), kMost); ++i) {
        std::string host = settings.routes[i].host;
        if (host.starts_with('*')) host.replace(0, 1, "x");
        asked.emplace_back(host.empty() ? "a.example" : host, settings.routes[i].path);
      }
      for (const auto& [host, path] : asked) ask(stage, listener, host, path);
    }
    stage.net.pass(1000);
  }

  void ask(Stage& stage, size_t listener, const std::string& host, const std::string& path) {
    FakeStream& client = stage.client("192.0.2.1", listener);
    if (stage.settings.listeners[listener].proxy_protocol) client.say("PROXY UNKNOWN\r\n");
    client.sends("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
    MessageReader reader(MessageReader::Side::responses);
    reader.expect_answer(false);
    for (size_t i = 0; i < stage.net.streams.size(); ++i) {
      FakeStream& stream = *stage.net.streams[i];
      if (!stream.connecting()) continue;
      stream.connect();
      stream.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: S=1\r\n\r\nok");
    }
    while (!stage.net.files_asked.empty()) stage.net.read_file(std::nullopt);
    reader.feed(client.received);
    if (!reader.fault.empty()) note("an answer is none: " + reader.fault + ": " + client.received);
    for (const auto& message : reader.messages) outcome_.answered += message.complete ? 1 : 0;
    if (client.open()) client.sends_abort();
    if (!stage.net.fault.empty()) note(stage.net.fault);
  }

  void note(std::string what) {
    if (outcome_.wrong.empty()) outcome_.wrong = std::move(what);
  }

  Outcome outcome_;
};

}  // namespace limpet::test
