#include "routing/affinity_key.h"

#include <algorithm>

namespace limpet::routing {
namespace {

constexpr uint8_t kV4Offset = 96;  // an IPv4 prefix over the 128 bits of a mapped address

bool could_be_id(std::string_view value) { return !value.empty() && value.size() <= kLongestId; }

void add_cookies(std::span<const Field> fields, std::string_view name, IdsThere& ids) {
  for_each_cookie(fields, name, [&ids](std::string_view value) {
    ids.add(value);
    return ids.is_full();
  });
}

void add_headers(std::span<const Field> fields, std::string_view name, IdsThere& ids) {
  for (const Field& field : fields) {
    if (equals_ignoring_case(field.name, name)) ids.add(field.value);
  }
}

void add_query_parameters(std::string_view target, std::string_view name, IdsThere& ids) {
  take_until(target, '?');
  while (!target.empty()) {
    std::string_view value = take_until(target, '&');
    if (take_until(value, '=') == name) ids.add(value);
  }
}

}  // namespace

bool has_address(const conf::IpAddress& client) { return client != conf::IpAddress{}; }

conf::IpAddress client_block(const conf::IpAddress& client, const conf::IpAffinity& affinity) {
  return client.masked(client.is_v4() ? static_cast<uint8_t>(kV4Offset + affinity.mask_v4)
                                      : affinity.mask_v6);
}

std::string_view path_parameter(std::string_view target, std::string_view name) {
  std::string_view path = target.substr(0, target.find_first_of("?#"));
  while (!path.empty()) {
    std::string_view parameters = take_until(path, '/');
    take_until(parameters, ';');
    while (!parameters.empty()) {
      std::string_view value = take_until(parameters, ';');
      if (take_until(value, '=') == name && could_be_id(value)) return value;
    }
  }
  return {};
}

IdsThere ids_at(const conf::SessionIdSource& source, const RequestView& request) {
  using Place = conf::SessionIdSource::Place;
  IdsThere ids;
  switch (source.place) {
    case Place::cookie:
      add_cookies(request.fields, source.name, ids);
      break;
    case Place::header:
      add_headers(request.fields, source.name, ids);
      break;
    case Place::query:
      add_query_parameters(request.target, source.name, ids);
      break;
    case Place::path:
      ids.add(path_parameter(request.target, source.name));
      break;
  }
  return ids;
}

FirstIds first_ids(const conf::SessionIdAffinity& affinity, const RequestView& request) {
  for (const conf::SessionIdSource& source : affinity.sources) {
    FirstIds found{&source, ids_at(source, request)};
    if (!found.ids.all().empty()) return found;
  }
  return {};
}

}  // namespace limpet::routing
