#include "src/net/openssl.h"

#include <openssl/err.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <iterator>

namespace limpet::net {

std::string_view text_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

std::array<unsigned char, 32> hmac_sha256(std::string_view key, std::string_view text) {
  std::array<unsigned char, 32> hash;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data(), nullptr);
  return hash;
}

const char* openssl_reason() {
  const char* const reason = ERR_reason_error_string(ERR_peek_error());
  return reason != nullptr ? reason : "for no known reason";
}

bool chose_http2(const SSL* tls) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(tls, &name, &size);
  return std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
}

bool set_groups(SSL_CTX* context) {
  constexpr const char* kGroups[] = {"X25519MLKEM768:X25519:prime256v1:secp384r1",
                                     "X25519:prime256v1:secp384r1"};
  return std::any_of(std::begin(kGroups), std::end(kGroups), [context](const char* groups) {
    return SSL_CTX_set1_groups_list(context, groups) == 1;
  });
}

}  // namespace limpet::net
