#include "src/access_format.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <initializer_list>

#include "conf/utf8.h"

namespace limpet {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr size_t kMostPerByte = 6;  // \u00xx
// Names of fields, quotes, numbers at their longest and the date: 496 bytes, rounded up.
constexpr size_t kMostBeside = 512;
constexpr uint64_t kLastSecond = 253'402'300'799;  // 9999-12-31T23:59:59: years have four digits

template <size_t N>
char* put(char* to, const char (&literal)[N]) {
  std::memcpy(to, literal, N - 1);
  return to + N - 1;
}

char* put(char* to, std::string_view text) {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

template <typename Integer>
char* put_number(char* to, Integer value) {
  return std::to_chars(to, to + 20, value).ptr;
}

template <size_t kDigits>
char* put_digits(char* to, uint64_t value) {
  for (size_t i = kDigits; i-- > 0; value /= 10) to[i] = static_cast<char>('0' + value % 10);
  return to + kDigits;
}

char* put_ms(char* to, int64_t us) {
  if (us < 0) return put(to, "null");
  to = put_number(to, us / 1000);
  *to++ = '.';
  return put_digits<3>(to, static_cast<uint64_t>(us % 1000));
}

constexpr bool is_plain(unsigned char byte) {
  return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

// Whether any of eight bytes is not plain. With its top bit set, a byte of `t` never borrows from the next
// one; what is subtracted clears that bit where the byte is below 0x20, or where it is what it was compared
// with.
inline bool has_special(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101, kTops = 0x8080808080808080;
  const uint64_t t = word | kTops;
  const uint64_t plain = (t - kOnes * 0x20) & ((t ^ kOnes * '"') - kOnes) & ((t ^ kOnes * '\\') - kOnes) &
                         ((t ^ kOnes * 0x7f) - kOnes) & ~word;
  return (plain & kTops) != kTops;
}

// Copies what is plain from the start of `text`, and says how many bytes that was. Takes eight at a time, and
// the last ones as part of the last eight or four; only a short rest, or what is before a special byte, goes
// byte by byte.
size_t copy_plain(std::string_view text, char* to) {
  const char* const from = text.data();
  const size_t size = text.size();
  size_t done = 0;
  uint64_t word;
  for (; size - done >= 8; done += 8) {
    std::memcpy(&word, from + done, 8);
    if (has_special(word)) break;
    std::memcpy(to + done, &word, 8);
  }
  if (done == size) return size;
  if (size >= 8 && size - done < 8) {
    std::memcpy(&word, from + size - 8, 8);
    if (!has_special(word)) {
      std::memcpy(to + size - 8, &word, 8);
      return size;
    }
  } else if (size >= 4 && size < 8) {
    uint32_t head, tail;
    std::memcpy(&head, from, 4);
    std::memcpy(&tail, from + size - 4, 4);
    if (!has_special(head | static_cast<uint64_t>(tail) << 32)) {
      std::memcpy(to, &head, 4);
      std::memcpy(to + size - 4, &tail, 4);
      return size;
    }
  }
  for (; done < size && is_plain(static_cast<unsigned char>(from[done])); done++) to[done] = from[done];
  return done;
}

char* put_unit(char* to, uint32_t unit) {
  to = put(to, "\\u");
  for (int shift = 12; shift >= 0; shift -= 4) *to++ = kHex[unit >> shift & 15];
  return to;
}

// Writes the first character of `text`, which is not plain, and says how many bytes of `text` that was. A
// byte that is not UTF-8 is written as the character of the same number.
size_t escape_for_json(std::string_view text, char*& to) {
  if (text[0] == '"' || text[0] == '\\') {
    *to++ = '\\';
    *to++ = text[0];
    return 1;
  }
  const conf::Character character = conf::first_character(text);
  if (character.size == 0) {
    to = put_unit(to, static_cast<unsigned char>(text[0]));
    return 1;
  }
  if (conf::is_shown(character.code)) {
    to = put(to, text.substr(0, character.size));
  } else if (character.code < 0x10000) {
    to = put_unit(to, character.code);
  } else {
    to = put_unit(to, 0xd800 + ((character.code - 0x10000) >> 10));
    to = put_unit(to, 0xdc00 + ((character.code - 0x10000) & 0x3ff));
  }
  return character.size;
}

// As Apache httpd's mod_log_config writes what a client sent.
size_t escape_for_combined(std::string_view text, char*& to) {
  constexpr std::string_view kRaw = "\"\\\b\n\r\t\v", kNamed = "\"\\bnrtv";
  const auto byte = static_cast<unsigned char>(text[0]);
  *to++ = '\\';
  if (const size_t at = kRaw.find(text[0]); at != std::string_view::npos) {
    *to++ = kNamed[at];
    return 1;
  }
  *to++ = 'x';
  *to++ = kHex[byte >> 4];
  *to++ = kHex[byte & 15];
  return 1;
}

template <typename Escape>
char* put_escaped(char* to, std::string_view text, Escape escape) {
  for (;;) {
    const size_t plain = copy_plain(text, to);
    to += plain;
    text.remove_prefix(plain);
    if (text.empty()) return to;
    text.remove_prefix(escape(text, to));
  }
}

char* put_text(char* to, std::string_view text) {
  *to++ = '"';
  to = put_escaped(to, text, escape_for_json);
  *to++ = '"';
  return to;
}

char* put_or_dash(char* to, std::string_view text) {
  return text.empty() ? put(to, "-") : put_escaped(to, text, escape_for_combined);
}

}  // namespace

size_t AccessFormatter::most_bytes(const AccessRecord& record) {
  size_t bytes = 0;
  for (const std::string_view text :
       {record.client, record.listener, record.method, record.target, record.host, record.protocol,
        record.referer, record.user_agent, record.pool, record.backend, record.affinity, record.reason,
        record.request_id, record.trace_id, record.end}) {
    bytes += text.size();
  }
  return bytes * kMostPerByte + kMostBeside;
}

char* AccessFormatter::write(const AccessRecord& record, char* to) {
  const uint64_t second = std::min(record.time_us / 1'000'000, kLastSecond);
  if (second != second_) remember(second);
  return format_ == conf::AccessFormat::json ? write_json(record, to) : write_combined(record, to);
}

char* AccessFormatter::write_json(const AccessRecord& record, char* to) const {
  to = put(to, "{\"time\":\"");
  to = put(to, std::string_view(date_, kJsonDate));
  *to++ = '.';
  to = put_digits<3>(to, record.time_us / 1000 % 1000);
  to = put_text(put(to, "Z\",\"client\":"), record.client);
  to = put_text(put(to, ",\"listener\":"), record.listener);
  to = put_text(put(to, ",\"method\":"), record.method);
  to = put_text(put(to, ",\"target\":"), record.target);
  to = put_text(put(to, ",\"host\":"), record.host);
  to = put_text(put(to, ",\"protocol\":"), record.protocol);
  to = put_number(put(to, ",\"status\":"), record.status);
  to = put_number(put(to, ",\"bytes_in\":"), record.bytes_in);
  to = put_number(put(to, ",\"bytes_out\":"), record.bytes_out);
  to = put_ms(put(to, ",\"queued_ms\":"), record.queued_us);
  to = put_ms(put(to, ",\"connect_ms\":"), record.connect_us);
  to = put_ms(put(to, ",\"head_ms\":"), record.head_us);
  to = put_ms(put(to, ",\"total_ms\":"), record.total_us);
  to = put_text(put(to, ",\"pool\":"), record.pool);
  to = put_text(put(to, ",\"backend\":"), record.backend);
  to = put_text(put(to, ",\"affinity\":"), record.affinity);
  to = put_text(put(to, ",\"reason\":"), record.reason);
  to = put_number(put(to, ",\"retries\":"), record.retries);
  to = put_text(put(to, ",\"request_id\":"), record.request_id);
  to = put(to, ",\"trace_id\":");
  to = record.trace_id.empty() ? put(to, "null") : put_text(to, record.trace_id);
  to = put_text(put(to, ",\"end\":"), record.end);
  return put(to, "}\n");
}

char* AccessFormatter::write_combined(const AccessRecord& record, char* to) const {
  to = put_or_dash(to, record.client);
  to = put(to, " - - [");
  to = put(to, std::string_view(date_, kCombinedDate));
  to = put(to, " +0000] \"");
  to = put_or_dash(to, record.method);
  if (!record.method.empty()) {
    *to++ = ' ';
    to = put_or_dash(to, record.target);
    *to++ = ' ';
    to = put_or_dash(to, record.protocol);
  }
  to = put_number(put(to, "\" "), record.status);
  *to++ = ' ';
  to = record.bytes_out == 0 ? put(to, "-") : put_number(to, record.bytes_out);
  to = put_or_dash(put(to, " \""), record.referer);
  to = put_or_dash(put(to, "\" \""), record.user_agent);
  return put(to, "\"\n");
}

void AccessFormatter::remember(uint64_t second) {
  using std::chrono::days, std::chrono::seconds;
  second_ = second;
  const std::chrono::sys_seconds time{seconds{second}};
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date{day};
  const auto in_day = static_cast<uint64_t>((time - day).count());
  const auto year = static_cast<uint64_t>(static_cast<int>(date.year()));
  const auto month = static_cast<unsigned>(date.month()), day_of_month = static_cast<unsigned>(date.day());
  char* to = date_;
  if (format_ == conf::AccessFormat::json) {
    to = put_digits<4>(to, year);
    *to++ = '-';
    to = put_digits<2>(to, month);
    *to++ = '-';
    to = put_digits<2>(to, day_of_month);
    *to++ = 'T';
  } else {
    constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
    to = put_digits<2>(to, day_of_month);
    *to++ = '/';
    to = put(to, kMonths.substr((month - 1) * 3, 3));
    *to++ = '/';
    to = put_digits<4>(to, year);
    *to++ = ':';
  }
  to = put_digits<2>(to, in_day / 3600);
  *to++ = ':';
  to = put_digits<2>(to, in_day / 60 % 60);
  *to++ = ':';
  put_digits<2>(to, in_day % 60);
}

}  // namespace limpet
