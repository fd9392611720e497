// How long routing takes for a warm request, and what a tracked session costs in memory. Prints; checks
// nothing.
//   scripts/dev build && g++ -O2 -std=c++20 -I. tests/bench/routing.cc build/liblimpet_{routing,conf}.a
//   -lxxhash -lcrypto
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "routing/hash.h"
#include "routing/router.h"
#include "routing/session_table.h"
#include "routing/token.h"

using namespace limpet;
using namespace limpet::routing;

namespace {

uint64_t allocations = 0;

}  // namespace

[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace {

constexpr uint32_t kNow = 1'700'000'000;

double cpu_nanoseconds() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) * 1e9 + static_cast<double>(spent.tv_nsec);
}

// The best and the median of many short batches, in this thread's CPU time: neighbours disturb the median.
template <class Work>
void measure(const char* what, Work&& work) {
  constexpr int kBatches = 50, kBatch = 10'000;
  std::array<double, kBatches> batches;
  const uint64_t allocations_before = allocations;
  for (int batch = 0; batch < kBatches; ++batch) {
    const double begin = cpu_nanoseconds();
    for (int i = 0; i < kBatch; ++i) work(batch * kBatch + i);
    batches[static_cast<size_t>(batch)] = (cpu_nanoseconds() - begin) / kBatch;
  }
  const double made = static_cast<double>(allocations - allocations_before) / (kBatches * kBatch);
  std::sort(batches.begin(), batches.end());
  std::printf("%-52s best %6.0f ns, median %6.0f ns, %5.3f allocations\n", what, batches.front(),
              batches[kBatches / 2], made);
}

conf::Pool pool_of(conf::AffinityKind kind) {
  conf::Pool pool;
  pool.name = "shop";
  pool.affinity = {kind};
  pool.session_id.sources = {{conf::SessionIdSource::Place::cookie, "JSESSIONID"}};
  for (int i = 0; i < 4; ++i) {
    conf::Backend backend;
    backend.name = "app-" + std::to_string(i);
    pool.backends.push_back(backend);
  }
  return pool;
}

// A browser's request and a small answer.
struct Exchange {
  explicit Exchange(std::string cookie_value) : cookie(std::move(cookie_value)) {
    sent = {{"Host", "shop.example"},
            {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
            {"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
            {"Accept-Language", "en-US,en;q=0.5"},
            {"Accept-Encoding", "gzip, deflate, br"},
            {"Cookie", cookie},
            {"Referer", "https://shop.example/cart"}};
    answered = {
        {"Date", "Tue, 14 Nov 2023 22:13:20 GMT"}, {"Content-Type", "text/html"}, {"Content-Length", "128"}};
    request.method = "GET";
    request.target = "/cart?item=1";
    request.fields = sent;
    request.client = conf::IpAddress::parse("192.0.2.1").value();
    response.status = 200;
    response.fields = answered;
  }

  std::string cookie;
  std::vector<Field> sent, answered;
  RequestView request;
  ResponseView response;
};

Outcome exchange(Router& router, const Fleet& fleet, const Exchange& said) {
  const Identity identity = router.identify(said.request, fleet, kNow);
  const Choice choice = router.choose(identity, fleet, {}, kNow);
  return router.account(identity, choice, fleet, said.request, said.response, kNow);
}

void measure_token() {
  const TokenSealer sealer({std::string(32, 'k')}, "shop");
  const TokenSealer foreign({std::string(32, 'f')}, "shop");
  const std::string text = sealer.seal({1, 2, kNow, kNow}).value(),
                    other = foreign.seal({1, 2, kNow, kNow}).value();
  measure("token: open one that was opened lately", [&](int) { sealer.open(text); });
  std::vector<std::string> many;  // far more than are remembered, so that each is decrypted
  for (uint64_t i = 0; i < 50'000; ++i) many.push_back(sealer.seal({1, i, kNow, kNow}).value());
  measure("token: open one that was not",
          [&](int i) { sealer.open(many[static_cast<size_t>(i) % many.size()]); });
  measure("token: open one that another key sealed", [&](int) { sealer.open(other); });
  measure("token: seal", [&](int i) { sealer.seal({1, static_cast<uint64_t>(i), kNow, kNow}); });
}

void measure_kind(const char* what, conf::AffinityKind kind, int known, uint64_t others) {
  const conf::Pool pool = pool_of(kind);
  Router router(pool, {std::string(32, 'k')}, std::string(32, 's'), Router::new_memory(pool));
  const Fleet fleet = Fleet::from(pool);
  for (uint64_t i = 0; i < others; ++i)
    router.table().open(mixed(i), 0, kNow, SessionTable::Room::none, SessionTable::Begun::by_answer);
  std::vector<Exchange> clients;
  for (int i = 0; i < known; ++i) {
    std::string id = "JSESSIONID=1A530637289A03B07199A44E8D531427" + std::to_string(i);
    Exchange login("theme=dark");
    login.answered.push_back({"Set-Cookie", id});
    login.response.fields = login.answered;
    const Outcome outcome = exchange(router, fleet, login);
    clients.emplace_back("theme=dark; " + (outcome.token ? "limpet_shop=" + *outcome.token : id));
  }
  measure(what, [&](int i) { exchange(router, fleet, clients[static_cast<size_t>(i) % clients.size()]); });
}

void measure_memory() {
  SessionTable table(1'000'000, {.idle = 1800, .unreturned = 60});
  double most = 0;
  for (uint64_t i = 1; i <= 1'000'000; ++i) {
    table.open(mixed(i), 0, kNow, SessionTable::Room::none, SessionTable::Begun::by_answer);
    if (i >= 100'000 && i % 10'000 == 0)
      most = std::max(most, static_cast<double>(table.census().bytes) / static_cast<double>(i));
  }
  std::printf("table: %.1f bytes a session at a million, at most %.1f on the way from 100000\n",
              static_cast<double>(table.census().bytes) / 1e6, most);
  uint64_t next = 1;
  measure("table: find and touch one of a million",
          [&](int) { table.find_and_touch(mixed(next++ % 1'000'000 + 1), kNow); });
  measure("table: miss", [&](int i) { table.find(mixed(static_cast<uint64_t>(i) + 10'000'000), kNow); });
  measure("table: open in a full table, evicting", [&](int i) {
    table.open(mixed(static_cast<uint64_t>(i) + 20'000'000), 0, kNow, SessionTable::Room::none,
               SessionTable::Begun::by_answer);
  });
  for (uint64_t i = 0; i < 1'000'000; ++i) table.restore(mixed(i + 30'000'000), 0, kNow);
  measure("table: open in a table full of sessions that returned", [&](int i) {
    table.open(mixed(static_cast<uint64_t>(i) + 40'000'000), 0, kNow, SessionTable::Room::none,
               SessionTable::Begun::by_answer);
  });
  const double begin = cpu_nanoseconds();
  for (size_t i = 0; i < SessionTable::kSweeps; ++i) table.sweep(kNow);
  std::printf("table: one call to sweep %.2f ms\n",
              (cpu_nanoseconds() - begin) / 1e6 / SessionTable::kSweeps);
}

}  // namespace

int main() {
  measure_token();
  using Kind = conf::AffinityKind;
  measure_kind("100 known cookies: identify, choose, account", Kind::cookie, 100, 0);
  measure_kind("20000 known cookies", Kind::cookie, 20'000, 0);
  measure_kind("20000 known cookies among a million sessions", Kind::cookie, 20'000, 970'000);
  measure_kind("1000 known session ids", Kind::session_id, 1000, 0);
  measure_kind("1000 known session ids among a million sessions", Kind::session_id, 1000, 990'000);
  measure_kind("a known address", Kind::ip, 1, 0);
  measure_memory();
}
