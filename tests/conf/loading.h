// What the loader's tests share: a text in, Settings or the faults' own text out.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <variant>

#include "conf/load.h"

namespace limpet::conf {

// All faults as `check` prints them, one in each line, of a file called "f"; empty when there are none.
inline std::string faults(std::string_view text, Check further = nullptr) {
  const auto result = load_text(text, "f", further);
  std::string out;
  if (const Faults* found = std::get_if<Faults>(&result)) {
    for (const Fault& fault : *found) out += (out.empty() ? "" : "\n") + fault.text();
  }
  return out;
}

inline Settings loaded(std::string_view text, const std::string& name = "f") {
  REQUIRE(faults(text) == "");
  return std::get<Settings>(load_text(text, name));
}

// The least that loads. Begins with a table, so that what a test puts in front of it keeps its own lines.
inline const std::string kBase = R"(
[[listener]]
address = "127.0.0.1:80"
[[pool]]
name = "app"
[[pool.backend]]
name = "a"
address = "127.0.0.1:9001"
)";

}  // namespace limpet::conf
