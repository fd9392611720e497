#include "src/proxy/admission.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace limpet::proxy::admission_test {

constexpr uint64_t kNow = 1'000'000'000;  // microseconds

conf::IpAddress address(std::string_view text) { return conf::IpAddress::parse(text).value(); }

// One connection that is let in, or none.
std::unique_ptr<Admission> enter(ListenerMeter& listener, const conf::ListenerLimits& limits,
                                 std::string_view client, uint64_t now = kNow) {
  auto admission = std::make_unique<Admission>();
  if (!admission->take(listener, limits)) return nullptr;
  if (admission->take(address(client), limits, now)) return nullptr;
  return admission;
}

TEST_CASE("without limits everybody is let in, connections are counted, and clients are not") {
  ListenerMeter listener;
  std::vector<std::unique_ptr<Admission>> inside;
  for (int i = 0; i < 100; ++i) inside.push_back(enter(listener, {}, "192.0.2.1"));
  for (const auto& admission : inside) CHECK(admission != nullptr);
  CHECK(listener.connections == 100);
  CHECK(listener.clients.clients() == 0);
  inside.clear();
  CHECK(listener.connections == 0);
}

TEST_CASE("a listener has no more connections than it may, and takes one for each that ends") {
  ListenerMeter listener;
  const conf::ListenerLimits limits{.connections = 2};
  auto one = enter(listener, limits, "192.0.2.1"), two = enter(listener, limits, "192.0.2.2");
  REQUIRE(one);
  REQUIRE(two);
  CHECK_FALSE(enter(listener, limits, "192.0.2.3"));
  CHECK(listener.connections == 2);
  one.reset();
  CHECK(enter(listener, limits, "192.0.2.3"));
}

TEST_CASE("a client has no more connections than it may, whatever others have") {
  ListenerMeter listener;
  const conf::ListenerLimits limits{.connections_per_client = 2};
  auto one = enter(listener, limits, "192.0.2.1"), two = enter(listener, limits, "192.0.2.1");
  CHECK_FALSE(enter(listener, limits, "192.0.2.1"));
  CHECK(enter(listener, limits, "192.0.2.2"));
  CHECK(listener.clients.clients() == 1);
  one.reset();
  CHECK(enter(listener, limits, "192.0.2.1"));
  two.reset();
  CHECK(listener.clients.clients() == 0);
  CHECK(listener.connections == 0);
}

TEST_CASE("a client of IPv6 is a /64") {
  ListenerMeter listener;
  const conf::ListenerLimits limits{.connections_per_client = 1};
  auto one = enter(listener, limits, "2001:db8::1");
  CHECK_FALSE(enter(listener, limits, "2001:db8::ffff:2"));
  CHECK(enter(listener, limits, "2001:db8:0:1::1"));
}

TEST_CASE("a client opens as many in a second as it may, and at once, however short they are") {
  ListenerMeter listener;
  const conf::ListenerLimits limits{.new_connections_per_second = 10};
  for (int i = 0; i < 10; ++i) CHECK(enter(listener, limits, "192.0.2.1"));
  CHECK_FALSE(enter(listener, limits, "192.0.2.1"));
  CHECK(enter(listener, limits, "192.0.2.2"));
  CHECK(enter(listener, limits, "192.0.2.1", kNow + 100'000));
  CHECK_FALSE(enter(listener, limits, "192.0.2.1", kNow + 100'000));
  CHECK(listener.connections == 0);
}

TEST_CASE("a limit that is broken is named") {
  ListenerMeter listener;
  Admission admission, other;
  REQUIRE(admission.take(listener, {}));
  REQUIRE(other.take(listener, {}));
  const conf::IpAddress client = address("192.0.2.1");
  CHECK_FALSE(admission.take(client, {.connections_per_client = 1}, kNow).has_value());
  CHECK(other.take(client, {.connections_per_client = 1}, kNow) == ConnectionLimit::connections_per_client);
  CHECK_FALSE(other.take(client, {.new_connections_per_second = 1}, kNow).has_value());
  CHECK(other.take(client, {.new_connections_per_second = 1}, kNow) ==
        ConnectionLimit::new_connections_per_second);
}

TEST_CASE("a limit that is lowered, raised or ended leaves those inside where they are") {
  ListenerMeter listener;
  const auto per_client = [](uint32_t most) { return conf::ListenerLimits{.connections_per_client = most}; };
  std::vector<std::unique_ptr<Admission>> inside;
  inside.push_back(enter(listener, {}, "192.0.2.1"));  // which nobody counts as the client's
  for (int i = 0; i < 5; ++i) inside.push_back(enter(listener, per_client(5), "192.0.2.1"));
  CHECK(listener.connections == 6);
  CHECK_FALSE(enter(listener, per_client(3), "192.0.2.1"));
  CHECK(enter(listener, per_client(6), "192.0.2.1"));
  CHECK(enter(listener, {}, "192.0.2.1"));
  CHECK_FALSE(enter(listener, {.connections = 6}, "192.0.2.2"));
  inside.clear();
  CHECK(listener.connections == 0);
  CHECK(listener.clients.clients() == 0);
}

TEST_CASE("a place that another connection takes over is given back once") {
  ListenerMeter listener;
  const conf::ListenerLimits limits{.connections_per_client = 1};
  auto first = enter(listener, limits, "192.0.2.1");
  Admission second = std::move(*first);
  first.reset();
  CHECK(listener.connections == 1);
  CHECK(listener.clients.clients() == 1);
  second.give_back();
  second.give_back();
  CHECK(listener.connections == 0);
  CHECK(listener.clients.clients() == 0);
}

TEST_CASE("whoever comes and goes, each has what a plain count gives it") {
  std::mt19937 random(20'260'620);
  ListenerMeter listener;
  constexpr uint32_t kMost = 3;
  const conf::ListenerLimits limits{.connections = 40, .connections_per_client = kMost};
  std::unordered_map<size_t, uint32_t> counts;
  std::vector<std::pair<size_t, std::unique_ptr<Admission>>> inside;
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 5 < 3) {
      const size_t client = random() % 30;
      auto admission = enter(listener, limits, "192.0.2." + std::to_string(client));
      CHECK((admission != nullptr) == (inside.size() < limits.connections && counts[client] < kMost));
      if (admission == nullptr) continue;
      ++counts[client];
      inside.emplace_back(client, std::move(admission));
    } else if (!inside.empty()) {
      std::swap(inside[random() % inside.size()], inside.back());
      --counts[inside.back().first];
      inside.pop_back();
    }
    CHECK(listener.connections == inside.size());
    CHECK(listener.clients.clients() == static_cast<size_t>(std::ranges::count_if(
                                            counts, [](const auto& count) { return count.second != 0; })));
  }
}

TEST_CASE("no limit is exceeded by threads, and nothing is left counted") {
  ListenerMeter listener;
  const conf::ListenerLimits limits{.connections = 6, .connections_per_client = 4};
  std::atomic<uint32_t> of_client{0};
  std::atomic<bool> is_exceeded{false};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        const auto one = enter(listener, limits, "192.0.2.1");
        const auto two = enter(listener, limits, "192.0.2.1");
        const uint32_t mine = (one != nullptr ? 1u : 0u) + (two != nullptr ? 1u : 0u);
        if (of_client.fetch_add(mine) + mine > 4) is_exceeded = true;
        of_client.fetch_sub(mine);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(is_exceeded);
  CHECK(listener.connections == 0);
  CHECK(listener.clients.clients() == 0);
}

}  // namespace limpet::proxy::admission_test
