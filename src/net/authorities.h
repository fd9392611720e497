// Those who issue the certificates that are believed, as PEM files hold them.
#pragma once

#include <openssl/x509_vfy.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "src/net/certificate.h"

namespace limpet::net {

struct FreeStore {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};

// Never changes once it is loaded.
struct Authorities {
  std::string file;  // empty: the system's
  std::vector<std::unique_ptr<X509, FreeX509>> certificates;
  std::unique_ptr<X509_STORE, FreeStore> store;  // of these
};
bool are_same(const Authorities& a, const Authorities& b);
using SharedAuthorities = std::shared_ptr<const Authorities>;

// Empty: the system's. What is wrong is said in a sentence that names the file. A certificate that stands in
// a file is believed, whether or not the one that issued it does.
std::variant<SharedAuthorities, std::string> load_authorities(const std::string& file);

}  // namespace limpet::net
