#include "src/certificate_files.h"

#include <sys/stat.h>

#include <memory>
#include <variant>

#include "src/net/tls_server.h"

namespace limpet {

namespace {

using Pair = std::pair<std::string, std::string>;
using Read = std::variant<net::SharedCertificate, std::string>;

// Another one for another content, and for another file behind a link.
std::string stamp_of(const std::string& file) {
  struct stat status;
  if (file.empty() || ::stat(file.c_str(), &status) != 0) return "-";
  std::string stamp;
  for (const auto part :
       {static_cast<int64_t>(status.st_dev), static_cast<int64_t>(status.st_ino),
        static_cast<int64_t>(status.st_size), int64_t{status.st_mtim.tv_sec}, int64_t{status.st_mtim.tv_nsec},
        int64_t{status.st_ctim.tv_sec}, int64_t{status.st_ctim.tv_nsec}})
    stamp += std::to_string(part) + " ";
  return stamp;
}

std::string stamp_of(const Pair& files) { return stamp_of(files.first) + stamp_of(files.second); }

// One that can be shown.
Read read(const Pair& files) {
  Read loaded = net::load_certificate(files.first, files.second);
  if (std::holds_alternative<std::string>(loaded)) return loaded;
  auto alone = std::make_shared<net::TlsIdentity>();
  alone->certificates = {std::get<net::SharedCertificate>(loaded)};
  std::string error;
  if (net::TlsServer::make(alone, error) == nullptr) return error;
  return loaded;
}

}  // namespace

std::string CertificateFiles::add(const conf::TlsCertificate& named) {
  const Pair files(named.file, named.key);
  if (entries_.contains(files)) return {};
  std::string stamp = stamp_of(files);
  Read loaded = read(files);
  if (auto* wrong = std::get_if<std::string>(&loaded)) return std::move(*wrong);
  entries_[files] = {std::move(std::get<net::SharedCertificate>(loaded)), std::move(stamp)};
  return {};
}

void CertificateFiles::renew() {
  for (auto& [files, entry] : entries_) {
    std::string stamp = stamp_of(files);
    if (entry.wrong.empty() && stamp == entry.stamp) continue;
    Read loaded = read(files);
    if (auto* wrong = std::get_if<std::string>(&loaded)) {
      const bool is_known = *wrong == entry.wrong && stamp == entry.stamp;
      entry.looks = is_known ? entry.looks + 1 : 1;
      entry.wrong = std::move(*wrong);
    } else {
      entry.looks = 0;
      entry.wrong.clear();
      auto& next = std::get<net::SharedCertificate>(loaded);
      if (!net::are_same(*entry.shown, *next)) entry.shown = std::move(next);
    }
    entry.stamp = std::move(stamp);
  }
}

const net::SharedCertificate& CertificateFiles::shown(const conf::TlsCertificate& named) const {
  return entries_.at({named.file, named.key}).shown;
}

}  // namespace limpet
