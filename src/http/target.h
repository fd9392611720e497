// The request target and the Host it belongs to (RFC 9112, section 3.2; RFC 9110, section 7.2).
#pragma once

#include "src/http/parser.h"

namespace limpet::http {

// Settles what a parsed request is for: exactly one valid Host in HTTP/1.1, absolute-form turned into
// origin-form with its authority in Host's place, "*" for OPTIONS alone, CONNECT refused. Changes target,
// host and absolute_form.
Fault resolve_target(RequestHead& request);

// uri-host [ ":" port ] (RFC 3986, section 3.2.2).
bool is_authority(std::string_view text);
// Whether all octets may stand in a request target; false for an empty text.
bool is_target(std::string_view text);
// What is wrong with a target, all of whose octets may stand in one, that has to be in origin-form, or "*"
// for OPTIONS.
Fault check_path(const RequestHead& request);
// Takes Host's value for the request's, empty without one. What is wrong where there are several.
Fault read_host(RequestHead& request);

}  // namespace limpet::http
