#include "src/net/openssl.h"

#include <openssl/err.h>

#include <algorithm>
#include <iterator>

namespace limpet::net {

const char* openssl_reason() {
  const char* const reason = ERR_reason_error_string(ERR_peek_error());
  return reason != nullptr ? reason : "for no known reason";
}

bool set_groups(SSL_CTX* context) {
  constexpr const char* kGroups[] = {"X25519MLKEM768:X25519:prime256v1:secp384r1",
                                     "X25519:prime256v1:secp384r1"};
  return std::any_of(std::begin(kGroups), std::end(kGroups), [context](const char* groups) {
    return SSL_CTX_set1_groups_list(context, groups) == 1;
  });
}

}  // namespace limpet::net
