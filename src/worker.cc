#include "src/worker.h"

#include "src/net/socket_address.h"
#include "src/net/uv_stream.h"

namespace limpet {

Worker::Worker(const Shared& shared, std::vector<int> sockets, std::function<void()> on_done)
    : shared_(shared), sockets_(std::move(sockets)), on_done_(std::move(on_done)) {
  if (shared_.access_log != nullptr) log_ = std::make_unique<AccessLogBuffer>(*shared_.access_log);
  proxy::Dialer& dialer = *this;
  context_ =
      std::make_unique<proxy::Context>(shared_.settings, shared_.routes, shared_.routers, loop_.deadlines(),
                                       loop_.graveyard(), dialer, clock_, log_.get());
  uv_async_init(loop_.uv(), &wake_, [](uv_async_t* wake) { static_cast<Worker*>(wake->data)->on_wish(); });
  wake_.data = this;
}

Worker::~Worker() {
  if (thread_.joinable()) {
    thread_.join();
  } else {
    for (net::Listener* listener : listeners_) listener->close();
    uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
  }
}

bool Worker::listen(std::string& error) {
  for (size_t i = 0; i < sockets_.size(); ++i) {
    net::Listener* const made =
        net::Listener::listen(loop_, sockets_[i], shared_.settings.listeners[i], *this, error);
    if (made == nullptr) return false;
    listeners_.push_back(made);
  }
  return true;
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::run() {
  loop_.run();
  if (log_) log_->flush();
  done_ = true;
  on_done_();
}

void Worker::shut_down() { wish(Wish::shut_down); }
void Worker::stop() { wish(Wish::stop); }

void Worker::wish(Wish what) {
  wish_ = what;
  uv_async_send(&wake_);
}

void Worker::on_wish() {
  const Wish wanted = wish_;
  if (wanted == Wish::serve || ending_) return;
  for (net::Listener* listener : listeners_) listener->close();
  listeners_.clear();
  context_->shutting_down = true;
  for (proxy::ClientConnection* client = clients_; client != nullptr;) {
    proxy::ClientConnection* const next = client->next_;
    if (wanted == Wish::stop) {
      client->close_now();
    } else {
      client->shut_down();
    }
    client = next;
  }
  end_if_empty();
}

void Worker::end_if_empty() {
  if (clients_ != nullptr || !context_->shutting_down || ending_) return;
  ending_ = true;
  for (auto& pool : context_->pools) pool->connections.close_idle();
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
  loop_.stop();
}

void Worker::on_accepted(net::UvStream* stream, const conf::IpAddress& peer, const conf::Listener& listener) {
  http::Peer from{peer, peer == conf::IpAddress{} ? std::string() : peer.text(),
                  http::is_trusted(listener, peer)};
  auto* const client = new proxy::ClientConnection(*context_, listener, std::move(from), *this);
  client->next_ = clients_;
  if (clients_ != nullptr) clients_->prev_ = client;
  clients_ = client;
  client->attach(net::StreamPtr(stream));
  stream->start(client->as_owner());
}

void Worker::on_client_closed(proxy::ClientConnection& connection) {
  if (connection.prev_ != nullptr) {
    connection.prev_->next_ = connection.next_;
  } else {
    clients_ = connection.next_;
  }
  if (connection.next_ != nullptr) connection.next_->prev_ = connection.prev_;
  end_if_empty();
}

net::StreamPtr Worker::dial(const conf::Address& address, unsigned attempt, net::StreamOwner* owner,
                            int& error) {
  error = 0;
  if (address.kind == conf::Address::Kind::unix_socket) {
    return attempt == 0 ? net::StreamPtr(net::UvStream::connect_unix(loop_, address.host, owner)) : nullptr;
  }
  sockaddr_storage where{};
  if (address.kind == conf::Address::Kind::host) {
    if (!shared_.resolver.find(address.host, attempt, address.port, where)) return nullptr;
  } else if (attempt != 0 || !net::to_sockaddr(address.host, address.port, where)) {
    return nullptr;
  }
  return net::StreamPtr(
      net::UvStream::connect(loop_, reinterpret_cast<const sockaddr*>(&where), owner, error));
}

}  // namespace limpet
