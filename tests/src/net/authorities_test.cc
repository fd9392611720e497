// Those who issue the certificates that are believed.
#include "src/net/authorities.h"

#include "tests/support/certificates.h"

namespace limpet::net::authorities_test {

using namespace limpet::test;

struct Files : Folder {
  std::string put(const std::string& text) const {
    std::ofstream(file("ca.pem")) << text;
    return file("ca.pem");
  }
  std::string wrong(const std::string& text) const {
    return std::get<std::string>(load_authorities(put(text)));
  }
  SharedAuthorities load(const std::string& text) const {
    return std::get<SharedAuthorities>(load_authorities(put(text)));
  }
};

bool believes(const SharedAuthorities& authorities, const Issued& shown) {
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(X509_STORE_CTX_new(),
                                                                                X509_STORE_CTX_free);
  REQUIRE(X509_STORE_CTX_init(context.get(), authorities->store.get(), shown.certificate.get(), nullptr) ==
          1);
  return X509_verify_cert(context.get()) == 1;
}

TEST_CASE("who is issued by one of a file's authorities is believed, and nobody else") {
  const Files files;
  const Issued one = issue({.common_name = "One", .is_authority = true});
  const Issued two = issue({.common_name = "Two", .is_authority = true});
  const auto both = files.load(one.pem() + two.pem());
  CHECK(believes(both, issue({.issuer = &one})));
  CHECK(believes(both, issue({.issuer = &two})));
  CHECK_FALSE(believes(files.load(two.pem()), issue({.issuer = &one})));
}

TEST_CASE("a certificate that stands in the file is believed without the one that issued it") {
  const Files files;
  const Issued root = issue({.common_name = "Root", .is_authority = true});
  const Issued between = issue({.common_name = "Between", .issuer = &root, .is_authority = true});
  const auto authorities = files.load(between.pem());
  CHECK(believes(authorities, issue({.issuer = &between})));
  CHECK_FALSE(believes(authorities, issue({.issuer = &root})));
}

TEST_CASE("authorities are the same if their certificates are") {
  const Files files;
  const Issued one = issue({.is_authority = true}), two = issue({.is_authority = true});
  const auto loaded = files.load(one.pem());
  CHECK(are_same(*loaded, *files.load("a word before it\n" + one.pem())));
  CHECK_FALSE(are_same(*loaded, *files.load(two.pem())));
  CHECK_FALSE(are_same(*loaded, *files.load(one.pem() + two.pem())));
}

TEST_CASE("the system's authorities can be loaded, and are the same the next time") {
  const auto loaded = std::get<SharedAuthorities>(load_authorities(""));
  CHECK_FALSE(believes(loaded, issue({})));
  CHECK(are_same(*loaded, *std::get<SharedAuthorities>(load_authorities(""))));
}

TEST_CASE("a file that holds no authority is refused, and named") {
  const Files files;
  CHECK(files.wrong("nothing") ==
        files.file("ca.pem") + " holds no certificate (PEM: -----BEGIN CERTIFICATE-----)");
  CHECK(std::get<std::string>(load_authorities(files.file("none"))) ==
        files.file("none") + " cannot be opened: No such file or directory");
}

}  // namespace limpet::net::authorities_test
