// The keys that seal session tickets (RFC 5077; RFC 8446, section 4.6.1), made from one secret and the time.
// All workers have the same without a word between them, and so have several processes that share the secret.
// A key seals for one period, and opens for one more.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <string>

namespace limpet::net {

class TlsTickets {
 public:
  static constexpr int64_t kPeriod = 12 * 60 * 60;  // seconds

  using Clock = int64_t (*)();  // Unix seconds

  TlsTickets(std::string secret, Clock clock) : secret_(std::move(secret)), clock_(clock) {}

  // Tickets of this context's connections are sealed by these keys, which outlive it. One thread at a time.
  void serve(SSL_CTX* context);

 private:
  static constexpr size_t kNameSize = 16;
  struct Key {
    int64_t period = -1;
    std::array<unsigned char, kNameSize> name;
    std::array<unsigned char, 32> cipher;
    std::array<unsigned char, 32> mac;
  };

  const Key& key_of(int64_t period);
  int seal_or_open(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                   bool seals);
  static int on_ticket(SSL* tls, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                       EVP_MAC_CTX* mac, int seals);

  const std::string secret_;
  const Clock clock_;
  std::array<Key, 2> keys_;  // by period
};

}  // namespace limpet::net
