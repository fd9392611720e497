// Names that answer late, or never, cost nobody else anything.
#include "src/net/resolver.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/net/loop.h"

namespace limpet::net::resolver_test {

using namespace std::chrono_literals;

Resolver::Answer address(uint32_t number) {
  sockaddr_storage found{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(found);
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(number);
  return {"", {found}};
}

// What lookups do, for as long as any of them lasts: a name hangs while it is among those that do.
struct NameServer {
  std::mutex mutex;
  std::condition_variable changed;
  bool hangs = true;  // names that begin with "dead"
  std::map<std::string, int> asked, at_once;
  int most_at_once = 0, now = 0, most_now = 0;

  Resolver::Answer answer(const std::string& name) {
    std::unique_lock lock(mutex);
    ++asked[name];
    most_at_once = std::max(most_at_once, ++at_once[name]);
    if (name.starts_with("dead")) {
      most_now = std::max(most_now, ++now);
      changed.notify_all();
      changed.wait_for(lock, 60s, [this] { return !hangs; });
      --now;
    }
    --at_once[name];
    if (name.starts_with("dead")) return {"it is dead"};
    return address(static_cast<uint32_t>(asked[name]));
  }
  void set_hangs(bool yes) {
    const std::lock_guard lock(mutex);
    hangs = yes;
    changed.notify_all();
  }
  int get(int NameServer::* number) {
    const std::lock_guard lock(mutex);
    return this->*number;
  }
  int count_of(const std::string& name) {
    const std::lock_guard lock(mutex);
    return asked[name];
  }
};

struct Scene {
  explicit Scene(uint64_t refresh = 10)
      : server(std::make_shared<NameServer>()),
        resolver([server = server](const std::string& name) { return server->answer(name); }, refresh) {
    spdlog::set_level(spdlog::level::off);
  }
  ~Scene() {
    resolver.close();
    server->set_hangs(false);
    spdlog::set_level(spdlog::level::info);
  }
  template <class Fact>
  bool comes_true(Fact fact) {
    for (int i = 0; i < 10'000; ++i) {
      uv_run(loop.uv(), UV_RUN_NOWAIT);
      if (fact()) return true;
      std::this_thread::sleep_for(1ms);
    }
    return false;
  }
  uint32_t found(const std::string& name) const {
    sockaddr_storage out;
    if (!resolver.find(name, 0, 80, out)) return 0;
    return ntohl(reinterpret_cast<const sockaddr_in&>(out).sin_addr.s_addr);
  }

  const std::shared_ptr<NameServer> server;
  Resolver resolver;
  Loop loop;
};

TEST_CASE("names that hang hold up neither the start nor the names behind them") {
  Scene scene(Resolver::kRefresh);
  scene.resolver.start(scene.loop.uv(), {"dead 1", "dead 2", "dead 3", "dead 4", "dead 5", "good"});
  CHECK(scene.found("good") == 1);
  CHECK(scene.found("dead 1") == 0);
  CHECK(scene.server->get(&NameServer::most_now) == 5);
}

TEST_CASE("an answer that comes after the start is taken when it comes") {
  auto gate = std::make_shared<std::atomic<bool>>(false);
  Resolver resolver([gate](const std::string&) {
    while (!*gate) std::this_thread::sleep_for(1ms);
    return address(7);
  });
  Loop loop;
  resolver.start(loop.uv(), {"late"});
  sockaddr_storage out;
  CHECK_FALSE(resolver.find("late", 0, 80, out));
  *gate = true;
  bool found = false;
  for (int i = 0; i < 10'000 && !found; ++i) {
    uv_run(loop.uv(), UV_RUN_NOWAIT);
    found = resolver.find("late", 0, 80, out);
    std::this_thread::sleep_for(1ms);
  }
  CHECK(found);
  resolver.close();
}

TEST_CASE("a name is looked up again and again, and one that hangs is never looked up twice at a time") {
  Scene scene;
  scene.resolver.start(scene.loop.uv(), {"dead", "good"});
  CHECK(scene.comes_true([&] { return scene.found("good") >= 10; }));
  CHECK(scene.server->count_of("dead") == 1);
  scene.server->set_hangs(false);
  CHECK(scene.comes_true([&] { return scene.server->count_of("dead") >= 3; }));
  CHECK(scene.server->get(&NameServer::most_at_once) == 1);
}

TEST_CASE("a name that fails now keeps the addresses that it had") {
  std::atomic<int> rounds{0};
  Scene scene;
  Resolver resolver(
      [&rounds](const std::string&) { return ++rounds == 1 ? address(1) : Resolver::Answer{"gone"}; }, 5);
  resolver.start(scene.loop.uv(), {"name"});
  CHECK(scene.comes_true([&] { return rounds >= 3; }));
  sockaddr_storage out;
  CHECK(resolver.find("name", 0, 80, out));
  CHECK(resolver.wrong("name") == "");
  resolver.close();
  scene.resolver.start(scene.loop.uv(), {});
}

TEST_CASE(
    "an address keeps its place while it stands in the answer, and one that does not any more is told of") {
  std::mutex mutex;
  std::vector<uint32_t> now = {1, 2};
  int rounds = 0, lost = 0;
  Scene scene;
  Resolver resolver(
      [&](const std::string&) {
        const std::lock_guard lock(mutex);
        ++rounds;
        Resolver::Answer all{""};
        for (const uint32_t number : now) all.addresses.push_back(address(number).addresses.front());
        return all;
      },
      5);
  resolver.on_lost([&](const std::string& name) { lost += name == "name"; });
  resolver.start(scene.loop.uv(), {"name"});
  const auto after = [&](std::vector<uint32_t> next) {
    int seen = 0;
    {
      const std::lock_guard lock(mutex);
      now = std::move(next);
      seen = rounds;
    }
    CHECK(scene.comes_true([&] {
      const std::lock_guard lock(mutex);
      return rounds >= seen + 3;
    }));
    std::vector<uint32_t> found;
    sockaddr_storage out;
    while (resolver.find("name", static_cast<unsigned>(found.size()), 80, out))
      found.push_back(ntohl(reinterpret_cast<const sockaddr_in&>(out).sin_addr.s_addr));
    CHECK(resolver.count("name") == found.size());
    return found;
  };
  CHECK(after({2, 1}) == std::vector<uint32_t>{1, 2});
  CHECK(after({3, 2, 1}) == std::vector<uint32_t>{1, 2, 3});
  CHECK(lost == 0);
  CHECK(after({3, 2}) == std::vector<uint32_t>{2, 3});
  CHECK(lost == 1);
  CHECK(after({7}) == std::vector<uint32_t>{7});
  CHECK(lost == 2);
  resolver.close();
  scene.resolver.start(scene.loop.uv(), {});
}

TEST_CASE("any number of names that fail leaves threads for those that do not") {
  Scene scene;
  std::vector<std::string> names;
  for (size_t i = 0; i < 2 * Resolver::kMostLookups; ++i) names.push_back("dead " + std::to_string(i));
  names.push_back("good");
  scene.server->set_hangs(false);
  scene.resolver.start(scene.loop.uv(), names);
  CHECK(scene.found("good") == 1);
  scene.server->set_hangs(true);
  CHECK(scene.comes_true([&] { return scene.found("good") >= 10; }));
  CHECK(scene.server->get(&NameServer::most_now) <= static_cast<int>(Resolver::kMostLookups));
}

TEST_CASE("of names that are not wanted any more no address is looked up or kept, and new ones are found") {
  Scene scene;
  scene.resolver.start(scene.loop.uv(), {"old", "both"});
  scene.resolver.watch({"both", "new"});
  CHECK(scene.comes_true([&] { return scene.found("new") >= 5; }));
  CHECK(scene.server->count_of("old") <= 2);
  CHECK(scene.server->count_of("both") >= 3);
  CHECK(scene.found("old") == 0);
}

TEST_CASE("a name that is wanted again is looked up at once, and never served by what it had") {
  Scene scene(Resolver::kRefresh);
  scene.resolver.start(scene.loop.uv(), {"app"});
  REQUIRE(scene.found("app") == 1);
  scene.resolver.watch({});
  CHECK(scene.found("app") == 0);
  scene.resolver.watch({"app"});
  CHECK(scene.found("app") == 0);
  CHECK(scene.comes_true([&] { return scene.found("app") == 2; }));
}

TEST_CASE("what hangs is left behind at the end, and its answer hurts nobody") {
  const auto server = std::make_shared<NameServer>();
  {
    Resolver resolver([server](const std::string& name) { return server->answer(name); });
    Loop loop;
    resolver.start(loop.uv(), {"dead"});
    resolver.close();
  }
  server->set_hangs(false);
  bool over = false;
  for (int i = 0; i < 10'000 && !over; ++i) {
    std::this_thread::sleep_for(1ms);
    over = server->get(&NameServer::now) == 0;
  }
  CHECK(over);
}

}  // namespace limpet::net::resolver_test
