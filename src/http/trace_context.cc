#include "src/http/trace_context.h"

#include <algorithm>

#include "conf/ascii.h"

namespace limpet::http {

namespace {

constexpr size_t kTraceAt = 3, kTraceSize = 32, kParentAt = 36, kParentSize = 16, kFlagsAt = 53, kSize = 55;

bool is_hex(std::string_view text) {  // in lower case alone
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_id(std::string_view text) { return is_hex(text) && text.find_first_not_of('0') != text.npos; }

}  // namespace

std::string_view trace_id_of(std::string_view traceparent) {
  if (traceparent.size() < kSize) return {};
  const std::string_view version = traceparent.substr(0, 2);
  const std::string_view trace = traceparent.substr(kTraceAt, kTraceSize);
  if (!is_hex(version) || version == "ff" || !is_id(trace) ||
      !is_id(traceparent.substr(kParentAt, kParentSize)) || !is_hex(traceparent.substr(kFlagsAt, 2)))
    return {};
  for (const size_t dash : {kTraceAt - 1, kParentAt - 1, kFlagsAt - 1})
    if (traceparent[dash] != '-') return {};
  // What follows is for later versions to say.
  const bool ends_well = traceparent.size() == kSize || (version != "00" && traceparent[kSize] == '-');
  return ends_well ? trace : std::string_view();
}

std::string_view trace_id(const Fields& fields) {
  constexpr auto kName = FieldName::traceparent;
  if (!fields.has(kName) || std::count(fields.names.begin(), fields.names.end(), kName) != 1) return {};
  return trace_id_of(fields.first(kName));
}

std::string new_traceparent(const std::array<uint64_t, 3>& random) {
  std::string made = "00-";
  const auto put = [&made](uint64_t number) {
    for (int shift = 60; shift >= 0; shift -= 4) made += kHexDigits[number >> shift & 15];
  };
  const auto put_id = [&](uint64_t number) { put(number != 0 ? number : 1); };  // none is zeros alone
  put(random[0]);
  put_id(random[1]);
  made += '-';
  put_id(random[2]);
  return made + "-00";
}

}  // namespace limpet::http
