// What a backend's `instance_header` tells: a value that is new says that the backend has been restarted,
// even if no check found it out of service. One for each backend. Pure.
//
// The first value ever, the same value and a missing one say nothing. A value that was seen before comes from
// another server or process at the same address, and one that is new at each check is no boot id: once either
// shows, no value says anything until the same one has come kSteady times in a row. Boot ids do not come
// back, so a value that was seen before never says anything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/settings.h"

namespace limpet::health {

class Instances {
 public:
  static constexpr size_t kRemembered = 8;     // values
  static constexpr uint32_t kSteady = 20;      // answers in a row with the same value
  static constexpr uint32_t kMostChanges = 5;  // in a row: then it changes always

  // What is asked from now on. The answers to another question may have other values.
  void asks(const conf::HealthCheck& question);
  // A value in an answer, hashed; none: it has no such field, or there was no answer. True: the backend has
  // been restarted.
  bool saw(std::optional<uint64_t> value);

  // For people: what it means when saw() is true; and why values are ignored, empty: they are not.
  std::string news() const { return "instance_header " + asked_.instance_header + " has a new value"; }
  std::string doubt() const;

 private:
  enum class Doubt : uint8_t { none, alternates, changes_always };

  conf::HealthCheck asked_;
  std::vector<uint64_t> seen_;  // different ones; the latest is last
  uint32_t same_ = 0;           // answers in a row with the latest
  uint32_t changes_ = 0;        // answers in a row, each with another value than the one before
  Doubt doubt_ = Doubt::none;
};

}  // namespace limpet::health
