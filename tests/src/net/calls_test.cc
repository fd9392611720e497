// Threads that have a loop's thread do something for them.
#include "src/net/calls.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "src/net/loop.h"

namespace limpet::net::calls_test {

TEST_CASE("what a thread asks runs on the loop's thread, and the thread has its answer") {
  net::Loop loop;
  net::Calls calls(loop.uv());
  constexpr int kThreads = 4, kEach = 200;
  const auto here = std::this_thread::get_id();
  int runs = 0;  // only this thread touches it
  std::atomic<int> right{0}, done{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto answer = calls.call([&] {
          ++runs;
          return std::this_thread::get_id() == here ? t * kEach + i : -1;
        });
        if (answer == t * kEach + i) ++right;
      }
      ++done;
    });
  }
  while (done < kThreads) uv_run(loop.uv(), UV_RUN_NOWAIT);
  for (std::thread& thread : threads) thread.join();
  CHECK(right == kThreads * kEach);
  CHECK(runs == kThreads * kEach);
  calls.close();
}

TEST_CASE("what waits when a loop closes is told so, and what comes later is refused") {
  net::Loop loop;
  net::Calls calls(loop.uv());
  std::vector<bool> told;
  CHECK(calls.post([&](bool open) { told.push_back(open); }));
  CHECK(calls.post([&](bool open) { told.push_back(open); }));
  calls.close();
  CHECK(told == std::vector<bool>{false, false});
  CHECK_FALSE(calls.post([&](bool) { told.push_back(true); }));
  CHECK(calls.call([] { return 1; }) == std::nullopt);
  CHECK(told.size() == 2);
}

}  // namespace limpet::net::calls_test
