#include "routing/token.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <bit>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <type_traits>

namespace limpet::routing {
namespace {

constexpr size_t kNonceSize = 12, kPlainSize = 32, kFormerPlainSize = 24, kTagSize = 16;
constexpr size_t sealed_size(size_t plain_size) { return kNonceSize + plain_size + kTagSize; }
constexpr size_t text_size(size_t plain_size) { return (sealed_size(plain_size) * 4 + 2) / 3; }
static_assert(TokenSealer::kTextSize == text_size(kPlainSize));
static_assert(TokenSealer::kFormerTextSize == text_size(kFormerPlainSize));

using Sealed = std::array<uint8_t, sealed_size(kPlainSize)>;
using Plain = std::array<uint8_t, kPlainSize>;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

// Token's members as they lie in memory. Balancers that share keys are taken to share the byte order too.
static_assert(sizeof(Token) == kPlainSize && std::has_unique_object_representations_v<Token>);
static_assert(offsetof(Token, id) == kFormerPlainSize);

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr uint8_t kNotInAlphabet = 0xff;

constexpr std::array<uint8_t, 256> kSextets = [] {
  std::array<uint8_t, 256> sextets{};
  sextets.fill(kNotInAlphabet);
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    sextets[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return sextets;
}();

std::string encoded(const Sealed& sealed) {
  static_assert(sealed_size(kPlainSize) % 3 == 0);
  std::string text;
  text.reserve(TokenSealer::kTextSize);
  for (size_t at = 0; at < sealed.size(); at += 3) {
    const uint32_t bits = uint32_t{sealed[at]} << 16 | uint32_t{sealed[at + 1]} << 8 | sealed[at + 2];
    for (const int shift : {18, 12, 6, 0}) text += kAlphabet[bits >> shift & 63];
  }
  return text;
}

// Four characters are three bytes; two at the end are one. A token has one spelling: the bits that its last
// character has to spare must be zero.
bool decode(std::string_view text, uint8_t* out) {
  uint8_t seen = 0;
  const auto sextet = [&](size_t place) -> uint32_t {
    const uint8_t value = kSextets[static_cast<uint8_t>(text[place])];
    seen |= value;
    return value;
  };
  size_t place = 0;
  for (; place + 4 <= text.size(); place += 4) {
    const uint32_t bits =
        sextet(place) << 18 | sextet(place + 1) << 12 | sextet(place + 2) << 6 | sextet(place + 3);
    *out++ = static_cast<uint8_t>(bits >> 16);
    *out++ = static_cast<uint8_t>(bits >> 8);
    *out++ = static_cast<uint8_t>(bits);
  }
  if (place == text.size()) return seen < 64;
  const uint32_t last = sextet(place) << 6 | sextet(place + 1);
  *out = static_cast<uint8_t>(last >> 4);
  return seen < 64 && (last & 15) == 0;
}

// What opened lately. A client sends the same token with each request until it is renewed, and comparing is a
// tenth of opening. Tokens begin with random bits, so their first characters choose the place; what cannot be
// opened never gets one. `text` has kTextSize characters.
class Opened {
 public:
  const Token* find(std::string_view text) const {
    const Entry& entry = entries_[place(text)];
    if (!entry.used) return nullptr;  // its zeros are nobody's token, but a client could send them
    return same(entry.text, text) ? &entry.token : nullptr;
  }
  void keep(std::string_view text, const Token& token) {
    Entry& entry = entries_[place(text)];
    std::copy(text.begin(), text.end(), entry.text.begin());
    entry.token = token;
    entry.used = true;
  }

 private:
  struct Entry {
    std::array<char, TokenSealer::kTextSize> text{};
    bool used = false;
    Token token;
  };
  static_assert(sizeof(Entry) == 120);
  static constexpr size_t kEntries = 1024;
  // Looks at every character, so that how long it takes says nothing about a token that somebody guesses at.
  static bool same(const std::array<char, TokenSealer::kTextSize>& known, std::string_view text) {
    char different = 0;
    for (size_t at = 0; at < known.size(); ++at)
      different = static_cast<char>(different | (known[at] ^ text[at]));
    return different == 0;
  }
  static size_t place(std::string_view text) {
    const auto sextet = [&](size_t at) -> size_t { return kSextets[static_cast<uint8_t>(text[at])]; };
    return (sextet(0) << 6 | sextet(1)) % kEntries;
  }

  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

}  // namespace

struct TokenSealer::Contexts {
  Context seal;
  std::vector<Context> open;  // by key
  Opened opened;

  static std::unique_ptr<Contexts> make(const std::vector<std::string>& keys) {
    auto made = std::make_unique<Contexts>();
    const auto raw = [](const std::string& key) { return reinterpret_cast<const uint8_t*>(key.data()); };
    made->seal.reset(EVP_CIPHER_CTX_new());
    EVP_CIPHER_CTX* const seal = made->seal.get();
    if (!seal || EVP_EncryptInit_ex(seal, EVP_aes_256_gcm(), nullptr, raw(keys.front()), nullptr) != 1)
      return nullptr;
    for (const std::string& key : keys) {
      EVP_CIPHER_CTX* const open = made->open.emplace_back(EVP_CIPHER_CTX_new()).get();
      if (!open || EVP_DecryptInit_ex(open, EVP_aes_256_gcm(), nullptr, raw(key), nullptr) != 1)
        return nullptr;
    }
    return made;
  }
};

// A set of contexts for the time of one call: an idle one, or a new one where every one is in use. It goes
// back to the thread's own lane, where the thread finds it at once the next time.
class TokenSealer::Lease {
 public:
  explicit Lease(const TokenSealer& sealer) : lanes_(sealer.lanes_) {
    for (size_t i = 0; i < kLanes && !contexts_; ++i) {
      contexts_.reset(lane(i).idle.exchange(nullptr, std::memory_order_acquire));
    }
    if (!contexts_) contexts_ = Contexts::make(sealer.keys_);
  }

  ~Lease() {
    for (size_t i = 0; i < kLanes && contexts_; ++i) {
      Contexts* none = nullptr;
      const bool put = lane(i).idle.compare_exchange_strong(none, contexts_.get(), std::memory_order_release,
                                                            std::memory_order_relaxed);
      if (put) contexts_.release();
    }
  }

  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Contexts* contexts() const { return contexts_.get(); }

 private:
  Lane& lane(size_t i) const {
    thread_local const size_t own = std::hash<std::thread::id>{}(std::this_thread::get_id());
    return lanes_[(own + i) % kLanes];
  }

  std::array<Lane, kLanes>& lanes_;
  std::unique_ptr<Contexts> contexts_;
};

TokenSealer::TokenSealer(const std::vector<std::string>& keys, std::string_view pool)
    : keys_(keys),
      aad_("limpet token 2" + std::string(pool)),
      former_aad_("limpet token 1" + std::string(pool)) {
  if (keys_.empty()) throw std::invalid_argument("tokens need a key");
  for (const std::string& key : keys_) {
    if (key.size() != kKeySize) throw std::invalid_argument("a token's key has 32 bytes");
  }
}

TokenSealer::~TokenSealer() {
  for (Lane& lane : lanes_) delete lane.idle.load(std::memory_order_acquire);
}

std::optional<std::string> TokenSealer::seal(const Token& token) const {
  const Lease lease(*this);
  if (!lease.contexts()) return std::nullopt;
  EVP_CIPHER_CTX* const context = lease.contexts()->seal.get();
  const Plain plain = std::bit_cast<Plain>(token);
  Sealed sealed;
  uint8_t* const nonce = sealed.data();
  uint8_t* const body = nonce + kNonceSize;
  uint8_t* const tag = body + kPlainSize;
  int size = 0;
  const bool done = RAND_bytes(nonce, kNonceSize) == 1 &&
                    EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce) == 1 &&
                    EVP_EncryptUpdate(context, nullptr, &size, reinterpret_cast<const uint8_t*>(aad_.data()),
                                      static_cast<int>(aad_.size())) == 1 &&
                    EVP_EncryptUpdate(context, body, &size, plain.data(), kPlainSize) == 1 &&
                    EVP_EncryptFinal_ex(context, body, &size) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagSize, tag) == 1;
  if (!done) return std::nullopt;
  return encoded(sealed);
}

std::optional<Token> TokenSealer::open(std::string_view text) const {
  if (!may_be_token(text)) return std::nullopt;
  const Lease lease(*this);
  if (!lease.contexts()) return std::nullopt;
  if (text.size() == kFormerTextSize) return unseal(text, *lease.contexts());
  Opened& opened = lease.contexts()->opened;
  if (const Token* known = opened.find(text)) return *known;
  const auto token = unseal(text, *lease.contexts());
  if (token) opened.keep(text, *token);
  return token;
}

std::optional<Token> TokenSealer::unseal(std::string_view text, Contexts& contexts) const {
  const bool former = text.size() == kFormerTextSize;
  const std::string& aad = former ? former_aad_ : aad_;
  const size_t plain_size = former ? kFormerPlainSize : kPlainSize;
  Sealed sealed;
  if (!decode(text, sealed.data())) return std::nullopt;
  uint8_t* const nonce = sealed.data();
  uint8_t* const body = nonce + kNonceSize;
  uint8_t* const tag = body + plain_size;
  for (const Context& key : contexts.open) {
    EVP_CIPHER_CTX* const context = key.get();
    Plain plain{};
    uint8_t rest[kTagSize];  // GCM leaves nothing for the end, but the call wants a place
    int size = 0;
    if (EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagSize, tag) == 1 &&
        EVP_DecryptUpdate(context, nullptr, &size, reinterpret_cast<const uint8_t*>(aad.data()),
                          static_cast<int>(aad.size())) == 1 &&
        EVP_DecryptUpdate(context, plain.data(), &size, body, static_cast<int>(plain_size)) == 1 &&
        EVP_DecryptFinal_ex(context, rest, &size) == 1)
      return std::bit_cast<Token>(plain);
  }
  return std::nullopt;
}

}  // namespace limpet::routing
