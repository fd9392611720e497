// What a request is for: its target's form, and the Host that goes with it.
#include "src/http/target.h"

#include "tests/src/http/messages.h"

namespace limpet::http::target_test {

using namespace limpet::test;

int answer_to(std::string_view line, std::string_view host = "Host: a") {
  return refusal(message(line, {host}));
}

TEST_CASE("an origin form is forwarded as it came") {
  for (const std::string_view target :
       {"/", "/?", "//a/b", "/a/../b", "/%00%zz", "/?http://b/", "/\"<>\\^`{|}", "/a;b=c"}) {
    CAPTURE(target);
    const Read read(message("GET " + std::string(target) + " HTTP/1.1", {"Host: a"}));
    CHECK(read.fault.status == 0);
    CHECK(read.request.target == target);
    CHECK(read.request.host == "a");
    CHECK_FALSE(read.request.absolute_form);
  }
}

TEST_CASE("an absolute form becomes an origin form, its authority in Host's place") {
  struct {
    std::string_view line, target, host;
  } const rows[] = {{"GET http://b/x?y HTTP/1.1", "/x?y", "b"},
                    {"GET HTTPS://b:8443/ HTTP/1.1", "/", "b:8443"},
                    {"GET http://b HTTP/1.1", "/", "b"},
                    {"GET http://b: HTTP/1.1", "/", "b:"},
                    {"GET http://b?q HTTP/1.1", "?q", "b"},  // forwarded with a slash before it
                    {"GET http://b/?http://c/ HTTP/1.1", "/?http://c/", "b"},
                    {"GET http://[2001:db8::1]:80/x HTTP/1.1", "/x", "[2001:db8::1]:80"},
                    {"OPTIONS http://b HTTP/1.1", "*", "b"},
                    {"OPTIONS http://b/ HTTP/1.1", "/", "b"},
                    {"GET http://b/x HTTP/1.0", "/x", "b"}};
  for (const auto& row : rows) {
    CAPTURE(row.line);
    const Read read(message(row.line, {"Host: ignored"}));
    CHECK(read.fault.status == 0);
    CHECK(read.request.target == row.target);
    CHECK(read.request.host == row.host);
    CHECK(read.request.absolute_form);
  }
}

TEST_CASE("an absolute form does not do without a Host, but in HTTP/1.0") {
  CHECK(refusal(message("GET http://b/ HTTP/1.1", {})) == 400);
  CHECK(refusal(message("GET http://b/ HTTP/1.1", {"Host: a", "Host: b"})) == 400);
  CHECK(refusal(message("GET http://b/ HTTP/1.0", {})) == 0);
}

TEST_CASE("an absolute form of another scheme, without a host or with more than that is refused") {
  for (const std::string_view target :
       {"ftp://b/", "a://b", "ws://b/", "http:/b", "http:b", "http://", "http:///x", "http://:80/",
        "http://?q", "http://u@b/", "http://u:p@b/", "http://@b/", "http://b:x/", "http://b:65536/",
        "http://b#f", "http://[b]/"}) {
    CAPTURE(target);
    CHECK(answer_to("GET " + std::string(target) + " HTTP/1.1") == 400);
  }
}

TEST_CASE("an asterisk is for OPTIONS alone, and CONNECT is for nobody") {
  CHECK(answer_to("OPTIONS * HTTP/1.1") == 0);
  CHECK(answer_to("GET * HTTP/1.1") == 400);
  CHECK(answer_to("OPTIONS ** HTTP/1.1") == 400);
  CHECK(answer_to("OPTIONS *?q HTTP/1.1") == 400);
  CHECK(answer_to("CONNECT b:443 HTTP/1.1") == 501);
}

TEST_CASE("other forms, fragments and octets that no target holds are refused") {
  for (const std::string_view target :
       {"x", "?q", "b:80", "/#f", "/a#", "/\x01", "/\x7f", "/\t", "/caf\xc3\xa9"}) {
    CAPTURE(target);
    CHECK(answer_to("GET " + std::string(target) + " HTTP/1.1") == 400);
  }
}

TEST_CASE("a Host is one name or address with a port or without") {
  for (const std::string_view host : {"a", "A.example.", "a_b", "1.2.3.4", "a:80", "a:", "a:00080", "a:65535",
                                      "[::1]", "[::1]:80", "[::ffff:1.2.3.4]", "%61", ""}) {
    CAPTURE(host);
    CHECK(answer_to("GET / HTTP/1.1", "Host: " + std::string(host)) == 0);
  }
  for (const std::string_view host : {"a b",      "a,b",  "a, b",   "a/b",       "a?b",
                                      "a#b",      "a@b",  "a\\b",   "\"a\"",     "<a>",
                                      "a:b",      "a:-1", "a:+1",   "a:0x50",    "a:65536",
                                      "a:80:80",  "::1",  "[::1",   "[::1]x",    "[]",
                                      "[1]",      "[12]", "[::::]", "[1.2.3.4]", "[fe80::1%25eth0]",
                                      "\xc3\xa4", "a\tb"}) {
    CAPTURE(host);
    CHECK(answer_to("GET / HTTP/1.1", "Host: " + std::string(host)) == 400);
  }
}

TEST_CASE("there is exactly one Host in HTTP/1.1, and at most one in HTTP/1.0") {
  CHECK(refusal(message("GET / HTTP/1.1", {})) == 400);
  CHECK(refusal(message("GET / HTTP/1.1", {"Host: a", "Host: a"})) == 400);
  CHECK(refusal(message("GET / HTTP/1.1", {"host: a", "HOST: b"})) == 400);
  CHECK(refusal(message("GET / HTTP/1.0", {})) == 0);
  CHECK(refusal(message("GET / HTTP/1.0", {"Host: a", "Host: a"})) == 400);
}

}  // namespace limpet::http::target_test
