#include "conf/grammar.h"

#include <algorithm>
#include <optional>

#include "conf/ascii.h"

namespace limpet::conf {
namespace {

constexpr size_t kMostNameSize = 64;
constexpr size_t kSecretSize = 32;
constexpr size_t kMostBodyText = 1024;
constexpr uint16_t kLeastStatus = 100, kMostStatus = 599;  // RFC 9110, section 15

bool is_alphanumeric(char c) { return is_letter(c) || is_digit(c); }

bool is_printable_ascii(char c) { return c >= 0x20 && c < 0x7f; }

bool is_token_character(char c) {
  return is_alphanumeric(c) ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_character);
}

// What may stand in a cookie's attributes: RFC 6265, section 4.1.1, av-octets.
bool is_attribute_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return is_printable_ascii(c) && c != ';'; });
}

// The name of a query parameter or of a path parameter: RFC 3986's pchar without what separates parameters.
bool is_parameter_name(std::string_view text) {
  const auto allowed = [](char c) {
    return is_alphanumeric(c) || std::string_view("-._~!$'()*+,:@%").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

std::optional<uint16_t> parse_status(std::string_view digits) {
  const auto code = whole_number<uint16_t>(digits);
  if (!code || *code < kLeastStatus || *code > kMostStatus) return std::nullopt;
  return code;
}

}  // namespace

Parsed<std::string> parse_name(std::string_view text) {
  const auto allowed = [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; };
  if (text.empty()) return Wrong{"is empty"};
  if (text.size() > kMostNameSize) return Wrong{"is too long"};
  if (!std::all_of(text.begin(), text.end(), allowed)) return Wrong{"is not a name"};
  return std::string(text);
}

Parsed<std::string> parse_via(std::string_view text) {
  if (text.empty()) return std::string();
  if (text == "off") return Wrong{"would be this balancer's name"};
  return parse_token(text);
}

Parsed<std::string> parse_token(std::string_view text) {
  if (!is_token(text)) return Wrong{"is not a token"};
  return std::string(text);
}

Parsed<std::string> parse_field_name(std::string_view text) {
  if (text.empty()) return std::string();
  if (!is_token(text)) return Wrong{"is not a field's name"};
  return std::string(text);
}

Parsed<std::string> parse_cookie_name(std::string_view text) {
  if (text.empty()) return std::string();
  if (!is_token(text)) return Wrong{"is not a cookie's name"};
  return std::string(text);
}

Parsed<std::string> parse_cookie_path(std::string_view text) {
  if (!text.starts_with('/')) return Wrong{"does not begin with \"/\""};
  if (!is_attribute_value(text)) return Wrong{"holds \";\" or what is not printable ASCII"};
  return std::string(text);
}

Parsed<std::string> parse_cookie_attribute(std::string_view text) {
  constexpr std::string_view kKnown[] = {"Path", "Domain", "Secure", "HttpOnly", "SameSite", "Partitioned"};
  if (text.empty()) return Wrong{"is empty"};
  if (!is_attribute_value(text)) return Wrong{"holds \";\" or what is not printable ASCII"};
  const std::string_view name = text.substr(0, text.find_first_of("= "));
  for (const std::string_view known : kKnown) {
    if (equals_ignoring_case(name, known)) return Wrong{"has a key of its own"};
  }
  return std::string(text);
}

Parsed<SessionIdSource> parse_source(std::string_view text) {
  using enum SessionIdSource::Place;
  constexpr struct {
    std::string_view word;
    SessionIdSource::Place place;
    bool (*is_name)(std::string_view);
  } kPlaces[] = {{"cookie", cookie, is_token},
                 {"header", header, is_token},
                 {"query", query, is_parameter_name},
                 {"path", path, is_parameter_name}};
  const size_t colon = text.find(':');
  if (colon == text.npos) return Wrong{"does not say where the id is"};
  const std::string_view word = text.substr(0, colon), name = text.substr(colon + 1);
  for (const auto& known : kPlaces) {
    if (known.word != word) continue;
    if (!known.is_name(name)) return Wrong{"has no valid name"};
    return SessionIdSource{known.place, std::string(name)};
  }
  return Wrong{"names no place that is looked at"};
}

Parsed<std::string> parse_secret(std::string_view text) {
  if (text.size() != 2 * kSecretSize) return Wrong{"is not 32 bytes in hexadecimal"};
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return Wrong{"is not 32 bytes in hexadecimal"};
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

Parsed<std::string> parse_status_token(std::string_view text) {
  const auto allowed = [](char c) { return is_printable_ascii(c) && c != ' '; };
  if (text.size() < Status::kLeastToken) return Wrong{"is too short to be safe"};
  if (!std::all_of(text.begin(), text.end(), allowed))
    return Wrong{"holds a space or what is not printable ASCII"};
  return std::string(text);
}

Parsed<std::string> parse_hsts(std::string_view text) {
  std::string_view rest = text;
  bool has_age = false;
  while (!rest.empty()) {
    const std::string_view directive = trimmed(take_until(rest, ';'));
    constexpr std::string_view kAge = "max-age=";
    const bool is_age = equals_ignoring_case(directive.substr(0, kAge.size()), kAge);
    const std::string_view age = is_age ? directive.substr(kAge.size()) : std::string_view{};
    if (is_age && (age.empty() || age.size() > 10 || !std::all_of(age.begin(), age.end(), is_digit)))
      return Wrong{"has an age that is no number of seconds"};
    if (!is_age && !equals_ignoring_case(directive, "includeSubDomains") &&
        !equals_ignoring_case(directive, "preload"))
      return Wrong{"holds a directive that there is not"};
    has_age = has_age || is_age;
  }
  if (!text.empty() && !has_age) return Wrong{"has no max-age"};
  return std::string(text);
}

Parsed<std::string> parse_file_name(std::string_view text) {
  if (text.empty()) return Wrong{"is empty"};
  if (text.find('\0') != text.npos) return Wrong{"holds a zero byte"};
  return std::string(text);
}

Parsed<std::string> parse_grpc_service(std::string_view text) {
  const auto is_visible = [](char c) { return c > ' ' && c < '\x7f'; };
  if (text.size() > kMostBodyText) return Wrong{"is too long"};
  if (!std::all_of(text.begin(), text.end(), is_visible)) return Wrong{"is not a service's name"};
  return std::string(text);
}

Parsed<std::string> parse_body_text(std::string_view text) {
  if (text.size() > kMostBodyText) return Wrong{"is too long"};
  return std::string(text);
}

Parsed<StatusRange> parse_status_range(std::string_view text) {
  const size_t dash = text.find('-');
  const auto from = parse_status(text.substr(0, dash));
  const auto to = dash == text.npos ? from : parse_status(text.substr(dash + 1));
  if (!from || !to)
    return Wrong{dash == text.npos ? "is not a status code" : "is not a range of status codes"};
  if (*from > *to) return Wrong{"ends before it begins"};
  return StatusRange{*from, *to};
}

}  // namespace limpet::conf
