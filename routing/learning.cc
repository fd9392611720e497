#include "routing/learning.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <span>

#include "conf/ascii.h"
#include "conf/normal_path.h"
#include "routing/affinity_key.h"
#include "routing/cookie_date.h"
#include "routing/host.h"
#include "routing/relaxed.h"

namespace limpet::routing {
namespace {

// Of one name that an answer sets or deletes; a client has one.
constexpr size_t kMostCookies = 8;

struct SetCookie {
  std::string_view value;         // unquoted
  std::string_view domain, path;  // as they stand; empty: the request's own
  bool deletes = false;

  bool is_same(const SetCookie& other) const {
    return equals_ignoring_case(domain, other.domain) && path == other.path;
  }
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
    if (equals_ignoring_case(attribute, "path")) {
      cookie.path = attribute_value.starts_with('/') ? attribute_value : std::string_view();
    } else if (equals_ignoring_case(attribute, "domain")) {
      cookie.domain = attribute_value.starts_with('.') ? attribute_value.substr(1) : attribute_value;
    } else if (equals_ignoring_case(attribute, "max-age")) {
      if (const MaxAge parsed = parse_max_age(attribute_value); parsed != MaxAge::absent) max_age = parsed;
    } else if (equals_ignoring_case(attribute, "expires")) {
      if (const auto date = parse_cookie_date(attribute_value)) expired = *date <= int64_t{now};
    }
  }
  cookie.deletes = cookie.value.empty() || max_age == MaxAge::over || (max_age == MaxAge::absent && expired);
  return cookie;
}

// RFC 6265, sections 5.1.3 and 5.1.4: whether a cookie that was set so would come with such a request.
bool comes_with(const SetCookie& cookie, const RequestView& request) {
  const std::string_view host = bare_host(value_of(request.fields, "host"));
  if (!cookie.domain.empty() && !host.empty() && !equals_ignoring_case(host, cookie.domain)) {
    if (!ends_with_ignoring_case(host, cookie.domain)) return false;
    if (host[host.size() - cookie.domain.size() - 1] != '.') return false;
  }
  const std::string_view path = conf::path_of(request.target);
  if (!path.starts_with(cookie.path)) return false;
  return cookie.path.empty() || cookie.path.ends_with('/') || path.size() == cookie.path.size() ||
         path[cookie.path.size()] == '/';
}

void learn_from_cookie(const conf::SessionIdSource& source, const RequestView& request,
                       const ResponseView& response, uint32_t now, Learned& learned) {
  const auto sets_cookie = [](const Field& field) { return equals_ignoring_case(field.name, "set-cookie"); };
  if (std::ranges::none_of(response.fields, sets_cookie)) return;
  std::array<SetCookie, kMostCookies> cookies;
  size_t count = 0;
  for (const Field& field : response.fields) {
    if (!sets_cookie(field)) continue;
    const auto cookie = parse_set_cookie(field.value, source.name, now);
    if (!cookie) continue;
    size_t at = 0;
    while (at < count && !cookies[at].is_same(*cookie)) ++at;
    if (at == cookies.size()) continue;
    cookies[at] = *cookie;
    count = std::max(count, at + 1);
  }
  bool sets = false, deletes = false;
  for (const SetCookie& cookie : std::span(cookies).first(count)) {
    if (!cookie.deletes) learned.add_set(cookie.value);
    sets = sets || !cookie.deletes;
    deletes = deletes || (cookie.deletes && comes_with(cookie, request));
  }
  if (!deletes || sets) return;
  const IdsThere ids = ids_at(source, request);
  if (ids.all().size() == 1) learned.add_deleted(ids.all().front());
}

bool ends_mcp_session(const RequestView& request, const ResponseView& response, const McpPaths& paths) {
  const bool succeeded = response.status >= 200 && response.status < 300;
  return (response.status == 404 && paths.has(request.target)) || (request.method == "DELETE" && succeeded);
}

void learn_from_header(const conf::SessionIdSource& source, const RequestView& request,
                       const ResponseView& response, McpPaths& paths, Learned& learned) {
  const bool is_mcp = equals_ignoring_case(source.name, "mcp-session-id");
  if (is_mcp && ends_mcp_session(request, response, paths)) {
    if (const IdsThere ids = ids_at(source, request); !ids.all().empty())
      return learned.add_deleted(ids.all().front());
  }
  std::string_view last;
  for (const Field& field : response.fields) {
    if (equals_ignoring_case(field.name, source.name) && !field.value.empty()) last = field.value;
  }
  if (is_mcp && !last.empty()) paths.add(request.target);
  learned.add_set(last);
}

// A redirect to another site may carry another application's id, which must not take this one's place.
bool stays_on_host(std::string_view location, std::string_view host) {
  const size_t path = location.find_first_of("/?#");
  if (path == std::string_view::npos || location.substr(path, 2) != "//") return true;
  location.remove_prefix(path + 2);
  return equals_ignoring_case(location.substr(0, location.find_first_of("/?#;")), host);
}

void learn_from_location(const conf::SessionIdAffinity& affinity, const conf::SessionIdSource& source,
                         const RequestView& request, const ResponseView& response, Learned& learned) {
  const std::string_view location = value_of(response.fields, "location");
  if (location.empty() || !stays_on_host(location, value_of(request.fields, "host"))) return;
  const std::string_view id = path_parameter(location, source.name);
  if (id.empty()) return;
  const conf::SessionIdSource* const known_by = first_ids(affinity, request).source;
  if (known_by != nullptr && known_by != &source) return;
  const bool goes_on = path_parameter(request.target, source.name) == id;
  if (goes_on || request.target.find(id) == std::string_view::npos) learned.add_set(id);
}

uint64_t hash_of_path(std::string_view target) {
  return std::hash<std::string_view>()(conf::path_of(target)) | 1;  // not 0
}

}  // namespace

void McpPaths::add(std::string_view target) {
  if (!has(target)) hashes_[next_.fetch_add(1, kRelaxed) % kMost].store(hash_of_path(target), kRelaxed);
}

bool McpPaths::has(std::string_view target) const {
  const uint64_t hash = hash_of_path(target);
  return std::ranges::any_of(hashes_, [hash](const auto& known) { return known.load(kRelaxed) == hash; });
}

Learned learn(const conf::SessionIdAffinity& affinity, const RequestView& request,
              const ResponseView& response, McpPaths& paths, uint32_t now) {
  using Place = conf::SessionIdSource::Place;
  Learned learned;
  for (const conf::SessionIdSource& source : affinity.sources) {
    switch (source.place) {
      case Place::cookie:
        learn_from_cookie(source, request, response, now, learned);
        break;
      case Place::header:
        learn_from_header(source, request, response, paths, learned);
        break;
      case Place::path:
        learn_from_location(affinity, source, request, response, learned);
        break;
      case Place::query:
        break;
    }
  }
  return learned;
}

}  // namespace limpet::routing
