// Who waits for a poll, and when that is told.
#include "src/net/polls.h"

#include <functional>
#include <string>

#include "tests/src/net/loopback.h"

namespace limpet::net::polls_test {

struct Waiter final : Polls::Waiter {
  std::function<void()> then = [] {};
  int told = 0;
  void on_polled() override {
    ++told;
    then();
  }
};

TEST_CASE("who waits is told once, and who waits again when told, at the next poll's end") {
  Polls polls;
  Waiter once, twice;
  twice.then = [&] {
    if (twice.told == 1) polls.await(twice);
  };
  polls.await(once);
  polls.await(twice);
  CHECK(polls.awaited());
  polls.end();
  CHECK(once.told == 1);
  CHECK(twice.told == 1);
  polls.end();
  polls.end();
  CHECK(once.told == 1);
  CHECK(twice.told == 2);
  CHECK_FALSE(polls.awaited());
  CHECK(polls.handled() == 3);
}

TEST_CASE("who is forgotten is not told, not even where another's turn came first") {
  Polls polls;
  Waiter first, second;
  first.then = [&] { polls.forget(second); };
  polls.await(first);
  polls.await(second);
  polls.end();
  CHECK(first.told == 1);
  CHECK(second.told == 0);
}

TEST_CASE("a loop with nothing else to do polls for who waits, without waiting for a peer, and then waits") {
  Loop loop;
  Waiter waiter;
  uint64_t polls = 0;
  waiter.then = [&] {
    polls = loop.polls().handled();
    if (waiter.told < 3) loop.polls().await(waiter);
  };
  loop.polls().await(waiter);
  uv_run(loop.uv(), UV_RUN_NOWAIT);
  for (int i = 0; i < 2; ++i) uv_run(loop.uv(), UV_RUN_ONCE);
  CHECK(waiter.told == 3);
  CHECK(polls == 2);  // before the one that is being ended
  CHECK(uv_backend_timeout(loop.uv()) != 0);
}

}  // namespace limpet::net::polls_test
