#include "src/net/resolver.h"

#include <netinet/in.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>

namespace limpet::net {

namespace {
constexpr addrinfo kHints{.ai_flags = AI_ADDRCONFIG,
                          .ai_family = AF_UNSPEC,
                          .ai_socktype = SOCK_STREAM,
                          .ai_protocol = 0,
                          .ai_addrlen = 0,
                          .ai_addr = nullptr,
                          .ai_canonname = nullptr,
                          .ai_next = nullptr};
}

struct Resolver::Name {
  std::string text;
  Resolver* resolver = nullptr;
  uv_getaddrinfo_t request{};
  bool wanted = true;
  bool asking = false;
  bool failing = false;
};

Resolver::Resolver() = default;
Resolver::~Resolver() = default;

void Resolver::start(uv_loop_t* loop, const std::vector<std::string>& names) {
  for (const std::string& text : names) {
    addrinfo* found = nullptr;
    const int status = getaddrinfo(text.c_str(), nullptr, &kHints, &found);
    take(*add(text), status == 0 ? nullptr : gai_strerror(status), found);
    if (found != nullptr) freeaddrinfo(found);
  }
  uv_timer_init(loop, &timer_);
  timer_.data = this;
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<Resolver*>(timer->data)->refresh(); }, kRefresh, kRefresh);
}

Resolver::Name* Resolver::add(const std::string& text) {
  Name* const name = names_.emplace_back(std::make_unique<Name>()).get();
  name->text = text;
  name->resolver = this;
  name->request.data = name;
  return name;
}

void Resolver::watch(const std::vector<std::string>& names) {
  for (const auto& name : names_) name->wanted = false;
  for (const std::string& text : names) {
    const auto known =
        std::find_if(names_.begin(), names_.end(), [&](const auto& name) { return name->text == text; });
    if (known != names_.end()) {
      (*known)->wanted = true;
    } else {
      ask(*add(text));
    }
  }
}

void Resolver::close() {
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
  for (auto& name : names_) {
    if (name->asking) uv_cancel(reinterpret_cast<uv_req_t*>(&name->request));
  }
}

void Resolver::refresh() {
  for (auto& name : names_) {
    if (name->wanted && !name->asking) ask(*name);
  }
}

void Resolver::ask(Name& name) {
  const auto on_found = [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
    Name& asked = *static_cast<Name*>(request->data);
    asked.asking = false;
    if (status != UV_ECANCELED)
      asked.resolver->take(asked, status == 0 ? nullptr : uv_strerror(status), found);
    uv_freeaddrinfo(found);
  };
  name.asking =
      uv_getaddrinfo(timer_.loop, &name.request, on_found, name.text.c_str(), nullptr, &kHints) == 0;
}

// `wrong`: why the lookup failed; nullptr: it did not. A name that cannot be resolved now keeps the addresses
// it had.
void Resolver::take(Name& name, const char* wrong, const addrinfo* found) {
  if (wrong != nullptr) {
    const bool had_any = addresses_.contains(name.text);
    if (!name.failing)
      spdlog::warn("backend host {}: {}{}", name.text, wrong,
                   had_any ? "; it keeps the addresses it had" : "");
    name.failing = true;
    return;
  }
  if (name.failing) spdlog::info("backend host {} can be resolved again", name.text);
  name.failing = false;
  std::vector<sockaddr_storage> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    std::memcpy(&addresses.emplace_back(), one->ai_addr, one->ai_addrlen);
  }
  const std::lock_guard lock(mutex_);
  addresses_[name.text] = std::move(addresses);
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
