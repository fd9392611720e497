// A TOML document as plain values with their positions; what parses TOML stays behind it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/findings.h"

namespace limpet::conf {

struct Entry;

struct Value {
  enum class Kind : uint8_t { table, list, string, integer, other_number, boolean, time };
  Kind kind = Kind::table;
  Position at;                 // where the value begins; of a table with a header, where the header does
  std::string string;          // Kind::string
  int64_t integer = 0;         // Kind::integer
  bool boolean = false;        // Kind::boolean
  std::vector<Value> items;    // Kind::list
  std::vector<Entry> entries;  // Kind::table

  const char* kind_text() const;  // "a table"
};

struct Entry {
  std::string key;
  Position at;  // where the key begins
  Value value;
};

// nullopt: not TOML; the fault is in `findings`. It quotes no value: it might be a secret.
std::optional<Value> parse_document(std::string_view text, Findings& findings);

}  // namespace limpet::conf
