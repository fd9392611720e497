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

// Reads Connection and marks the fields that it names as belonging to this connection alone. Host and the
// fields of the framing are not the sender's to remove.
ConnectionOptions read_connection(Fields& fields);

// The protocols that the message offers or chooses, without h2c: an HTTP/2 connection inside a tunnel would
// carry requests past every check made here (RFC 9113, section 3.1 retires that upgrade).
std::string_view offered_upgrade(const Fields& fields);

// Sets `body` by the fields that delimit it, leaves it where there are none, or says what is wrong with them.
// A message has one length, said once.
Fault read_framing(const Fields& fields, uint8_t minor_version, Body& body);

}  // namespace limpet::http
