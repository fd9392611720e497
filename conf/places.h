// The grammars of addresses, networks, and of what routes match.
#pragma once

#include <optional>
#include <string_view>

#include "conf/parsed.h"
#include "conf/settings.h"

namespace limpet::conf {

Parsed<Address> parse_listener_address(std::string_view text);  // "127.0.0.1:80", "[::1]:80", "*:80"
// The same without "*", "app:80", "unix:/run/app.sock".
Parsed<Address> parse_backend_address(std::string_view text);
// As a listener's, or "off": none.
Parsed<std::optional<Address>> parse_status_address(std::string_view text);
Parsed<Cidr> parse_network(std::string_view text);             // as Cidr::parse
Parsed<std::string> parse_route_host(std::string_view text);   // as Route::host, lower-cased
Parsed<std::string> parse_route_path(std::string_view text);   // as Route::path, in its normal form
Parsed<std::string> parse_domain(std::string_view text);       // a host name, or empty
Parsed<std::string> parse_server_name(std::string_view text);  // a host name, an IP address, or empty
Parsed<std::string> parse_check_host(std::string_view text);   // as HealthCheck::host: with or without a port
Parsed<std::string> parse_check_path(std::string_view text);   // a path and, if there is one, a query

}  // namespace limpet::conf
