// Asks over HTTP/2, a connection for one request, and reads the answer. Interim answers (1xx) are passed
// over.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "src/http/h2_session.h"
#include "src/probe_answer.h"

namespace limpet {

class ProbeH2 final : public ProbeAnswer, http::H2Session::Owner, http::H2Session::Stream {
 public:
  // `check` outlives it.
  ProbeH2(const conf::HealthCheck& check, std::string_view scheme);

  void ask(std::string_view request, std::string_view content) override;
  void say(net::Stream& stream) override;
  void take(std::string_view bytes) override;
  void end() override;
  void leave(net::Stream& stream) override;

  // Of a server of another protocol; `how` that shows.
  static health::CheckResult foreign(const std::string& how = {});

 private:
  void on_ping_answered() override {}
  void on_goaway(http::H2Error error) override { goaway_ = error; }
  void on_head(bool has_content) override;
  void on_content(std::string_view piece) override;
  void on_content_end() override;
  void on_closed(http::H2Error error, bool malformed) override;

  const std::string_view scheme_;
  const bool to_head_;  // the request's method is HEAD
  http::H2Session session_;
  std::string content_;  // the request's
  net::Gather out_;
  bool is_heard_ = false;  // something has come
  bool is_closed_ = false;
  std::optional<http::H2Error> goaway_;
};

}  // namespace limpet
