// What the answer to a check of kind grpc comes to.
#include "src/probe_grpc.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

namespace limpet::probe_grpc_test {

using namespace std::string_literals;

using Field = std::pair<std::string, std::string>;
using List = std::vector<Field>;

const List kType{{"content-type", "application/grpc"}};
const List kOk{{"grpc-status", "0"}};

http::Fields fields_of(const List& list) {
  http::Fields fields;
  for (const auto& [name, value] : list) fields.add(name, value);
  return fields;
}

std::string message(const std::string& bytes) {
  std::string out("\0\0\0\0"s);
  return (out += static_cast<char>(bytes.size())) + bytes;
}
std::string serving(char status) { return message("\x08"s + status); }

std::string text(const health::CheckResult& result) {
  const char* const kinds[] = {"pass", "fail", "timeout", "drain", "unasked"};
  return kinds[static_cast<size_t>(result.kind)] + (result.detail.empty() ? "" : ": " + result.detail);
}

std::string judged(const List& head, const std::string& content, const List& trailers, uint16_t status = 200,
                   size_t most = 1 << 20) {
  conf::HealthCheck check;
  check.kind = conf::HealthCheck::Kind::grpc;
  GrpcJudge judge(check);
  judge.take_head(status, fields_of(head));
  for (size_t at = 0; at < content.size(); at += most)
    judge.take_content(std::string_view(content).substr(at, most));
  judge.take_end(fields_of(trailers));
  REQUIRE(judge.is_over());
  REQUIRE(judge.verdict());
  return text(*judge.verdict());
}
std::string answered(const std::string& content) { return judged(kType, content, kOk); }

TEST_CASE("what is asked is one message, with the service's name if there is one") {
  CHECK(grpc_health_request("") == "\0\0\0\0\0"s);
  CHECK(grpc_health_request("a.B") == "\0\0\0\0\x05\x0a\x03"s + "a.B");
  const std::string name(300, 'x');
  CHECK(grpc_health_request(name) == "\0\0\0\x01\x2f\x0a\xac\x02"s + name);
}

TEST_CASE("a service that says SERVING passes, and no other") {
  CHECK(answered(serving(1)) == "pass");
  CHECK(answered(serving(0)) == "fail: answered UNKNOWN");
  CHECK(answered(serving(2)) == "fail: answered NOT_SERVING");
  CHECK(answered(serving(3)) == "fail: answered SERVICE_UNKNOWN");
  CHECK(answered(serving(4)) == "fail: answered a status that grpc.health.v1 does not have");
  CHECK(answered(message("")) == "fail: answered UNKNOWN");  // as proto3 writes 0
  CHECK(answered(message("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")) ==
        "fail: answered a status that grpc.health.v1 does not have");
}

TEST_CASE("fields that the message may have one day are passed over, and the last status counts") {
  CHECK(answered(message("\x08\x02\x08\x01")) == "pass");
  CHECK(answered(message("\x12\x03"
                         "abc"
                         "\x08\x01")) == "pass");
  CHECK(answered(message("\x10\x96\x01\x19"
                         "12345678"
                         "\x25"
                         "1234"
                         "\x08\x01")) == "pass");
}

TEST_CASE("what is no such message fails a check") {
  const std::string no = "fail: the answer is no HealthCheckResponse";
  for (const std::string& bytes :
       {""s, "\0\0\0\0"s, "\0\0\0\0\x02\x08"s, serving(1) + "x", serving(1) + serving(1),
        "\x01\0\0\0\x02\x08\x01"s, "\0\xff\xff\xff\xff\x08\x01"s, message("\x08"), message("\x08\x80"),
        message("\x12\x05"
                "ab"),
        message("\x0b\x08\x01"), message("\x0f"), message("\x01\x01"), message("\x11\x01"),
        message("\x25\x01"), message("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")})
    CHECK(answered(bytes) == no);
}

TEST_CASE("a grpc-status that is not OK fails a check in words") {
  const auto ended = [](const std::string& status) { return judged(kType, "", {{"grpc-status", status}}); };
  CHECK(ended("5") == "fail: answered the grpc-status NOT_FOUND: it does not know the service");
  CHECK(ended("12") == "fail: answered the grpc-status UNIMPLEMENTED: it does not serve grpc.health.v1");
  CHECK(ended("14") == "fail: answered the grpc-status UNAVAILABLE");
  CHECK(ended("16") == "fail: answered the grpc-status UNAUTHENTICATED");
  CHECK(ended("17") == "fail: answered the grpc-status 17");
  CHECK(ended("x") == "fail: the answer's grpc-status is no number");
  CHECK(ended("-1") == "fail: the answer's grpc-status is no number");
  CHECK(ended("") == "fail: the answer has no grpc-status");
  CHECK(judged(kType, serving(1), {{"grpc-status", "13"}}) == "fail: answered the grpc-status INTERNAL");
}

TEST_CASE("an answer of trailers alone has its grpc-status in its head, and no other has") {
  const auto head = [](const std::string& status) {
    return List{{"content-type", "application/grpc+proto"}, {"grpc-status", status}};
  };
  CHECK(judged(head("12"), "", {}).starts_with("fail: answered the grpc-status UNIMPLEMENTED"));
  CHECK(judged(head("0"), "", {}) == "fail: the answer is no HealthCheckResponse");
  CHECK(judged(head("0"), serving(1), {}) == "fail: the answer has no grpc-status");
  CHECK(judged(head("5"), serving(1), kOk) == "pass");
}

TEST_CASE("an answer that is not gRPC fails a check, whatever it says") {
  CHECK(judged(kType, serving(1), kOk, 503) == "fail: answered 503");
  for (const std::string type : {"text/html", "application/grpc-web", "application/grpcx", ""})
    CHECK(judged({{"content-type", type}}, serving(1), kOk) == "fail: the answer is not gRPC");
  CHECK(judged({}, serving(1), kOk) == "fail: the answer is not gRPC");
  for (const std::string type : {"application/grpc+proto", "application/grpc;x=y", "Application/gRPC"})
    CHECK(judged({{"content-type", type}}, serving(1), kOk) == "pass");
}

TEST_CASE("an answer to a check of kind grpc asks for a drain by its field") {
  List head = kType;
  head.emplace_back("x-limpet-state", "drain");
  CHECK(judged(head, serving(1), kOk) == "drain: answered X-Limpet-State: drain");
}

TEST_CASE("a check of kind grpc reads a bounded answer") {
  const std::string fits = "\0\0\0\xff\xfb\x12\xf7\xff\x03"s + std::string(65'536 - 9, 'x');
  CHECK(answered(fits) == "fail: answered UNKNOWN");
  CHECK(judged(kType, fits, kOk, 200, 1000) == "fail: answered UNKNOWN");
  CHECK(judged(kType, fits + "x", kOk, 200, 1000) == "fail: the answer is larger than 64 KiB");
}

TEST_CASE("any message comes to a verdict, however it is cut") {
  constexpr uint32_t kSeed = 5;
  std::mt19937 random(kSeed);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (size_t size = random() % 12; size != 0; --size)
      bytes += static_cast<char>(random() % 4 == 0 ? random() : random() % 32);
    if (random() % 8 != 0) bytes = message(bytes);
    CHECK(judged(kType, bytes, kOk) == judged(kType, bytes, kOk, 200, 1 + random() % 4));
  }
}

}  // namespace limpet::probe_grpc_test
