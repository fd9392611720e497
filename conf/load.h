// Reads an operator's TOML file into Settings, or says everything that is wrong with it at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "conf/settings.h"

namespace limpet::conf {

class Findings;

// One thing wrong with a file. text() is "file:line:column: key: what is wrong, what is accepted", in one
// line. No fault shows a secret.
struct Fault {
  std::string file;
  uint32_t line = 0;    // from 1; 0: the file as a whole
  uint32_t column = 0;  // from 1, in characters
  std::string key;      // dotted path, "pool[0].backend[2].weight"; empty where there is none
  std::string message;
  std::string text() const;
};

using Faults = std::vector<Fault>;  // in file order

// What else a file is held against, once nothing is wrong with its values, by whoever knows what they mean.
using Check = void (*)(const Settings& settings, Findings& findings);

// Never throws. Reads `path` (and nothing else: key files are the secrets' own matter). Relative paths in the
// file come out relative to its folder.
std::variant<Settings, Faults> load_file(const std::string& path, Check further);

// The same for a text that is already in memory; `name` stands for the file in faults.
std::variant<Settings, Faults> load_text(std::string_view text, const std::string& name,
                                         Check further = nullptr);

// Every key that a file may hold, in the order of the structs: "log", "log.level", "pool.backend.weight".
std::vector<std::string> known_keys();

}  // namespace limpet::conf
