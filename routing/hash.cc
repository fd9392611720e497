#include "routing/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <stdexcept>
#include <string>

namespace limpet::routing {
namespace {

constexpr size_t kDigestSize = 64;  // SHA-512

// XXH3 wants a secret that looks random. Ours comes from SHA-512, because XXH3_generateSecret is declared
// experimental: its output may change between versions of the library, and balancers with different ones
// would disagree.
void derive(std::string_view secret, uint8_t kind, uint8_t* out, size_t size) {
  for (uint8_t block = 0; block * kDigestSize < size; ++block) {
    std::string input = "limpet affinity hash 1";
    input += secret;
    input += static_cast<char>(kind);
    input += static_cast<char>(block);
    if (EVP_Digest(input.data(), input.size(), out + block * kDigestSize, nullptr, EVP_sha512(), nullptr) !=
        1) {
      throw std::runtime_error("SHA-512 is not available");
    }
  }
}

}  // namespace

KeyedHash::KeyedHash(std::string_view secret) {
  static_assert(kSecretSize % kDigestSize == 0 && kSecretSize >= XXH3_SECRET_SIZE_MIN);
  for (size_t kind = 0; kind < secrets_.size(); ++kind) {
    derive(secret, static_cast<uint8_t>(kind), secrets_[kind].data(), kSecretSize);
  }
}

uint64_t KeyedHash::of(conf::AffinityKind kind, std::string_view bytes) const {
  const auto& secret = secrets_[static_cast<size_t>(kind)];
  return XXH3_64bits_withSecret(bytes.data(), bytes.size(), secret.data(), secret.size());
}

uint64_t backend_id(std::string_view name) { return XXH3_64bits(name.data(), name.size()); }

}  // namespace limpet::routing
