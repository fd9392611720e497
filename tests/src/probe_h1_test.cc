// What an answer to an HTTP check comes to, without a stream.
#include "src/probe_h1.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

namespace limpet::probe_h1_test {

using Kind = health::CheckResult::Kind;

struct Judged {
  std::optional<health::CheckResult> verdict;
  bool over = false;
};

// Reads `answer` in pieces of `most` bytes, and its end if `ends`.
Judged judge(const conf::HealthCheck& check, std::string_view answer, bool ends = false,
             size_t most = 1 << 20) {
  ProbeH1 reader(check);
  const ProbeJudge& judge = reader.judge();
  for (size_t at = 0; at < answer.size() && !judge.is_over(); at += most)
    reader.take(answer.substr(at, most));
  if (ends) reader.end();
  if (judge.is_over()) CHECK(judge.verdict());
  return {judge.verdict(), judge.is_over()};
}

std::string kind(const Judged& judged) {
  if (!judged.verdict) return "undecided";
  const char* const names[] = {"pass", "fail", "timeout", "drain", "unasked"};
  return names[static_cast<size_t>(judged.verdict->kind)];
}
std::string said(const Judged& judged) { return judged.verdict ? judged.verdict->detail : "undecided"; }

conf::HealthCheck looking_for(const std::string& text) {
  conf::HealthCheck check;
  check.body = text;
  return check;
}

std::string with_body(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string chunked(const std::string& body, size_t most) {
  std::string text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (size_t at = 0; at < body.size(); at += most) {
    const std::string piece = body.substr(at, most);
    char size[24];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    text += size + piece + "\r\n";
  }
  return text + "0\r\n\r\n";
}

TEST_CASE("the status of a check's answer decides") {
  const conf::HealthCheck check;
  CHECK(kind(judge(check, "HTTP/1.1 200 OK\r\n\r\n")) == "pass");
  CHECK(kind(judge(check, "HTTP/1.0 204 No Content\r\n\r\n")) == "pass");
  CHECK(kind(judge(check, "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n")) == "pass");
  const Judged refused = judge(check, "HTTP/1.1 503 Service Unavailable\r\n\r\n");
  CHECK(kind(refused) == "fail");
  CHECK(said(refused) == "answered 503");
  CHECK(said(judge(check, "HTTP/1.1 404\r\n\r\n")) == "answered 404");
  CHECK(said(judge(check, "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")) ==
        "answered 101");
}

TEST_CASE("the statuses that pass a check are the operator's") {
  conf::HealthCheck check;
  check.status = {{401, 401}, {500, 502}};
  CHECK(kind(judge(check, "HTTP/1.1 401 Unauthorized\r\n\r\n")) == "pass");
  CHECK(kind(judge(check, "HTTP/1.1 502 Bad Gateway\r\n\r\n")) == "pass");
  CHECK(said(judge(check, "HTTP/1.1 200 OK\r\n\r\n")) == "answered 200");
}

TEST_CASE("a check's answer asks for a drain by its status or by its field") {
  conf::HealthCheck check;
  CHECK(kind(judge(check, "HTTP/1.1 503 x\r\n\r\n")) == "fail");
  check.drain_status = {{503, 503}};
  const Judged by_status = judge(check, "HTTP/1.1 503 x\r\n\r\n");
  CHECK(kind(by_status) == "drain");
  CHECK(said(by_status) == "answered 503");
  const Judged by_field = judge(check, "HTTP/1.1 200 OK\r\nx-limpet-state:  Drain \r\n\r\n");
  CHECK(kind(by_field) == "drain");
  CHECK(said(by_field) == "answered X-Limpet-State: drain");
  CHECK(kind(judge(check, "HTTP/1.1 500 x\r\nX-Limpet-State: drain\r\n\r\n")) == "drain");
  CHECK(kind(judge(check, "HTTP/1.1 200 OK\r\nX-Limpet-State: drained\r\n\r\n")) == "pass");
  check.status = {{200, 599}};
  CHECK(kind(judge(check, "HTTP/1.1 503 x\r\n\r\n")) == "drain");
}

TEST_CASE("the text of a check is looked for in the body alone") {
  const conf::HealthCheck check = looking_for("ready");
  CHECK(kind(judge(check, with_body("all is ready."))) == "pass");
  CHECK(kind(judge(check, chunked("all is ready.", 3))) == "pass");
  CHECK(kind(judge(check, "HTTP/1.0 200 OK\r\n\r\nall is ready.")) == "pass");
  CHECK(said(judge(check, with_body("all is read"))) == "the body does not contain the text");
  CHECK(said(judge(check, with_body(""))) == "the body does not contain the text");
  CHECK(said(judge(check, with_body("") + "ready")) == "the body does not contain the text");
  CHECK(said(judge(check, "HTTP/1.1 200 ready\r\nX-State: ready\r\nContent-Length: 2\r\n\r\nno")) ==
        "the body does not contain the text");
  CHECK(said(judge(check, "HTTP/1.0 200 OK\r\n\r\nnothing", true)) == "the body does not contain the text");
  CHECK(kind(judge(check, "HTTP/1.0 200 OK\r\n\r\nnothing")) == "undecided");
}

TEST_CASE("the text of a check saves no status that fails") {
  CHECK(said(judge(looking_for("ready"), "HTTP/1.1 503 x\r\nContent-Length: 5\r\n\r\nready")) ==
        "answered 503");
}

TEST_CASE("an answer to HEAD has no body") {
  conf::HealthCheck check;
  check.method = "HEAD";
  const Judged judged = judge(check, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
  CHECK(kind(judged) == "pass");
  CHECK(judged.over);
  check.body = "ready";
  CHECK(said(judge(check, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")) ==
        "the body does not contain the text");
}

std::optional<uint64_t> instance(const std::string& fields, const std::string& name = "X-Instance") {
  conf::HealthCheck check;
  check.instance_header = name;
  ProbeH1 reader(check);
  reader.take("HTTP/1.1 200 OK\r\n" + fields + "\r\n");
  return reader.judge().instance();
}

TEST_CASE("a check's answer names its server's instance by the field that was asked for") {
  const auto one = instance("X-Instance: 1\r\n");
  REQUIRE(one);
  CHECK(one == instance("Date: now\r\nx-instance:  1 \r\nX-Instance: 2\r\n"));
  CHECK(one == instance("X-Instance:\r\nX-Instance: 1\r\n"));
  CHECK(one != instance("X-Instance: 2\r\n"));
  CHECK_FALSE(instance(""));
  CHECK_FALSE(instance("X-Instance:\r\n"));
  CHECK_FALSE(instance("X-Instances: 1\r\n"));
  CHECK_FALSE(instance("X-Instance: 1\r\n", ""));
  const std::string large(50'000, 'x');
  CHECK(instance("X-Instance: " + large + "1\r\n") != instance("X-Instance: " + large + "2\r\n"));
}

TEST_CASE("an answer that fails a check names the instance as well, and an interim one does not") {
  conf::HealthCheck check;
  check.instance_header = "X-Instance";
  ProbeH1 reader(check);
  reader.take("HTTP/1.1 103 Early\r\nX-Instance: 1\r\n\r\n");
  CHECK_FALSE(reader.judge().instance());
  reader.take("HTTP/1.1 503 x\r\nX-Instance: 1\r\n\r\n");
  CHECK(reader.judge().verdict()->failed());
  CHECK(reader.judge().instance() == instance("X-Instance: 1\r\n"));
}

TEST_CASE("interim answers to a check are passed over") {
  const conf::HealthCheck check;
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  CHECK(kind(judge(check, interim)) == "undecided");
  CHECK(kind(judge(check, interim + "HTTP/1.1 200 OK\r\n\r\n")) == "pass");
  CHECK(said(judge(check, interim + "HTTP/1.1 500 x\r\n\r\n")) == "answered 500");
}

TEST_CASE("what is not HTTP is known by its first bytes") {
  const conf::HealthCheck check;
  const char* const kNotHttp = "the answer is not HTTP";
  CHECK(said(judge(check, "SSH-2.0-OpenSSH_9.2\r\n")) == kNotHttp);
  CHECK(said(judge(check, std::string("\0\0\x12\4\0\0\0\0\0", 9))) == kNotHttp);  // HTTP/2's first frame
  CHECK(said(judge(check, "\x15\x03\x03")) == kNotHttp);                          // a TLS alert
  CHECK(said(judge(check, "HTTX")) == kNotHttp);
  CHECK(kind(judge(check, "HTT")) == "undecided");
}

TEST_CASE("an answer that two readers could understand in two ways fails a check") {
  const conf::HealthCheck check = looking_for("x");
  CHECK(said(judge(check, "HTTP/1.1 200 OK\n\n")) ==
        "the answer is not valid HTTP: a line that ends without a carriage return");
  CHECK(kind(judge(check, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx")) == "fail");
  CHECK(kind(judge(check, "HTTP/3.7 200 OK\r\n\r\n")) == "fail");
  CHECK(kind(judge(check, "HTTP/1.1 2x0 OK\r\n\r\n")) == "fail");
  CHECK(said(judge(check, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")) ==
        "the answer is not valid HTTP: the body's chunks are not valid");
}

TEST_CASE("an answer that ends too early says where") {
  const conf::HealthCheck check;
  CHECK(said(judge(check, "", true)) == "the connection ended before an answer");
  CHECK(said(judge(check, "HTTP/1.1 100 x\r\n\r\n", true)) ==
        "the connection ended within the answer's head");
  CHECK(said(judge(check, "HTTP/1.1 200 OK\r\nA: b", true)) ==
        "the connection ended within the answer's head");
  CHECK(said(judge(looking_for("ready"), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nread", true)) ==
        "the connection ended within the answer");
  CHECK(kind(judge(check, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nread", true)) == "pass");
}

TEST_CASE("a check reads a bounded head") {
  const conf::HealthCheck check;
  const char* const kTooLarge = "the head of the answer is larger than 64 KiB";
  const std::string field = "X: " + std::string(1000, 'x') + "\r\n";
  std::string head = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 60; ++i) head += field;
  CHECK(kind(judge(check, head + "\r\n")) == "pass");
  for (int i = 0; i < 10; ++i) head += field;
  CHECK(said(judge(check, head)) == kTooLarge);
  CHECK(said(judge(check, "HTTP/1.1 200 " + std::string(70'000, 'x'))) == kTooLarge);
  std::string interim;
  while (interim.size() < 70'000) interim += "HTTP/1.1 102 Processing\r\n\r\n";
  for (const size_t most : {size_t{1}, size_t{1000}, size_t{1} << 20}) {
    CHECK(said(judge(check, interim, false, most)) == kTooLarge);
  }
}

TEST_CASE("a check reads a bounded body, and looks through all of that") {
  const conf::HealthCheck check = looking_for("ready");
  const std::string fits(ProbeJudge::kMostContent - 5, 'x');
  CHECK(kind(judge(check, with_body(fits + "ready" + fits))) == "pass");
  CHECK(kind(judge(check, chunked(fits + "ready", 1), false, 1000)) == "pass");
  const Judged beyond = judge(check, with_body(fits + "xready"));
  CHECK(said(beyond) == "the first 64 KiB of the body do not contain the text");
  CHECK(beyond.over);
  CHECK(judge(conf::HealthCheck{}, with_body(fits + fits)).over);
}

TEST_CASE("an answer has to be read to its end after it has decided") {
  const conf::HealthCheck check;
  CHECK_FALSE(judge(check, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour").over);
  CHECK(judge(check, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfives").over);
  CHECK_FALSE(judge(check, "HTTP/1.1 200 OK\r\n\r\n").over);
  CHECK(judge(check, "HTTP/1.1 200 OK\r\n\r\n", true).over);
  CHECK_FALSE(judge(looking_for("ready"), "HTTP/1.1 200 OK\r\n\r\nready or").over);
}

TEST_CASE("what an answer comes to does not depend on how it is cut") {
  const std::string answers[] = {
      with_body("all is ready."),
      with_body("all is rea dy."),
      chunked("all is ready.", 2),
      "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready",
      "HTTP/1.1 500 x\r\n\r\nready",
      "HTTP/1.1 200 OK\r\nX-Limpet-State: drain\r\n\r\n",
      "HTTP/1.1 200 OK\r\nbad\r\n\r\n",
      "SSH-2.0-OpenSSH\r\n",
      "HTTP/1.0 200 OK\r\n\r\nre",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n0\r\nA: b\r\n\r\n",
  };
  const conf::HealthCheck check = looking_for("ready");
  for (const std::string& answer : answers) {
    CAPTURE(answer);
    const Judged whole = judge(check, answer, true);
    REQUIRE(whole.verdict);
    for (size_t most = 1; most < answer.size(); ++most) {
      const Judged cut = judge(check, answer, true, most);
      CHECK(kind(cut) == kind(whole));
      CHECK(said(cut) == said(whole));
    }
  }
}

TEST_CASE("any bytes come to a verdict once they have ended") {
  constexpr uint32_t kSeed = 20'240'611;
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  const std::string pieces[] = {"HTTP/1.1 200 OK\r\n",
                                "HTTP/1.1 100 x\r\n\r\n",
                                "Content-Length: 3\r\n",
                                "Transfer-Encoding: chunked\r\n",
                                "\r\n",
                                "3\r\nabc\r\n",
                                "0\r\n\r\n",
                                "ready",
                                "X-Limpet-State: drain\r\n",
                                "\n",
                                " ",
                                std::string(1, '\0'),
                                "A: b\r\n"};
  const conf::HealthCheck check = looking_for("ready");
  std::map<health::CheckResult::Kind, int> decided;
  for (int round = 0; round < 20'000; ++round) {
    std::string answer = round % 8 == 0 ? "" : pieces[0];
    for (uint32_t count = random() % 8; count != 0; --count) answer += pieces[random() % std::size(pieces)];
    const Judged judged = judge(check, answer, true, 1 + random() % 20);
    REQUIRE(judged.over);
    REQUIRE(judged.verdict);
    ++decided[judged.verdict->kind];
  }
  using enum health::CheckResult::Kind;
  for (const auto kind : {pass, fail, drain}) CHECK(decided[kind] > 100);
}

}  // namespace limpet::probe_h1_test
