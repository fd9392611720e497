#include "src/http/target.h"

#include <algorithm>

#include "conf/ascii.h"

namespace limpet::http {

namespace {

bool is_host_octet(char c) {
  return is_letter(c) || is_digit(c) || std::string_view("-._~%!$&'()*+;=").find(c) != std::string_view::npos;
}

Fault split_absolute(RequestHead& request) {
  const size_t colon = request.target.find("://");
  const std::string_view scheme = request.target.substr(0, colon);
  if (!equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "https")) {
    return {400, "the request target's scheme is neither http nor https"};
  }
  const size_t begin = colon + 3;
  const size_t end = std::min(request.target.find_first_of("/?#", begin), request.target.size());
  const std::string_view authority = request.target.substr(begin, end - begin);
  if (authority.empty() || authority[0] == ':' || !is_authority(authority))
    return {400, "the request target's authority is not valid"};
  request.absolute_form = true;
  request.host = authority;
  request.target.remove_prefix(end);
  if (request.target.empty()) request.target = request.method == "OPTIONS" ? "*" : "/";
  return {};
}

}  // namespace

// A comma, though a sub-delim, is refused: it would join two Hosts.
bool is_authority(std::string_view text) {
  size_t end = 0;
  if (!text.empty() && text[0] == '[') {
    end = text.find(']');
    if (end == std::string_view::npos) return false;
    const std::string_view inside = text.substr(1, end - 1);
    if (inside.find(':') == std::string_view::npos || !conf::IpAddress::parse(inside)) return false;
    ++end;
  } else {
    while (end < text.size() && is_host_octet(text[end])) ++end;
  }
  if (end == text.size()) return true;
  const std::string_view port = text.substr(end + 1);
  return text[end] == ':' && (port.empty() || whole_number<uint16_t>(port));
}

bool is_target(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char octet) { return octet > ' ' && octet < 0x7f; });
}

Fault check_path(const RequestHead& request) {
  if (request.target.find('#') != std::string_view::npos) return {400, "a fragment in the request target"};
  if (request.target == "*" && request.method != "OPTIONS") return {400, "the target * is for OPTIONS alone"};
  if (request.target == "*" || request.target[0] == '/') return {};
  return {400, "the request target is not valid"};
}

Fault read_host(RequestHead& request) {
  int hosts = 0;
  request.host = {};
  for (size_t i = 0; i < request.fields.size(); ++i) {
    if (request.fields.names[i] != FieldName::host) continue;
    ++hosts;
    request.host = request.fields.list[i].value;
  }
  if (hosts > 1) return {400, "more than one Host"};
  return {};
}

Fault resolve_target(RequestHead& request) {
  request.absolute_form = false;
  if (const Fault fault = read_host(request)) return fault;
  const bool has_host = request.fields.has(FieldName::host);
  if (!has_host && request.minor_version >= 1) return {400, "no Host"};
  if (!is_authority(request.host)) return {400, "Host is not valid"};

  if (request.method == "CONNECT") return {501, "CONNECT is not served here"};
  const bool is_absolute = request.target[0] != '/' && request.target.find("://") != std::string_view::npos;
  if (is_absolute && request.target.find('#') == std::string_view::npos) return split_absolute(request);
  return check_path(request);
}

}  // namespace limpet::http
