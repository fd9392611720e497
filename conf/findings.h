// What the loader knows of a file beside its values: where each key stands, and what is wrong.
//
// Keys are named by their path, "pool[0].backend[2].weight". Checks that run after reading name a path; the
// position is found here.
#pragma once

#include <map>
#include <string>
#include <unordered_set>

#include "conf/load.h"

namespace limpet::conf {

struct Position {
  uint32_t line = 0;    // from 1; 0: none
  uint32_t column = 0;  // from 1, in characters
};

class Findings {
 public:
  explicit Findings(std::string file) : file_(std::move(file)) {}

  void record(const std::string& path, Position at) { positions_[path] = at; }
  bool given(const std::string& path) const { return positions_.contains(path); }
  // Of the path, or, when it is not in the file, of the table that it would be in.
  Position position(std::string path) const;

  void fault(const std::string& path, std::string message);
  // Whether there is a fault of this key or below it: its value is then not what the operator meant.
  bool broken(const std::string& path) const { return broken_.contains(path); }

  bool none() const { return faults_.empty(); }
  Faults take();  // in file order

 private:
  std::string file_;
  std::map<std::string, Position> positions_;
  Faults faults_;
  std::unordered_set<std::string> broken_;  // the paths of the faults, and of all that they are in
};

}  // namespace limpet::conf
