// One question to a backend, and the answer to it as it is read: see probe_h1.h and probe_h2.h.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "src/net/stream.h"
#include "src/probe_judge.h"

namespace limpet {

class ProbeAnswer {
 public:
  virtual ~ProbeAnswer() = default;

  // First of all. `request` is its head as HTTP/1.1 has it; it goes out by say().
  virtual void ask(std::string_view request, std::string_view content) = 0;
  virtual void say(net::Stream& stream) = 0;      // what there is to say now
  virtual void take(std::string_view bytes) = 0;  // that the server has sent
  virtual void end() = 0;                         // the server sends no more
  virtual void leave(net::Stream&) {}             // says that nothing more is wanted

  const ProbeJudge& judge() const { return *judge_; }

 protected:
  explicit ProbeAnswer(std::unique_ptr<ProbeJudge> judge) : judge_(std::move(judge)) {}

  const std::unique_ptr<ProbeJudge> judge_;
};

}  // namespace limpet
