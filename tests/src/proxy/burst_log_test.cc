// Warnings of what comes in bursts.
#include "src/proxy/burst_log.h"

#include <doctest/doctest.h>

#include "tests/support/fake_net.h"
#include "tests/support/logged.h"

namespace limpet::proxy::burst_log_test {

struct Scene {
  void refuse(const std::string& listener, const std::string& limit, const std::string& peer) {
    log->warn(listener, limit, "connection", "refused, the last from " + peer + " (limits." + limit + ")");
  }
  test::Logged logged;
  test::FakeNet net;
  std::unique_ptr<BurstLog> log = std::make_unique<BurstLog>(net.deadlines);
};

std::string line(const std::string& listener, const std::string& connections, const std::string& limit,
                 const std::string& peer) {
  return "listener " + listener + ": " + connections + " refused, the last from " + peer + " (limits." +
         limit + ")";
}

TEST_CASE("the first is told at once, and the rest of a burst when its ten seconds are over") {
  Scene scene;
  for (const char* peer : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) scene.refuse("web", "connections", peer);
  std::string told = scene.logged.take();
  CHECK(told.find(line("web", "1 connection", "connections", "10.0.0.1")) != told.npos);
  CHECK(std::count(told.begin(), told.end(), '\n') == 1);
  scene.net.pass(BurstLog::kEvery - 100);
  CHECK(scene.logged.take() == "");
  scene.net.pass(200);
  told = scene.logged.take();
  CHECK(told.find(line("web", "2 connections", "connections", "10.0.0.3")) != told.npos);
  CHECK(std::count(told.begin(), told.end(), '\n') == 1);
  scene.net.pass(3 * BurstLog::kEvery);
  CHECK(scene.logged.take() == "");
  scene.refuse("web", "connections", "10.0.0.4");
  CHECK(scene.logged.take().find("1 connection refused, the last from 10.0.0.4") != std::string::npos);
}

TEST_CASE("each limit of each listener is counted for itself") {
  Scene scene;
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {"web", "connections"}, {"web", "new_connections_per_second"}, {"api", "connections"}};
  size_t count = 1;
  for (const auto& [listener, limit] : kinds) {
    for (size_t i = 0; i <= count; ++i) scene.refuse(listener, limit, "10.0.0.9");
    const std::string told = scene.logged.take();
    CHECK(told.find(line(listener, "1 connection", limit, "10.0.0.9")) != told.npos);
    ++count;
    scene.net.pass(1000);
  }
  scene.net.pass(BurstLog::kEvery);
  const std::string told = scene.logged.take();
  CHECK(told.find(line("web", "1 connection", "connections", "10.0.0.9")) != told.npos);
  CHECK(told.find(line("web", "2 connections", "new_connections_per_second", "10.0.0.9")) != told.npos);
  CHECK(told.find(line("api", "3 connections", "connections", "10.0.0.9")) != told.npos);
  CHECK(std::count(told.begin(), told.end(), '\n') == 3);
}

TEST_CASE("what is left of a burst is told at the end") {
  Scene scene;
  for (int i = 0; i < 5; ++i) scene.refuse("web", "connections", "10.0.0.1");
  scene.logged.take();
  scene.log.reset();
  const std::string told = scene.logged.take();
  CHECK(told.find(line("web", "4 connections", "connections", "10.0.0.1")) != told.npos);
}

TEST_CASE("a steady flow is told of every ten seconds, and no one is missing") {
  Scene scene;
  uint64_t told = 0, lines = 0;
  for (int i = 0; i < 1000; ++i) {
    scene.refuse("web", "connections", "10.0.0.1");
    scene.net.pass(100);
  }
  scene.log.reset();
  std::istringstream log(scene.logged.take());
  for (std::string text; std::getline(log, text); ++lines)
    told += std::stoull(text.substr(text.find("web: ") + 5));
  CHECK(told == 1000);
  CHECK(lines >= 10);
  CHECK(lines <= 12);
}

}  // namespace limpet::proxy::burst_log_test
