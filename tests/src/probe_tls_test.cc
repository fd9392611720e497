// Health checks over TLS.
#include <openssl/err.h>
#include <openssl/sslerr.h>

#include "tests/src/probe_fixture.h"

namespace limpet::probe_tls_test {

using namespace limpet::test;
using namespace std::chrono_literals;

TEST_CASE("a check over TLS passes, whoever signed the certificate") {
  Checked here;
  here.manner.tls = here.check.tls = true;
  here.check.kind = conf::HealthCheck::Kind::tcp;
  CHECK(here.run() == "pass");
  REQUIRE(here.until([&] { return here.peers[0]->gone(); }));
  CHECK(here.peers[0]->tls->is_open());
  CHECK(here.peers[0]->tls->was_closed());
  CHECK(here.peers[0]->request == "");

  here.check.kind = conf::HealthCheck::Kind::http;
  here.check.body = "ready";
  here.manner.answer = kReady;
  CHECK(here.run() == "pass");
  CHECK(here.peers[1]->request.starts_with("GET / HTTP/1.1\r\n"));
  here.manner.answer = "HTTP/1.0 200 OK\r\n\r\nnot yet";
  CHECK(here.run() == "fail: the body does not contain the text");
  here.manner.answer = "HTTP/1.1 500 x\r\n\r\n";
  here.manner.pieces = 3;
  CHECK(here.run() == "fail: answered 500");
  here.tls.speak_only(TLS1_2_VERSION);
  here.manner.answer = kReady;
  CHECK(here.run() == "pass");
  REQUIRE(here.until([&] { return here.probe_has_no_socket(); }));
}

TEST_CASE("a check over TLS tells the host's name, and never an address") {
  Checked here;
  here.manner.tls = here.check.tls = true;
  here.manner.answer = kReady;
  const std::pair<const char*, const char*> names[] = {
      {"", ""},
      {"app.example", "app.example"},
      {"app.example:8443", "app.example"},
      {"app.example.", "app.example"},
      {"10.0.0.1", ""},
      {"10.0.0.1:443", ""},
      {"[::1]:443", ""},
      {"[::1]", ""},
  };
  for (const auto& name : names) {
    CAPTURE(name.first);
    here.check.host = name.first;
    CHECK(here.run() == "pass");
    CHECK(here.peers.back()->tls->server_name == name.second);
  }
  here.check.host = "";
  here.address.kind = conf::Address::Kind::host;
  here.address.host = "localhost";
  CHECK(here.run() == "pass");
  CHECK(here.peers.back()->tls->server_name == "localhost");
}

TEST_CASE("a check says why TLS failed") {
  Checked here;
  here.check.tls = true;
  here.manner.at_once = true;
  here.manner.answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
  CHECK(here.run() == "fail: TLS handshake failed: wrong version number");
  here.manner = {};
  here.manner.tls = true;
  here.manner.then = Manner::Then::stay;
  here.tls.require_certificates();
  CHECK(here.run() == "fail: TLS failed: tlsv13 alert certificate required");
  here.tls.speak_only(TLS1_2_VERSION);
  const unsigned long refused =
      ERR_PACK(ERR_LIB_SSL, 0, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);  // OpenSSL 3.5 words it anew
  CHECK(here.run() == "fail: TLS handshake failed: " + std::string(ERR_reason_error_string(refused)));
  here.check.host = std::string(300, 'a');
  CHECK(here.run().starts_with("fail: TLS handshake failed: "));
  CHECK(here.probe_has_no_socket());
}

}  // namespace limpet::probe_tls_test
