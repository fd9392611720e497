#include "src/tls_files.h"

#include <sys/stat.h>

#include <cstdlib>
#include <memory>
#include <variant>

#include "src/net/tls_server.h"

namespace limpet {

namespace {

// Another one for another content, and for another file behind a link.
std::string stamp_of_file(const std::string& file) {
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

std::string stamp_of(const TlsFiles::Pair& files) {
  return stamp_of_file(files.first) + stamp_of_file(files.second);
}

std::string stamp_of(const std::string& authorities) {
  if (!authorities.empty()) return stamp_of_file(authorities);
  const char* const named = std::getenv(X509_get_default_cert_file_env());
  return stamp_of_file(named != nullptr ? named : X509_get_default_cert_file());
}

// One that can be shown.
std::variant<net::SharedCertificate, std::string> read(const TlsFiles::Pair& files) {
  auto loaded = net::load_certificate(files.first, files.second);
  if (std::holds_alternative<std::string>(loaded)) return loaded;
  auto alone = std::make_shared<net::TlsIdentity>();
  alone->certificates = {std::get<net::SharedCertificate>(loaded)};
  std::string error;
  if (net::TlsServer::make(alone, error) == nullptr) return error;
  return loaded;
}

std::variant<net::SharedAuthorities, std::string> read(const std::string& authorities) {
  return net::load_authorities(authorities);
}

template <class Files, class Entry>
std::string add_to(std::map<Files, Entry>& entries, const Files& files) {
  if (entries.contains(files)) return {};
  std::string stamp = stamp_of(files);
  auto loaded = read(files);
  if (auto* wrong = std::get_if<std::string>(&loaded)) return std::move(*wrong);
  entries[files] = {std::move(std::get<0>(loaded)), std::move(stamp)};
  return {};
}

template <class Content>
void use(Content& used, Content next) {
  if (!net::are_same(*used, *next)) used = std::move(next);
}

template <class Files, class Entry>
void renew_each(std::map<Files, Entry>& entries) {
  for (auto& [files, entry] : entries) {
    std::string stamp = stamp_of(files);
    if (entry.wrong.empty() && stamp == entry.stamp) continue;
    auto loaded = read(files);
    if (auto* wrong = std::get_if<std::string>(&loaded)) {
      const bool is_known = *wrong == entry.wrong && stamp == entry.stamp;
      entry.looks = is_known ? entry.looks + 1 : 1;
      entry.wrong = std::move(*wrong);
    } else {
      entry.looks = 0;
      entry.wrong.clear();
      use(entry.content, std::move(std::get<0>(loaded)));
    }
    entry.stamp = std::move(stamp);
  }
}

template <class Files, class Entry>
void keep_same_of(std::map<Files, Entry>& entries, const std::map<Files, Entry>& former) {
  for (auto& [files, entry] : entries) {
    const auto known = former.find(files);
    if (known == former.end()) continue;
    auto next = std::exchange(entry.content, known->second.content);
    use(entry.content, std::move(next));
  }
}

}  // namespace

std::string TlsFiles::add(const conf::TlsCertificate& named) {
  return add_to(certificates_, Pair(named.file, named.key));
}

std::string TlsFiles::add_authorities(const std::string& file) { return add_to(authorities_, file); }

void TlsFiles::renew() {
  renew_each(certificates_);
  renew_each(authorities_);
}

void TlsFiles::keep_same(const TlsFiles& former) {
  keep_same_of(certificates_, former.certificates_);
  keep_same_of(authorities_, former.authorities_);
}

const net::SharedCertificate& TlsFiles::certificate(const conf::TlsCertificate& named) const {
  return certificates_.at({named.file, named.key}).content;
}

const net::SharedAuthorities& TlsFiles::authorities(const std::string& file) const {
  return authorities_.at(file).content;
}

}  // namespace limpet
