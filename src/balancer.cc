#include "src/balancer.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <iterator>

#include "conf/load.h"
#include "conf/spelling.h"
#include "routing/loops.h"
#include "routing/random.h"
#include "src/command_line.h"
#include "src/identities.h"
#include "src/net/calls.h"
#include "src/net/descriptors.h"
#include "src/net/passed_sockets.h"
#include "src/oversight/overseer.h"
#include "src/reload.h"
#include "src/service_manager.h"
#include "src/signals.h"
#include "src/status/control.h"
#include "src/status/server.h"
#include "src/status/token.h"
#include "src/status/words.h"
#include "src/tls_watch.h"
#include "src/warnings.h"
#include "src/worker.h"
#include "src/worker_sockets.h"

namespace limpet {

namespace {

constexpr uint64_t kLogReport = 1000;  // milliseconds between two looks at what the access log dropped

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

size_t count_of_workers(const conf::Settings& settings) {
  return settings.workers != 0 ? settings.workers
                               : std::max(1u, static_cast<uint32_t>(uv_available_parallelism()));
}

// What Control says is said from threads of the status endpoint; what it asks for is done on the main one.
class Balancer final : status::Control {
 public:
  Balancer(const std::string& file, std::shared_ptr<const conf::Settings> settings, const Secrets& secrets,
           AccessLog* access_log, Log& log)
      : file_(file),
        started_(std::time(nullptr)),
        loaded_(started_),
        access_log_(access_log),
        log_(log),
        secrets_(secrets),
        descriptors_(net::file_limit),
        manager_(ServiceManager::of_environment()),
        workers_wanted_(count_of_workers(*settings)),
        calls_(loop_.uv()),
        overseer_(loop_, resolver_, descriptors_, calls_, secrets, workers_wanted_,
                  [this](const Update& update) { publish(update, {}); }),
        settings_(std::move(settings)),
        tls_(loop_.uv(), secrets, [this](const Identities& used) {
          overseer_.use(used.listeners, used.pools);
          if (server_ != nullptr) server_->use(used.status);
        }) {
    resolver_.start(loop_.uv(), host_names(*settings_));
    uv_async_init(loop_.uv(), &worker_done_, [](uv_async_t* handle) { of(handle).on_worker_done(); });
    uv_timer_init(loop_.uv(), &shutdown_);
    uv_timer_init(loop_.uv(), &log_report_);
    uv_timer_init(loop_.uv(), &watchdog_);
    for (uv_signal_t& handle : signals_) uv_signal_init(loop_.uv(), &handle);
    for_each_handle([this](uv_handle_t* handle) { handle->data = this; });
  }

  // Opens what clients and operators connect to. False: it cannot be, and the log says why.
  bool listen() {
    auto tls = load_identities(*settings_, secrets_);
    if (const auto* wrong = std::get_if<std::string>(&tls)) return refuse(*wrong);
    auto& identities = std::get<Identities>(tls);
    const auto plan = overseer_.adopt(settings_, identities.listeners, identities.pools).plan;
    tls_.watch(settings_, std::move(identities));
    for (const std::string& line : passed_.unused(settings_->listeners)) spdlog::warn("{}", line);
    for (const std::string& line : warnings(*settings_, descriptors_)) spdlog::warn("{}", line);
    WorkerSockets sockets;
    std::string error;
    if (!bind_new(nullptr, *settings_, workers_wanted_, passed_, sockets, error))
      return refuse("cannot listen on " + error);
    bool good = true;
    for (size_t i = 0; i < workers_wanted_; ++i) {
      workers_.push_back(std::make_unique<Worker>(
          i, Shared{resolver_, overseer_.witness(), access_log_, descriptors_, process_number_}, plan,
          [this] { uv_async_send(&worker_done_); }));
      good = good && workers_.back()->listen(sockets[i], error);
    }
    return (good || refuse("cannot listen on " + error)) && serve_status();
  }

  int run() {
    for (size_t i = 0; i < signals_.size(); ++i) {
      uv_signal_start(
          &signals_[i], [](uv_signal_t* handle, int number) { of(handle).on_signal(number); },
          kSignalsOfRun[i]);
    }
    if (access_log_ != nullptr) {
      uv_timer_start(
          &log_report_, [](uv_timer_t* handle) { of(handle).access_log_->report(); }, kLogReport, kLogReport);
    }
    overseer_.start();
    tls_.start();
    for (auto& worker : workers_) worker->start();
    for (const conf::Listener& listener : settings_->listeners)
      spdlog::info("listening on {}", listener.address.text());
    spdlog::info("serving with {}", conf::counted(workers_.size(), "worker"));
    spdlog::info(
        "{} descriptors: clients may have {}, with backends {}, and the rest is for operators, checks and "
        "logs",
        descriptors_.limit(), descriptors_.for_clients(), descriptors_.for_backends());
    take_signals();  // the threads are started, and take none
    manager_.ready(serving());
    if (const auto every = static_cast<uint64_t>(manager_.between_looks().count()); every != 0)
      uv_timer_start(&watchdog_, [](uv_timer_t* handle) { of(handle).look_for_life(); }, every, every);
    loop_.run();
    hold_signals();  // one that comes now finds the end under way
    end();
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
    visit(reinterpret_cast<uv_handle_t*>(&shutdown_));
    visit(reinterpret_cast<uv_handle_t*>(&log_report_));
    visit(reinterpret_cast<uv_handle_t*>(&watchdog_));
    for (uv_signal_t& handle : signals_) visit(reinterpret_cast<uv_handle_t*>(&handle));
  }

  bool serve_status() {
    if (!settings_->status.address) return true;
    auto token = status::load_token(settings_->status);
    if (!token.wrong.empty()) return refuse(token.wrong);
    if (!token.warning.empty()) spdlog::warn("{}", token.warning);
    auto started =
        status::Server::start(settings_->status, token.text, *this, descriptors_, tls_.used().status);
    if (auto* wrong = std::get_if<std::string>(&started)) return refuse(*wrong);
    server_ = std::move(std::get<std::unique_ptr<status::Server>>(started));
    spdlog::info("status at {}://{}/", settings_->status.tls ? "https" : "http",
                 settings_->status.address->text());
    return true;
  }

  bool refuse(const std::string& error) {
    spdlog::error("{}", error);
    end();
    return false;
  }

  // Calls end first: a thread of the endpoint may be waiting for one.
  void end() {
    calls_.close();
    server_.reset();
    workers_.clear();
    overseer_.close();
    tls_.close();
    resolver_.close();
    for_each_handle([](uv_handle_t* handle) { uv_close(handle, nullptr); });
  }

  // ---- whoever started it

  std::string serving() const {
    return "serving at " + conf::counted(settings_->listeners.size(), "listener") + " with " +
           conf::counted(workers_.size(), "worker");
  }

  // One that does not turn is as good as dead to its clients.
  void look_for_life() {
    if (std::all_of(workers_.begin(), workers_.end(),
                    [](const auto& worker) { return worker->has_answered(); }))
      manager_.alive();
    for (auto& worker : workers_)
      if (!worker->done()) worker->ask();
  }

  // ---- signals

  void on_signal(int number) {
    if (number == SIGUSR1) {
      if (access_log_ != nullptr) access_log_->reopen();
      return;
    }
    if (number == SIGHUP) {
      reload_now("SIGHUP");
      return;
    }
    if (shutting_down_) end_at_once();
    shutting_down_ = true;
    manager_.stopping(settings_->shutdown_timeout,
                      std::string(strsignal(number)) + ": what is under way ends");
    spdlog::info("{}: accepting no more, {} for what is under way", strsignal(number),
                 status::latency_words(static_cast<double>(settings_->shutdown_timeout.count())));
    for (auto& worker : workers_) worker->shut_down();
    uv_timer_start(
        &shutdown_, [](uv_timer_t* handle) { of(handle).stop(); },
        static_cast<uint64_t>(settings_->shutdown_timeout.count()), 0);
  }

  // What was logged is written, by readers that read.
  [[noreturn]] void end_at_once() {
    if (access_log_ != nullptr) access_log_->finish(LineWriter::kInHurry);
    log_.finish(LineWriter::kInHurry);
    _exit(kExitForced);
  }

  void stop() {
    spdlog::warn("shutdown_timeout is over: what is still under way is cut");
    for (auto& worker : workers_) worker->stop();
  }

  void on_worker_done() {
    if (std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker->done(); }))
      loop_.stop();
  }

  // ---- plans

  void publish(const Update& update, const WorkerSockets& sockets) {
    for (size_t i = 0; i < workers_.size(); ++i) {
      Update for_one = update;
      if (!sockets.empty()) for_one.sockets = sockets[i];
      workers_[i]->follow(std::move(for_one));
    }
  }

  Done reload_now(const std::string& who) {
    if (!shutting_down_) manager_.reloading();
    Done done = try_reload();
    if (!shutting_down_) manager_.ready(serving() + "; " + done.text);
    ++(done.good ? reloads_ : failed_reloads_);
    spdlog::log(done.good ? spdlog::level::info : spdlog::level::err, "reload by {}: {}", who, done.text);
    return done;
  }

  Done try_reload() {
    constexpr int kConflict = 409;
    if (shutting_down_) return shutting_down();
    auto loaded = conf::load_file(file_, routing::check_loops);
    if (const auto* faults = std::get_if<conf::Faults>(&loaded)) {
      std::string text = "nothing is changed, for the file has faults:";
      for (const conf::Fault& fault : *faults) text += "\n" + fault.text();
      return {false, kConflict, text};
    }
    auto next = std::make_shared<const conf::Settings>(std::move(std::get<conf::Settings>(loaded)));
    if (const auto keys = needs_restart(*settings_, *next); !keys.empty()) {
      std::string text = "nothing is changed, for these take a restart:";
      for (const std::string& key : keys) text += "\n" + key;
      return {false, kConflict, text};
    }
    if (const std::string refusal = overseer_.refusal(*next); !refusal.empty())
      return {false, kConflict, "nothing is changed: " + refusal};
    auto tls = load_identities(*next, secrets_, tls_.used());
    if (const auto* wrong = std::get_if<std::string>(&tls))
      return {false, kConflict, "nothing is changed: " + *wrong};
    const status::LoadedToken token = status::load_token(next->status);
    if (!token.wrong.empty()) return {false, kConflict, "nothing is changed: " + token.wrong};
    WorkerSockets sockets;
    std::string error;
    if (!bind_new(settings_.get(), *next, workers_.size(), passed_, sockets, error))
      return {false, kConflict, "nothing is changed: cannot listen on " + error};
    log_.set_level(next->log.level);
    settings_ = next;
    loaded_ = std::time(nullptr);
    auto& identities = std::get<Identities>(tls);
    publish(overseer_.adopt(std::move(next), identities.listeners, identities.pools), sockets);
    if (server_ != nullptr) {
      server_->use(identities.status);
      server_->require(token.text);
    }
    if (!token.warning.empty()) spdlog::warn("{}", token.warning);
    for (const std::string& line : warnings(*settings_, descriptors_)) spdlog::warn("{}", line);
    tls_.watch(settings_, std::move(identities));
    return {true, 200, file_ + " is in force"};
  }

  // ---- Control, from any thread

  static Done shutting_down() { return {false, 503, "the balancer is shutting down"}; }

  template <class Work>
  Done ask(Work work) {
    return calls_.call(std::move(work)).value_or(shutting_down());
  }

  status::Report report(size_t most_incidents) override {
    status::Report ended;
    ended.shutting_down = true;
    return calls_.call([&] { return make_report(most_incidents); }).value_or(std::move(ended));
  }
  Done order(const std::string& pool, const std::string& backend, health::Order order,
             const std::string& who) override {
    return ask([&] { return overseer_.orders().order(pool, backend, order, who); });
  }
  Done unbind(const std::string& pool, const std::string& session, const std::string& who) override {
    return ask([&] { return overseer_.orders().unbind(pool, session, who); });
  }
  Done pin(const std::string& pool, const std::string& session, const std::string& backend,
           const std::string& who) override {
    return ask([&] { return overseer_.orders().pin(pool, session, backend, who); });
  }
  Done reload(const std::string& who) override {
    return ask([&] { return reload_now(who); });
  }
  std::vector<status::SessionReport> find(const std::string& session) override {
    return calls_.call([&] { return overseer_.reporter().find(session); })
        .value_or(std::vector<status::SessionReport>());
  }
  bool ready() override {
    return calls_.call([this] { return !shutting_down_ && overseer_.reporter().ready(); }).value_or(false);
  }

  status::Report make_report(size_t most_incidents) {
    status::Report report;
    report.version = LIMPET_VERSION;
    report.now = std::time(nullptr);
    report.started = started_;
    report.loaded = loaded_;
    report.file = file_;
    report.workers = static_cast<uint32_t>(workers_.size());
    report.refused_connections = descriptors_.refused();
    report.descriptors = static_cast<uint64_t>(descriptors_.limit());
    report.descriptors_for_clients = static_cast<uint64_t>(descriptors_.for_clients());
    report.descriptors_for_backends = static_cast<uint64_t>(descriptors_.for_backends());
    report.reloads = reloads_;
    report.failed_reloads = failed_reloads_;
    report.dropped_log_lines = access_log_ != nullptr ? access_log_->dropped_lines() : 0;
    report.dropped_stderr_lines = log_.dropped_lines();
    report.shutting_down = shutting_down_;
    overseer_.reporter().report(report, most_incidents);
    if (const auto& shown = tls_.used().status) report.status_tls = files_of(*shown);
    tls_.report(report);
    for (const status::ListenerReport& listener : report.listeners)
      report.connections += listener.connections;
    return report;
  }

  const std::string file_;
  const int64_t started_;  // Unix seconds
  int64_t loaded_;
  AccessLog* const access_log_;
  Log& log_;
  const Secrets& secrets_;
  net::Descriptors descriptors_;
  ServiceManager manager_;
  const net::PassedSockets passed_ = net::PassedSockets::of_environment();
  const size_t workers_wanted_;
  const uint64_t process_number_ = routing::random_seed();
  net::Resolver resolver_;  // before the loop, which closes its handles
  net::Loop loop_;
  net::Calls calls_;
  Overseer overseer_;
  std::shared_ptr<const conf::Settings> settings_;
  TlsWatch tls_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<status::Server> server_;
  uv_async_t worker_done_;
  uv_timer_t shutdown_, log_report_, watchdog_;
  std::array<uv_signal_t, std::size(kSignalsOfRun)> signals_;
  uint64_t reloads_ = 0, failed_reloads_ = 0;
  bool shutting_down_ = false;
};

}  // namespace

int run_balancer(const std::string& file, std::shared_ptr<const conf::Settings> settings,
                 const Secrets& secrets, Log& log) {
  net::raise_file_limit();
  AccessLog::Opened opened = AccessLog::open(settings->log);
  if (const auto* wrong = std::get_if<std::string>(&opened)) {
    spdlog::error("{}", *wrong);
    return kExitFault;
  }
  const auto access_log = std::move(std::get<std::unique_ptr<AccessLog>>(opened));
  Balancer balancer(file, std::move(settings), secrets, access_log.get(), log);
  return balancer.listen() ? balancer.run() : kExitFault;
}

}  // namespace limpet
