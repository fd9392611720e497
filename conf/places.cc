#include "conf/places.h"

#include <sys/un.h>

#include <algorithm>
#include <optional>

#include "conf/ascii.h"
#include "conf/normal_path.h"

namespace limpet::conf {
namespace {

constexpr size_t kMostHostSize = 253;  // RFC 1035, section 2.3.4, without the root's dot
constexpr size_t kMostLabelSize = 63;
constexpr size_t kMostSocketPath = sizeof(sockaddr_un::sun_path) - 1;

bool is_label(std::string_view label) {
  const auto allowed = [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; };
  return !label.empty() && label.size() <= kMostLabelSize && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), allowed);
}

// RFC 1123, section 2.1, with '_', which people do use. A name whose last label is a number would be taken
// for an IPv4 address by some and not by others.
bool is_host_name(std::string_view text) {
  if (text.size() > kMostHostSize) return false;
  std::string_view label;
  for (size_t begin = 0; begin <= text.size(); begin += label.size() + 1) {
    label = text.substr(begin, text.find('.', begin) - begin);
    if (!is_label(label)) return false;
  }
  return !std::all_of(label.begin(), label.end(), is_digit);
}

// RFC 3986, section 3.3, and '/'.
bool is_path_character(char c) {
  return is_letter(c) || is_digit(c) ||
         std::string_view("/-._~%!$&'()*+,;=:@").find(c) != std::string_view::npos;
}

std::optional<uint16_t> parse_port(std::string_view digits) { return whole_number<uint16_t>(digits); }

// Splits "host:port" and "[v6]:port"; IP literals come out in their canonical form, so that equal ones are
// equal.
Parsed<Address> parse_host_and_port(std::string_view text) {
  if (IpAddress::parse(text)) {
    return Wrong{text.find(':') == text.npos ? "has no port"
                                             : "has no port, and no brackets around its IPv6 address"};
  }
  if (text.find("://") != text.npos) return Wrong{"is a URL, not an address"};
  const size_t colon = text.rfind(':');
  if (colon == text.npos || text.ends_with(']')) return Wrong{"has no port"};
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return Wrong{"has a port that is not a number from 0 to 65535"};

  std::string_view host = text.substr(0, colon);
  const bool in_brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (in_brackets) host = host.substr(1, host.size() - 2);
  const auto ip = IpAddress::parse(host);
  const bool is_v6_literal = host.find(':') != host.npos;
  if (is_v6_literal && !in_brackets) return Wrong{"has no brackets around its IPv6 address"};
  if (in_brackets && !(ip && is_v6_literal)) return Wrong{"has no IPv6 address in its brackets"};
  if (ip) return Address{Address::Kind::ip, ip->text(), *port};
  return Address{Address::Kind::host, std::string(host), *port};
}

}  // namespace

Parsed<Address> parse_listener_address(std::string_view text) {
  if (text.starts_with("unix:")) return Wrong{"is a unix socket, which nothing listens at"};
  Parsed<Address> parsed = parse_host_and_port(text);
  Address* address = parsed.value();
  if (!address || address->kind == Address::Kind::ip) return parsed;
  if (address->host == "*") return Address{Address::Kind::ip, "*", address->port};
  if (address->host.empty()) return Wrong{"has no address before its port"};
  if (lower_case(address->host) == "localhost") {
    return Wrong{
        "is a name that may stand for several addresses; write the one that is meant, \"127.0.0.1\" or "
        "\"[::1]\""};
  }
  return Wrong{"is not an IP address and a port"};
}

Parsed<std::optional<Address>> parse_status_address(std::string_view text) {
  if (text == "off") return std::optional<Address>();
  Parsed<Address> parsed = parse_listener_address(text);
  if (!parsed.value()) return Wrong{parsed.what()};
  return std::optional(std::move(*parsed.value()));
}

Parsed<Address> parse_backend_address(std::string_view text) {
  if (text.starts_with("unix:")) {
    const std::string_view path = text.substr(5);
    if (!path.starts_with('/')) return Wrong{"has no absolute path after \"unix:\""};
    if (path.size() > kMostSocketPath) return Wrong{"has a path longer than a unix socket's may be"};
    if (path.find('\0') != path.npos) return Wrong{"holds a zero byte"};
    return Address{Address::Kind::unix_socket, std::string(path), 0};
  }
  Parsed<Address> parsed = parse_host_and_port(text);
  Address* address = parsed.value();
  if (!address) return parsed;
  if (address->port == 0) return Wrong{"has port 0, which nothing can connect to"};
  if (address->kind == Address::Kind::host && !is_host_name(address->host)) {
    return Wrong{"has neither an IP address nor a host name before its port"};
  }
  return parsed;
}

Parsed<Cidr> parse_network(std::string_view text) {
  if (const auto network = Cidr::parse(text)) return *network;
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address || slash == text.npos) return Wrong{"is not an IP address or network"};

  // Whether clearing bits makes it a network tells a slip in the address from a prefix that is none.
  const std::string prefix(text.substr(slash));
  const int fewest = text.find(':') == text.npos ? 96 : 0;
  for (int bits = 127; bits >= fewest; --bits) {
    const std::string shorter = address->masked(static_cast<uint8_t>(bits)).text() + prefix;
    if (Cidr::parse(shorter))
      return Wrong{"has bits set beyond its prefix; did you mean \"" + shorter + "\"?"};
  }
  return Wrong{"has no valid prefix length"};
}

Parsed<std::string> parse_route_host(std::string_view text) {
  if (text.empty()) return std::string();
  if (text == "*") return Wrong{"is not needed to match every host; leave `host` out"};
  if (text.front() == '[' && text.back() == ']') {
    const auto ip = IpAddress::parse(text.substr(1, text.size() - 2));
    if (ip && text.find(':') != text.npos) return lower_case(text);
    return Wrong{"has no IPv6 address in its brackets"};
  }
  if (IpAddress::parse(text)) {
    if (text.find(':') == text.npos) return std::string(text);
    return Wrong{"has no brackets around its IPv6 address"};
  }
  const std::string_view name = text.starts_with("*.") ? text.substr(2) : text;
  if (name.find(':') != name.npos) return Wrong{"has a port; the host is matched without it"};
  if (name.find('/') != name.npos) return Wrong{"has a path; that is the key `path`"};
  if (name.find('*') != name.npos) return Wrong{"has \"*\" elsewhere than as its whole first label"};
  if (name.ends_with('.')) return Wrong{"ends in a dot"};
  if (!is_host_name(name)) return Wrong{"is not a host name"};
  return lower_case(text);
}

Parsed<std::string> parse_route_path(std::string_view text) {
  if (!text.starts_with('/')) return Wrong{"does not begin with \"/\""};
  if (!std::all_of(text.begin(), text.end(), is_path_character)) return Wrong{"holds what a path cannot"};
  std::string room;
  text = normal_path(text, room);
  if (text.size() > 1 && text.ends_with('/')) text.remove_suffix(1);
  return std::string(text);
}

Parsed<std::string> parse_domain(std::string_view text) {
  if (text.empty()) return std::string();
  if (text.starts_with('.')) return Wrong{"begins with a dot; names below are included without it"};
  if (!is_host_name(text)) return Wrong{"is not a host name"};
  return lower_case(text);
}

Parsed<std::string> parse_server_name(std::string_view text) {
  return IpAddress::parse(text) ? Parsed<std::string>(std::string(text)) : parse_domain(text);
}

Parsed<std::string> parse_check_host(std::string_view text) {
  if (text.empty()) return std::string();
  const size_t colon = text.ends_with(']') ? text.npos : text.rfind(':');
  const std::string_view host = text.substr(0, colon);
  const bool has_good_port = colon == text.npos || parse_port(text.substr(colon + 1));
  const bool is_literal = host.starts_with('[') && host.ends_with(']') && host.find(':') != host.npos &&
                          IpAddress::parse(host.substr(1, host.size() - 2));
  const bool is_v4 = host.find(':') == host.npos && IpAddress::parse(host);
  if (!has_good_port || !(is_literal || is_v4 || is_host_name(host)))
    return Wrong{"is not a host, with or without a port"};
  return std::string(text);
}

// RFC 9112, section 3.2.1: origin-form.
Parsed<std::string> parse_check_path(std::string_view text) {
  const auto allowed = [](char c) { return is_path_character(c) || c == '?'; };
  if (!text.starts_with('/')) return Wrong{"does not begin with \"/\""};
  if (!std::all_of(text.begin(), text.end(), allowed)) return Wrong{"holds what a path or a query cannot"};
  return std::string(text);
}

}  // namespace limpet::conf
