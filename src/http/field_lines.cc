#include "src/http/field_lines.h"

#include <llhttp.h>

#include <algorithm>

namespace limpet::http {

namespace {

struct Reading {
  Fields& fields;
  std::string_view name;
};

// What a field says of its message's body or connection is not llhttp's to judge: its releases differ in it.
int on_name(llhttp_t* parser, const char* at, size_t size) {
  static_cast<Reading*>(parser->data)->name = {at, size};
  parser->header_state = 0;  // a field like any other
  return 0;
}

int on_value(llhttp_t* parser, const char* at, size_t size) {
  Reading& reading = *static_cast<Reading*>(parser->data);
  reading.fields.add(reading.name, trimmed({at, size}));
  return 0;
}

// llhttp as it is behind a request line, where the fields begin.
const llhttp_t& at_fields() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_header_field = on_name;
    made.on_header_value = on_value;
    return made;
  }();
  static const llhttp_t parser = [] {
    constexpr std::string_view kLine = "GET / HTTP/1.1\r\n";
    llhttp_t made;
    llhttp_init(&made, HTTP_REQUEST, &settings);
    llhttp_execute(&made, kLine.data(), kLine.size());
    return made;
  }();
  return parser;
}

}  // namespace

bool read_fields(std::string_view lines, Fields& out) {
  Reading reading{out, {}};
  llhttp_t parser = at_fields();
  parser.data = &reading;
  return llhttp_execute(&parser, lines.data(), lines.size()) == HPE_OK &&
         std::none_of(out.list.begin(), out.list.end(),
                      [](const Field& field) { return field.name.empty(); });
}

}  // namespace limpet::http
