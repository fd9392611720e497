// What Limpet answers by itself.
#include "src/http/own_reply.h"

#include <nlohmann/json.hpp>

#include "tests/src/http/messages.h"

namespace limpet::http::own_reply_test {

using namespace limpet::test;

std::string reply(http::OwnReply of) {
  std::string out;
  const size_t body = http::write_own_reply(of, out);
  CHECK(body == out.size() - out.find("\r\n\r\n") - 4);
  return out;
}

std::string form(std::string_view accept) {
  const std::string text = reply({.status = 503, .what = "no server", .accept = accept});
  constexpr std::string_view kName = "Content-Type: ";
  const size_t at = text.find(kName) + kName.size();
  return text.substr(at, text.find_first_of(";\r", at) - at);
}

bool has(std::string_view text, std::string_view line) {
  return text.find("\r\n" + std::string(line) + "\r\n") != std::string_view::npos;
}

TEST_CASE("the form is the best of what Accept names, the first among equals, else text") {
  struct {
    std::string_view accept, form;
  } const rows[] = {{"", "text/plain"},
                    {"*/*", "text/plain"},
                    {"image/png", "text/plain"},
                    {"text/html", "text/html"},
                    {"TEXT/HTML ; charset=utf-8", "text/html"},
                    {"application/xhtml+xml", "text/html"},
                    {"application/json", "application/json"},
                    {"application/problem+json", "application/json"},
                    {"application/PROBLEM+JSON", "application/json"},
                    {"text/html, application/json", "text/html"},
                    {"application/json, text/html", "application/json"},
                    {"text/html;q=0.5, application/json;q=0.6", "application/json"},
                    {"text/html;q=0.5,text/plain", "text/plain"},
                    {"text/html;q=0", "text/plain"},
                    {"text/html; Q=0.1, application/json ;\tq=0.2", "application/json"},
                    {"text/html;level=1;q=0.1, application/json;q=0.2", "application/json"},
                    {"text/html;seq=0, application/json;q=0.9", "text/html"},
                    {"text/html;a=\"q=0\", application/json;q=0.9", "text/html"},
                    {"text/html;q=nonsense, application/json;q=0.1", "application/json"}};
  for (const auto& row : rows) {
    CAPTURE(row.accept);
    CHECK(form(row.accept) == row.form);
  }
}

TEST_CASE("each form says the status, what is wrong, and the request's id") {
  for (const std::string_view accept : {"text/plain", "text/html", "application/json"}) {
    CAPTURE(accept);
    const std::string with =
        reply({.status = 404, .what = "no pool", .request_id = "id-1", .accept = accept});
    const std::string body = with.substr(with.find("\r\n\r\n"));
    for (const char* part : {"404", "Not Found", "no pool", "id-1"})
      CHECK(body.find(part) != std::string::npos);
    const std::string without = reply({.status = 404, .what = "no pool", .accept = accept});
    CHECK(without.find("equest") == std::string::npos);
  }
}

TEST_CASE("a JSON body is JSON") {
  const std::string text = reply({.status = 503,
                                  .what = "no server can be reached",
                                  .request_id = "id-1",
                                  .accept = "application/json"});
  CHECK(nlohmann::json::parse(text.substr(text.find("\r\n\r\n") + 4)) ==
        nlohmann::json{{"status", 503},
                       {"error", "Service Unavailable"},
                       {"detail", "no server can be reached"},
                       {"request_id", "id-1"}});
}

TEST_CASE("a reply is one message that a client's parser reads to its end") {
  for (const std::string_view accept : {"text/plain", "text/html", "application/json"}) {
    const std::string text = reply({.status = 502,
                                    .what = "x",
                                    .request_id = "id",
                                    .accept = accept,
                                    .date = "today",
                                    .retry_after = 5});
    const Read read(text, MessageSide::response);
    CHECK(read.fault.status == 0);
    CHECK(read.response.status == 502);
    CHECK(read.ended);
    CHECK(read.size == text.size());
    CHECK_FALSE(read.response.keep_alive);
    CHECK(has(text, "Cache-Control: no-store"));
    CHECK(has(text, "X-Request-Id: id"));
    CHECK(has(text, "Retry-After: 5"));
    CHECK(has(text, "Date: today"));
  }
}

TEST_CASE("an answer to HEAD is the same head, and no body") {
  const http::OwnReply to_get{.status = 404, .what = "no pool", .accept = "text/html", .date = "today"};
  http::OwnReply to_head = to_get;
  to_head.head_only = true;
  const std::string whole = reply(to_get);
  CHECK(reply(to_head) == whole.substr(0, whole.find("\r\n\r\n") + 4));
}

TEST_CASE("the connection's fate is said as the client needs it") {
  CHECK(has(reply({.close = true, .keep_alive = true}), "Connection: close"));
  CHECK(has(reply({.close = false, .keep_alive = true}), "Connection: keep-alive"));
  CHECK(reply({.close = false}).find("Connection") == std::string::npos);
}

TEST_CASE("405 says what is allowed") {
  CHECK(reply({.status = 405}).find("\r\nAllow: ") != std::string::npos);
  CHECK(reply({.status = 404}).find("\r\nAllow: ") == std::string::npos);
}

TEST_CASE("every status that a fault has comes with its phrase") {
  for (const int status : {400, 404, 405, 408, 413, 414, 417, 431, 501, 502, 503, 504, 505})
    CHECK(http::reason_phrase(status) != "");
  CHECK(http::reason_phrase(299) == "");
}

}  // namespace limpet::http::own_reply_test
