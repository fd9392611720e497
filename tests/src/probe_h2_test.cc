// Checks over HTTP/2: what they ask, and what an answer comes to.
#include "src/probe_h2.h"

#include <map>
#include <random>

#include "tests/src/probe_fixture.h"
#include "tests/support/h2_peer.h"

namespace limpet::probe_h2_test {

using namespace limpet::test;
using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoaway = 7,
                  kContinuation = 9;
constexpr uint8_t kEnds = 1, kWhole = 4;

std::string text(const std::optional<health::CheckResult>& result) {
  if (!result) return "undecided";
  const char* const kinds[] = {"pass", "fail", "timeout", "drain", "unasked"};
  return kinds[static_cast<size_t>(result->kind)] + (result->detail.empty() ? "" : ": " + result->detail);
}

// One question, and a server that is to answer it, without a loop.
class Asked final : net::StreamOwner {
 public:
  explicit Asked(const conf::HealthCheck& asked = {}, bool speaks = true) : check(asked) {
    stream.start(this);
    probe.ask(check.method == "HEAD" ? "HEAD" + std::string(kGet.substr(3)) : kGet, "");
    if (!speaks) return;
    probe.say(stream);
    server.exchange();
  }
  std::string verdict() { return text(probe.judge().verdict()); }
  bool is_over() { return probe.judge().is_over(); }
  // Once the answer has been said.
  std::string answered(const Headers& head, const std::string& content = "") {
    server.answer(1, head, true);
    server.content(1, content, true);
    server.exchange();
    return verdict();
  }

  FakeNet net;
  FakeStream& stream = net.accept();
  conf::HealthCheck check;
  ProbeH2 probe{check, "http"};
  H2Peer server{stream, H2Peer::Role::server};

 private:
  void on_bytes(std::string_view bytes) override {
    probe.take(bytes);
    probe.say(stream);
  }
  void on_end() override { probe.end(); }
  void on_drained() override { probe.say(stream); }
  void on_broken(int) override {}
};

conf::HealthCheck looking_for(const std::string& body) {
  conf::HealthCheck check;
  check.body = body;
  return check;
}

// What a client has asked on a connection that is over.
H2Peer::Message request_in(const std::string& bytes) {
  FakeNet net;
  FakeStream& stream = net.accept();
  H2Peer server(stream, H2Peer::Role::server);
  stream.received = bytes;
  server.hear();
  CHECK_FALSE(server.broken);
  return server[1];
}

// Fields that need no table (RFC 7541, section 6.2.2).
std::string coded(const Headers& head) {
  std::string out;
  for (const auto& [name, value] : head) {
    out += '\0';
    (out += static_cast<char>(name.size())) += name;
    (out += static_cast<char>(value.size())) += value;
  }
  return out;
}
const std::string kGreeting = frame(kSettings, 0, 0, "");
std::string answer_of(const Headers& head, const std::string& content, const Headers& trailers = {}) {
  std::string out = kGreeting + frame(kHeaders, kWhole, 1, coded(head));
  out += frame(kData, trailers.empty() ? kEnds : 0, 1, content);
  return trailers.empty() ? out : out + frame(kHeaders, kWhole | kEnds, 1, coded(trailers));
}

// A server on the loopback interface that speaks HTTP/2.
struct CheckedByH2 : Checked {
  CheckedByH2() {
    protocol = conf::Protocol::http2;
    manner.answer = answer_of({{":status", "200"}}, "ready");
    manner.then = Manner::Then::stay;
  }
};

TEST_CASE("a check asks a backend that speaks HTTP/2 by that, what it would ask another") {
  CheckedByH2 here;
  here.check.path = "/health?deep=1";
  CHECK(here.run() == "pass");
  REQUIRE(here.until_served([&] { return here.peers[0]->ended; }));
  H2Peer::Message asked = request_in(here.peers[0]->request);
  CHECK(asked.head == Headers{{":method", "GET"},
                              {":scheme", "http"},
                              {":path", "/health?deep=1"},
                              {":authority", here.address.text()},
                              {"user-agent", "limpet-check"},
                              {"accept", "*/*"}});
  CHECK(asked.ended);
  here.check.method = "POST";
  here.check.host = "app.example";
  CHECK(here.run() == "pass");
  REQUIRE(here.until_served([&] { return here.peers[1]->ended; }));
  asked = request_in(here.peers[1]->request);
  CHECK(asked.field(":authority") == "app.example");
  CHECK(asked.field("content-length") == "0");
  CHECK(asked.ended);
}

TEST_CASE("a check of kind grpc asks grpc.health.v1, within its own time") {
  CheckedByH2 here;
  here.check.kind = conf::HealthCheck::Kind::grpc;
  here.check.service = "shop.Cart";
  here.manner.answer = answer_of({{":status", "200"}, {"content-type", "application/grpc"}},
                                 "\0\0\0\0\x02\x08\x01"s, {{"grpc-status", "0"}});
  CHECK(here.run() == "pass");
  REQUIRE(here.until_served([&] { return here.peers[0]->ended; }));
  const H2Peer::Message asked = request_in(here.peers[0]->request);
  CHECK(asked.head == Headers{{":method", "POST"},
                              {":scheme", "http"},
                              {":path", "/grpc.health.v1.Health/Check"},
                              {":authority", here.address.text()},
                              {"user-agent", "limpet-check"},
                              {"content-type", "application/grpc"},
                              {"te", "trailers"},
                              {"grpc-timeout", "5000m"}});
  CHECK(asked.content == "\0\0\0\0\x0b\x0a\x09shop.Cart"s);
  CHECK(asked.ended);
  here.manner.answer =
      kGreeting +
      frame(kHeaders, kWhole | kEnds, 1,
            coded({{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "12"}}));
  CHECK(here.run() == "fail: answered the grpc-status UNIMPLEMENTED: it does not serve grpc.health.v1");
  CHECK(here.until([&] { return here.probe_has_no_socket(); }));
}

TEST_CASE("a check at a port of its own asks by HTTP/1.1, but one of kind grpc") {
  CheckedByH2 here;
  here.check.port = here.port;
  here.address.port = 1;
  here.manner.answer = kReady;
  CHECK(here.run() == "pass");
  here.check.kind = conf::HealthCheck::Kind::grpc;
  CHECK(here.run() == "fail: the backend does not speak HTTP/2");
}

TEST_CASE("a check by HTTP/2 says how its answer was judged, and which instance it named") {
  CheckedByH2 here;
  here.check.instance_header = "X-Instance";
  here.manner.answer = answer_of({{":status", "503"}, {"x-instance", "1"}}, "");
  CHECK(here.run() == "fail: answered 503");
  CHECK(here.instance == std::hash<std::string_view>{}("1"));
  here.check.timeout = 300ms;
  here.manner.answer = kGreeting;
  CHECK(here.run() == "timeout: no answer within 300ms");
  here.check.body = "all";
  here.manner.answer = answer_of({{":status", "200"}, {"content-length", "9"}}, "");
  CHECK(here.run() == "fail: the answer is not valid HTTP/2");
  here.manner.answer = kGreeting + frame(kHeaders, kWhole, 1, coded({{":status", "200"}}));
  CHECK(here.run() == "timeout: the answer did not end within 300ms");
  REQUIRE(here.until_served([&] { return here.peers.back()->ended; }));
  CHECK(request_in(here.peers.back()->request).closed == NGHTTP2_CANCEL);
  here.manner.answer = "";
  here.manner.then = Manner::Then::reset;
  CHECK(here.run() == "fail: connection reset by peer");
  CHECK(here.until([&] { return here.probe_has_no_socket(); }));
}

TEST_CASE("a backend that speaks HTTP/1 alone does not speak HTTP/2") {
  for (const std::string& said :
       {"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"s, "SSH-2.0-OpenSSH\r\n"s,
        "<html>no such version</html>"s, "no"s, frame(kPing, 0, 0, "12345678"), frame(kSettings, 1, 0, ""),
        frame(kSettings, 0, 1, "")}) {
    for (const size_t pieces : {size_t{1}, said.size()}) {
      CAPTURE(said);
      CheckedByH2 here;
      here.manner = {.answer = said, .pieces = pieces};
      CHECK(here.run() == "fail: the backend does not speak HTTP/2");
      CHECK(here.until_served([&] { return here.probe_has_no_socket(); }));
    }
  }
  CheckedByH2 here;
  here.manner = {};
  CHECK(here.run() == "fail: the connection ended before an answer");
}

TEST_CASE("a check over TLS speaks HTTP/2 where that is chosen by ALPN") {
  CheckedByH2 here;
  here.manner.tls = here.check.tls = true;
  const std::string no = "fail: the backend does not speak HTTP/2: ";
  CHECK(here.run() == no + "it does not choose it by ALPN");
  here.tls.choose_protocol("h2");
  CHECK(here.run() == "pass");
  REQUIRE(here.until_served([&] { return here.peers.back()->ended; }));
  CHECK(here.peers.back()->tls->was_closed());
  CHECK(request_in(here.peers.back()->request).field(":scheme") == "https");
  here.tls.choose_protocol("http/1.1");
  CHECK(here.run().starts_with(no + "TLS handshake failed: "));

  // At another port, and in a pool that speaks HTTP/1.1, the same connector may not offer what it offered.
  here.protocol = conf::Protocol::http1;
  here.manner.answer = kReady;
  CHECK(here.run() == "pass");
  auto trust = std::make_shared<net::TlsTrust>();
  trust->settings.insecure = trust->http2 = true;
  std::string error;
  here.connector = net::TlsConnector::make(std::move(trust), error);
  here.protocol = conf::Protocol::http2;
  CHECK(here.run().starts_with(no));
  here.check.port = here.port;
  here.address.port = 1;
  CHECK(here.run() == "pass");
  CHECK(here.peers.back()->request.starts_with("GET / HTTP/1.1\r\n"));
  here.check.kind = conf::HealthCheck::Kind::tcp;
  CHECK(here.run() == "pass");
}

TEST_CASE(
    "a check by HTTP/2 that is cancelled or destroyed, at whatever step, tells nothing and leaves nothing") {
  cancel_at_each_step<CheckedByH2>([](CheckedByH2& here) { here.tls.choose_protocol("h2"); });
}

TEST_CASE("nothing of a check by HTTP/2, at whatever step it is, goes over into the next") {
  bool finished = false;
  for (int steps = 0; !finished; ++steps) {
    REQUIRE(steps < 2000);
    CheckedByH2 here;
    here.manner.pieces = 8;
    here.start(1);
    for (int i = 0; i < steps; ++i) {
      uv_run(here.loop.uv(), UV_RUN_NOWAIT);
      here.turn();
    }
    finished = !here.results.empty();
    here.results.clear();
    here.protocol = conf::Protocol::http1;
    here.manner.answer = "HTTP/1.1 503 x\r\n\r\n";
    here.start(2);
    REQUIRE(here.until_served([&] { return !here.results.empty(); }));
    CHECK(here.results == std::vector<std::string>{"fail: answered 503"});
  }
}

TEST_CASE("an answer over HTTP/2 is judged as any other") {
  conf::HealthCheck check;
  CHECK(Asked(check).answered({{":status", "204"}}) == "pass");
  CHECK(Asked(check).answered({{":status", "404"}}) == "fail: answered 404");
  CHECK(Asked(check).answered({{":status", "200"}, {"x-limpet-state", "drain"}}) ==
        "drain: answered X-Limpet-State: drain");
  check.drain_status = {{503, 503}};
  check.status = {{404, 404}};
  CHECK(Asked(check).answered({{":status", "503"}}) == "drain: answered 503");
  CHECK(Asked(check).answered({{":status", "404"}}) == "pass");
  CHECK(Asked(looking_for("ready")).answered({{":status", "200"}}, "all is ready.") == "pass");
  CHECK(Asked(looking_for("ready")).answered({{":status", "200"}}, "not yet") ==
        "fail: the body does not contain the text");
  CHECK(Asked(looking_for("ready")).answered({{":status", "200"}}) ==
        "fail: the body does not contain the text");
}

TEST_CASE("the answer to HEAD has no content, and may say how much a GET would bring") {
  conf::HealthCheck check;
  check.method = "HEAD";
  Asked whole(check);
  whole.server.answer(1, {{":status", "200"}, {"content-length", "70000"}});
  whole.server.exchange();
  CHECK(whole.verdict() == "pass");
  CHECK(whole.is_over());
}

TEST_CASE("interim answers over HTTP/2 are passed over") {
  Asked here;
  here.server.answer_interim(1, {{":status", "103"}, {"x-limpet-state", "drain"}});
  here.server.exchange();
  CHECK(here.verdict() == "undecided");
  CHECK(here.answered({{":status", "500"}}) == "fail: answered 500");
}

TEST_CASE("an answer over HTTP/2 is read to its end, within limits, and left in good order") {
  Asked here;
  here.server.answer(1, {{":status", "200"}}, true);
  here.server.exchange();
  CHECK(here.verdict() == "pass");
  CHECK_FALSE(here.is_over());
  here.server.content(1, std::string(65'536, 'x'));
  here.server.exchange();
  CHECK_FALSE(here.is_over());
  here.server.content(1, "x");
  here.server.exchange();
  CHECK(here.is_over());
  here.probe.leave(here.stream);
  here.server.exchange();
  CHECK(here.server[1].closed == NGHTTP2_CANCEL);
  CHECK(here.server.goaways == std::vector<uint32_t>{NGHTTP2_NO_ERROR});
  CHECK(here.stream.finished());

  Asked other(looking_for("x"));
  CHECK(other.answered({{":status", "200"}}, std::string(70'000, 'y')) ==
        "fail: the first 64 KiB of the body do not contain the text");
  Asked short_one;
  CHECK(short_one.answered({{":status", "200"}}, "ok") == "pass");
  CHECK(short_one.is_over());
  short_one.probe.leave(short_one.stream);
  short_one.server.exchange();
  CHECK(short_one.server[1].closed == NGHTTP2_NO_ERROR);
  CHECK(short_one.server.goaways == std::vector<uint32_t>{NGHTTP2_NO_ERROR});
  CHECK(short_one.net.fault == "");
}

TEST_CASE("what breaks HTTP/2 fails a check") {
  const Headers heads[] = {
      {{"a", "b"}},
      {{":status", "20"}},
      {{":status", "101"}},
      {{":status", "200"}, {"connection", "close"}},
      {{":status", "200"}, {":path", "/"}},
      {{":status", "200"}, {"content-length", "3"}},
      {{":status", "200"}, {"content-length", "x"}},
  };
  for (const Headers& head : heads) {
    CAPTURE(head.back().first + ": " + head.back().second);
    Asked here(looking_for("ok"));
    CHECK(here.answered(head, "no").starts_with("fail: the answer is not valid HTTP/2"));
    CHECK(here.is_over());
  }
  for (const std::string& frames :
       {frame(kData, 0, 1, "x"), frame(kHeaders, kWhole, 1, "\xff\xff\xff\xff\xff"), frame(kData, 0, 3, "x"),
        frame(kSettings, 0, 0, "x"), frame(5, kWhole, 1, "\0\0\0\2"s + coded({{":path", "/"}}))}) {
    Asked here;
    here.stream.sends(frames);
    CHECK(here.verdict() == "fail: the answer is not valid HTTP/2");
  }
  Asked large;
  std::string lines = frame(kHeaders, 0, 1, coded({{":status", "200"}}));
  for (int i = 0; i < 6; ++i) {
    const Headers more(60, {std::string(100, 'x'), std::string(100, 'y')});
    lines += frame(kContinuation, i == 5 ? kWhole : 0, 1, coded(more));
  }
  large.stream.sends(lines);
  CHECK(large.verdict() == "fail: the answer is not valid HTTP/2: the head is too large");
}

TEST_CASE("a check says how its answer was refused") {
  Asked reset;
  reset.server.reset(1, NGHTTP2_INTERNAL_ERROR);
  reset.server.exchange();
  CHECK(reset.verdict() == "fail: the backend ended the answer by RST_STREAM, INTERNAL_ERROR");
  Asked gone;
  gone.server.go_away(0);
  gone.server.exchange();
  CHECK(gone.verdict() == "fail: the backend ended the connection by GOAWAY, NO_ERROR");
  Asked calmed;
  calmed.stream.sends(frame(kGoaway, 0, 0, "\0\0\0\x01\0\0\0\x0b"s));
  CHECK(calmed.verdict() == "undecided");  // it may still be answered
  calmed.stream.sends_end();
  CHECK(calmed.verdict() == "fail: the backend ended the connection by GOAWAY, ENHANCE_YOUR_CALM");
  Asked graceful;
  graceful.server.go_away(1);
  CHECK(graceful.answered({{":status", "200"}}, "ok") == "pass");
  Asked ended;
  ended.stream.sends_end();
  CHECK(ended.verdict() == "fail: the connection ended before an answer");
  Asked cut(looking_for("x"));
  cut.server.answer(1, {{":status", "200"}}, true);
  cut.server.exchange();
  cut.stream.sends_end();
  CHECK(cut.verdict() == "fail: the connection ended within the answer");
}

TEST_CASE("nothing piles up for a server that asks on and does not read") {
  Asked here;
  here.stream.room = 0;
  const std::string ping = frame(kPing, 0, 0, "12345678");
  for (int i = 0; i < 5000 && !here.is_over(); ++i) here.stream.sends(ping);
  CHECK(here.stream.queued() < 1000);
  CHECK(here.verdict() == "fail: the answer is not valid HTTP/2");
}

TEST_CASE("what an answer over HTTP/2 comes to does not depend on how it is cut") {
  const std::string answers[] = {
      answer_of({{":status", "200"}}, "all is ready."),
      answer_of({{":status", "200"}}, "all is rea dy."),
      answer_of({{":status", "500"}}, "ready"),
      answer_of({{":status", "200"}}, "re", {{"x", "y"}}),
      kGreeting + frame(kGoaway, 0, 0, std::string(8, '\0')),
      kGreeting + frame(kReset, 0, 1, "\0\0\0\x07"s),
      kGreeting + frame(kHeaders, kWhole, 1, coded({{":status", "200"}, {"B", "c"}})),
      "HTTP/1.1 400 Bad Request\r\n\r\n",
  };
  for (const std::string& answer : answers) {
    std::map<std::string, int> verdicts;
    for (size_t most = 1; most <= answer.size(); ++most) {
      Asked fresh(looking_for("ready"), false);
      fresh.probe.say(fresh.stream);
      for (size_t at = 0; at < answer.size(); at += most) fresh.stream.sends(answer.substr(at, most));
      fresh.stream.sends_end();
      ++verdicts[fresh.verdict()];
    }
    CHECK(verdicts.size() == 1);
    CHECK_FALSE(verdicts.contains("undecided"));
  }
}

// Frames as a server may say them, most of them sound, and some not.
std::string random_frames(std::mt19937& random) {
  const std::string heads[] = {coded({{":status", "200"}}),
                               coded({{":status", "200"}, {"content-type", "application/grpc"}}),
                               coded({{":status", "103"}}),
                               coded({{":status", "503"}}),
                               coded({{"grpc-status", "0"}}),
                               coded({{":status", "200"}, {"x-limpet-state", "drain"}}),
                               "\x88",
                               "\xbe\xff"};
  const std::string bodies[] = {
      "", "ready", "\0\0\0\0\x02\x08\x01"s, std::string(9000, 'x'), "\0\0\0\x08"s, "\0\0\0\1\0\0\0\0"s};
  std::string out = random() % 16 == 0 ? "" : kGreeting;
  for (size_t count = random() % 8; count != 0; --count) {
    const auto type = static_cast<uint8_t>(random() % 4 != 0 ? random() % 2 : random() % 12);
    auto flags = static_cast<uint8_t>(random() % 8 == 0 ? random() : random() % 2);
    std::string payload =
        type == kHeaders ? heads[random() % std::size(heads)] : bodies[random() % std::size(bodies)];
    if (type == kHeaders && random() % 8 != 0) flags |= kWhole;
    if (random() % 16 == 0 && !payload.empty())
      payload[random() % payload.size()] = static_cast<char>(random());
    out += frame(type, flags, random() % 8 == 0 ? random() % 4 : 1, payload);
  }
  if (random() % 8 == 0) out.resize(out.size() - std::min<size_t>(out.size(), random() % 12));
  return out;
}

TEST_CASE("any frames come to a verdict once they have ended") {
  constexpr uint32_t kSeed = 20'261'201;
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  std::map<health::CheckResult::Kind, int> decided;
  for (int round = 0; round < 10'000; ++round) {
    conf::HealthCheck check = looking_for(round % 2 == 0 ? "ready" : "");
    if (round % 3 == 0) check.kind = conf::HealthCheck::Kind::grpc;
    Asked here(check, false);
    here.probe.say(here.stream);
    if (random() % 8 == 0) here.stream.room = random() % 64;
    const std::string answer = random_frames(random);
    const size_t most = 1 + random() % 200;
    for (size_t at = 0; at < answer.size() && !here.is_over(); at += most)
      here.stream.sends(answer.substr(at, most));
    if (!here.is_over()) here.stream.sends_end();
    REQUIRE(here.is_over());
    REQUIRE(here.probe.judge().verdict());
    here.probe.leave(here.stream);
    REQUIRE(here.net.fault == "");
    ++decided[here.probe.judge().verdict()->kind];
  }
  using enum health::CheckResult::Kind;
  for (const auto kind : {pass, fail, drain}) CHECK(decided[kind] > 100);
}

TEST_CASE("any frames come to a verdict within a check's time") {
  constexpr uint32_t kSeed = 61;
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  CheckedByH2 here;
  here.check.timeout = 20ms;
  std::map<std::string, int> kinds;
  for (int round = 0; round < 60; ++round) {
    here.manner.answer = random_frames(random);
    here.manner.pieces = 1 + random() % 100;
    if (round % 3 == 0) here.check.kind = conf::HealthCheck::Kind::grpc;
    if (round % 3 == 1) here.check.kind = conf::HealthCheck::Kind::http;
    const std::string result = here.run();
    ++kinds[result.substr(0, result.find(':'))];
  }
  for (const char* kind : {"pass", "fail", "timeout"}) CHECK(kinds[kind] > 0);
  CHECK(here.until([&] { return here.probe_has_no_socket(); }));
}

}  // namespace limpet::probe_h2_test
