#include "src/http/own_reply.h"

#include <cstdlib>

#include "src/http/field_name.h"
#include "src/http/head.h"

namespace limpet::http {

namespace {

enum class Form { text, html, json };

// RFC 9110, section 12.4.2.
double quality(std::string_view parameters) {
  double weight = 1;
  for_each_member<';'>(parameters, [&](std::string_view parameter) {
    if (equals_ignoring_case(parameter.substr(0, 2), "q="))
      weight = std::strtod(std::string(parameter.substr(2, 5)).c_str(), nullptr);
  });
  return weight;
}

bool is_json(std::string_view type) {
  constexpr std::string_view kSuffix = "+json";
  return equals_ignoring_case(type, "application/json") ||
         (type.size() > kSuffix.size() &&
          equals_ignoring_case(type.substr(type.size() - kSuffix.size()), kSuffix));
}

// The best of the three forms by Accept (RFC 9110, section 12.5.1); text when all are as good, or none is
// named.
Form preferred_form(std::string_view accept) {
  Form best = Form::text;
  double best_quality = 0;
  for_each_member(accept, [&](std::string_view member) {
    const std::string_view type = trimmed(member.substr(0, member.find(';')));
    Form form = Form::text;
    if (equals_ignoring_case(type, "text/html") || equals_ignoring_case(type, "application/xhtml+xml")) {
      form = Form::html;
    } else if (is_json(type)) {
      form = Form::json;
    } else if (!equals_ignoring_case(type, "text/plain") && !equals_ignoring_case(type, "text/*")) {
      return;
    }
    const double q = quality(member.substr(type.size()));
    if (q > best_quality) {
      best_quality = q;
      best = form;
    }
  });
  return best;
}

std::string make_body(Form form, const OwnReply& reply) {
  const std::string status = std::to_string(reply.status);
  const std::string_view reason = reason_phrase(reply.status);
  std::string body;
  switch (form) {
    case Form::html:
      body.append("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
      body.append(status).append(" ").append(reason).append("</title></head>\n<body><h1>");
      body.append(status).append(" ").append(reason).append("</h1><p>").append(reply.what).append("</p>");
      if (!reply.request_id.empty())
        body.append("<p>Request <code>").append(reply.request_id).append("</code></p>");
      return body.append("</body></html>\n");
    case Form::json:
      body.append("{\"status\":").append(status).append(",\"error\":\"").append(reason);
      body.append("\",\"detail\":\"").append(reply.what).append("\"");
      if (!reply.request_id.empty()) body.append(",\"request_id\":\"").append(reply.request_id).append("\"");
      return body.append("}\n");
    case Form::text:
      break;
  }
  body.append(status).append(" ").append(reason).append(": ").append(reply.what).append("\n");
  if (!reply.request_id.empty()) body.append("request ").append(reply.request_id).append("\n");
  return body;
}

std::string_view media_type(Form form) {
  switch (form) {
    case Form::html:
      return "text/html; charset=utf-8";
    case Form::json:
      return "application/json";
    case Form::text:
      break;
  }
  return "text/plain; charset=utf-8";
}

}  // namespace

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 417:
      return "Expectation Failed";
    case 425:
      return "Too Early";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 508:
      return "Loop Detected";
    default:
      return "";
  }
}

size_t write_own_reply(const OwnReply& reply, std::string& out) {
  const Form form = preferred_form(reply.accept);
  const bool has_content = reply.content.data() != nullptr;
  const std::string body = has_content ? std::string(reply.content) : make_body(form, reply);
  out.append("HTTP/1.1 ")
      .append(std::to_string(reply.status))
      .append(" ")
      .append(reason_phrase(reply.status))
      .append("\r\n");
  add_field(out, "Content-Type", has_content ? "application/octet-stream" : media_type(form));
  add_field(out, "Content-Length", std::to_string(body.size()));
  add_field(out, "Cache-Control", "no-store");
  if (!reply.request_id.empty()) add_field(out, "X-Request-Id", reply.request_id);
  if (!reply.location.empty()) add_field(out, "Location", reply.location);
  if (!reply.hsts.empty()) add_field(out, "Strict-Transport-Security", reply.hsts);
  if (reply.retry_after != 0) add_field(out, "Retry-After", std::to_string(reply.retry_after));
  if (reply.status == 405) add_field(out, "Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
  if (reply.close) {
    add_field(out, "Connection", "close");
  } else if (reply.keep_alive) {
    add_field(out, "Connection", "keep-alive");
  }
  add_field(out, "Date", reply.date);
  out.append("\r\n");
  if (reply.head_only) return 0;
  out.append(body);
  return body.size();
}

}  // namespace limpet::http
