#include "src/http/trace_context.h"

#include <doctest/doctest.h>

namespace limpet::http::trace_context_test {

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c", kParent = "b7ad6b7169203331";
const std::string kValid = "00-" + kTrace + "-" + kParent + "-01";

// The valid one with other characters at a place.
std::string with(size_t at, const std::string& text) {
  std::string changed = kValid;
  return changed.replace(at, text.size(), text);
}

TEST_CASE("the trace's id is that of a valid field") {
  CHECK(trace_id_of(kValid) == kTrace);
  CHECK(trace_id_of(with(53, "00")) == kTrace);
  CHECK(trace_id_of(with(53, "ff")) == kTrace);
}

TEST_CASE("a later version may say more behind what is known") {
  CHECK(trace_id_of("cc" + kValid.substr(2)) == kTrace);
  CHECK(trace_id_of("cc" + kValid.substr(2) + "-what-is-to-come") == kTrace);
  CHECK(trace_id_of("cc" + kValid.substr(2) + ".what-is-to-come") == "");
  CHECK(trace_id_of(kValid + "-01") == "");
}

TEST_CASE("what is not valid names no trace") {
  for (const std::string& text :
       {std::string(), kValid.substr(1), kValid.substr(0, 54), kValid + "0", with(0, "ff"), with(0, "0G"),
        with(0, "0A"), with(2, "_"), with(35, "_"), with(52, "_"), with(3, "A"), with(3, "g"),
        with(3, std::string(32, '0')), with(36, std::string(16, '0')), with(36, "B"), with(53, "0x"),
        with(53, "-1")}) {
    CAPTURE(text);
    CHECK(trace_id_of(text) == "");
  }
}

TEST_CASE("of several fields none is believed, nor one that Connection names") {
  Fields fields;
  CHECK(trace_id(fields) == "");
  fields.add("tracestate", "a=1");
  fields.add("TraceParent", kValid);
  CHECK(trace_id(fields) == kTrace);
  fields.add("traceparent", kValid);
  CHECK(trace_id(fields) == "");
  fields.hold_back(FieldName::traceparent);
  CHECK(trace_id(fields) == "");
}

TEST_CASE("a trace that begins is valid, and not sampled") {
  CHECK(new_traceparent({0x0123456789abcdef, 0xfedcba9876543210, 0x00000000000000ff}) ==
        "00-0123456789abcdeffedcba9876543210-00000000000000ff-00");
  CHECK_FALSE(trace_id_of(new_traceparent({0, 0, 0})).empty());
}

}  // namespace limpet::http::trace_context_test
