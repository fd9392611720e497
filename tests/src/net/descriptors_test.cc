#include "src/net/descriptors.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <vector>

#include "tests/support/descriptors.h"
#include "tests/support/logged.h"

namespace limpet::net::descriptors_test {

using Shortage = Descriptors::Shortage;
using test::Logged;

TEST_CASE("clients leave descriptors to backends, and both leave some to operators, whatever the limit") {
  for (uint64_t limit = 64; limit <= 1'048'576; limit += limit / 16) {
    const Descriptors here(test::limit_of(limit));
    const int most = static_cast<int>(limit);
    CHECK(here.for_clients() <= here.for_backends() - 8);
    CHECK(here.for_backends() <= most - 16);
    CHECK(here.for_clients() >= most / 2);
    CHECK(here.for_status() >= 8);
    CHECK(here.for_status() <= static_cast<size_t>(most - here.for_backends()) / 2);
  }
}

TEST_CASE("a large limit is not kept for operators, who have enough") {
  const Descriptors here(test::limit_of(1'000'000));
  CHECK(1'000'000 - here.for_backends() == 256);
  CHECK(here.for_status() == Descriptors::kMostForStatus);
  CHECK(Descriptors(test::limit_of(UINT64_MAX)).for_clients() > 1'000'000'000);
}

TEST_CASE("a limit that is too low for anything refuses everybody") {
  for (uint64_t limit = 0; limit < 24; ++limit) CHECK(Descriptors(test::limit_of(limit)).for_clients() == 0);
}

TEST_CASE("whoever lets in more clients than there are descriptors for is told so") {
  const Descriptors here(test::limit_of(1024));
  const auto most = static_cast<uint64_t>(here.for_clients());
  CHECK(here.too_few_for(0) == "");
  CHECK(here.too_few_for(most) == "");
  CHECK(here.too_few_for(50'000) ==
        "listeners may have 50000 connections (listener.limits.connections), and the limit of open files "
        "leaves "
        "clients " +
            std::to_string(most) +
            "; raise the limit of open files, which is 1024 (ulimit -n, LimitNOFILE=)");
}

TEST_CASE("only what this machine or process lacks is a shortage") {
  for (const int lack : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL}) CHECK(is_shortage(-lack));
  for (const int other : {0, -ECONNREFUSED, -ETIMEDOUT, -ECONNRESET, -EAGAIN, -ENETUNREACH})
    CHECK_FALSE(is_shortage(other));
}

TEST_CASE(
    "refused clients are counted, by all threads together, and a flood of them is one line of the log") {
  Logged logged;
  Descriptors here(test::limit_of(1024));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 5000; ++k) here.met(Shortage::refused, -EMFILE);
    });
  }
  for (std::thread& thread : threads) thread.join();
  here.met(Shortage::deferred, -EMFILE);
  here.met(Shortage::undialed, -EMFILE);
  CHECK(here.refused() == 20'000);
  const std::string text = logged.text();
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}

TEST_CASE("the line says what happened, and what to do") {
  {
    Logged logged;
    Descriptors(test::limit_of(1024)).met(Shortage::refused, -EMFILE);
    CHECK(logged.text().find("Too many open files: 1 connection of clients refused") != std::string::npos);
    CHECK(logged.text().find("raise the limit of open files, which is 1024 (") != std::string::npos);
  }
  Logged logged;
  Descriptors(test::limit_of(1024)).met(Shortage::deferred, -ENFILE);
  CHECK(logged.text().find("accepting put off once") != std::string::npos);
  CHECK(logged.text().find("fs.file-max") != std::string::npos);
  CHECK(logged.text().find("1024") == std::string::npos);
}

TEST_CASE("where ports are short the line says so, and how many checks were not asked") {
  Logged logged;
  Descriptors(test::limit_of(1024)).met(Shortage::unasked, -EADDRNOTAVAIL);
  CHECK(logged.text().find("No port is left: ") != std::string::npos);
  CHECK(logged.text().find("1 check not asked; widen the range of ports") != std::string::npos);
}

struct Asked final : Keeper {
  void make_room(int below) override { asked.push_back(below); }
  std::vector<int> asked;
};

TEST_CASE("who keeps connections is asked for what the one in want can use, and in a flood once") {
  const auto asked_by = [](Shortage what, int error) {
    Descriptors here(test::limit_of(1024));
    Asked keeper;
    here.add(keeper);
    for (int i = 0; i < 1000; ++i) here.met(what, error);
    REQUIRE(!keeper.asked.empty());
    CHECK(keeper.asked.size() < 1000);
    return keeper.asked.front();
  };
  const Descriptors here(test::limit_of(1024));
  CHECK(asked_by(Shortage::refused, -EMFILE) == here.for_clients());
  CHECK(asked_by(Shortage::undialed, -EMFILE) == here.for_backends());
  CHECK(asked_by(Shortage::deferred, -ENFILE) == kAnyDescriptor);
  CHECK(asked_by(Shortage::unasked, -EMFILE) == kAnyDescriptor);
  CHECK(asked_by(Shortage::unasked, kNoPortLeft) == here.for_backends());
}

TEST_CASE("a limit that is changed meanwhile counts from the next shortage on") {
  uint64_t limit = 1024;
  Descriptors here([&] { return limit; });
  const int before = here.for_clients();
  limit = 512;
  CHECK(here.for_clients() == before);
  here.met(Shortage::deferred, -EMFILE);
  CHECK(here.for_clients() == Descriptors(test::limit_of(512)).for_clients());
  limit = 2048;
  here.look_again();
  CHECK(here.for_clients() > before);
}

}  // namespace limpet::net::descriptors_test
