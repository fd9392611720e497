// The certificates that listeners show, and the files that they came out of.
//
// A value: a copy of it can be brought up to date by another thread, and takes its place afterwards. What a
// file holds later and cannot be shown changes nothing of what is shown.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "conf/settings.h"
#include "src/net/certificate.h"

namespace limpet {

class CertificateFiles {
 public:
  // How often a file has to be found wrong before that is told: a certificate and its key are written one
  // after the other.
  static constexpr uint32_t kLooks = 2;

  struct Entry {
    net::SharedCertificate shown;
    std::string stamp;       // of the files, when they were read last
    std::string wrong = {};  // why what they hold now is not shown; empty: it is
    uint32_t looks = 0;      // that have found that
    bool is_told() const { return looks >= kLooks; }
  };

  // Reads them, unless they have been. Empty, or what is wrong, in a sentence.
  std::string add(const conf::TlsCertificate& named);
  void renew();  // reads those again that have changed

  const net::SharedCertificate& shown(const conf::TlsCertificate& named) const;
  const std::map<std::pair<std::string, std::string>, Entry>& entries() const { return entries_; }

 private:
  std::map<std::pair<std::string, std::string>, Entry> entries_;  // by both files
};

}  // namespace limpet
