// What must hold between the values of a file: names, references, and settings that would have no effect.
//
// Every check runs on a file that has faults already. It says nothing about a value whose own fault is known,
// nor about what follows from one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/findings.h"
#include "conf/settings.h"

namespace limpet::conf {

void check_names(const Settings& settings, Findings& findings);    // unique, and references resolve
void check_routing(const Settings& settings, Findings& findings);  // every pool is reached, by one route each
void check_cookies(const Settings& settings, Findings& findings);  // pools do not share a browser's cookie
void check_pools(const Settings& settings, Findings& findings);    // affinity, cookies, backups, weights
void check_health(const Settings& settings, Findings& findings);   // checks, and what requests tell
void check_effects(const Settings& settings, Findings& findings);  // secrets, status, limits, log
void check_tls(const Settings& settings, Findings& findings);      // clients' certificates

inline std::string indexed(std::string_view list, size_t index) {
  return std::string(list) + "[" + std::to_string(index) + "]";
}

// A check's times that cannot be longer than its interval.
struct WithinInterval {
  const char* key;
  Duration HealthCheck::* span;
};
inline constexpr WithinInterval kWithinInterval[] = {{"fast_interval", &HealthCheck::fast_interval},
                                                     {"timeout", &HealthCheck::timeout}};

// A value, and the key that it stands at. Values that are not to be compared are left out by the caller.
struct Placed {
  std::string path;
  std::string value;
};

// Reports each value that equals an earlier one, without showing it.
void refuse_repeats(const std::vector<Placed>& values, std::string_view accepted, Findings& findings);

}  // namespace limpet::conf
