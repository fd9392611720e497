// What a head says of its own connection, and of how its body is delimited (RFC 9112, sections 6 and 9).
#pragma once

#include <string_view>

#include "src/http/head.h"

namespace limpet::http {

// What Connection says (RFC 9110, section 7.6.1).
struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
  int count = 0;
  bool too_many() const;
  bool keeps_alive(uint8_t minor_version) const { return !close && (minor_version >= 1 || keep_alive); }
};

// Reads Connection and marks the fields that it names as belonging to this connection alone. What frames,
// routes or identifies, and what every intermediary acts on, is not the sender's to remove.
ConnectionOptions read_connection(Fields& fields);

// Whether a protocol that Upgrade offers may be offered further. Not h2c: an HTTP/2 connection inside a
// tunnel would carry requests past every check made here (RFC 9113, section 3.1 retires that upgrade).
bool may_be_offered(std::string_view protocol);

// Calls `visit` with each protocol that may be offered further.
template <typename Visit>
void for_each_offer(const Fields& fields, Visit&& visit) {
  for (size_t i = 0; fields.has(FieldName::upgrade) && i < fields.size(); ++i) {
    if (fields.names[i] != FieldName::upgrade) continue;
    for_each_member(fields.list[i].value, [&](std::string_view protocol) {
      if (may_be_offered(protocol)) visit(protocol);
    });
  }
}

// What Expect asks for, but 100-continue, is not met here (RFC 9110, section 10.1.1).
Fault check_expectations(const Fields& fields);

// Sets `body` by the fields that delimit it, leaves it where there are none, or says what is wrong with them.
// A message has one length, said once.
Fault read_framing(const Fields& fields, uint8_t minor_version, Body& body);

}  // namespace limpet::http
