// The request target and the Host it belongs to (RFC 9112, section 3.2; RFC 9110, section 7.2).
#pragma once

#include "src/http/parser.h"

namespace limpet::http {

// Settles what a parsed request is for: exactly one valid Host in HTTP/1.1, absolute-form turned into
// origin-form with its authority in Host's place, "*" for OPTIONS alone, CONNECT refused. Changes target,
// host and absolute_form.
Fault resolve_target(RequestHead& request);

}  // namespace limpet::http
