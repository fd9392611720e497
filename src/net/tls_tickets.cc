#include "src/net/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "src/net/openssl.h"

namespace limpet::net {

namespace {

// What a context's connections find their keys by.
int index_of_tickets() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// One of the period's secrets (RFC 5869's step of expansion, with HMAC-SHA256 as its hash).
template <size_t N>
void derive(const std::string& secret, int64_t period, std::string_view what,
            std::array<unsigned char, N>& out) {
  const std::string info = "limpet session ticket " + std::string(what) + " " + std::to_string(period);
  std::copy_n(hmac_sha256(secret, info).begin(), N, out.begin());
}

}  // namespace

void TlsTickets::serve(SSL_CTX* context) {
  SSL_CTX_set_ex_data(context, index_of_tickets(), this);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
  SSL_CTX_set_timeout(context, kPeriod);
}

const TlsTickets::Key& TlsTickets::key_of(int64_t period) {
  Key& key = keys_[static_cast<size_t>(period) % keys_.size()];
  if (key.period == period) return key;
  key.period = period;
  derive(secret_, period, "name", key.name);
  derive(secret_, period, "cipher", key.cipher);
  derive(secret_, period, "mac", key.mac);
  return key;
}

int TlsTickets::on_ticket(SSL* tls, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                          EVP_MAC_CTX* mac, int seals) {
  void* const tickets = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(tls), index_of_tickets());
  const int done = static_cast<TlsTickets*>(tickets)->seal_or_open(name, iv, cipher, mac, seals != 0);
  // A client uses each ticket once (RFC 8446, appendix C.4), so that it wants a new one each time.
  return seals == 0 && done == 1 && SSL_version(tls) == TLS1_3_VERSION ? 2 : done;
}

// 1: done. 2: done, and the ticket wants a newer key. 0: none of these keys sealed it. -1: an error.
int TlsTickets::seal_or_open(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                             bool seals) {
  const int64_t now = clock_() / kPeriod;
  const Key* key = &key_of(now);
  if (seals) {
    std::copy(key->name.begin(), key->name.end(), name);
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
  } else if (std::memcmp(name, key->name.data(), kNameSize) != 0) {
    key = &key_of(now - 1);
    if (std::memcmp(name, key->name.data(), kNameSize) != 0) return 0;
  }
  char hash[] = "SHA256";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<unsigned char*>(key->mac.data()),
                                        key->mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0), OSSL_PARAM_construct_end()};
  if (EVP_MAC_CTX_set_params(mac, parameters) != 1) return -1;
  const auto init = seals ? EVP_EncryptInit_ex : EVP_DecryptInit_ex;
  if (init(cipher, EVP_aes_256_cbc(), nullptr, key->cipher.data(), iv) != 1) return -1;
  return !seals && key->period != now ? 2 : 1;
}

}  // namespace limpet::net
