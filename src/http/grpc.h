// What a balancer knows of gRPC over HTTP/2 (its protocol: github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "src/http/own_reply.h"

namespace limpet::http {

// Content-Type says "application/grpc", or that with a subtype; grpc-web speaks like any other application.
bool is_grpc(std::string_view content_type);

// How long the client waits, by grpc-timeout; none: it is not said, or not so that it can be read.
std::optional<std::chrono::milliseconds> grpc_timeout(std::string_view value);

// What a client library makes an error of: grpc-status and grpc-message, of what HTTP says by `status`.
struct GrpcStatus {
  GrpcStatus(int status, std::string_view what);
  std::string code;
  std::string message;
};

// Appends the head of an answer that is a head alone.
void write_grpc_reply(const OwnReply& reply, std::string& out);

}  // namespace limpet::http
