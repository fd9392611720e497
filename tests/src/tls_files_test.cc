// Certificates whose files change while they are shown.
#include "src/tls_files.h"

#include <filesystem>

#include "tests/support/certificates.h"

namespace limpet::tls_files_test {

using namespace limpet::test;

struct Shop : Folder {
  Shop() {
    put(issue({}));
    REQUIRE(files.add(named) == "");
  }
  // As tools do: a new file, renamed into place.
  void put(const char* name, const std::string& text) const {
    std::ofstream(file("next")) << text;
    std::filesystem::rename(file("next"), file(name));
  }
  void put(const Issued& issued) const {
    put("shop.pem", issued.pem());
    put("shop.key", issued.key_pem());
  }
  bool shows(const Issued& issued) const {
    return X509_cmp(files.certificate(named)->leaf.get(), issued.certificate.get()) == 0;
  }
  const auto& entry() const { return files.certificates().at({named.file, named.key}); }

  const conf::TlsCertificate named{file("shop.pem"), file("shop.key")};
  TlsFiles files;
};

TEST_CASE("what a certificate's files hold newly is shown, once both are there") {
  Shop shop;
  const auto before = shop.files.certificate(shop.named);
  shop.files.renew();
  CHECK(shop.files.certificate(shop.named) == before);

  const Issued next = issue({});
  shop.put("shop.pem", next.pem());
  shop.files.renew();
  CHECK(shop.files.certificate(shop.named) == before);
  CHECK_FALSE(shop.entry().is_told());
  shop.put("shop.key", next.key_pem());
  shop.files.renew();
  CHECK(shop.shows(next));
  CHECK(shop.entry().wrong == "");
}

TEST_CASE("files that are written anew with what they held are no other certificate") {
  Shop shop;
  const auto before = shop.files.certificate(shop.named);
  for (const char* name : {"shop.pem", "shop.key"}) shop.put(name, content(shop.file(name)));
  shop.files.renew();
  CHECK(shop.files.certificate(shop.named) == before);
}

TEST_CASE("a link that leads elsewhere is a change of the file") {
  Shop shop;
  const Issued next = issue({});
  for (const auto& [name, text] : {std::pair{"shop.pem", next.pem()}, {"shop.key", next.key_pem()}}) {
    const std::string there = shop.file(name) + ".2";
    std::ofstream(there) << text;
    std::filesystem::remove(shop.file(name));
    std::filesystem::create_symlink(there, shop.file(name));
  }
  shop.files.renew();
  CHECK(shop.shows(next));
}

TEST_CASE("what cannot be shown leaves the old one, and is told when it is found again") {
  const Issued other = issue({});
  const std::string cut = other.pem().substr(0, 100);
  for (const std::string& bad : {cut, std::string(), other.pem()}) {
    Shop shop;
    const auto before = shop.files.certificate(shop.named);
    shop.put("shop.pem", bad);
    shop.files.renew();
    CHECK(shop.entry().wrong != "");
    CHECK_FALSE(shop.entry().is_told());
    shop.files.renew();
    CHECK(shop.entry().is_told());
    CHECK(shop.files.certificate(shop.named) == before);
    shop.put(other);
    shop.files.renew();
    CHECK(shop.shows(other));
    CHECK_FALSE(shop.entry().is_told());
  }
}

TEST_CASE("files that change again before they are good are given their time anew") {
  Shop shop;
  for (int i = 0; i < 5; ++i) {
    shop.put("shop.pem", issue({}).pem());
    shop.files.renew();
    CHECK_FALSE(shop.entry().is_told());
  }
}

TEST_CASE("a file that is gone leaves what is shown, and may come back") {
  Shop shop;
  const auto before = shop.files.certificate(shop.named);
  std::filesystem::rename(shop.file("shop.key"), shop.file("away"));
  shop.files.renew();
  shop.files.renew();
  CHECK(shop.entry().wrong == shop.file("shop.key") + " cannot be opened: No such file or directory");
  CHECK(shop.entry().is_told());
  std::filesystem::rename(shop.file("away"), shop.file("shop.key"));
  shop.files.renew();
  CHECK(shop.entry().wrong == "");
  CHECK(shop.files.certificate(shop.named) == before);
}

TEST_CASE("one bad file keeps no other from being read") {
  Shop shop;
  const conf::TlsCertificate second{shop.file("second.pem"), ""};
  const Issued issued = issue({}), next = issue({});
  shop.put("second.pem", issued.pem() + issued.key_pem());
  REQUIRE(shop.files.add(second) == "");
  shop.put("shop.pem", "nothing");
  shop.put("second.pem", next.pem() + next.key_pem());
  shop.files.renew();
  CHECK(X509_cmp(shop.files.certificate(second)->leaf.get(), next.certificate.get()) == 0);
  CHECK(shop.entry().wrong != "");
}

TEST_CASE("a certificate that OpenSSL does not serve is as bad as one that cannot be read") {
  Shop shop;
  const conf::TlsCertificate weak{shop.file("weak.pem"), ""};
  Issued issued = issue({});
  issued.key = std::shared_ptr<EVP_PKEY>(EVP_RSA_gen(1024), EVP_PKEY_free);
  X509_set_pubkey(issued.certificate.get(), issued.key.get());
  X509_sign(issued.certificate.get(), issued.key.get(), EVP_sha256());
  shop.put("weak.pem", issued.pem() + issued.key_pem());
  CHECK(shop.files.add(weak).ends_with(
      "weak.pem is a certificate that OpenSSL does not take: ee key too small"));
}

TEST_CASE("authorities are read again as certificates are") {
  const Folder folder;
  const std::string file = folder.file("ca.pem");
  const auto put = [&](const std::string& text) {
    std::ofstream(folder.file("next")) << text;
    std::filesystem::rename(folder.file("next"), file);
  };
  const Issued other = issue({.is_authority = true});
  put(issue({.is_authority = true}).pem());
  TlsFiles files;
  REQUIRE(files.add_authorities(file) == "");
  const auto before = files.authorities(file);

  put("nothing");
  files.renew();
  files.renew();
  CHECK(files.authorities().at(file).is_told());
  CHECK(files.authorities(file) == before);

  put(other.pem());
  files.renew();
  CHECK_FALSE(files.authorities().at(file).is_told());
  CHECK(X509_cmp(files.authorities(file)->certificates.front().get(), other.certificate.get()) == 0);
}

TEST_CASE("of what was loaded before, whatever is the same goes on being used") {
  Shop shop;
  const conf::TlsCertificate second{shop.file("second.pem"), ""};
  const Issued issued = issue({}), next = issue({});
  shop.put("second.pem", issued.pem() + issued.key_pem());
  REQUIRE(shop.files.add(second) == "");
  REQUIRE(shop.files.add_authorities(shop.file("shop.pem")) == "");
  shop.put("second.pem", next.pem() + next.key_pem());

  TlsFiles again;
  for (const auto& named : {shop.named, second}) REQUIRE(again.add(named) == "");
  REQUIRE(again.add_authorities(shop.file("shop.pem")) == "");
  again.keep_same(shop.files);
  CHECK(again.certificate(shop.named) == shop.files.certificate(shop.named));
  CHECK(again.authorities(shop.file("shop.pem")) == shop.files.authorities(shop.file("shop.pem")));
  CHECK(X509_cmp(again.certificate(second)->leaf.get(), next.certificate.get()) == 0);
}

}  // namespace limpet::tls_files_test
