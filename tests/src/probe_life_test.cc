// How a health check ends: after its answer, before it, and from within what it tells.
#include "tests/src/probe_fixture.h"

namespace limpet::probe_life_test {

using namespace limpet::test;
using namespace std::chrono_literals;

TEST_CASE("a server that says all it wants to say is not cut off by a check") {
  for (const bool with_tls : {false, true}) {
    Checked here;
    here.manner.tls = here.check.tls = with_tls;
    here.manner.answer = "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + std::string(40'000, 'x');
    here.manner.pieces = 1000;
    CHECK(here.run() == "pass");
    CHECK(here.peers[0]->said() < here.manner.answer.size());  // it passed by its head
    REQUIRE(here.until_served([&] { return here.peers[0]->gone(); }));
    CHECK(here.peers[0]->said() == here.manner.answer.size());
    CHECK(here.peers[0]->ended);
    CHECK(here.results.size() == 1);
    CHECK(here.until([&] { return here.probe_has_no_socket(); }));
  }
}

TEST_CASE("an answer without an end is cut, whether it has passed or not") {
  Checked here;
  here.manner.answer = "HTTP/1.1 200 OK\r\n\r\n" + std::string(4'000'000, 'x');
  here.manner.pieces = 10'000;
  CHECK(here.run() == "pass");
  REQUIRE(here.until_served([&] { return here.peers[0]->gone(); }));
  CHECK(here.peers[0]->said() < 1'000'000);
  here.check.body = "ready";
  CHECK(here.run() == "fail: the first 64 KiB of the body do not contain the text");
  REQUIRE(here.until_served([&] { return here.peers[1]->gone(); }));
  CHECK(here.peers[1]->said() < 1'000'000);
}

TEST_CASE("an answer that has passed and does not go on is left when the check's time is over") {
  Checked here;
  here.check.timeout = 500ms;
  here.manner.answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
  here.manner.then = Manner::Then::stay;
  CHECK(here.run() == "pass");
  CHECK_FALSE(here.probe_has_no_socket());
  CHECK(here.until([&] { return here.probe_has_no_socket(); }));
  here.for_a_while();
  CHECK(here.results.size() == 1);
}

TEST_CASE("a check that is cancelled or destroyed, at whatever step, tells nothing and leaves nothing") {
  cancel_at_each_step<Checked>([](Checked& here) { here.manner.answer = "HTTP/1.1 100 x\r\n\r\n" + kReady; });
}

TEST_CASE("a cancelled check that could not begin tells nothing") {
  Checked here;
  here.address = {conf::Address::Kind::host, "app.internal", 80};
  here.start();
  here.probe->cancel();
  here.for_a_while();
  CHECK(here.results.empty());
}

TEST_CASE("a check that is started anew is told once, by its last token") {
  Checked here;
  here.manner.answer = kReady;
  here.start(1);
  here.for_a_while();
  here.start(2);
  here.start(3);
  REQUIRE(here.until_served([&] { return !here.results.empty(); }));
  here.for_a_while();
  CHECK(here.tokens == std::vector<uint64_t>{3});
}

TEST_CASE("nothing of a check, at whatever step it is, goes over into the next") {
  bool finished = false;
  for (int steps = 0; !finished; ++steps) {
    REQUIRE(steps < 2000);
    Checked here;
    here.manner.tls = here.check.tls = true;
    here.manner.answer = kReady;
    here.manner.pieces = 8;
    here.start(1);
    for (int i = 0; i < steps; ++i) {
      uv_run(here.loop.uv(), UV_RUN_NOWAIT);
      here.turn();
    }
    finished = !here.results.empty();
    here.results.clear();
    here.manner.tls = here.check.tls = false;
    here.manner.answer = "HTTP/1.1 503 x\r\n\r\n";
    // A connection that the server had not met yet is met in the new manner, and was closed meanwhile.
    here.start(2);
    REQUIRE(here.until_served([&] { return !here.results.empty(); }));
    CHECK(here.results == std::vector<std::string>{"fail: answered 503"});
    CHECK(here.tokens.back() == 2);
  }
}

TEST_CASE("whoever hears of a check may start the next, or destroy the probe") {
  const auto pass_or_fail = [](Checked& here, int which) {
    here.manner.answer = kReady;
    if (which == 1) here.check.kind = conf::HealthCheck::Kind::tcp;
    if (which == 2) here.address.port = 1;
    if (which == 3) here.address = {conf::Address::Kind::host, "app.internal", 80};
    if (which == 4) here.check.tls = here.manner.tls = true;
    if (which == 5) {
      here.check.tls = here.manner.at_once = true;  // no TLS
    }
    if (which == 6) here.manner.then = Manner::Then::reset, here.manner.answer = "";
    if (which == 7) here.manner.then = Manner::Then::stay, here.manner.answer = "", here.check.timeout = 20ms;
  };
  for (int which = 0; which < 8; ++which) {
    CAPTURE(which);
    {
      Checked here;
      pass_or_fail(here, which);
      here.then = [&] {
        if (here.results.size() < 3) here.start(here.results.size());
      };
      here.start(0);
      REQUIRE(here.until_served([&] { return here.results.size() == 3; }));
      CHECK(here.tokens == std::vector<uint64_t>{0, 1, 2});
      CHECK(here.results[0] == here.results[1]);
      CHECK(here.results[0] == here.results[2]);
    }
    Checked here;
    pass_or_fail(here, which);
    here.then = [&] { here.probe.reset(); };
    here.start();
    REQUIRE(here.until_served([&] { return here.results.size() == 1; }));
    here.for_a_while();
    CHECK(here.probe_has_no_socket());
  }
}

}  // namespace limpet::probe_life_test
