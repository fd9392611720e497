// What a listener's TLS may say.
#include "tests/conf/loading.h"

namespace limpet::conf::tls_test {

std::string with(const std::string& clients) {
  return faults(
      "[[listener]]\naddress = \"*:1\"\n[listener.tls]\ncertificates = [{ file = \"a.pem\" "
      "}]\n[listener.tls.clients]\n" +
      clients + "[[pool]]\nname = \"p\"\n[[pool.backend]]\nname = \"a\"\naddress = \"a:1\"\n");
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("certificates of clients need somebody who issues them") {
  CHECK(with("mode = \"required\"\nca = \"ca.pem\"\nverified = \"X-Verified\"\nsubject = \"X-Subject\"\n") ==
        "");
  CHECK(contains(with("mode = \"optional\"\n"), "listener[0].tls.clients.ca: is missing"));
}

TEST_CASE("fields that tell of a client's certificate have names of their own, each another") {
  const std::string mode = "mode = \"optional\"\nca = \"ca.pem\"\n";
  for (const char* name : {"Host", "x_forwarded_for", "Cookie", "Content-Length", "X-Forwarded-Client-Cert"})
    CHECK(contains(with(mode + "subject = \"" + name + "\"\n"), "has another meaning"));
  CHECK(contains(with(mode + "subject = \"X-A\"\nsan = \"x_a\"\n"), "listener[0].tls.clients.san"));
  CHECK(contains(with(mode + "subject = \"X A\"\n"), "is not a field's name"));
  CHECK(contains(with("subject = \"X-Subject\"\n"), "has no effect with `mode` \"none\""));
}

}  // namespace limpet::conf::tls_test
