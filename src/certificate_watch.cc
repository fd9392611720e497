#include "src/certificate_watch.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "src/status/words.h"

namespace limpet {

// Frees itself when it is over.
struct CertificateWatch::Look {
  uv_work_t work;
  CertificateWatch* watch;  // nullptr: it does not wait for this any more
  const std::shared_ptr<const conf::Settings> settings;
  const Secrets& secrets;
  Identities identities;
};

CertificateWatch::CertificateWatch(uv_loop_t* loop, const Secrets& secrets, Show show)
    : loop_(loop), secrets_(secrets), show_(std::move(show)) {
  uv_timer_init(loop_, &timer_);
  timer_.data = this;
}

CertificateWatch::~CertificateWatch() = default;

void CertificateWatch::start() {
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<CertificateWatch*>(timer->data)->look(); }, kEvery,
      kEvery);
}

void CertificateWatch::close() {
  if (under_way_ != nullptr) std::exchange(under_way_, nullptr)->watch = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
}

void CertificateWatch::watch(std::shared_ptr<const conf::Settings> settings, Identities identities) {
  if (under_way_ != nullptr) std::exchange(under_way_, nullptr)->watch = nullptr;
  settings_ = std::move(settings);
  identities_ = std::move(identities);
}

void CertificateWatch::look() {
  if (under_way_ != nullptr || identities_.files.entries().empty()) return;
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

void CertificateWatch::take(Identities found) {
  under_way_ = nullptr;
  const Identities before = std::exchange(identities_, std::move(found));
  tell(before.files);
  if (identities_.listeners != before.listeners) show_(identities_.listeners);
}

void CertificateWatch::tell(const CertificateFiles& before) const {
  for (const auto& [files, entry] : identities_.files.entries()) {
    const CertificateFiles::Entry& former = before.entries().at(files);
    if (entry.shown != former.shown) {
      spdlog::info("{} is read again, and its certificate shown: it expires {}", files.first,
                   status::time_words(entry.shown->not_after));
    } else if (former.is_told() && entry.wrong.empty()) {
      spdlog::info("{} holds again what is shown", files.first);
    } else if (entry.is_told() && !former.is_told()) {
      spdlog::error("{} has changed, and is not shown: {}. The certificate that is shown expires {}",
                    files.first, entry.wrong, status::time_words(entry.shown->not_after));
    }
  }
}

void CertificateWatch::report(std::vector<status::ListenerReport>& listeners) const {
  for (status::ListenerReport& listener : listeners) {
    if (!listener.tls) continue;
    for (status::CertificateReport& certificate : listener.tls->certificates) {
      for (const auto& [files, entry] : identities_.files.entries())
        if (files.first == certificate.file && entry.is_told()) certificate.wrong = entry.wrong;
    }
  }
}

}  // namespace limpet
