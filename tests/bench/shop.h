// The application that the benchmark's servers serve, whatever protocol they speak: what a request is
// answered, and whether its session stayed where it was.
//
// GET /login sets a new JSESSIONID; /large... has the large body; /hold is never answered; /counters tells
// "REQUESTS LOGINS STRAYS" since the start, where a stray is a request whose session was at another port
// before; everything else has the small body.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

// Of an answer, beside "X-Backend", which is the port.
constexpr std::string_view kServer = "origin", kType = "text/plain", kCaching = "no-store";

class Shop {
 public:
  Shop(size_t small, size_t large) : small_(small, 's'), large_(large, 'l') {}

  enum class Kind { small, large, text, none };
  struct Reply {
    Kind kind = Kind::small;
    std::string text;    // the body, where it is neither
    std::string cookie;  // that is set, or ""
  };

  // `cookies`: a part of the request that holds its cookies.
  Reply answer(std::string_view target, std::string_view cookies, uint16_t port) {
    if (target.starts_with("/counters")) return {Kind::text, counters(), ""};
    requests_++;
    if (target.starts_with("/hold")) return {Kind::none, "", ""};
    if (target.starts_with("/login")) return {Kind::small, "", new_session()};
    follow_session(cookies, port);
    return {target.starts_with("/large") ? Kind::large : Kind::small, "", ""};
  }

  std::string_view small() const { return small_; }
  std::string_view large() const { return large_; }

 private:
  static constexpr std::string_view kCookie = "JSESSIONID=";
  static constexpr size_t kDigits = 16;

  std::string counters() const {
    return std::to_string(requests_) + " " + std::to_string(homes_.size()) + " " + std::to_string(strays_);
  }

  std::string new_session() {
    char cookie[64];
    std::snprintf(cookie, sizeof cookie, "JSESSIONID=%016zX; Path=/; HttpOnly", homes_.size());
    homes_.push_back(0);
    return cookie;
  }

  void follow_session(std::string_view cookies, uint16_t port) {
    const size_t at = cookies.find(kCookie);
    if (at == std::string_view::npos) return;
    const std::string digits(cookies.substr(at + kCookie.size(), kDigits));
    const size_t number = std::strtoull(digits.c_str(), nullptr, 16);
    if (number >= homes_.size()) return;
    if (homes_[number] != 0 && homes_[number] != port) strays_++;
    homes_[number] = port;
  }

  const std::string small_, large_;
  std::vector<uint16_t> homes_;  // by session number: the port that had its last request; 0: none yet
  uint64_t requests_ = 0, strays_ = 0;
};

}  // namespace bench
