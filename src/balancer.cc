#include "src/balancer.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>

#include "src/command_line.h"
#include "src/worker.h"

namespace limpet {

namespace {

constexpr uint64_t kSweepEvery = 1000;  // milliseconds

// Every connection is a file; the limit that is allowed is the limit to have.
void raise_file_limit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::vector<std::string> host_names(const conf::Settings& settings) {
  std::vector<std::string> names;
  for (const conf::Pool& pool : settings.pools) {
    for (const conf::Backend& backend : pool.backends) {
      if (backend.address.kind == conf::Address::Kind::host) names.push_back(backend.address.host);
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

class Balancer {
 public:
  Balancer(const conf::Settings& settings, const Secrets& secrets, AccessLog* access_log)
      : settings_(settings),
        access_log_(access_log),
        routes_(routing::Routes::from(settings)),
        resolver_(host_names(settings)) {
    resolver_.start(loop_.uv());
    for (const conf::Pool& pool : settings.pools) {
      routers_.push_back(std::make_unique<routing::Router>(pool, secrets.keys, secrets.hash_secret));
    }
    uv_async_init(loop_.uv(), &worker_done_, [](uv_async_t* handle) { of(handle).on_worker_done(); });
    uv_timer_init(loop_.uv(), &sweep_);
    uv_timer_init(loop_.uv(), &shutdown_);
    for (size_t i = 0; i < signals_.size(); ++i) uv_signal_init(loop_.uv(), &signals_[i]);
    for_each_handle([this](uv_handle_t* handle) { handle->data = this; });
  }

  bool listen() {
    const uint32_t cores = std::max(1u, static_cast<uint32_t>(uv_available_parallelism()));
    const uint32_t count = settings_.workers != 0 ? settings_.workers : cores;
    std::string error;
    for (uint32_t i = 0; i < count; ++i) {
      std::vector<int> sockets;
      if (!bind_all(i == 0, sockets, error)) return refuse(error);
      workers_.push_back(
          std::make_unique<Worker>(Shared{settings_, routes_, routers_, resolver_, access_log_},
                                   std::move(sockets), [this] { uv_async_send(&worker_done_); }));
      if (!workers_.back()->listen(error)) return refuse(error);
    }
    return true;
  }

  int run() {
    constexpr int kNumbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};
    for (size_t i = 0; i < signals_.size(); ++i) {
      uv_signal_start(
          &signals_[i], [](uv_signal_t* handle, int number) { of(handle).on_signal(number); }, kNumbers[i]);
    }
    uv_timer_start(
        &sweep_, [](uv_timer_t* handle) { of(handle).sweep(); }, kSweepEvery, kSweepEvery);
    for (auto& worker : workers_) worker->start();
    for (const conf::Listener& listener : settings_.listeners)
      spdlog::info("listening on {}", listener.address.text());
    spdlog::info("serving with {} workers", workers_.size());
    loop_.run();
    workers_.clear();
    close();
    spdlog::info("ended");
    return kExitOk;
  }

 private:
  template <typename Handle>
  static Balancer& of(Handle* handle) {
    return *static_cast<Balancer*>(handle->data);
  }

  template <typename Visit>
  void for_each_handle(Visit&& visit) {
    visit(reinterpret_cast<uv_handle_t*>(&worker_done_));
    visit(reinterpret_cast<uv_handle_t*>(&sweep_));
    visit(reinterpret_cast<uv_handle_t*>(&shutdown_));
    for (uv_signal_t& handle : signals_) visit(reinterpret_cast<uv_handle_t*>(&handle));
  }

  // SO_REUSEPORT would let a second Limpet share the first one's port without a word, so the first socket is
  // also tried alone.
  bool bind_all(bool first, std::vector<int>& sockets, std::string& error) {
    for (const conf::Listener& listener : settings_.listeners) {
      if (first) {
        const int alone = net::bind_socket(listener.address, true, error);
        if (alone < 0) return false;
        ::close(alone);
      }
      const int fd = net::bind_socket(listener.address, false, error);
      if (fd < 0) return false;
      sockets.push_back(fd);
    }
    return true;
  }

  bool refuse(const std::string& error) {
    spdlog::error("cannot listen on {}", error);
    workers_.clear();
    close();
    return false;
  }

  void close() {
    for_each_handle([](uv_handle_t* handle) { uv_close(handle, nullptr); });
    resolver_.close();
  }

  void on_signal(int number) {
    if (number == SIGUSR1) {
      if (access_log_ != nullptr) access_log_->reopen();
      return;
    }
    if (number == SIGHUP) {
      spdlog::warn("SIGHUP: the file is read at the start only; a change takes a restart");
      return;
    }
    if (shutting_down_) _exit(kExitForced);
    shutting_down_ = true;
    spdlog::info("{}: accepting no more, {} ms for what is under way", strsignal(number),
                 settings_.shutdown_timeout.count());
    for (auto& worker : workers_) worker->shut_down();
    uv_timer_start(
        &shutdown_, [](uv_timer_t* handle) { of(handle).stop(); },
        static_cast<uint64_t>(settings_.shutdown_timeout.count()), 0);
  }

  void stop() {
    spdlog::warn("shutdown_timeout is over: what is still under way is cut");
    for (auto& worker : workers_) worker->stop();
  }

  void on_worker_done() {
    const auto is_done = [](const auto& worker) { return worker->done(); };
    if (std::all_of(workers_.begin(), workers_.end(), is_done)) loop_.stop();
  }

  void sweep() {
    for (auto& router : routers_) router->sweep(static_cast<uint32_t>(std::time(nullptr)));
  }

  const conf::Settings& settings_;
  AccessLog* const access_log_;
  routing::Routes routes_;
  net::Resolver resolver_;  // before loop_, whose end waits for lookups that are under way
  net::Loop loop_;
  std::vector<std::unique_ptr<routing::Router>> routers_;
  std::vector<std::unique_ptr<Worker>> workers_;
  uv_async_t worker_done_;
  uv_timer_t sweep_;
  uv_timer_t shutdown_;
  std::array<uv_signal_t, 4> signals_;
  bool shutting_down_ = false;
};

}  // namespace

int run_balancer(const conf::Settings& settings, const Secrets& secrets) {
  signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  AccessLog::Opened opened = AccessLog::open(settings.log);
  if (const auto* wrong = std::get_if<std::string>(&opened)) {
    spdlog::error("{}", *wrong);
    return kExitFault;
  }
  const auto access_log = std::move(std::get<std::unique_ptr<AccessLog>>(opened));
  Balancer balancer(settings, secrets, access_log.get());
  return balancer.listen() ? balancer.run() : kExitFault;
}

}  // namespace limpet
