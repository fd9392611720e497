#include "src/http/grpc.h"

#include <cstdint>

#include "conf/ascii.h"
#include "src/http/head.h"

namespace limpet::http {

namespace {

constexpr std::string_view kType = "application/grpc";

// As client libraries read a status that is HTTP's alone (doc/http-grpc-status-mapping.md); and what they
// would have no word for.
int grpc_status(int status) {
  constexpr int kUnknown = 2, kDeadlineExceeded = 4, kPermissionDenied = 7, kResourceExhausted = 8,
                kUnimplemented = 12, kInternal = 13, kUnavailable = 14, kUnauthenticated = 16;
  switch (status) {
    case 400:
      return kInternal;
    case 401:
      return kUnauthenticated;
    case 403:
      return kPermissionDenied;
    case 404:
    case 501:
      return kUnimplemented;
    case 408:
    case 504:
      return kDeadlineExceeded;
    case 413:
    case 431:
      return kResourceExhausted;
    case 429:
    case 502:
    case 503:
      return kUnavailable;
    default:
      return kUnknown;
  }
}

}  // namespace

bool is_grpc(std::string_view content_type) {
  const std::string_view type = trimmed(content_type.substr(0, content_type.find(';')));
  if (!equals_ignoring_case(type.substr(0, kType.size()), kType)) return false;
  return type.size() == kType.size() || type[kType.size()] == '+';
}

std::optional<std::chrono::milliseconds> grpc_timeout(std::string_view value) {
  constexpr size_t kMostDigits = 8;
  if (value.size() < 2 || value.size() > kMostDigits + 1) return std::nullopt;
  const auto count = whole_number<uint32_t>(value.substr(0, value.size() - 1));
  if (!count) return std::nullopt;
  const int64_t n = *count;
  using std::chrono::milliseconds;
  switch (value.back()) {
    case 'H':
      return milliseconds(n * 3'600'000);
    case 'M':
      return milliseconds(n * 60'000);
    case 'S':
      return milliseconds(n * 1000);
    case 'm':
      return milliseconds(n);
    case 'u':
      return milliseconds(n / 1000);
    case 'n':
      return milliseconds(n / 1'000'000);
    default:
      return std::nullopt;
  }
}

// What Limpet says is printable ASCII without a percent sign, as grpc-message has to be.
GrpcStatus::GrpcStatus(int status, std::string_view what)
    : code(std::to_string(grpc_status(status))), message(std::to_string(status).append(": ").append(what)) {}

void write_grpc_reply(const OwnReply& reply, std::string& out) {
  const GrpcStatus status(reply.status, reply.what);
  out.append("HTTP/1.1 200 OK\r\n");
  add_field(out, "Content-Type", kType);
  add_field(out, "grpc-status", status.code);
  add_field(out, "grpc-message", status.message);
  if (!reply.request_id.empty()) add_field(out, "X-Request-Id", reply.request_id);
  if (reply.retry_after != 0) add_field(out, "Retry-After", std::to_string(reply.retry_after));
  add_field(out, "Date", reply.date);
  out.append("\r\n");
}

}  // namespace limpet::http
