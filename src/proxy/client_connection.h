// A client's connection as its worker knows it, whatever is spoken on it.
#pragma once

#include "routing/fleet.h"
#include "src/net/deadlines.h"
#include "src/net/loop.h"
#include "src/proxy/admission.h"
#include "src/proxy/context.h"

namespace limpet::proxy {

class ClientConnection;

// Those of one worker.
class ClientConnections {
 public:
  bool empty() const { return first_ == nullptr; }
  // Each may close, and leave, when it is told.
  template <class Tell>
  void for_each(Tell&& tell);

 protected:
  ~ClientConnections() = default;

 private:
  friend class ClientConnection;
  virtual void on_client_closed() = 0;  // one has left

  ClientConnection* first_ = nullptr;  // the head of a list; each owns itself
};

class ClientConnection : public net::Mortal {
 public:
  static constexpr net::Millis kToBegin = 500;

  const ServedListener& listener() const { return listener_; }

  // Ends as soon as no request is under way. Where the process ends its first one has kToBegin to come:
  // whoever has just connected would not try again, as on a connection that was idle.
  virtual void shut_down() = 0;
  virtual void close_now() = 0;
  // What it has under way at this backend is cut.
  virtual void withdraw(const ServedPool& pool, routing::Slot slot) = 0;
  virtual int descriptor() const = 0;

 protected:
  // `listener` and what is in `context` outlive it. It owns itself, from now on, and is one of `home`.
  ClientConnection(Context& context, ServedListener& listener, ClientConnections& home, Admission admission);

  void leave();  // the last that it does

  Context& context_;
  ServedListener& listener_;
  ClientConnections& home_;
  Admission admission_;  // one that takes this one's place gets it

 private:
  friend class ClientConnections;
  ClientConnection* next_ = nullptr;  // neighbours in the list
  ClientConnection* prev_ = nullptr;
};

template <class Tell>
void ClientConnections::for_each(Tell&& tell) {
  for (ClientConnection* client = first_; client != nullptr;) {
    ClientConnection* const next = client->next_;
    tell(*client);
    client = next;
  }
}

}  // namespace limpet::proxy
