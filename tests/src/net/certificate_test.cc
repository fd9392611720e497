// What PEM files hold, and what is said of those that do not hold what they should.
#include "src/net/certificate.h"

#include <sys/stat.h>

#include <filesystem>

#include "tests/support/certificates.h"

namespace limpet::net::certificate_test {

using namespace limpet::test;

struct Files : Folder {
  std::string write(const char* name, const std::string& text) const {
    std::ofstream(file(name)) << text;
    return file(name);
  }
  // What is said, without the folder's path.
  std::string fault(const std::string& certificate, const std::string& key = "") const {
    auto loaded = load_certificate(certificate, key);
    auto* const wrong = std::get_if<std::string>(&loaded);
    if (wrong == nullptr) return {};
    for (size_t at; (at = wrong->find(path + "/")) != std::string::npos;) wrong->erase(at, path.size() + 1);
    return *wrong;
  }
};

TEST_CASE("a certificate and its key may stand in two files, or in one in either order") {
  const Files files;
  const Issued issued = issue({});
  const std::string alone = files.write("shop.pem", issued.pem());
  CHECK(files.fault(alone, files.write("shop.key", issued.key_pem())) == "");
  CHECK(files.fault(files.write("both.pem", issued.pem() + issued.key_pem())) == "");
  CHECK(files.fault(files.write("turned.pem", issued.key_pem() + issued.pem())) == "");
}

TEST_CASE("what stands around the PEM blocks, and other blocks, are passed over") {
  const Files files;
  const Issued issued = issue({});
  const std::string parameters =
      "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  CHECK(files.fault(files.write(
            "it.pem", "shop's own:\n" + parameters + issued.key_pem() + "\n\n" + issued.pem())) == "");
}

TEST_CASE("certificates behind the first are its chain, in their order") {
  const Files files;
  const Issued root = issue({.common_name = "root", .is_authority = true});
  const Issued middle = issue({.common_name = "middle", .issuer = &root, .is_authority = true});
  const Issued leaf = issue({.names = "DNS:shop.example", .issuer = &middle});
  const SharedCertificate made =
      load(files.write("it.pem", leaf.pem() + middle.pem() + root.pem() + leaf.key_pem()));
  CHECK(X509_cmp(made->leaf.get(), leaf.certificate.get()) == 0);
  REQUIRE(made->chain.size() == 2);
  CHECK(X509_cmp(made->chain[0].get(), middle.certificate.get()) == 0);
  CHECK(X509_cmp(made->chain[1].get(), root.certificate.get()) == 0);
  CHECK_FALSE(made->is_self_signed());
  CHECK(loaded(root)->is_self_signed());
}

TEST_CASE("what is wrong with a certificate's files is said with their names") {
  const Files files;
  const Issued issued = issue({}), other = issue({});
  const std::string good = files.write("shop.pem", issued.pem());
  const std::string key = files.write("shop.key", issued.key_pem());
  const std::string lock = files.write("lock.key", issued.encrypted_key_pem());
  CHECK(files.fault(files.file("none.pem")) == "none.pem cannot be opened: No such file or directory");
  CHECK(files.fault(good, files.file("none.key")) == "none.key cannot be opened: No such file or directory");
  CHECK(files.fault(files.path + "/.") == ". is a folder");
  CHECK(files.fault(files.write("empty.pem", ""), key) ==
        "empty.pem holds no certificate (PEM: -----BEGIN CERTIFICATE-----)");
  CHECK(files.fault(key, key) == "shop.key holds no certificate (PEM: -----BEGIN CERTIFICATE-----)");
  CHECK(files.fault(good, good) ==
        "shop.pem holds no private key that can be read (PEM: -----BEGIN PRIVATE KEY-----)");
  CHECK(files.fault(good) ==
        "shop.pem holds no private key that can be read (PEM: -----BEGIN PRIVATE KEY-----)");
  CHECK(files.fault(good, lock) ==
        "lock.key holds a private key with a pass phrase, which nobody can type here: remove it");
  CHECK(files.fault(good, files.write("other.key", other.key_pem())) ==
        "the private key in other.key is not that of the certificate in shop.pem");
  CHECK(files.fault(files.write("rsa.pem", issue({.kind = KeyKind::rsa}).pem()), key) ==
        "the private key in shop.key is not that of the certificate in rsa.pem");
  CHECK(files.fault(files.write("large.pem", std::string(1024 * 1024 + 1, 'x'))) ==
        "large.pem is larger than 1 MiB, so it is no certificate");
}

TEST_CASE("a certificate that is cut or spoilt is refused, and so is one behind a good one") {
  const Files files;
  const Issued issued = issue({});
  const std::string pem = issued.pem();
  const std::string cut = pem.substr(0, pem.size() / 2);
  std::string spoilt = pem;
  spoilt.replace(pem.find('\n') + 5, 4, "!!!!");
  for (const std::string& bad : {cut, spoilt}) {
    CHECK(files.fault(files.write("bad.pem", bad))
              .starts_with("bad.pem holds a certificate that cannot be read: "));
    CHECK(files.fault(files.write("bad.pem", pem + bad))
              .starts_with("bad.pem holds a certificate that cannot be read: "));
  }
}

TEST_CASE("a pipe in a certificate's place is not waited for") {
  const Files files;
  REQUIRE(mkfifo(files.file("pipe").c_str(), 0600) == 0);
  CHECK(files.fault(files.file("pipe")) == "pipe is no regular file");
}

TEST_CASE("nothing that is said of a key tells anything of it") {
  const Files files;
  const Issued issued = issue({});
  const std::string key = issued.key_pem();
  const std::string line = key.substr(key.find('\n') + 1, 40);
  const std::string said =
      files.fault(files.write("it.pem", issued.pem()), files.write("it.key", key.substr(0, key.size() / 2)));
  CHECK(said != "");
  CHECK(said.find(line) == std::string::npos);
}

TEST_CASE(
    "a certificate's names are those of subjectAltName, in lower case, and its addresses as conf writes "
    "them") {
  const SharedCertificate made = loaded(
      issue({.common_name = "not.this",
             .names = "DNS:Shop.Example,DNS:*.Example,IP:192.0.2.1,IP:2001:DB8::A,email:a@b.example"}));
  CHECK(made->names == std::vector<std::string>{"shop.example", "*.example", "192.0.2.1", "2001:db8::a"});
}

TEST_CASE("without a subjectAltName the common name stands for it") {
  CHECK(loaded(issue({.common_name = "Shop.Example"}))->names == std::vector<std::string>{"shop.example"});
  CHECK(loaded(issue({.common_name = "shop.example", .names = "email:a@b.example"}))->names.empty());
}

TEST_CASE("what is no printable ASCII is no name") {
  CHECK(loaded(issue({.names = "DNS:a\x01.example,DNS:caf\xe9.example,DNS:b.example"}))->names ==
        std::vector<std::string>{"b.example"});
  CHECK(loaded(issue({.common_name = "M\xc3\xbcller"}))->names.empty());
}

TEST_CASE("a certificate's times are Unix seconds") {
  const int64_t now = std::time(nullptr);
  const SharedCertificate made = loaded(issue({.begins = -1000, .ends = 5000}));
  CHECK(made->not_after - made->not_before == doctest::Approx(6000).epsilon(0.01));
  CHECK(made->not_before < now);
  CHECK(made->not_after > now);
}

TEST_CASE("a wildcard covers one label, whole, and not none") {
  CHECK(covers("shop.example", "shop.example"));
  CHECK_FALSE(covers("shop.example", "a.shop.example"));
  CHECK(covers("*.example.com", "shop.example.com"));
  CHECK_FALSE(covers("*.example.com", "example.com"));
  CHECK_FALSE(covers("*.example.com", ".example.com"));
  CHECK_FALSE(covers("*.example.com", "a.shop.example.com"));
  CHECK_FALSE(covers("*.example.com", "shop.example.org"));
  CHECK_FALSE(covers("s*.example.com", "shop.example.com"));  // RFC 9525 has no such thing any more
  CHECK_FALSE(covers("*", "localhost"));
  CHECK_FALSE(covers("", "shop.example"));
}

}  // namespace limpet::net::certificate_test
