#include "src/net/authorities.h"

#include <openssl/err.h>

#include <algorithm>

#include "src/net/openssl.h"

namespace limpet::net {

namespace {

std::string load_systems(Authorities& made) {
  ERR_clear_error();
  if (X509_STORE_set_default_paths(made.store.get()) != 1)
    return std::string("the system's authorities cannot be read: ") + openssl_reason();
  STACK_OF(X509)* const all = X509_STORE_get1_all_certs(made.store.get());
  while (X509* const next = sk_X509_shift(all)) made.certificates.emplace_back(next);
  sk_X509_free(all);
  return {};
}

std::string load_file(Authorities& made) {
  if (std::string wrong = read_certificates(made.file, made.certificates); !wrong.empty()) return wrong;
  for (const auto& certificate : made.certificates) {
    if (X509_STORE_add_cert(made.store.get(), certificate.get()) != 1)
      return made.file + " holds a certificate that OpenSSL does not take: " + openssl_reason();
  }
  X509_STORE_set_flags(made.store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  return {};
}

}  // namespace

bool are_same(const Authorities& a, const Authorities& b) {
  return std::equal(a.certificates.begin(), a.certificates.end(), b.certificates.begin(),
                    b.certificates.end(),
                    [](const auto& one, const auto& other) { return X509_cmp(one.get(), other.get()) == 0; });
}

std::variant<SharedAuthorities, std::string> load_authorities(const std::string& file) {
  auto made = std::make_shared<Authorities>();
  made->file = file;
  made->store.reset(X509_STORE_new());
  if (std::string wrong = file.empty() ? load_systems(*made) : load_file(*made); !wrong.empty()) return wrong;
  return made;
}

}  // namespace limpet::net
