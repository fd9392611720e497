#include "src/certificate_checks.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <map>
#include <utility>

#include "conf/checks.h"
#include "conf/spelling.h"
#include "src/status/report.h"
#include "src/status/words.h"
#include "src/tls_files.h"

namespace limpet {

namespace {

using net::Certificate;
using net::SharedCertificate;

bool is_of_key(const std::string& wrong, const std::string& key_file) {
  return !key_file.empty() && (wrong.starts_with(key_file) || wrong.starts_with("the private key in "));
}

std::string time_warning(const Certificate& certificate, int64_t now) {
  if (certificate.not_before > now)
    return "is not valid before " + status::time_words(certificate.not_before);
  const int64_t left = certificate.not_after - now;
  if (left <= 0) return "expired " + conf::duration_words(-left) + " ago";
  return left < status::CertificateReport::kSoon ? "expires in " + conf::duration_words(left) : "";
}

bool is_issued_by(X509* subject, X509* issuer) {
  return X509_check_issued(issuer, subject) == X509_V_OK &&
         X509_verify(subject, X509_get0_pubkey(issuer)) == 1;
}

// RFC 5246, section 7.4.2: each certifies the one before it. Many clients find their way without that; some
// do not.
std::string chain_warning(const Certificate& certificate) {
  X509* subject = certificate.leaf.get();
  size_t place = 1;
  for (const auto& link : certificate.chain) {
    ++place;
    if (!is_issued_by(std::exchange(subject, link.get()), link.get()))
      return "has a chain out of order: certificate " + std::to_string(place) +
             " in the file did not issue the one before it";
  }
  if (!certificate.chain.empty() || certificate.is_self_signed()) return {};
  return "comes without the certificate of its issuer, which most clients do not know";
}

// The certificates that a listener or the status endpoint shows. Each warning begins with `whose` they are.
class Shown {
 public:
  Shown(std::string whose, const conf::ListenerTls& tls, std::vector<std::string>& lines)
      : whose_(std::move(whose)), lines_(lines) {
    TlsFiles files;
    for (const conf::TlsCertificate& named : tls.certificates) {
      if (files.add(named).empty()) shown_.push_back(files.certificate(named));
    }
  }

  void warn_of_each(int64_t now) {
    for (const SharedCertificate& certificate : shown_) {
      for (const std::string& what : {time_warning(*certificate, now), chain_warning(*certificate)})
        if (!what.empty()) say("the certificate " + certificate->file + " " + what);
    }
  }

  // Of one kind of key; of two kinds each client has the one that it can read.
  void warn_of_names_twice() {
    std::map<std::pair<int, std::string>, const Certificate*> first;
    for (const SharedCertificate& certificate : shown_) {
      for (const std::string& name : certificate->names) {
        const int kind = EVP_PKEY_get_base_id(certificate->key.get());
        const auto [known, is_new] = first.emplace(std::pair(kind, name), certificate.get());
        if (!is_new && known->second != certificate.get())
          say(name + " is a name of " + known->second->file + ", which is shown, and of " +
              certificate->file);
      }
    }
  }

  void warn_of_hosts(const std::vector<conf::Route>& routes, const std::string& listener) {
    std::vector<std::string> told;
    for (const conf::Route& route : routes) {
      if (route.host.empty() || (!route.listener.empty() && route.listener != listener)) continue;
      if (is_covered(route.host) || std::find(told.begin(), told.end(), route.host) != told.end()) continue;
      told.push_back(route.host);
      say("no certificate covers " + route.host + ", which a route serves");
    }
  }

 private:
  bool is_covered(std::string host) const {
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    return std::any_of(shown_.begin(), shown_.end(), [&](const SharedCertificate& certificate) {
      return std::any_of(certificate->names.begin(), certificate->names.end(),
                         [&](const std::string& name) { return name == host || net::covers(name, host); });
    });
  }
  void say(const std::string& what) { lines_.push_back(whose_ + ": " + what); }

  const std::string whose_;
  std::vector<std::string>& lines_;
  std::vector<SharedCertificate> shown_;
};

}  // namespace

void check_certificates(const conf::Settings& settings, conf::Findings& findings) {
  TlsFiles files;
  const auto check = [&](const conf::TlsCertificate& named, const std::string& of_file,
                         const std::string& of_key) {
    const std::string wrong = files.add(named);
    if (!wrong.empty()) findings.fault(is_of_key(wrong, named.key) ? of_key : of_file, wrong);
  };
  const auto check_authorities = [&](const std::string& file, const std::string& key) {
    if (const std::string wrong = files.add_authorities(file); !wrong.empty()) findings.fault(key, wrong);
  };
  const auto check_shown = [&](const conf::ListenerTls& tls, const std::string& path) {
    for (size_t i = 0; i < tls.certificates.size(); ++i) {
      const std::string of_one = conf::indexed(path + ".certificates", i);
      check(tls.certificates[i], of_one + ".file", of_one + ".key");
    }
  };
  check_shown(settings.status.tls, "status.tls");
  for (size_t place = 0; place < settings.listeners.size(); ++place) {
    const conf::ListenerTls& tls = settings.listeners[place].tls;
    const std::string path = conf::indexed("listener", place) + ".tls";
    check_shown(tls, path);
    if (tls.clients) check_authorities(tls.clients.ca, path + ".clients.ca");
  }
  for (size_t place = 0; place < settings.pools.size(); ++place) {
    const auto& tls = settings.pools[place].tls;
    const std::string path = conf::indexed("pool", place) + ".tls";
    if (!tls) continue;
    if (!tls->insecure) check_authorities(tls->ca, path + ".ca");
    if (!tls->certificate.empty()) check({tls->certificate, tls->key}, path + ".certificate", path + ".key");
  }
}

std::vector<std::string> certificate_warnings(const conf::Settings& settings, int64_t now) {
  std::vector<std::string> lines;
  Shown status("status", settings.status.tls, lines);
  status.warn_of_each(now);
  status.warn_of_names_twice();
  for (const conf::Listener& listener : settings.listeners) {
    if (!listener.tls) continue;
    Shown shown("listener " + listener.name, listener.tls, lines);
    shown.warn_of_each(now);
    shown.warn_of_names_twice();
    shown.warn_of_hosts(settings.routes, listener.name);
  }
  for (const conf::Pool& pool : settings.pools) {
    if (!pool.tls || pool.tls->certificate.empty()) continue;
    TlsFiles files;
    const conf::TlsCertificate named{pool.tls->certificate, pool.tls->key};
    if (!files.add(named).empty()) continue;
    if (const std::string what = time_warning(*files.certificate(named), now); !what.empty())
      lines.push_back("pool " + pool.name + ": the certificate " + named.file + " " + what);
  }
  return lines;
}

}  // namespace limpet
