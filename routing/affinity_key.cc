#include "routing/affinity_key.h"

#include <algorithm>

namespace limpet::routing {
namespace {

constexpr uint8_t kV4Offset = 96;  // an IPv4 prefix over the 128 bits of a mapped address

bool could_be_id(std::string_view value) { return !value.empty() && value.size() <= kLongestId; }

std::string_view cookie_id(std::span<const Field> fields, std::string_view name) {
  std::string_view id;
  for_each_cookie(fields, name, [&id](std::string_view value) {
    if (!could_be_id(value)) return false;
    id = value;
    return true;
  });
  return id;
}

std::string_view header_id(std::span<const Field> fields, std::string_view name) {
  for (const Field& field : fields) {
    if (equals_ignoring_case(field.name, name) && could_be_id(field.value)) return field.value;
  }
  return {};
}

std::string_view query_parameter(std::string_view target, std::string_view name) {
  take_until(target, '?');
  while (!target.empty()) {
    std::string_view value = take_until(target, '&');
    if (take_until(value, '=') == name && could_be_id(value)) return value;
  }
  return {};
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

std::string_view id_at(const conf::SessionIdSource& source, const RequestView& request) {
  using Place = conf::SessionIdSource::Place;
  switch (source.place) {
    case Place::cookie:
      return cookie_id(request.fields, source.name);
    case Place::header:
      return header_id(request.fields, source.name);
    case Place::query:
      return query_parameter(request.target, source.name);
    case Place::path:
      return path_parameter(request.target, source.name);
  }
  return {};
}

std::string_view session_id(const conf::SessionIdAffinity& affinity, const RequestView& request) {
  for (const conf::SessionIdSource& source : affinity.sources) {
    if (const std::string_view id = id_at(source, request); !id.empty()) return id;
  }
  return {};
}

}  // namespace limpet::routing
