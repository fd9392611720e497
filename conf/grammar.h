// The grammars of names, cookies, ids, secrets and status codes.
#pragma once

#include <string>
#include <string_view>

#include "conf/parsed.h"
#include "conf/settings.h"

namespace limpet::conf {

Parsed<std::string> parse_name(std::string_view text);         // of a listener, pool or backend
Parsed<std::string> parse_token(std::string_view text);        // RFC 9110, section 5.6.2
Parsed<std::string> parse_via(std::string_view text);          // a token, or empty
Parsed<std::string> parse_field_name(std::string_view text);   // a token, or empty
Parsed<std::string> parse_cookie_name(std::string_view text);  // a token (RFC 6265, section 4.1.1), or empty
Parsed<std::string> parse_cookie_path(std::string_view text);  // RFC 6265, section 4.1.1
Parsed<std::string> parse_cookie_attribute(std::string_view text);  // not one that has a key of its own
Parsed<SessionIdSource> parse_source(std::string_view text);        // "cookie:JSESSIONID"
Parsed<std::string> parse_secret(std::string_view text);            // 64 hexadecimal digits, as 32 bytes
Parsed<std::string> parse_status_token(std::string_view text);      // as Status::token
Parsed<std::string> parse_hsts(std::string_view text);              // RFC 6797, section 6.1, or empty
Parsed<std::string> parse_file_name(std::string_view text);
Parsed<std::string> parse_grpc_service(std::string_view text);  // a service's name, or empty
Parsed<std::string> parse_body_text(std::string_view text);     // what an answer has to contain, or empty
Parsed<StatusRange> parse_status_range(std::string_view text);  // "204", "200-399"

}  // namespace limpet::conf
