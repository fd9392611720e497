// Reads a table of the file into a struct by a list of its keys. The list is the only place that knows a key:
// its name, how it is read and where it goes; what is accepted, hints for misspelt keys and the list of all
// keys follow from it.
//
// A reader is a value with
//   void operator()(const At&, T& out) const   sets `out`, or reports a fault and leaves it
//   std::string accepted() const               what it accepts, for faults
//   std::vector<std::string> keys() const      only if it reads tables: their keys, dotted
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/findings.h"
#include "conf/load_document.h"
#include "conf/parsed.h"
#include "conf/spelling.h"

namespace limpet::conf {

// A value, its path, and where faults go.
struct At {
  const Value& value;
  const std::string& path;
  Findings& findings;

  void fault(std::string_view what, const std::string& accepted) const;
  void wrong_type(const std::string& accepted) const {
    fault(std::string("is ") + value.kind_text(), accepted);
  }
};

enum class Need : uint8_t { optional, required };

template <class Row>
struct Key {
  std::string_view name;
  Need need;
  std::function<void(const At&, Row&)> read;
  std::string accepted;
  std::vector<std::string> below;  // the keys of the tables that it holds
};

template <class Row>
using Keys = std::vector<Key<Row>>;

template <class Row, class T, class Reader>
Key<Row> key(std::string_view name, T Row::* destination, const Reader& reader, Need need = Need::optional) {
  Key<Row> made{
      name, need, [=](const At& at, Row& row) { reader(at, row.*destination); }, reader.accepted(), {}};
  if constexpr (requires { reader.keys(); }) made.below = reader.keys();
  return made;
}

// "a", and "b.c" for each key of a table b.
template <class Row>
std::vector<std::string> dotted(const Keys<Row>& keys) {
  std::vector<std::string> out;
  for (const auto& key : keys) {
    out.emplace_back(key.name);
    for (const std::string& below : key.below) out.push_back(std::string(key.name) + "." + below);
  }
  return out;
}

void report_unknown_key(const Entry& entry, const std::string& prefix, const std::vector<std::string>& known,
                        Findings& findings);

// Keys are read in the order of the list, wherever the file has them: one may build on those before it.
template <class Row>
void read_table(const At& at, const Keys<Row>& keys, Row& row) {
  const std::string prefix = at.path.empty() ? "" : at.path + ".";
  const std::vector<Entry>& entries = at.value.entries;
  std::vector<std::string> names;
  for (const auto& key : keys) names.emplace_back(key.name);

  for (const Entry& entry : entries) {
    if (std::find(names.begin(), names.end(), entry.key) != names.end()) continue;
    report_unknown_key(entry, prefix, names, at.findings);
  }
  for (const auto& key : keys) {
    const std::string path = prefix + std::string(key.name);
    const auto entry = std::find_if(entries.begin(), entries.end(),
                                    [&](const Entry& given) { return given.key == key.name; });
    if (entry != entries.end()) {
      at.findings.record(path, entry->value.at);
      key.read({entry->value, path, at.findings}, row);
    } else if (key.need == Need::required) {
      at.findings.fault(path, "is missing, accepted: " + key.accepted);
    }
  }
}

// [name]
template <class Row>
struct Table {
  const Keys<Row>& rows;
  std::string_view header;  // "pool.cookie"

  std::string accepted() const { return "a table, [" + std::string(header) + "]"; }
  std::vector<std::string> keys() const { return dotted(rows); }
  void operator()(const At& at, Row& out) const {
    if (at.value.kind != Value::Kind::table) return at.wrong_type(accepted());
    read_table(at, rows, out);
  }
};

// [name], of which it is known whether it is there.
template <class Row>
struct OptionalTable {
  Table<Row> table;

  std::string accepted() const { return table.accepted(); }
  std::vector<std::string> keys() const { return table.keys(); }
  void operator()(const At& at, std::optional<Row>& out) const { table(at, out.emplace()); }
};

// A list of what `item` reads. Faulty items keep their place, so that a path's index is the vector's.
template <class Item>
struct List {
  Item item;
  std::string_view what;  // "a list of networks"
  size_t most = SIZE_MAX;

  std::string accepted() const { return std::string(what) + ", each " + item.accepted(); }
  template <class T>
  void operator()(const At& at, std::vector<T>& out) const {
    if (at.value.kind != Value::Kind::list) return at.wrong_type(accepted());
    if (at.value.items.size() > most) return at.fault("has too many items", accepted());
    out.clear();
    for (size_t i = 0; i < at.value.items.size(); ++i) {
      const Value& value = at.value.items[i];
      const std::string path = at.path + "[" + std::to_string(i) + "]";
      at.findings.record(path, value.at);
      item({value, path, at.findings}, out.emplace_back());
    }
  }
};

// [[name]], at least once where it is given at all.
template <class Row>
struct Tables {
  const Keys<Row>& rows;
  std::string_view header;

  std::string accepted() const { return "at least one [[" + std::string(header) + "]]"; }
  std::vector<std::string> keys() const { return dotted(rows); }
  void operator()(const At& at, std::vector<Row>& out) const { read(at, out, {}); }
  // Every row begins as `initial`.
  void read(const At& at, std::vector<Row>& out, const Row& initial) const {
    if (at.value.kind != Value::Kind::list) return at.wrong_type(accepted());
    if (at.value.items.empty()) return at.fault("is empty", accepted());
    struct Each {
      const Tables& tables;
      const Row& initial;
      std::string accepted() const { return tables.accepted(); }
      void operator()(const At& row_at, Row& row) const {
        row = initial;
        if (row_at.value.kind != Value::Kind::table) return row_at.wrong_type(accepted());
        read_table(row_at, tables.rows, row);
      }
    };
    List<Each>{Each{*this, initial}, ""}(at, out);
  }
};

}  // namespace limpet::conf
