#include "src/commands.h"

#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "src/status/server.h"
#include "tests/src/status/fake_control.h"
#include "tests/support/descriptors.h"
#include "tests/support/tls_identity.h"

namespace limpet::status::commands_test {

using nlohmann::json;
using Command = CommandLine::Command;

constexpr std::chrono::milliseconds kSoon{1};

struct Said {
  int exit_code;
  std::string out, err;
};

struct Scene {
  explicit Scene(const std::string& token = "", const net::SharedTlsIdentity& identity = nullptr) {
    signal(SIGPIPE, SIG_IGN);
    conf::Status settings;
    settings.address->port = 0;
    auto started = status::Server::start(settings, token, control, descriptors, identity);
    REQUIRE(std::holds_alternative<std::unique_ptr<status::Server>>(started));
    server = std::move(std::get<0>(started));
  }

  CommandLine command(Command what, const char* name) const {
    CommandLine asked;
    asked.command = what;
    asked.name = name;
    asked.at = "127.0.0.1:" + std::to_string(server->port());
    asked.pool = "shop";
    asked.backend = "app-2";
    asked.session = "known key/\xff";
    return asked;
  }

  static Said run(const CommandLine& asked, size_t columns = 0) {
    std::ostringstream out, err;
    const int exit_code = run_command(asked, {out, err, columns}, kSoon);
    return {exit_code, out.str(), err.str()};
  }

  test::FakeControl control;
  net::Descriptors descriptors{test::limit_of(1024)};
  std::unique_ptr<status::Server> server;
};

// A balancer whose backend "app-2" drains: each look finds fewer sessions, and the last one finds it over.
class Draining final : public status::Control {
 public:
  Draining(const char* cause, uint64_t cut, std::optional<health::Unknown> unknown)
      : cause_(cause), cut_(cut), unknown_(unknown) {}

  status::Report report(size_t most_incidents) override {
    status::Report now = fake_.report(most_incidents);
    status::BackendReport& backend = now.pools[0].backends[1];
    now.incidents.clear();
    if (looks_++ < 5) {
      backend.drain->forecast.sessions = 100 - looks_ * 10;
      backend.drain->began_with = 100;
      backend.drain->unknown = unknown_;
      backend.drain->deadline = std::time(nullptr) + 1000;
      return now;
    }
    backend.drain.reset();
    backend.state = std::string_view(cause_) == "checks" ? routing::BackendState::down
                                                         : routing::BackendState::maintenance;
    backend.cause = cause_;
    backend.detail = "the detail";
    health::Incident drain;
    drain.pool = "shop";
    drain.backend = "app-2";
    drain.kind = health::Incident::Kind::drain;
    drain.opened = static_cast<uint32_t>(backend.since - 184);
    drain.closed = static_cast<uint32_t>(backend.since);
    drain.at_risk = 100;
    drain.left = cut_;
    drain.end = cut_ > 0 ? health::Incident::End::deadline : health::Incident::End::settled;
    now.incidents.push_back(drain);
    return now;
  }
  Done order(const std::string& pool, const std::string& backend, health::Order order,
             const std::string& who) override {
    return fake_.order(pool, backend, order, who);
  }
  Done unbind(const std::string&, const std::string&, const std::string&) override { return {}; }
  Done pin(const std::string&, const std::string&, const std::string&, const std::string&) override {
    return {};
  }
  Done reload(const std::string&) override { return {}; }
  std::vector<status::SessionReport> find(const std::string&) override { return {}; }
  bool ready() override { return true; }

 private:
  test::FakeControl fake_;
  const char* const cause_;
  const uint64_t cut_;
  const std::optional<health::Unknown> unknown_;
  std::atomic<int> looks_{0};
};

Said drain_and_wait(const char* cause, uint64_t cut, size_t columns = 0, bool as_json = false,
                    std::optional<health::Unknown> unknown = std::nullopt) {
  Draining control(cause, cut, unknown);
  conf::Status settings;
  settings.address->port = 0;
  net::Descriptors descriptors(test::limit_of(1024));
  auto started = status::Server::start(settings, "", control, descriptors);
  CommandLine asked;
  asked.command = Command::drain;
  asked.name = "drain";
  asked.at = "127.0.0.1:" + std::to_string(std::get<0>(started)->port());
  asked.pool = "shop";
  asked.backend = "app-2";
  asked.wait = true;
  asked.json = as_json;
  return Scene::run(asked, columns);
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST_CASE("the status is a table of pools and backends, with what is open below") {
  Scene scene;
  const Said said = scene.run(scene.command(Command::status, "status"));
  CHECK(said.exit_code == 0);
  CHECK(said.err == "");
  for (const char* part :
       {"limpet 1.2.3, up ", "2 workers", "POOL", "WHY", "\nshop ", "\n  app-1 ", "draining",
        "ordered by alice from 127.0.0.1 (for ", "; 184 sessions left", "its checks fail: connection refused",
        "incident ", "shop/app-3 outage (checks: connection refused)"})
    CHECK_MESSAGE(has(said.out, part), std::string(part));
  CHECK_FALSE(has(said.out, "\x1b"));
}

TEST_CASE("names cannot move a terminal's cursor, nor break the table's lines") {
  Scene scene;
  status::Report report = test::made_up_report();
  report.pools[1].backends[0].name = "x\x1b[2J\ny";
  scene.control.set(report);
  const Said said = scene.run(scene.command(Command::status, "status"));
  CHECK_FALSE(has(said.out, "\x1b"));
  CHECK(has(said.out, "x\\x1b[2J\\"));
}

TEST_CASE("books out of balance are shouted") {
  Scene scene;
  status::Report report = test::made_up_report();
  report.pools[0].sessions.imbalance = -3;
  scene.control.set(report);
  CHECK(has(scene.run(scene.command(Command::status, "status")).out, "BOOKS OUT OF BALANCE BY -3"));
}

TEST_CASE("every command that shows or changes something speaks JSON as well") {
  Scene scene;
  const std::vector<std::pair<Command, const char*>> commands = {
      {Command::status, "status"}, {Command::incidents, "incidents"}, {Command::session, "session"},
      {Command::drain, "drain"},   {Command::undrain, "undrain"},     {Command::maintenance, "maintenance"},
      {Command::up, "up"},         {Command::unbind, "unbind"},       {Command::pin, "pin"},
      {Command::reload, "reload"}};
  for (const auto& command : commands) {
    CommandLine asked = scene.command(command.first, command.second);
    asked.json = true;
    const Said said = scene.run(asked);
    CHECK_MESSAGE(said.exit_code == 0, std::string(command.second));
    CHECK_MESSAGE(json::accept(said.out), std::string(command.second));
  }
}

TEST_CASE("orders go to the backend that is named, in the name of who runs the command") {
  Scene scene;
  for (const auto& [command, name] :
       std::vector<std::pair<Command, const char*>>{{Command::drain, "drain"},
                                                    {Command::undrain, "undrain"},
                                                    {Command::maintenance, "maintenance"},
                                                    {Command::up, "up"}}) {
    const Said said = scene.run(scene.command(command, name));
    CHECK(said.out == "it is so\n");
    CHECK(scene.control.asked().back().starts_with(std::string(name) + "|shop|app-2|"));
    CHECK(scene.control.asked().back().ends_with(" from 127.0.0.1"));
  }
}

TEST_CASE("keys that hold anything arrive as they are") {
  Scene scene;
  CHECK(scene.run(scene.command(Command::session, "session"))
            .out.starts_with("shop/app-2 (draining): moved from app-1; first seen "));
  scene.run(scene.command(Command::unbind, "unbind"));
  CHECK(scene.control.asked().back().starts_with("unbind|shop|known key/\xff|"));
  scene.run(scene.command(Command::pin, "pin"));
  CHECK(scene.control.asked().back().starts_with("pin|shop|known key/\xff|app-2|"));
}

TEST_CASE("a session that nobody knows, and names that are none, are said and end with 1") {
  Scene scene;
  CommandLine asked = scene.command(Command::session, "session");
  asked.session = "other";
  Said said = scene.run(asked);
  CHECK(said.exit_code == 1);
  CHECK(said.err.starts_with("limpet session: no pool knows this session"));
  asked = scene.command(Command::drain, "drain");
  asked.backend = "app2";
  said = scene.run(asked);
  CHECK(said.exit_code == 1);
  CHECK(said.out == "");
  CHECK(said.err == "limpet drain: no backend \"app2\"; did you mean \"app-2\"?\n");
}

TEST_CASE("what the balancer refuses is said in its words") {
  Scene scene;
  scene.control.answer_orders_with({.good = false, .status = 409, .text = "it is up: no drain is ordered"});
  const Said said = scene.run(scene.command(Command::undrain, "undrain"));
  CHECK(said.exit_code == 1);
  CHECK(said.err == "limpet undrain: it is up: no drain is ordered\n");
}

TEST_CASE("what is said in several lines stays so, and no terminal obeys it") {
  Scene scene;
  CommandLine asked = scene.command(Command::reload, "reload");
  scene.control.answer_orders_with({.good = false, .status = 409, .text = "faults:\na:1:1: x\x1b\na:2:1: y"});
  CHECK(scene.run(asked).err == "limpet reload: faults:\na:1:1: x\\x1b\na:2:1: y\n");
  scene.control.answer_orders_with({.good = true, .status = 200, .text = "one\ntwo\x1b"});
  CHECK(scene.run(asked).out == "one\ntwo\\x1b\n");
}

TEST_CASE("the token comes from a file or the environment, and a wrong one is said") {
  Scene scene("0123456789abcdef");
  CommandLine asked = scene.command(Command::drain, "drain");
  CHECK(scene.run(asked).err ==
        "limpet drain: this needs the token: Authorization: Bearer TOKEN (--token-file or "
        "LIMPET_TOKEN gives it)\n");
  asked.token = "another that is long";
  CHECK(has(scene.run(asked).err, "limpet drain: LIMPET_TOKEN holds a space"));
  asked.token = "another-that-is-long";
  CHECK(has(scene.run(asked).err, "the token is wrong"));
  asked.token = "0123456789abcdef";
  CHECK(scene.run(asked).exit_code == 0);

  char name[] = "/tmp/limpet-token-XXXXXX";
  const std::string folder = mkdtemp(name);
  asked.token_file = folder + "/token";
  CHECK(has(scene.run(asked).err, "token cannot be read: No such file"));
  std::ofstream(asked.token_file) << "0123456789abcdef \r\n";
  asked.token = "wrong";
  CHECK(scene.run(asked).exit_code == 0);
  std::filesystem::remove_all(folder);
}

TEST_CASE("a place that is none, and one where nothing listens, are said") {
  CommandLine asked;
  asked.command = Command::status;
  asked.name = "status";
  {
    Scene scene;
    asked.at = scene.command(Command::status, "status").at;
  }
  CHECK(Scene::run(asked).err.starts_with("limpet status: nothing listens at " + asked.at));
  for (const char* portless : {"somewhere", "https://lb.example.com", "https://lb.example.com/", "[::1]"}) {
    asked.at = portless;
    CHECK(Scene::run(asked).err ==
          "limpet status: \"" + std::string(portless) + "\" says no port: HOST:PORT\n");
  }
  asked.at = "::1:80";
  CHECK(Scene::run(asked).err == "limpet status: \"::1:80\" is no HOST:PORT\n");
  CHECK(Scene::run(asked).exit_code == 1);
}

TEST_CASE("whom to trust by TLS is said, and then nothing goes out without it") {
  const test::Issued issued = test::issue({.names = "IP:127.0.0.1"});
  Scene scene("0123456789abcdef", test::identity_of({issued}));
  const test::Folder folder;
  CommandLine asked = scene.command(Command::drain, "drain");
  asked.token = "0123456789abcdef";
  const std::string where = asked.at;
  CHECK(
      has(scene.run(asked).err, "was closed without an answer (where TLS is spoken, https:// or --ca FILE"));
  asked.ca = folder.file("ca.pem");
  CHECK(scene.run(asked).err ==
        "limpet drain: " + asked.ca + " cannot be opened: No such file or directory\n");
  std::ofstream(asked.ca) << issued.pem();
  for (const std::string& at : {where, "https://" + where + "/"}) {
    asked.at = at;
    CHECK(scene.run(asked).out == "it is so\n");
  }
  asked.at = "http://" + where;
  CHECK(scene.run(asked).err ==
        "limpet drain: --ca (or LIMPET_CA) says whom to trust by TLS, and http:// is without it\n");
  asked.at = "https://" + where;
  asked.ca = "";
  CHECK(has(scene.run(asked).err, "its certificate is not trusted: self-signed certificate (--ca FILE"));
  CHECK(scene.control.asked().size() == 2);
}

TEST_CASE("a drain that ends by itself ends with 0 and tells how long it took") {
  const Said said = drain_and_wait("drained", 0);
  CHECK(said.exit_code == 0);
  CHECK(has(said.out, "it is so\n["));
  CHECK(has(said.out, "sessions left"));
  CHECK(has(said.out, ", cut in "));
  CHECK(said.out.ends_with(
      "shop/app-2 is drained after 3 min 4 s: it began with 100 sessions, none was cut\n"));
  CHECK_FALSE(has(said.out, "\r"));
}

TEST_CASE("a drain that cuts sessions ends with 1 and tells how many") {
  const Said said = drain_and_wait("drain_timeout", 12);
  CHECK(said.exit_code == 1);
  CHECK(said.out.ends_with("it began with 100 sessions, and 12 were cut at the deadline\n"));
}

constexpr health::Unknown kJustBegun{.served_for = 60'000, .idle_timeout = 1'800'000, .left = 1'740'000};

TEST_CASE("a drain that waits for sessions that Limpet may not know says so") {
  const Said said = drain_and_wait("drained", 0, 0, false, kJustBegun);
  CHECK(said.exit_code == 0);
  CHECK(has(said.out, "; Limpet may not know all of its sessions for 29 min yet\n"));
  CHECK(said.out.ends_with("it began with 100 sessions, none was cut\n"));
}

TEST_CASE("a drain whose deadline came before all sessions were known does not say that none was cut") {
  Said said = drain_and_wait("drain_timeout", 0, 0, false, kJustBegun);
  CHECK(said.exit_code == 0);
  CHECK(has(said.out, "sessions, none that is known was cut; Limpet has served this pool for 1 min and "));
  said = drain_and_wait("drain_timeout", 12, 0, false, kJustBegun);
  CHECK(said.exit_code == 1);
  CHECK(has(said.out, ", and 12 were cut at the deadline; Limpet has served this pool for 1 min and "));
}

TEST_CASE("a drain that is to wait for known sessions alone is ordered so") {
  Scene scene;
  CommandLine asked = scene.command(Command::drain, "drain");
  asked.known_only = true;
  CHECK(scene.run(asked).exit_code == 0);
  CHECK(scene.control.asked().back().starts_with("drain of known sessions|shop|app-2|"));
}

TEST_CASE("a drain that something else ends is no success") {
  const Said said = drain_and_wait("checks", 0);
  CHECK(said.exit_code == 1);
  CHECK(said.err ==
        "limpet drain: the drain of shop/app-2 ended before its time: it is down, its checks fail: the "
        "detail\n");
}

TEST_CASE("on a terminal the progress is drawn over, and never wider than it") {
  const Said said = drain_and_wait("drained", 0, 40);
  CHECK(has(said.out, "\r\x1b[K["));
  std::istringstream pieces(said.out);
  for (std::string piece; std::getline(pieces, piece, '\r');) {
    if (piece.starts_with("\x1b[K[")) CHECK(piece.size() <= 3 + 39);
  }
}

TEST_CASE("a drain that is waited for as JSON is a line for each look") {
  const Said said = drain_and_wait("drained", 0, 80, true);
  CHECK(said.exit_code == 0);
  std::istringstream lines(said.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) CHECK(json::accept(line));
  CHECK(count > 3);
}

TEST_CASE("incidents are a table with the newest first, or the word that there are none") {
  Scene scene;
  const Said said = scene.run(scene.command(Command::incidents, "incidents"));
  CHECK(said.exit_code == 0);
  CHECK(has(said.out, "RECOVERED"));
  CHECK(said.out.find("outage") < said.out.find("lapse"));
  scene.control.set({});
  CHECK(scene.run(scene.command(Command::incidents, "incidents")).out ==
        "no incidents since Limpet started\n");
}

}  // namespace limpet::status::commands_test
