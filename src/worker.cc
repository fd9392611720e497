#include "src/worker.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "src/net/dial.h"
#include "src/net/uv_stream.h"
#include "src/proxy/entrance.h"

namespace limpet {

// A listener's socket; and, once the listener has left the plan, the end of the connections that came by it.
class Worker::Door final : public net::Mortal, net::Acceptor, net::DeadlineOwner {
 public:
  Door(Worker& worker, proxy::ServedListener& listener)
      : worker_(worker), listener_(listener), deadline_(worker.loop_.deadlines(), *this) {}
  ~Door() override { close(); }

  bool open(const Update::Socket& socket, std::string& error) {
    net::Descriptors& descriptors = worker_.shared_.descriptors;
    socket_ = net::Listener::listen(worker_.loop_, socket.fd, listener_.settings, descriptors,
                                    {.leaves_reserves = true, .is_shared = socket.is_passed}, *this, error);
    return socket_ != nullptr;
  }
  const proxy::ServedListener& listener() const { return listener_; }
  bool is_over() const { return !listener_.listed && socket_ == nullptr && listener_.connections == 0; }

  void close() {
    if (socket_ != nullptr) std::exchange(socket_, nullptr)->close();
  }
  // Accepts no more but those that connect already; what is still under way after so long is cut.
  void close_in(net::Millis at_most) {
    if (cut_at_ != 0) return;
    socket_->turn_away();
    const net::Millis now = worker_.loop_.deadlines().now();
    cut_at_ = now + at_most;
    deadline_.set(now + kHandshake);
  }

 private:
  // For what can be given up: a look takes about a millisecond where that is much.
  static constexpr net::Millis kBetweenLooks = 10;
  static constexpr net::Millis kHandshake = 250;  // that long it takes nearly everybody at most

  void on_accepted(net::UvStream* stream, const conf::IpAddress& peer) override {
    worker_.accept(stream, peer, listener_);
  }
  // Each time that there may be something new to give up, not for each of a crowd.
  void on_shortage() override {
    const net::Millis now = worker_.loop_.deadlines().now();
    if (now < next_room_) return;
    next_room_ = now + kBetweenLooks;
    worker_.context_->give_up_idle(worker_.shared_.descriptors.for_clients());
  }
  void on_deadline() override {
    if (socket_ != nullptr) {
      socket_->turn_away();
      close();
      deadline_.set(cut_at_);
      return worker_.forget_those_over();
    }
    worker_.for_each([this](proxy::ClientConnection& client) {
      if (&client.listener() == &listener_) client.close_now();
    });
  }

  Worker& worker_;
  proxy::ServedListener& listener_;
  net::Deadline deadline_;
  net::Listener* socket_ = nullptr;
  net::Millis next_room_ = 0;
  net::Millis cut_at_ = 0;  // what came by it; 0: the listener is in the plan
};

namespace {

// What is under way at a listener that left the file is owed as much time as at the most patient backend.
net::Millis longest_drain(const conf::Settings& settings) {
  conf::Duration longest{};
  for (const conf::Pool& pool : settings.pools) longest = std::max(longest, pool.drain_timeout);
  return proxy::millis(longest);
}

}  // namespace

Worker::Worker(size_t index, const Shared& shared, std::shared_ptr<const proxy::Plan> plan,
               std::function<void()> on_done)
    : shared_(shared), index_(index), on_done_(std::move(on_done)) {
  if (shared_.access_log != nullptr) log_ = std::make_unique<AccessLogBuffer>(*shared_.access_log);
  proxy::Dialer& dialer = *this;
  context_ =
      std::make_unique<proxy::Context>(std::move(plan), index, loop_.deadlines(), loop_.graveyard(),
                                       loop_.polls(), files_, dialer, clock_, shared_.witness, log_.get());
  context_->process_number = shared_.process_number;
  uv_async_init(loop_.uv(), &wake_, [](uv_async_t* wake) { static_cast<Worker*>(wake->data)->on_wake(); });
  wake_.data = this;
  context_->permit_calls->open([this] { uv_async_send(&wake_); });
  shared_.descriptors.add(*this);
}

Worker::~Worker() {
  if (thread_.joinable()) {
    thread_.join();
  } else {
    context_->permit_calls->close();
    uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
  }
}

bool Worker::listen(const std::vector<Update::Socket>& sockets, std::string& error) {
  bool good = true;
  for (const Update::Socket& socket : sockets) {
    Door& door = *doors_.emplace_back(std::make_unique<Door>(*this, context_->listener(socket.listener)));
    good = door.open(socket, error) && good;
  }
  return good;
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::run() {
  pthread_setname_np(pthread_self(), ("worker " + std::to_string(index_)).c_str());  // as top(1) shows it
  loop_.run();
  if (log_) log_->flush();
  done_ = true;
  on_done_();
}

void Worker::follow(Update update) {
  const std::lock_guard lock(mutex_);
  updates_.push_back(std::move(update));
  uv_async_send(&wake_);
}

void Worker::shut_down() { wish(Wish::shut_down); }
void Worker::stop() { wish(Wish::stop); }

void Worker::wish(Wish what) {
  wish_ = what;
  uv_async_send(&wake_);
}

void Worker::ask() {
  ++asked_;
  uv_async_send(&wake_);
}

void Worker::make_room(int below) {
  int wanted = room_below_;
  while (wanted < below && !room_below_.compare_exchange_weak(wanted, below)) {
  }
  uv_async_send(&wake_);
}

void Worker::on_wake() {
  if (ending_) return;
  answered_ = asked_.load();
  take_updates();
  context_->permit_calls->deliver();
  if (const int below = room_below_.exchange(0); below != 0) give_up_idle(below);
  if (wish_ != Wish::serve) end();
}

// Where the kernel gives nobody a descriptor, although clients leave some: the limit is lower than it was.
// Those that had them by the old one and are idle go, so that operators get in.
void Worker::give_up_idle(int below) {
  context_->give_up_idle(below);
  if (below != net::kAnyDescriptor) return;
  const net::Descriptors& descriptors = shared_.descriptors;
  for_each([&](proxy::ClientConnection& client) {
    const int number = client.descriptor();
    if (number >= descriptors.for_clients() && number < descriptors.limit()) client.shut_down();
  });
}

void Worker::take_updates() {
  std::vector<Update> updates;
  {
    const std::lock_guard lock(mutex_);
    updates.swap(updates_);
  }
  for (Update& update : updates) take(std::move(update));
}

void Worker::take(Update update) {
  context_->follow(std::move(update.plan));
  std::string error;
  if (!listen(update.sockets, error)) spdlog::error("cannot listen on {}", error);
  // Last, so that an address that only becomes wider or narrower is listened at all the while.
  const net::Millis longest = longest_drain(context_->settings());
  for (const auto& door : doors_)
    if (!door->listener().listed) door->close_in(longest);
  for (const Update::Withdrawal& withdrawn : update.withdrawn) {
    const proxy::ServedPool* const pool = context_->find_pool(withdrawn.pool);
    if (pool == nullptr) continue;
    for_each([&](proxy::ClientConnection& client) { client.withdraw(*pool, withdrawn.slot); });
  }
}

// A door may stand in a call of its own.
void Worker::forget_those_over() {
  std::erase_if(doors_, [&](std::unique_ptr<Door>& door) {
    if (!door->is_over()) return false;
    context_->forget(door->listener());
    loop_.graveyard().bury(std::move(door));
    return true;
  });
}

void Worker::end() {
  for (const auto& door : doors_) door->close();
  context_->shutting_down = true;
  const bool now = wish_ == Wish::stop;
  for_each([&](proxy::ClientConnection& client) { now ? client.close_now() : client.shut_down(); });
  end_if_empty();
}

void Worker::end_if_empty() {
  if (!empty() || !context_->shutting_down || ending_) return;
  ending_ = true;
  context_->close_idle();
  context_->permit_calls->close();
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
  loop_.stop();
}

void Worker::accept(net::UvStream* stream, const conf::IpAddress& peer, proxy::ServedListener& listener) {
  http::Peer from{peer, peer == conf::IpAddress{} ? std::string() : peer.text(),
                  http::is_trusted(listener.settings, peer)};
  proxy::enter(*context_, listener, std::move(from), *this, net::StreamPtr(stream));
}

void Worker::on_client_closed() {
  forget_those_over();
  end_if_empty();
}

// Where descriptors or ports are short, what is kept for requests to come is given up for the one that is
// there.
net::StreamPtr Worker::dial(const conf::Address& address, unsigned index, net::StreamOwner* owner,
                            int& error) {
  const auto try_it = [&] {
    return net::dial(loop_, shared_.resolver, address, index, shared_.descriptors.for_backends(), owner,
                     error);
  };
  net::StreamPtr stream = try_it();
  if (stream || !net::is_shortage(error)) return stream;
  shared_.descriptors.look_again();
  context_->give_up_idle(net::kAnyDescriptor);
  stream = try_it();
  if (!stream && net::is_shortage(error))
    shared_.descriptors.met(net::Descriptors::Shortage::undialed, error);
  return stream;
}

size_t Worker::count(const conf::Address& address) const {
  return net::count_addresses(shared_.resolver, address);
}

}  // namespace limpet
