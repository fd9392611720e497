// Checks of kind grpc: the call Check of grpc.health.v1.Health, and what its answer comes to:
//     the field "X-Limpet-State: drain"          -> drain
//     the grpc-status OK, and SERVING in its message  -> pass
//     else                                       -> fail
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/probe_judge.h"

namespace limpet {

inline constexpr std::string_view kGrpcHealthPath = "/grpc.health.v1.Health/Check";

// The request's content: one message, of a HealthCheckRequest.
std::string grpc_health_request(std::string_view service);

class GrpcJudge final : public ProbeJudge {
 public:
  explicit GrpcJudge(const conf::HealthCheck& check) : ProbeJudge(check) {}

 private:
  void judge_head(uint16_t status, const http::Fields& fields) override;
  void judge_content(std::string_view piece) override { content_.append(piece); }
  void judge_end(const http::Fields& trailers) override;
  const char* too_long() const override { return "the answer is larger than 64 KiB"; }

  void judge_message();

  std::string head_status_;  // that the head says; it counts where nothing follows that
  std::string content_;
};

}  // namespace limpet
