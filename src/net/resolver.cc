#include "src/net/resolver.h"

#include <netinet/in.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "src/signals.h"

namespace limpet::net {

namespace {

bool is_same(const sockaddr_storage& a, const sockaddr_storage& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

bool is_in(const std::vector<sockaddr_storage>& all, const sockaddr_storage& one) {
  return std::any_of(all.begin(), all.end(), [&](const auto& other) { return is_same(one, other); });
}

// What stands in the answer keeps its place, and what is new comes after it. True: something was lost.
bool renew(std::vector<sockaddr_storage>& addresses, const std::vector<sockaddr_storage>& answer) {
  const bool lost = std::erase_if(addresses, [&](const auto& one) { return !is_in(answer, one); }) != 0;
  for (const sockaddr_storage& one : answer) {
    if (!is_in(addresses, one)) addresses.push_back(one);
  }
  return lost;
}

}  // namespace

// What lookups and the loop's thread have in common.
struct Resolver::Lookups : std::enable_shared_from_this<Resolver::Lookups> {
  struct Question {
    std::string name;
    bool failed_before;
  };

  explicit Lookups(Lookup how) : lookup(std::move(how)) {}

  void ask(Question question) {
    {
      const std::lock_guard lock(mutex);
      (question.failed_before ? doubtful : waiting).push_back(std::move(question));
      ++unanswered;
    }
    start_thread();
  }

  // Where the system has no thread to give, the next refresh tries again.
  void start_thread() {
    const std::lock_guard lock(mutex);
    if (threads == kMostLookups || (waiting.empty() && doubtful.empty())) return;
    const SignalsBlocked guard;
    try {
      std::thread([self = shared_from_this()] { self->run(); }).detach();
      ++threads;
    } catch (const std::system_error&) {
    }
  }

  void run() {
    std::unique_lock lock(mutex);
    while (std::optional<Question> question = next()) {
      lock.unlock();
      Answer answer = lookup(question->name);
      lock.lock();
      if (question->failed_before) --doubtful_now;
      answers.emplace_back(std::move(question->name), std::move(answer));
      --unanswered;
      all_answered.notify_one();
      if (wake != nullptr) uv_async_send(wake);
    }
    --threads;
  }

  std::optional<Question> next() {
    const bool take_doubtful = waiting.empty() && doubtful_now < kMostLookups / 2;
    std::deque<Question>& from = take_doubtful ? doubtful : waiting;
    if (from.empty()) return std::nullopt;
    Question question = std::move(from.front());
    from.pop_front();
    if (take_doubtful) ++doubtful_now;
    return question;
  }

  const Lookup lookup;
  std::mutex mutex;
  std::condition_variable all_answered;
  std::deque<Question> waiting, doubtful;  // guarded by the mutex, as is all that follows
  size_t threads = 0, doubtful_now = 0, unanswered = 0;
  std::vector<std::pair<std::string, Answer>> answers;
  uv_async_t* wake = nullptr;  // nullptr: nobody takes answers any more, or not yet
};

Resolver::Answer Resolver::ask_system(const std::string& name) {
  addrinfo hints{};
  hints.ai_flags = AI_ADDRCONFIG;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(name.c_str(), nullptr, &hints, &found);
  if (status != 0) return {status == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(status)};
  Answer answer;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next)
    std::memcpy(&answer.addresses.emplace_back(), one->ai_addr, one->ai_addrlen);
  freeaddrinfo(found);
  return answer;
}

Resolver::Resolver(Lookup lookup, uint64_t refresh)
    : lookups_(std::make_shared<Lookups>(std::move(lookup))), refresh_(refresh) {}
Resolver::~Resolver() = default;

void Resolver::start(uv_loop_t* loop, const std::vector<std::string>& names) {
  watch(names);
  {
    std::unique_lock lock(lookups_->mutex);
    lookups_->all_answered.wait_for(lock, kFirst, [this] { return lookups_->unanswered == 0; });
    uv_async_init(loop, &answered_,
                  [](uv_async_t* answered) { static_cast<Resolver*>(answered->data)->take_answers(); });
    answered_.data = this;
    lookups_->wake = &answered_;
  }
  take_answers();
  for (auto& [text, name] : names_) {
    if (name.asking) note(text, name, "no answer yet");
  }
  uv_timer_init(loop, &timer_);
  timer_.data = this;
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<Resolver*>(timer->data)->refresh(); }, refresh_, refresh_);
}

void Resolver::watch(const std::vector<std::string>& names) {
  for (auto& [text, name] : names_) name.wanted = false;
  for (const std::string& text : names) {
    const auto [at, is_new] = names_.try_emplace(text);
    at->second.wanted = true;
    if (is_new) ask(text, at->second);
  }
  std::erase_if(names_, [this](const auto& entry) {
    if (entry.second.wanted) return false;
    const std::lock_guard lock(mutex_);
    addresses_.erase(entry.first);
    return !entry.second.asking;  // whose answer will come, and be dropped
  });
}

void Resolver::close() {
  {
    const std::lock_guard lock(lookups_->mutex);
    lookups_->wake = nullptr;
    lookups_->waiting.clear();
    lookups_->doubtful.clear();
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&answered_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
}

void Resolver::refresh() {
  for (auto& [text, name] : names_) {
    if (name.wanted && !name.asking) ask(text, name);
  }
  lookups_->start_thread();
}

void Resolver::ask(const std::string& text, Name& name) {
  name.asking = true;
  lookups_->ask({text, !name.wrong.empty()});
}

void Resolver::take_answers() {
  std::vector<std::pair<std::string, Answer>> answers;
  {
    const std::lock_guard lock(lookups_->mutex);
    answers.swap(lookups_->answers);
  }
  for (auto& [text, answer] : answers) {
    const auto name = names_.find(text);
    if (name->second.wanted) {
      take(text, name->second, std::move(answer));
    } else {
      names_.erase(name);
    }
  }
}

// A name that cannot be resolved now keeps the addresses it had.
void Resolver::take(const std::string& text, Name& name, Answer answer) {
  name.asking = false;
  if (!answer.wrong.empty()) return note(text, name, answer.wrong);
  if (!name.wrong.empty()) spdlog::info("backend host {} can be resolved now", text);
  name.wrong.clear();
  bool lost = false;
  {
    const std::lock_guard lock(mutex_);
    lost = renew(addresses_[text], answer.addresses);
  }
  if (lost && on_lost_) on_lost_(text);
}

void Resolver::note(const std::string& text, Name& name, const std::string& wrong) {
  if (name.wrong == wrong) return;
  name.wrong = wrong;
  spdlog::warn("backend host {}: {}{}", text, wrong,
               count(text) != 0 ? "; it keeps the addresses it had" : "");
}

std::string Resolver::wrong(const std::string& name) const {
  const auto known = names_.find(name);
  return known == names_.end() || count(name) != 0 ? std::string() : known->second.wrong;
}

size_t Resolver::count(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = addresses_.find(name);
  return found == addresses_.end() ? 0 : found->second.size();
}

bool Resolver::find(const std::string& name, unsigned index, uint16_t port, sockaddr_storage& out) const {
  const std::lock_guard lock(mutex_);
  const auto found = addresses_.find(name);
  if (found == addresses_.end() || index >= found->second.size()) return false;
  out = found->second[index];
  if (out.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(out).sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in&>(out).sin_port = htons(port);
  }
  return true;
}

}  // namespace limpet::net
