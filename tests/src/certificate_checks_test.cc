// What `limpet check` says of certificates.
#include "src/certificate_checks.h"

#include <ctime>

#include "tests/conf/loading.h"
#include "tests/support/certificates.h"

namespace limpet::certificate_checks_test {

using namespace limpet::test;

// A folder with certificates, and what is said of a listener that shows them.
struct Files : Folder {
  void put(const char* name, const std::string& text) const { std::ofstream(file(name)) << text; }
  void put(const char* name, const Issued& issued, const std::string& chain = "") const {
    put(name, issued.pem() + chain + issued.key_pem());
  }
  conf::Settings showing(std::initializer_list<const char*> names) const {
    conf::Settings settings;
    settings.listeners.resize(1);
    settings.listeners[0].name = "main";
    for (const char* name : names) settings.listeners[0].tls.certificates.push_back({file(name), ""});
    return settings;
  }
  // Without the folder's path.
  std::vector<std::string> warnings(const conf::Settings& settings, int64_t later = 0) const {
    auto lines = certificate_warnings(settings, std::time(nullptr) + later);
    for (std::string& line : lines)
      for (size_t at; (at = line.find(path + "/")) != std::string::npos;) line.erase(at, path.size() + 1);
    return lines;
  }
  std::vector<std::string> warnings(std::initializer_list<const char*> names, int64_t later = 0) const {
    return warnings(showing(names), later);
  }
};

using Lines = std::vector<std::string>;

constexpr int64_t kDay = 24 * 60 * 60;

TEST_CASE("a certificate that clients take is not warned of") {
  Files files;
  const Issued root = issue({.common_name = "root", .is_authority = true});
  const Issued middle = issue({.common_name = "middle", .issuer = &root, .is_authority = true});
  const Issued leaf = issue({.names = "DNS:shop.example", .issuer = &middle, .ends = 90 * kDay});
  files.put("to_root.pem", leaf, middle.pem() + root.pem());
  files.put("below_root.pem", leaf, middle.pem());
  files.put("self.pem", issue({.ends = 90 * kDay}));
  for (const char* name : {"to_root.pem", "below_root.pem", "self.pem"})
    CHECK(files.warnings({name}) == Lines{});
}

TEST_CASE("a certificate that has expired, soon will, or is not valid yet, is warned of") {
  Files files;
  files.put("it.pem", issue({.ends = 90 * kDay}));
  CHECK(files.warnings({"it.pem"}, 80 * kDay + 1800) ==
        Lines{"listener main: the certificate it.pem expires in 9 d 23 h"});
  CHECK(files.warnings({"it.pem"}, 91 * kDay + 1800) ==
        Lines{"listener main: the certificate it.pem expired 1 d ago"});
  const Lines early = files.warnings({"it.pem"}, -kDay);
  REQUIRE(early.size() == 1);
  CHECK(early[0].starts_with("listener main: the certificate it.pem is not valid before 20"));
}

TEST_CASE("a chain that is out of order, is another's, or is missing, is warned of") {
  Files files;
  const Issued root = issue({.common_name = "root", .is_authority = true});
  const Issued middle = issue({.common_name = "middle", .issuer = &root, .is_authority = true});
  const Issued namesake = issue({.common_name = "middle", .issuer = &root, .is_authority = true});
  const Issued leaf = issue({.names = "DNS:shop.example", .issuer = &middle, .ends = 90 * kDay});
  files.put("turned.pem", leaf, root.pem() + middle.pem());
  files.put("twice.pem", leaf, leaf.pem() + middle.pem());
  files.put("other.pem", leaf, namesake.pem());
  files.put("alone.pem", leaf);
  for (const std::string name : {"turned.pem", "twice.pem", "other.pem"})
    CHECK(files.warnings({name.c_str()}) ==
          Lines{"listener main: the certificate " + name +
                " has a chain out of order: certificate 2 in the file did not issue the one before it"});
  CHECK(
      files.warnings({"alone.pem"}) ==
      Lines{
          "listener main: the certificate alone.pem comes without the certificate of its issuer, which most "
          "clients do not know"});
}

TEST_CASE("the status endpoint's certificates are warned of as a listener's are") {
  Files files;
  files.put("it.pem", issue({.names = "DNS:lb.example", .ends = kDay + 1800}));
  conf::Settings settings;
  settings.status.tls.certificates = {{files.file("it.pem"), ""}};
  settings.routes.push_back({.listener = "", .host = "shop.example", .pool = "shop"});
  CHECK(files.warnings(settings) == Lines{"status: the certificate it.pem expires in 1 d"});
}

TEST_CASE("a name that two certificates of one kind of key have is warned of") {
  Files files;
  const Wanted both{.names = "DNS:a.example,DNS:b.example", .ends = 90 * kDay};
  files.put("one.pem", issue(both));
  files.put("two.pem", issue({.names = "DNS:b.example,DNS:c.example", .ends = 90 * kDay}));
  files.put("rsa.pem", issue({.names = both.names, .kind = KeyKind::rsa, .ends = 90 * kDay}));
  CHECK(files.warnings({"one.pem", "rsa.pem"}) == Lines{});
  CHECK(files.warnings({"one.pem", "two.pem"}) ==
        Lines{"listener main: b.example is a name of one.pem, which is shown, and of two.pem"});
}

TEST_CASE("hosts of routes that no certificate of their listener covers are warned of, once each") {
  Files files;
  files.put("it.pem", issue({.names = "DNS:shop.example,DNS:*.wild.example,IP:192.0.2.1,IP:2001:db8::1",
                             .ends = 90 * kDay}));
  conf::Settings settings = files.showing({"it.pem"});
  const auto serve = [&](const char* host, const char* listener = "") {
    settings.routes.push_back({.listener = listener, .host = host, .pool = "shop"});
  };
  for (const char* host :
       {"", "shop.example", "a.wild.example", "*.wild.example", "192.0.2.1", "[2001:db8::1]"})
    serve(host);
  serve("elsewhere.example", "other");
  CHECK(files.warnings(settings) == Lines{});
  for (const char* host : {"a.b.wild.example", "wild.example", "*.shop.example", "wild.example"}) serve(host);
  CHECK(files.warnings(settings) ==
        Lines{"listener main: no certificate covers a.b.wild.example, which a route serves",
              "listener main: no certificate covers wild.example, which a route serves",
              "listener main: no certificate covers *.shop.example, which a route serves"});
}

TEST_CASE("a certificate that a start would refuse is a fault of the key that names its file") {
  Files files;
  const Issued issued = issue({}), other = issue({});
  files.put("shop.pem", issued.pem());
  files.put("other.key", other.key_pem());
  const auto faults = [&](const std::string& certificates, const std::string& table = "[listener.tls]\n") {
    const auto loaded =
        conf::load_text("[[listener]]\naddress = \"*:1\"\n" + table + certificates +
                            "[[pool]]\nname = \"p\"\n[[pool.backend]]\nname = \"a\"\naddress = \"a:1\"\n",
                        files.file("limpet.toml"), check_certificates);
    Lines texts;
    if (const auto* found = std::get_if<conf::Faults>(&loaded))
      for (const conf::Fault& fault : *found) texts.push_back(fault.text().substr(files.path.size() + 1));
    return texts;
  };
  CHECK(faults("[[listener.tls.certificates]]\nfile = \"none.pem\"\n") ==
        Lines{"limpet.toml:5:8: listener[0].tls.certificates[0].file: " + files.file("none.pem") +
              " cannot be opened: No such file or directory"});
  CHECK(faults("[[listener.tls.certificates]]\nfile = \"shop.pem\"\nkey = \"other.key\"\n") ==
        Lines{"limpet.toml:6:7: listener[0].tls.certificates[0].key: the private key in " +
              files.file("other.key") + " is not that of the certificate in " + files.file("shop.pem")});
  CHECK(faults("[[status.tls.certificates]]\nfile = \"shop.pem\"\nkey = \"other.key\"\n", "[status.tls]\n") ==
        Lines{"limpet.toml:6:7: status.tls.certificates[0].key: the private key in " +
              files.file("other.key") + " is not that of the certificate in " + files.file("shop.pem")});
}

}  // namespace limpet::certificate_checks_test
