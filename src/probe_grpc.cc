#include "src/probe_grpc.h"

#include <algorithm>
#include <array>

#include "conf/ascii.h"
#include "src/http/grpc.h"

namespace limpet {

namespace {

constexpr size_t kPrefix = 5;  // bytes in front of a message: whether it is compressed, and its size

std::string varint(uint64_t value) {
  std::string out;
  for (; value > 0x7f; value >>= 7) out += static_cast<char>(value | 0x80);
  return out += static_cast<char>(value);
}

std::optional<uint64_t> take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto octet = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    value |= uint64_t{octet & 0x7fu} << shift;
    if (octet < 0x80) return value;
  }
  return std::nullopt;
}

bool skip(std::string_view& bytes, uint64_t size) {
  if (size > bytes.size()) return false;
  bytes.remove_prefix(size);
  return true;
}

bool skip_field(std::string_view& bytes, uint64_t wire_type) {
  switch (wire_type) {
    case 0:
      return take_varint(bytes).has_value();
    case 1:
      return skip(bytes, 8);
    case 2: {
      const auto size = take_varint(bytes);
      return size && skip(bytes, *size);
    }
    case 5:
      return skip(bytes, 4);
    default:  // there are no groups in proto3
      return false;
  }
}

// The status in a HealthCheckResponse; nothing where that is none.
std::optional<uint64_t> serving_status(std::string_view message) {
  uint64_t status = 0;
  while (!message.empty()) {
    const auto key = take_varint(message);
    if (!key || *key >> 3 == 0) return std::nullopt;
    if (*key != (1 << 3 | 0)) {
      if (!skip_field(message, *key & 7)) return std::nullopt;
      continue;
    }
    const auto value = take_varint(message);
    if (!value) return std::nullopt;
    status = *value;
  }
  return status;
}

std::string_view find(const http::Fields& fields, std::string_view name) {
  for (const http::Field& field : fields.list)
    if (equals_ignoring_case(field.name, name)) return field.value;
  return {};
}

std::string failed_with(std::string_view grpc_status) {
  constexpr std::array<const char*, 17> kNames{
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto code = whole_number<uint32_t>(grpc_status);
  if (!code) return "the answer's grpc-status is no number";
  if (*code >= kNames.size()) return "answered the grpc-status " + std::to_string(*code);
  const std::string answered = std::string("answered the grpc-status ") + kNames[*code];
  if (*code == 5) return answered + ": it does not know the service";
  if (*code == 12) return answered + ": it does not serve grpc.health.v1";
  return answered;
}

}  // namespace

std::string grpc_health_request(std::string_view service) {
  std::string message;
  if (!service.empty()) message.append("\x0a").append(varint(service.size())).append(service);
  std::string out(1, '\0');  // not compressed
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(message.size() >> shift);
  return out + message;
}

void GrpcJudge::judge_head(uint16_t status, const http::Fields& fields) {
  if (is_asked_to_drain(fields)) return;
  if (status != 200) return decide(Kind::fail, "answered " + std::to_string(status));
  if (!http::is_grpc(find(fields, "content-type"))) return decide(Kind::fail, "the answer is not gRPC");
  head_status_ = find(fields, "grpc-status");
}

void GrpcJudge::judge_end(const http::Fields& trailers) {
  std::string_view status = find(trailers, "grpc-status");
  if (status.empty() && trailers.size() == 0 && content_.empty()) status = head_status_;
  if (status.empty()) return decide(Kind::fail, "the answer has no grpc-status");
  if (status != "0") return decide(Kind::fail, failed_with(status));
  judge_message();
}

void GrpcJudge::judge_message() {
  size_t size = 0;
  for (size_t i = 1; i < kPrefix && i < content_.size(); ++i)
    size = size << 8 | static_cast<uint8_t>(content_[i]);
  const bool is_one =
      content_.size() >= kPrefix && content_.front() == 0 && content_.size() == kPrefix + size;
  const auto status = is_one ? serving_status(std::string_view(content_).substr(kPrefix)) : std::nullopt;
  if (!status) return decide(Kind::fail, "the answer is no HealthCheckResponse");
  constexpr std::array<const char*, 4> kNames{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  if (*status == 1) return decide(Kind::pass);
  decide(Kind::fail, *status < kNames.size() ? std::string("answered ") + kNames[*status]
                                             : "answered a status that grpc.health.v1 does not have");
}

}  // namespace limpet
