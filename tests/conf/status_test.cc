// Where the status is served, and who may change something there.
#include "tests/conf/loading.h"

namespace limpet::conf::status_test {

const std::string kToken = "0123456789abcdef";

std::string status(const std::string& lines) { return "[status]\n" + lines + kBase; }
Status read(const std::string& lines) { return loaded(status(lines), "/etc/limpet/limpet.toml").status; }

TEST_CASE("the status is served on loopback unless the file says otherwise") {
  CHECK(loaded(kBase).status == Status());
  CHECK(Status().address->text() == "127.0.0.1:9180");
  CHECK(Status().token == "");
}

TEST_CASE("the status' address is a listener's or off") {
  CHECK(read("address = \"127.0.0.1:1234\"").address->text() == "127.0.0.1:1234");
  CHECK(read("address = \"[::1]:9180\"").address->text() == "[::1]:9180");
  CHECK(read("address = \"127.0.0.1:0\"").address->port == 0);
  CHECK(read("address = \"*:9180\"\ntoken = \"" + kToken + "\"").address->text() == "*:9180");
  CHECK(!read("address = \"off\"").address);
  const std::string accepted =
      ", accepted: an IP address and a port, \"127.0.0.1:9180\", \"[::1]:9180\", or \"*:9180\" for all "
      "addresses, or "
      "\"off\"";
  CHECK(faults(status("address = \"of\"")) == "f:2:11: status.address: \"of\" has no port" + accepted);
  CHECK(faults(status("address = \"localhost:9180\"")) ==
        "f:2:11: status.address: \"localhost:9180\" is a name that may stand for several addresses; write "
        "the one "
        "that is meant, \"127.0.0.1\" or \"[::1]\"" +
            accepted);
  CHECK(faults(status("address = false")) == "f:2:11: status.address: is a boolean" + accepted);
}

TEST_CASE("beyond loopback the status needs a token") {
  const std::string told =
      "f:2:11: status.address: lets whoever gets there drain backends, accepted: a loopback address, or with "
      "a `token` "
      "or `token_file`";
  for (const std::string host : {"*", "0.0.0.0", "[::]", "10.0.0.1", "128.0.0.1", "126.255.255.255", "[::2]",
                                 "[2001:db8::1]", "[::ffff:10.0.0.1]"}) {
    CAPTURE(host);
    CHECK(faults(status("address = \"" + host + ":9180\"")) == told);
    CHECK(faults(status("address = \"" + host + ":9180\"\ntoken = \"" + kToken + "\"")) == "");
    CHECK(faults(status("address = \"" + host + ":9180\"\ntoken_file = \"t\"")) == "");
  }
  for (const std::string host : {"127.0.0.1", "127.255.255.254", "[::1]", "[::ffff:127.0.0.1]"}) {
    CAPTURE(host);
    CHECK(faults(status("address = \"" + host + ":9180\"")) == "");
  }
  CHECK(faults(status("address = \"*:9180\"\ntoken = \"short\"")).find("drain") == std::string::npos);
}

TEST_CASE("a token has 16 printable characters or more, and no fault shows it") {
  const std::string accepted =
      ", accepted: at least 16 characters of printable ASCII without spaces, as from `openssl rand -hex 32`";
  const auto token = [](const std::string& text) { return faults(status("token = \"" + text + "\"")); };
  CHECK(read("token = \"" + kToken + "\"").token == kToken);
  CHECK(read("token = \"!~#{}:;,./<>?0aZ\"").token == "!~#{}:;,./<>?0aZ");
  CHECK(token(kToken.substr(1)) == "f:2:9: status.token: is too short to be safe" + accepted);
  CHECK(token("") == "f:2:9: status.token: is too short to be safe" + accepted);
  for (const std::string bad : {" ", "\\n", "\\u0000", "\\u007f", "é"}) {
    CHECK(token(kToken + bad) ==
          "f:2:9: status.token: holds a space or what is not printable ASCII" + accepted);
  }
  CHECK(faults(status("token = 1234567890123456")) == "f:2:9: status.token: is an integer" + accepted);
}

TEST_CASE("a token's file lies beside the file") {
  CHECK(read("token_file = \"t\"").token_file == "/etc/limpet/t");
  CHECK(read("token_file = \"/run/t\"").token_file == "/run/t");
  CHECK(read("").token_file == "");
}

TEST_CASE("a token is given or in a file, not both") {
  CHECK(faults(status("token = \"" + kToken + "\"\ntoken_file = \"t\"")) ==
        "f:3:14: status.token_file: has no effect beside `token`, accepted: either of the two");
}

TEST_CASE("a status that is off has no token") {
  const std::string told =
      ": has no effect while `status.address` is \"off\", accepted: only with an address";
  CHECK(faults(status("address = \"off\"\ntoken = \"" + kToken + "\"")) == "f:3:9: status.token" + told);
  CHECK(faults(status("address = \"off\"\ntoken_file = \"t\"")) == "f:3:14: status.token_file" + told);
}

TEST_CASE("the status and a listener have addresses of their own") {
  const auto both = [](const std::string& of_status, const std::string& of_listener) {
    return faults("[status]\ntoken = \"" + kToken + "\"\naddress = \"" + of_status +
                  "\"\n[[listener]]\naddress = \"" + of_listener + "\"\n" +
                  kBase.substr(kBase.find("[[pool]]")));
  };
  const std::string told =
      "f:3:11: status.address: is taken by listener[0].address in line 5, accepted: an address of its own";
  CHECK(both("127.0.0.1:80", "127.0.0.1:80") == told);
  CHECK(both("127.0.0.1:80", "*:80") == told);
  CHECK(both("*:80", "10.0.0.1:80") == told);
  CHECK(both("127.0.0.1:80", "0.0.0.0:80") == told);
  CHECK(both("127.0.0.1:81", "127.0.0.1:80") == "");
  CHECK(both("127.0.0.1:80", "127.0.0.2:80") == "");
  CHECK(both("127.0.0.1:0", "127.0.0.1:0") == "");
  CHECK(both("off", "127.0.0.1:9180").find("taken") == std::string::npos);
}

TEST_CASE("a listener at the status' default address is told so") {
  CHECK(faults("[[listener]]\naddress = \"127.0.0.1:9180\"\n" + kBase.substr(kBase.find("[[pool]]"))) ==
        "f:2:11: listener[0].address: is taken by `status.address`, 127.0.0.1:9180 by default, accepted: "
        "another "
        "address for one of the two");
}

TEST_CASE("the status' certificates lie beside the file, and are a listener's") {
  const Status said = read(
      "[status.tls]\ncertificates = [{ file = \"s.pem\", key = \"s.key\" }, { file = \"/etc/t.pem\" }]\n"
      "profile = \"modern\"");
  CHECK(said.tls.certificates ==
        std::vector<TlsCertificate>{{"/etc/limpet/s.pem", "/etc/limpet/s.key"}, {"/etc/t.pem", ""}});
  CHECK(said.tls.profile == TlsProfile::modern);
  CHECK_FALSE(read("").tls);
}

TEST_CASE("TLS of the status takes a certificate, an address, and nothing that is for clients of backends") {
  const std::string one = "[status.tls]\ncertificates = [{ file = \"s.pem\" }]\n";
  CHECK(faults(status("[status.tls]")) ==
        "f:2:1: status.tls.certificates: is missing, accepted: at least one [[status.tls.certificates]]");
  CHECK(faults(status("[status.tls]\ncertificates = []"))
            .starts_with("f:3:16: status.tls.certificates: is empty"));
  CHECK(faults(status("address = \"off\"\n" + one)) ==
        "f:3:1: status.tls: has no effect while `status.address` is \"off\", accepted: only with an address");
  for (const char* key : {"strict_sni", "shared_tickets", "hsts", "early_data", "clients"})
    CHECK(faults(status(one + key + " = true"))
              .starts_with("f:4:1: status.tls." + std::string(key) + ": unknown key"));
}

}  // namespace limpet::conf::status_test
