// What routing looks at in a message, whatever protocol carried it. Views into bytes that somebody else owns.
#pragma once

#include <span>
#include <string_view>

#include "conf/ascii.h"
#include "conf/ip_address.h"

namespace limpet::routing {

struct Field {
  std::string_view name;   // as received, any case
  std::string_view value;  // without surrounding white space
};

// Of the first field of that name, in lower case or not; empty where there is none.
inline std::string_view value_of(std::span<const Field> fields, std::string_view name) {
  for (const Field& field : fields) {
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return {};
}

struct RequestView {
  std::string_view method;
  std::string_view target;  // origin-form: path and query
  std::span<const Field> fields;
  // After PROXY protocol and trusted proxies; all zero for a peer without an IP address.
  conf::IpAddress client;
};

struct ResponseView {
  int status = 0;
  std::span<const Field> fields;
};

}  // namespace limpet::routing
