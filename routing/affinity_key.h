// Where a request says who its client is: the client's address, the pool's cookie, the application's session
// id. Pure: views into the request in, views out.
//
// Everything is compared as it was received: a session id is opaque bytes, not percent-decoded (what a client
// sends back is what the application wrote), and a route suffix that Tomcat or mod_jk appends to it
// ("….node1") is part of it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "conf/ascii.h"
#include "conf/settings.h"
#include "routing/request_view.h"

namespace limpet::routing {

// A longer session id is no id: nobody's are, and a client must not make us hash what it likes.
inline constexpr size_t kLongestId = 4096;

// The client's address under the pool's masks. False for an all-zero address: the peer has none.
bool has_address(const conf::IpAddress& client);
conf::IpAddress client_block(const conf::IpAddress& client, const conf::IpAffinity& affinity);

// Different ids in the order in which they stand. None that could be no id (empty, or longer than
// kLongestId), and none beyond kMost.
template <size_t kMost>
class Ids {
 public:
  void add(std::string_view id) {
    if (id.empty() || id.size() > kLongestId || is_full()) return;
    if (std::ranges::find(all(), id) == all().end()) ids_[count_++] = id;
  }
  bool is_full() const { return count_ == kMost; }
  std::span<const std::string_view> all() const { return {ids_.data(), count_}; }

 private:
  std::array<std::string_view, kMost> ids_;
  size_t count_ = 0;
};

// At one place of the request: two cookies, for example, may have one name.
using IdsThere = Ids<8>;
IdsThere ids_at(const conf::SessionIdSource& source, const RequestView& request);

// At the first source at which the request holds any; nullptr and none where it holds none.
struct FirstIds {
  const conf::SessionIdSource* source = nullptr;
  IdsThere ids;
};
FirstIds first_ids(const conf::SessionIdAffinity& affinity, const RequestView& request);

// The value of `;name=` in any segment of the path of `target`, which may be in absolute form; empty when
// there is none (Jakarta Servlet 6.0, section 7.1.3: `;jsessionid=`).
std::string_view path_parameter(std::string_view target, std::string_view name);

// A cookie's value without the quotes that may surround it (RFC 6265, section 4.1.1).
constexpr std::string_view unquoted(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    return value.substr(1, value.size() - 2);
  return value;
}

// Calls `use(value)` for each cookie called `name`, in the order received, over every Cookie field (HTTP/2
// sends several; RFC 9113, section 8.2.3), until it returns true. Names are compared with case (RFC 6265,
// section 5.4).
template <class Use>
void for_each_cookie(std::span<const Field> fields, std::string_view name, Use&& use) {
  for (const Field& field : fields) {
    if (!equals_ignoring_case(field.name, "cookie")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      std::string_view value = take_until(rest, ';');
      if (value.find('=') == std::string_view::npos) continue;
      if (trimmed(take_until(value, '=')) == name && use(unquoted(trimmed(value)))) return;
    }
  }
}

}  // namespace limpet::routing
