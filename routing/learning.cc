#include "routing/learning.h"

#include <algorithm>
#include <optional>

#include "conf/ascii.h"
#include "routing/affinity_key.h"
#include "routing/cookie_date.h"

namespace limpet::routing {
namespace {

struct SetCookie {
  std::string_view value;  // unquoted
  bool deletes = false;
};

enum class MaxAge : uint8_t { absent, over, lasting };

// RFC 6265, section 5.2.2: what is not a number is ignored.
MaxAge parse_max_age(std::string_view value) {
  const bool negative = !value.empty() && value.front() == '-';
  const std::string_view digits = value.substr(negative ? 1 : 0);
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), is_digit)) return MaxAge::absent;
  const bool zero = digits.find_first_not_of('0') == std::string_view::npos;
  return negative || zero ? MaxAge::over : MaxAge::lasting;
}

// The cookie that a Set-Cookie field sets, when it is called `name` (RFC 6265, section 5.2). Of attributes
// that repeat, the last valid one counts.
std::optional<SetCookie> parse_set_cookie(std::string_view field, std::string_view name, uint32_t now) {
  std::string_view value = take_until(field, ';');
  if (value.find('=') == std::string_view::npos || trimmed(take_until(value, '=')) != name)
    return std::nullopt;
  SetCookie cookie;
  cookie.value = unquoted(trimmed(value));
  MaxAge max_age = MaxAge::absent;
  bool expired = false;
  while (!field.empty()) {
    std::string_view attribute_value = take_until(field, ';');
    const std::string_view attribute = trimmed(take_until(attribute_value, '='));
    attribute_value = trimmed(attribute_value);
    if (equals_ignoring_case(attribute, "max-age")) {
      if (const MaxAge parsed = parse_max_age(attribute_value); parsed != MaxAge::absent) max_age = parsed;
    } else if (equals_ignoring_case(attribute, "expires")) {
      if (const auto date = parse_cookie_date(attribute_value)) expired = *date <= int64_t{now};
    }
  }
  cookie.deletes = cookie.value.empty() || max_age == MaxAge::over || (max_age == MaxAge::absent && expired);
  return cookie;
}

void learn_from_cookie(const conf::SessionIdSource& source, const RequestView& request,
                       const ResponseView& response, uint32_t now, Learned& learned) {
  std::optional<SetCookie> last;
  for (const Field& field : response.fields) {
    if (!equals_ignoring_case(field.name, "set-cookie")) continue;
    if (const auto cookie = parse_set_cookie(field.value, source.name, now)) last = cookie;
  }
  if (!last) return;
  if (last->deletes) {
    learned.add_deleted(id_at(source, request));
  } else {
    learned.add_set(last->value);
  }
}

bool ends_mcp_session(const conf::SessionIdSource& source, const RequestView& request,
                      const ResponseView& response) {
  if (!equals_ignoring_case(source.name, "mcp-session-id")) return false;
  const bool succeeded = response.status >= 200 && response.status < 300;
  return response.status == 404 || (request.method == "DELETE" && succeeded);
}

void learn_from_header(const conf::SessionIdSource& source, const RequestView& request,
                       const ResponseView& response, Learned& learned) {
  if (const std::string_view id = id_at(source, request);
      !id.empty() && ends_mcp_session(source, request, response)) {
    learned.add_deleted(id);
    return;
  }
  std::string_view last;
  for (const Field& field : response.fields) {
    if (equals_ignoring_case(field.name, source.name) && !field.value.empty()) last = field.value;
  }
  learned.add_set(last);
}

std::string_view field_value(std::span<const Field> fields, std::string_view name) {
  for (const Field& field : fields) {
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return {};
}

// A redirect to another site may carry another application's id, which must not take this one's place.
bool stays_on_host(std::string_view location, std::string_view host) {
  const size_t path = location.find_first_of("/?#");
  if (path == std::string_view::npos || location.substr(path, 2) != "//") return true;
  location.remove_prefix(path + 2);
  return equals_ignoring_case(location.substr(0, location.find_first_of("/?#;")), host);
}

void learn_from_location(const conf::SessionIdSource& source, const RequestView& request,
                         const ResponseView& response, Learned& learned) {
  const std::string_view location = field_value(response.fields, "location");
  if (location.empty() || !stays_on_host(location, field_value(request.fields, "host"))) return;
  learned.add_set(path_parameter(location, source.name));
}

}  // namespace

void Learned::Ids::add(std::string_view id) {
  if (id.empty() || id.size() > kLongestId || count == kMost) return;
  if (std::find(ids.begin(), ids.begin() + count, id) != ids.begin() + count) return;
  ids[count++] = id;
}

Learned learn(const conf::SessionIdAffinity& affinity, const RequestView& request,
              const ResponseView& response, uint32_t now) {
  using Place = conf::SessionIdSource::Place;
  Learned learned;
  for (const conf::SessionIdSource& source : affinity.sources) {
    switch (source.place) {
      case Place::cookie:
        learn_from_cookie(source, request, response, now, learned);
        break;
      case Place::header:
        learn_from_header(source, request, response, learned);
        break;
      case Place::path:
        learn_from_location(source, request, response, learned);
        break;
      case Place::query:
        break;
    }
  }
  return learned;
}

}  // namespace limpet::routing
