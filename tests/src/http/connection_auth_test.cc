// Which fields say that a backend authenticates the connection (RFC 4559).
#include "src/http/connection_auth.h"

#include <doctest/doctest.h>

namespace limpet::http::connection_auth_test {

Fields with(std::string_view name, std::string_view value) {
  Fields fields;
  fields.add("Host", "a");
  fields.add(name, value);
  return fields;
}

TEST_CASE("credentials of NTLM and Negotiate are of the connection, in any case, and no others") {
  for (const std::string_view name : {"Authorization", "authorization", "Proxy-Authorization"}) {
    for (const std::string_view value : {"NTLM TlRMTVNTUAAB", "ntlm x", "Negotiate YII=", "NEGOTIATE\tYII="})
      CHECK(carries_connection_credentials(with(name, value)));
    for (const std::string_view value : {"Basic bnRsbQ==", "Bearer Negotiate", "NTLMX y", "Negotiated y", ""})
      CHECK_FALSE(carries_connection_credentials(with(name, value)));
  }
  CHECK_FALSE(carries_connection_credentials(with("X-Authorization", "NTLM x")));
}

TEST_CASE("a challenge of the connection is found among several, and not in what they say") {
  for (const std::string_view name : {"WWW-Authenticate", "Proxy-Authenticate"}) {
    for (const std::string_view value :
         {"NTLM", "negotiate", "Negotiate YII==", "Basic realm=\"a, b\", NTLM", "Negotiate, NTLM",
          "Digest qop=\"auth, auth-int\", nonce=\"n\", Negotiate"})
      CHECK(challenges_connection(with(name, value)));
    for (const std::string_view value :
         {"Basic realm=\"x, NTLM\"", "Basic realm=\"a\\\", Negotiate\"", "Bearer scope=\"negotiate\"", ""})
      CHECK_FALSE(challenges_connection(with(name, value)));
  }
  Fields several = with("WWW-Authenticate", "Basic realm=\"a\"");
  several.add("WWW-Authenticate", "NTLM");
  CHECK(challenges_connection(several));
}

}  // namespace limpet::http::connection_auth_test
