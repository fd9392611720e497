// The secrets that sign tokens and key the affinity hash: from the settings, from a key file, or made at the
// first start.
//
// A key file is 1 to 8 lines of `key = <64 hex digits>` (the first signs, all verify), one `hash_secret = <64
// hex digits>`, blank lines and comments after `#`. No fault and no warning ever shows a secret.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "conf/load.h"
#include "conf/settings.h"

namespace limpet {

struct Secrets {
  static constexpr size_t kBytes = 32;

  std::vector<std::string> keys;      // kBytes raw bytes each, never empty; the first signs, all verify
  std::string hash_secret;            // kBytes raw bytes
  std::vector<std::string> warnings;  // for the operational log, one sentence each
};

// Keys in the settings are taken as they are and the key file is left alone. Otherwise reads the key file or,
// when there is none, makes it with random secrets; of several processes that start at once, all get the
// same. Where it cannot be written, the secrets live in memory and a warning says so.
std::variant<Secrets, conf::Faults> load_secrets(const conf::Settings& settings);

// The same, but makes nothing: without a key file there are no keys.
std::variant<Secrets, conf::Faults> check_secrets(const conf::Settings& settings);

std::string random_secret();  // of Secrets::kBytes, from the system

}  // namespace limpet
