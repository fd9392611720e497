#include "src/http/body_reader.h"

#include <algorithm>

#include "conf/ascii.h"
#include "src/http/field_lines.h"
#include "src/http/head_search.h"

namespace limpet::http {

namespace {

// What a peer may send with the chunks of a body beyond what their data pays for, and after the last. Both
// are all but unused; unbounded they would make a reader work, or remember, for nothing.
constexpr size_t kMostExtensionBytes = 16 * 1024;
constexpr uint64_t kPaidByChunk = 16, kPaidByOctet = 2;
constexpr size_t kMostTrailerBytes = 16 * 1024;
constexpr size_t kMostTrailers = 100;

constexpr uint8_t kMostSizeDigits = 16;  // which 64 bits hold

bool is_blank(char octet) { return octet == ' ' || octet == '\t'; }

// In a quoted string, or behind a backslash there (RFC 9110, section 5.6.4).
bool is_text(char octet) {
  return octet == '\t' || (static_cast<unsigned char>(octet) >= ' ' && octet != 0x7f);
}

}  // namespace

void BodyReader::begin(const Body& body) {
  left_ = body.length;
  extension_bytes_ = searched_ = 0;
  trailer_bytes_.clear();
  switch (body.kind) {
    case BodyKind::none:
      place_ = Place::ended;
      break;
    case BodyKind::length:
      place_ = Place::length;
      break;
    case BodyKind::until_close:
      place_ = Place::until_close;
      break;
    case BodyKind::chunked:
      begin_chunk();
  }
}

void BodyReader::begin_chunk() {
  place_ = Place::size;
  left_ = digits_ = 0;
}

size_t BodyReader::feed(std::string_view bytes, BodySink& sink, Fault& fault) {
  size_t taken = 0;
  while (taken < bytes.size() && !ended() && !fault) {
    const std::string_view rest = bytes.substr(taken);
    if (place_ < Place::trailers) {
      taken += feed_data(rest, sink);
    } else if (place_ == Place::trailers) {
      taken += feed_trailers(rest, sink, fault);
    } else {
      taken += feed_line(rest, fault);
    }
  }
  return fault ? bytes.size() : taken;
}

size_t BodyReader::feed_data(std::string_view bytes, BodySink& sink) {
  if (place_ == Place::until_close) {
    sink.on_body(bytes);
    return bytes.size();
  }
  const std::string_view piece = bytes.substr(0, std::min<uint64_t>(left_, bytes.size()));
  left_ -= piece.size();
  const bool ends = left_ == 0 && place_ == Place::length;
  if (left_ == 0) place_ = ends ? Place::ended : Place::data_end;
  sink.on_body(piece);
  if (ends) sink.on_body_end({});
  return piece.size();
}

size_t BodyReader::feed_line(std::string_view bytes, Fault& fault) {
  size_t taken = 0;
  while (taken < bytes.size() && place_ >= Place::size) {
    if (!step(bytes[taken++])) {
      fault = {400, "the body's chunks are not valid"};
    } else if (place_ > Place::size && place_ < Place::line_feed &&
               ++extension_bytes_ > kMostExtensionBytes) {
      fault = {400, "the chunks' extensions are too large"};
    }
    if (fault) break;
  }
  return taken;
}

// Moves past an octet of a chunk's lines; false: it may not stand there.
bool BodyReader::step(char octet) {
  switch (place_) {
    case Place::size:
      return step_in_size(octet);
    case Place::after_part:
      return step_after_part(octet);
    case Place::before_name:
      if (is_blank(octet)) return true;
      place_ = Place::name;
      return is_token_octet(octet);
    case Place::name:
      if (is_token_octet(octet)) return true;
      [[fallthrough]];
    case Place::after_name:
      if (octet != '=' && !is_blank(octet)) return step_after_part(octet);
      place_ = octet == '=' ? Place::before_value : Place::after_name;
      return true;
    case Place::before_value:
      if (is_blank(octet)) return true;
      place_ = octet == '"' ? Place::quoted : Place::token;
      return octet == '"' || is_token_octet(octet);
    case Place::token:
      return is_token_octet(octet) || step_after_part(octet);
    case Place::quoted:
      if (octet == '"') place_ = Place::after_part;
      if (octet == '\\') place_ = Place::escaped;
      return is_text(octet);
    case Place::escaped:
      place_ = Place::quoted;
      return is_text(octet);
    case Place::line_feed:
      extension_bytes_ -= std::min<uint64_t>(
          extension_bytes_, kPaidByChunk + kPaidByOctet * std::min<uint64_t>(left_, kMostExtensionBytes));
      place_ = left_ == 0 ? Place::trailers : Place::chunk;
      return octet == '\n';
    case Place::data_end:
      place_ = Place::data_line_feed;
      return octet == '\r';
    case Place::data_line_feed:
      begin_chunk();
      return octet == '\n';
    default:
      return false;
  }
}

bool BodyReader::step_in_size(char octet) {
  const int digit = hex_value(octet);
  if (digit < 0) return digits_ != 0 && step_after_part(octet);
  left_ = left_ << 4 | static_cast<uint64_t>(digit);
  return ++digits_ <= kMostSizeDigits;
}

bool BodyReader::step_after_part(char octet) {
  place_ = octet == '\r' ? Place::line_feed : octet == ';' ? Place::before_name : Place::after_part;
  return place_ != Place::after_part || is_blank(octet);
}

// The trailer section is held to what a head is held to.
size_t BodyReader::feed_trailers(std::string_view bytes, BodySink& sink, Fault& fault) {
  constexpr std::string_view kNone = "\r\n";
  if (trailer_bytes_.empty() && bytes.starts_with(kNone)) {
    place_ = Place::ended;
    sink.on_body_end({});
    return kNone.size();
  }
  const size_t before = trailer_bytes_.size();
  trailer_bytes_.append(bytes);
  const HeadSearch search =
      find_head(trailer_bytes_, searched_, {kMostTrailerBytes, kMostTrailerBytes, kMostTrailers});
  if (search.fault) fault = {400, "the trailers are not valid, or too large"};
  if (fault || search.size == 0) return bytes.size();
  Fields trailers;
  if (!read_fields(std::string_view(trailer_bytes_).substr(0, search.size), trailers)) {
    fault = {400, "a trailer that is no field"};
  } else if (trailers.size() > kMostTrailers) {
    fault = {431, "too many trailers"};
  } else {
    place_ = Place::ended;
    sink.on_body_end(trailers);
  }
  return search.size - before;
}

bool BodyReader::end_of_stream(BodySink& sink) {
  if (place_ == Place::until_close) {
    place_ = Place::ended;
    sink.on_body_end({});
  }
  return ended();
}

}  // namespace limpet::http
