// What must hold of key files: whatever one holds, it gives secrets of the right size, or says what is wrong
// without showing any.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "conf/ascii.h"
#include "src/secrets.h"
#include "tests/support/choices.h"
#include "tests/support/memory_file.h"

namespace limpet::test {

class KeyFileCheck {
 public:
  static std::string check(std::span<const uint8_t> bytes) {
    static const MemoryFile file;
    Choices choices(bytes);
    const std::string text = choices.rest_with(kBits);
    file.hold(text);
    conf::Settings settings;
    settings.secrets.key_file = file.path();
    const auto loaded = check_secrets(settings);
    if (const auto* faults = std::get_if<conf::Faults>(&loaded)) return check_faults(*faults, text);
    return check_loaded(std::get<Secrets>(loaded), text);
  }

 private:
  static constexpr std::string_view kHex = "0123456789abcdefABCDEF";
  static constexpr std::array<std::string_view, 16> kBits{
      "key = ",
      "hash_secret = ",
      "key=",
      "hash_secret=",
      "\n",
      "\r\n",
      "# ",
      "=",
      " ",
      "\t",
      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
      "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210",
      "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
      "0123456789abcdef",
      "key = 00000000000000000000000000000000000000000000000000000000000000ff\n",
      "hash_secret = ff000000000000000000000000000000000000000000000000000000000000\n"};

  static std::string check_faults(const conf::Faults& faults, const std::string& text) {
    if (faults.empty()) return "nothing is wrong, and nothing is had";
    const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
    for (const conf::Fault& fault : faults) {
      if (fault.message.empty() || fault.line > lines) return "a fault stands nowhere";
      const bool is_clean = std::all_of(fault.message.begin(), fault.message.end(),
                                        [](char c) { return c >= ' ' && c <= '~'; });
      if (!is_clean) return "a fault is more than a line of text";
      size_t digits = 0;
      for (const char c : fault.message) {
        digits = kHex.find(c) != kHex.npos ? digits + 1 : 0;
        if (digits >= 16) return "a fault shows a secret";
      }
    }
    return {};
  }

  static std::string check_loaded(const Secrets& secrets, const std::string& text) {
    if (secrets.keys.empty() || secrets.keys.size() > conf::Secrets::kMostKeys)
      return "too few keys, or too many";
    for (size_t i = 0; i < secrets.keys.size(); ++i)
      if (std::count(secrets.keys.begin(), secrets.keys.end(), secrets.keys[i]) != 1)
        return "a key counts twice";
    for (const std::string& key : secrets.keys)
      if (!stands_in(key, text)) return "a key is not in the file";
    return stands_in(secrets.hash_secret, text) ? "" : "the hash secret is not in the file";
  }
  static bool stands_in(const std::string& secret, const std::string& text) {
    std::string digits;
    for (const char byte : secret) {
      digits += kHex[static_cast<unsigned char>(byte) >> 4];
      digits += kHex[static_cast<unsigned char>(byte) & 15];
    }
    return secret.size() == Secrets::kBytes && lower_case(text).find(digits) != std::string::npos;
  }
};

}  // namespace limpet::test
