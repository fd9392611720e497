#include "src/http/framing.h"

#include <algorithm>

namespace limpet::http {

namespace {

// What Connection cannot name.
constexpr FieldSet kKept{FieldName::host,
                         FieldName::content_length,
                         FieldName::transfer_encoding,
                         FieldName::te,
                         FieldName::expect,
                         FieldName::max_forwards,
                         FieldName::via,
                         FieldName::forwarded,
                         FieldName::x_forwarded_for,
                         FieldName::x_forwarded_host,
                         FieldName::x_forwarded_other,
                         FieldName::x_forwarded_proto,
                         FieldName::x_request_id};

// Options in Connection: each is looked for among all fields.
constexpr int kMostConnectionOptions = 64;

bool is_decimal(std::string_view text) {
  constexpr size_t kMostDigits = 18;  // which 64 bits hold
  return !text.empty() && text.size() <= kMostDigits && std::all_of(text.begin(), text.end(), is_digit);
}

}  // namespace

bool ConnectionOptions::too_many() const { return count > kMostConnectionOptions; }

ConnectionOptions read_connection(Fields& fields) {
  ConnectionOptions options;
  if (!fields.has(FieldName::connection)) return options;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields.names[i] != FieldName::connection) continue;
    for_each_member(fields.list[i].value, [&](std::string_view member) {
      if (++options.count > kMostConnectionOptions) return;
      if (equals_ignoring_case(member, "close")) {
        options.close = true;
      } else if (equals_ignoring_case(member, "keep-alive")) {
        options.keep_alive = true;
      } else if (equals_ignoring_case(member, "upgrade")) {
        options.upgrade = true;
      } else {
        for (size_t k = 0; k < fields.size(); ++k) {
          if (kKept.contains(fields.names[k])) continue;
          if (equals_ignoring_case(fields.list[k].name, member)) fields.names[k] = FieldName::hop_by_hop;
        }
      }
    });
  }
  fields.seen = {};
  for (const FieldName name : fields.names) fields.seen.add(name);
  return options;
}

bool may_be_offered(std::string_view protocol) {
  const size_t slash = protocol.find('/');
  const std::string_view name = protocol.substr(0, slash);
  return is_token(name) && !equals_ignoring_case(name, "h2c") &&
         (slash == std::string_view::npos || is_token(protocol.substr(slash + 1)));
}

Fault check_expectations(const Fields& fields) {
  for (size_t i = 0; fields.has(FieldName::expect) && i < fields.size(); ++i) {
    if (fields.names[i] == FieldName::expect && !equals_ignoring_case(fields.list[i].value, "100-continue"))
      return {417, "an unknown expectation"};
  }
  return {};
}

Fault read_framing(const Fields& fields, uint8_t minor_version, Body& body) {
  if (!fields.seen.intersects(FieldSet(FieldName::content_length, FieldName::transfer_encoding))) return {};
  int lengths = 0;
  int codings = 0;
  bool chunked = false;
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::string_view value = fields.list[i].value;
    if (fields.names[i] == FieldName::content_length) {
      if (!is_decimal(value)) return {400, "Content-Length is not one decimal number"};
      ++lengths;
      body.length = 0;
      for (const char digit : value) body.length = body.length * 10 + static_cast<uint64_t>(digit - '0');
    } else if (fields.names[i] == FieldName::transfer_encoding) {
      const int before = codings;
      for_each_member(value, [&](std::string_view coding) {
        ++codings;
        chunked = equals_ignoring_case(coding, "chunked") && value.ends_with(coding);  // no comma behind it
      });
      if (codings == before) return {400, "Transfer-Encoding is empty"};
    }
  }
  if (lengths > 1) return {400, "more than one Content-Length"};
  if (lengths != 0 && codings != 0) return {400, "both Content-Length and Transfer-Encoding"};
  if (codings > 1 || (codings == 1 && !chunked)) return {400, "a transfer coding other than chunked"};
  if (codings == 1 && minor_version == 0) return {400, "Transfer-Encoding in HTTP/1.0"};
  body.kind = codings == 1 ? BodyKind::chunked : body.length != 0 ? BodyKind::length : BodyKind::none;
  return {};
}

}  // namespace limpet::http
