// The value of Limpet's own cookie: a sealed token. Whoever has no key can neither make one nor learn
// anything from it but that it exists: not the backend's name, not the session's number, not its age.
//
// The seal is AES-256-GCM (NIST SP 800-38D). The plaintext is the 32 bytes of Token; the pool's name is
// authenticated with it, so that a token of one pool does not open in another. Nonce (12), ciphertext (32)
// and tag (16) are written in base64url without padding (RFC 4648, section 5): always 80 characters, all of
// them allowed in a cookie's value (RFC 6265, section 4.1.1). Tokens of the former format, whose plaintext
// ends before `id`, open as well.
//
// Keys rotate: the first seals, all open. Nonces are random, so SP 800-38D, section 8.3, allows a key 2^32
// seals at most, counted over every process that shares it. At 1000 tokens sealed per second (new sessions
// and renewals together) that is 49 days: put a new key in front before then, and take the old one away once
// the tokens that it sealed have idled out.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace limpet::routing {

struct Token {
  uint64_t backend = 0;   // backend_id() of the session's home
  uint64_t number = 0;    // the session's random number
  uint32_t issued = 0;    // seconds of Unix time, when the session began
  uint32_t renewed = 0;   // the same, when this token was sealed
  uint32_t id = 0;        // of the application's id that it was given along with (short_hash); 0: none
  uint16_t choice = 0;    // which of the session's homes this one is: each move counts one up
  uint16_t unproven = 0;  // 1: nothing shows that this home has anything of the session
  bool operator==(const Token&) const = default;
};

// Thread-safe. Works with OpenSSL contexts that keep their key schedule and take a new nonce each time; a
// thread borrows a set of them for one call, without a lock.
class TokenSealer {
 public:
  static constexpr size_t kKeySize = 32;
  static constexpr size_t kTextSize = 80, kFormerTextSize = 70;
  static constexpr bool may_be_token(std::string_view text) {
    return text.size() == kTextSize || text.size() == kFormerTextSize;
  }

  // Throws std::invalid_argument unless there is a key and every key has 32 bytes.
  TokenSealer(const std::vector<std::string>& keys, std::string_view pool);
  ~TokenSealer();
  TokenSealer(const TokenSealer&) = delete;
  TokenSealer& operator=(const TokenSealer&) = delete;

  // kTextSize characters; nullopt only where OpenSSL has no random bytes or no memory to give.
  std::optional<std::string> seal(const Token& token) const;

  // nullopt for whatever this pool's keys did not seal.
  std::optional<Token> open(std::string_view text) const;

 private:
  struct Contexts;  // one that seals, and one for each key that opens
  class Lease;

  // Contexts that nobody uses; a thread looks at its own lane first. There are never more than were in use at
  // once.
  static constexpr size_t kLanes = 16;
  struct alignas(64) Lane {
    std::atomic<Contexts*> idle{nullptr};
  };

  std::optional<Token> unseal(std::string_view text, Contexts& contexts) const;

  std::vector<std::string> keys_;
  std::string aad_, former_aad_;
  mutable std::array<Lane, kLanes> lanes_;  // owns what is idle
};

}  // namespace limpet::routing
