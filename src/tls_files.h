// What TLS reads of files: certificates with their keys, and authorities.
//
// A value: a copy of it can be brought up to date by another thread, and takes its place afterwards. What a
// file holds later and cannot be used changes nothing of what is in use.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "conf/settings.h"
#include "src/net/authorities.h"
#include "src/net/certificate.h"

namespace limpet {

class TlsFiles {
 public:
  // How often a file has to be found wrong before that is told: a certificate and its key are written one
  // after the other.
  static constexpr uint32_t kLooks = 2;

  template <class Content>
  struct Entry {
    Content content;         // in use
    std::string stamp;       // of the files, when they were read last
    std::string wrong = {};  // why what they hold now is not in use; empty: it is
    uint32_t looks = 0;      // that have found that
    bool is_told() const { return looks >= kLooks; }
  };
  using Pair = std::pair<std::string, std::string>;  // a certificate's file, and its key's
  using Certificates = std::map<Pair, Entry<net::SharedCertificate>>;
  using Authorities = std::map<std::string, Entry<net::SharedAuthorities>>;  // by file; "": the system's

  // Reads them, unless they have been. Empty, or what is wrong, in a sentence.
  std::string add(const conf::TlsCertificate& named);
  std::string add_authorities(const std::string& file);

  void renew();                            // reads those again that have changed
  void keep_same(const TlsFiles& former);  // uses of its content what has not changed

  const net::SharedCertificate& certificate(const conf::TlsCertificate& named) const;
  const net::SharedAuthorities& authorities(const std::string& file) const;

  const Certificates& certificates() const { return certificates_; }
  const Authorities& authorities() const { return authorities_; }
  bool empty() const { return certificates_.empty() && authorities_.empty(); }

 private:
  Certificates certificates_;
  Authorities authorities_;
};

}  // namespace limpet
