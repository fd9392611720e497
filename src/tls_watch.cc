#include "src/tls_watch.h"

#include <spdlog/spdlog.h>

#include <map>
#include <string>
#include <utility>

#include "conf/spelling.h"
#include "src/status/words.h"

namespace limpet {

namespace {

const std::string& name_of(const TlsFiles::Pair& files) { return files.first; }
std::string name_of(const std::string& authorities) {
  return authorities.empty() ? "the file of the system's authorities" : authorities;
}

std::string words_of(const net::SharedCertificate& certificate) {
  return "a certificate that expires " + status::time_words(certificate->not_after);
}
std::string words_of(const net::SharedAuthorities& authorities) {
  return conf::counted(authorities->certificates.size(), "authority certificate");
}

template <class Files, class Entry>
void tell_each(const std::map<Files, Entry>& entries, const std::map<Files, Entry>& before) {
  for (const auto& [files, entry] : entries) {
    const Entry& former = before.at(files);
    if (entry.content != former.content) {
      spdlog::info("{} is read again, and in use: {}", name_of(files), words_of(entry.content));
    } else if (former.is_told() && entry.wrong.empty()) {
      spdlog::info("{} holds again what is in use", name_of(files));
    } else if (entry.is_told() && !former.is_told()) {
      spdlog::error("{} has changed, and is not used: {}. In use is what it held before: {}", name_of(files),
                    entry.wrong, words_of(entry.content));
    }
  }
}

bool is_of(const TlsFiles::Pair& files, const std::string& file) { return files.first == file; }
bool is_of(const std::string& authorities, const std::string& file) { return authorities == file; }

template <class Files, class Entry>
std::string wrong_with(const std::map<Files, Entry>& entries, const std::string& file) {
  for (const auto& [files, entry] : entries)
    if (is_of(files, file) && entry.is_told()) return entry.wrong;
  return {};
}

}  // namespace

// Frees itself when it is over.
struct TlsWatch::Look {
  uv_work_t work;
  TlsWatch* watch;  // nullptr: it does not wait for this any more
  const std::shared_ptr<const conf::Settings> settings;
  const Secrets& secrets;
  Identities identities;
};

TlsWatch::TlsWatch(uv_loop_t* loop, const Secrets& secrets, Use use)
    : loop_(loop), secrets_(secrets), use_(std::move(use)) {
  uv_timer_init(loop_, &timer_);
  timer_.data = this;
}

TlsWatch::~TlsWatch() = default;

void TlsWatch::start() {
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<TlsWatch*>(timer->data)->look(); }, kEvery, kEvery);
}

void TlsWatch::close() {
  if (under_way_ != nullptr) std::exchange(under_way_, nullptr)->watch = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
}

void TlsWatch::watch(std::shared_ptr<const conf::Settings> settings, Identities identities) {
  if (under_way_ != nullptr) std::exchange(under_way_, nullptr)->watch = nullptr;
  settings_ = std::move(settings);
  identities_ = std::move(identities);
}

void TlsWatch::look() {
  if (under_way_ != nullptr || identities_.files.empty()) return;
  under_way_ = new Look{{}, this, settings_, secrets_, identities_};
  under_way_->work.data = under_way_;
  uv_queue_work(
      loop_, &under_way_->work,
      [](uv_work_t* work) {
        Look& self = *static_cast<Look*>(work->data);
        self.identities = renewed(self.identities, *self.settings, self.secrets);
      },
      [](uv_work_t* work, int) {
        const std::unique_ptr<Look> self(static_cast<Look*>(work->data));
        if (self->watch != nullptr) self->watch->take(std::move(self->identities));
      });
}

void TlsWatch::take(Identities found) {
  under_way_ = nullptr;
  const Identities before = std::exchange(identities_, std::move(found));
  tell(before.files);
  if (identities_.listeners != before.listeners || identities_.pools != before.pools ||
      identities_.status != before.status)
    use_(identities_);
}

void TlsWatch::tell(const TlsFiles& before) const {
  tell_each(identities_.files.certificates(), before.certificates());
  tell_each(identities_.files.authorities(), before.authorities());
}

void TlsWatch::report(status::Report& report) const {
  const auto add = [this](status::TlsFilesReport& of) {
    for (status::CertificateReport& certificate : of.certificates)
      certificate.wrong = wrong_with(identities_.files.certificates(), certificate.file);
    if (of.authorities)
      of.authorities->wrong = wrong_with(identities_.files.authorities(), of.authorities->file);
  };
  if (report.status_tls) add(*report.status_tls);
  for (status::ListenerReport& listener : report.listeners)
    if (listener.tls) add(listener.tls->files);
  for (status::PoolReport& pool : report.pools)
    if (pool.tls) add(*pool.tls);
}

}  // namespace limpet
