// Heads of messages as they came in: one block of bytes and views into it. What is not changed is forwarded
// as it was read, so nothing here is a copy.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "routing/request_view.h"
#include "src/http/field_name.h"

namespace limpet::http {

using routing::Field;

// What is wrong with a message. `status` is what a client's request is answered; a backend's answer is 502 in
// any case.
struct Fault {
  uint16_t status = 0;         // 0: nothing is wrong
  const char* what = nullptr;  // for the error body and the log; never holds anything that came off the wire
  explicit operator bool() const { return status != 0; }
};

// How a message's body is delimited (RFC 9112, section 6.3).
enum class BodyKind : uint8_t { none, length, chunked, until_close };

struct Body {
  BodyKind kind = BodyKind::none;
  uint64_t length = 0;  // for BodyKind::length
};

// The fields of a head or a trailer section, in the order received.
struct Fields {
  std::vector<Field> list;
  std::vector<FieldName> names;  // of the same size
  FieldSet seen;                 // no name is missing here: most questions end here

  void clear() {
    list.clear();
    names.clear();
    seen = {};
  }
  void add(std::string_view name, std::string_view value) {
    const FieldName known = field_name(name);
    list.push_back({name, value});
    names.push_back(known);
    seen.add(known);
  }
  // It goes no further, as if Connection named it.
  void hold_back(FieldName name) { std::replace(names.begin(), names.end(), name, FieldName::hop_by_hop); }
  void hold_back_alike(std::string_view name) {  // the same of all that read_alike()
    for (size_t i = 0; i < list.size(); ++i)
      if (read_alike(list[i].name, name)) names[i] = FieldName::hop_by_hop;
  }
  size_t size() const { return list.size(); }
  bool has(FieldName name) const { return seen.contains(name); }
  std::string_view first(FieldName name) const {  // empty when there is none
    if (!has(name)) return {};
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == name) return list[i].value;
    }
    return {};
  }
};

// Writes into memory that has been made large enough beforehand.
class Cursor {
 public:
  explicit Cursor(char* at) : at_(at) {}
  Cursor& put(std::string_view text) {
    at_ = std::copy_n(text.data(), text.size(), at_);  // of an empty text data() may be null
    return *this;
  }
  template <size_t N>
  Cursor& put(const char (&literal)[N]) {
    std::memcpy(at_, literal, N - 1);
    at_ += N - 1;
    return *this;
  }
  template <size_t N>
  Cursor& field(const char (&name)[N], std::string_view value) {
    return put(name).put(": ").put(value).put("\r\n");
  }
  void take_back(size_t bytes) { at_ -= bytes; }
  char* at() const { return at_; }

 private:
  char* at_;
};

// Appends "Name: value CRLF".
inline void add_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

struct RequestHead {
  std::string_view bytes;  // the whole head, with the empty line
  std::string_view method;
  std::string_view target;  // as it is forwarded: origin-form or "*"
  // The authority: from the target's absolute form, else from Host; may be empty in HTTP/1.0.
  std::string_view host;
  bool absolute_form = false;  // its authority came with the target: it takes Host's place
  uint8_t major_version = 1;
  uint8_t minor_version = 1;  // of HTTP/1
  Fields fields;
  Body body;
  bool keep_alive = true;    // the client would send another request on this connection
  bool upgrades = false;     // offers a protocol that may pass, and Connection says so as well
  bool idempotent() const {  // of the methods that are known (RFC 9110, section 9.2.2)
    return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
           method == "OPTIONS" || method == "TRACE" || method == "QUERY" || method == "PROPFIND" ||
           method == "REPORT" || method == "SEARCH";
  }
  bool is_head() const { return method == "HEAD"; }
  void clear() {  // keeps the memory
    Fields kept = std::move(fields);
    *this = {};
    fields = std::move(kept);
    fields.clear();
  }
};

struct ResponseHead {
  std::string_view bytes;
  uint16_t status = 0;
  std::string_view reason;
  uint8_t major_version = 1;
  uint8_t minor_version = 1;  // of HTTP/1
  Fields fields;
  Body body;
  bool keep_alive = true;  // the backend would take another request on this connection
  bool interim() const { return status < 200 && status != 101; }
};

}  // namespace limpet::http
