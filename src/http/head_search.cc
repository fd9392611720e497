#include "src/http/head_search.h"

#include <cstring>

namespace limpet::http {

namespace {

// What stands in a request line beside its target.
constexpr size_t kRequestLineSlack = 64;

// Every line of `head` ends in CR LF; a CR that no LF follows stands elsewhere.
HeadSearch check_octets(std::string_view head) {
  const char* at = head.data();
  const char* const end = at + head.size();
  while ((at = static_cast<const char*>(std::memchr(at, '\r', static_cast<size_t>(end - at)))) != nullptr) {
    if (at[1] != '\n') return {0, {400, "a bare carriage return in the head"}};
    at += 2;
  }
  if (std::memchr(head.data(), '\0', head.size()) != nullptr) return {0, {400, "a NUL in the head"}};
  return {head.size(), {}};
}

}  // namespace

HeadSearch find_head(std::string_view bytes, size_t& from, const HeadLimits& limits) {
  for (;;) {
    const void* found = std::memchr(bytes.data() + from, '\n', bytes.size() - from);
    const bool in_first_line = from == 0;
    const size_t end =
        found != nullptr ? static_cast<size_t>(static_cast<const char*>(found) - bytes.data()) : bytes.size();
    if (in_first_line && end > limits.target + kRequestLineSlack)
      return {0, {414, "the request target is too long"}};
    if (end > limits.head) return {0, {431, "the head is too large"}};
    if (found == nullptr) return {};
    if (end == from || bytes[end - 1] != '\r')
      return {0, {400, "a line that ends without a carriage return"}};
    if (!in_first_line && (bytes[from] == ' ' || bytes[from] == '\t'))
      return {0, {400, "a folded header line"}};
    const bool empty_line = end == from + 1;
    from = end + 1;
    if (empty_line) return check_octets(bytes.substr(0, from));
  }
}

}  // namespace limpet::http
