// The readers of single values; what a reader is, reader.h says.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/reader.h"
#include "conf/settings.h"
#include "conf/words.h"

namespace limpet::conf {

struct Boolean {
  std::string accepted() const { return "true or false"; }
  void operator()(const At& at, bool& out) const;
};

struct SecureCookie {
  std::string accepted() const { return "true, false or \"auto\""; }
  void operator()(const At& at, Secure& out) const;
};

struct Integer {
  int64_t least, most;

  std::string accepted() const;
  template <std::unsigned_integral T>
  void operator()(const At& at, T& out) const {
    int64_t number;
    if (read(at, number)) out = static_cast<T>(number);
  }
  bool read(const At& at, int64_t& out) const;
};

// Bytes: "32KiB" or a plain integer.
struct Size {
  uint64_t least, most;
  std::string_view zero = "";  // what 0 means, when it may be given although `least` is more

  std::string accepted() const;
  void operator()(const At& at, uint64_t& out) const;
};

// "1m30s"; never a plain number, whose unit would be a guess.
struct Span {
  Duration least, most;
  std::string_view zero = "";  // what 0 means, when it may be given although `least` is more

  std::string accepted() const;
  void operator()(const At& at, Duration& out) const;
};

// One word of several.
template <class E>
struct Word {
  std::vector<Named<E>> named;

  std::string accepted() const {
    std::string out;
    for (const Named<E>& each : named) out += (out.empty() ? "" : ", ") + in_quotes(each.word);
    return out;
  }
  void operator()(const At& at, E& out) const {
    if (at.value.kind != Value::Kind::string) return at.wrong_type(accepted());
    std::vector<std::string> words;
    for (const Named<E>& each : named) {
      if (each.word == at.value.string) return void(out = each.value);
      words.emplace_back(each.word);
    }
    const auto meant = nearest(at.value.string, words);
    at.fault(
        "unknown word " + in_quotes(at.value.string) + (meant ? ", did you mean \"" + *meant + "\"?" : ""),
        accepted());
  }
};

// One of the type's own.
template <class E>
Word<E> word() {
  return {{kWords<E>.begin(), kWords<E>.end()}};
}

// A text that `parse` understands.
template <class T>
struct Text {
  Parsed<T> (*parse)(std::string_view);
  std::string_view what;

  std::string accepted() const { return std::string(what); }
  void operator()(const At& at, T& out) const {
    if (at.value.kind != Value::Kind::string) return at.wrong_type(accepted());
    Parsed<T> parsed = parse(at.value.string);
    if (T* value = parsed.value()) {
      out = std::move(*value);
    } else {
      at.fault(in_quotes(at.value.string) + " " + parsed.what(), accepted());
    }
  }
};

// A text that `parse` understands. Its faults never show the value.
struct Secret {
  Parsed<std::string> (*parse)(std::string_view);
  std::string_view what;

  std::string accepted() const { return std::string(what); }
  void operator()(const At& at, std::string& out) const;
};

// One HTTP status code or a range of them: 204, "204" or "200-399".
struct StatusCodes {
  std::string accepted() const { return "a status code from 100 to 599, 204, or a range, \"200-399\""; }
  void operator()(const At& at, StatusRange& out) const;
};

// What `item` reads, alone or in a list of at least one.
template <class Item>
struct OneOrMore {
  Item item;

  std::string accepted() const { return item.accepted() + ", or a list of these"; }
  template <class T>
  void operator()(const At& at, std::vector<T>& out) const {
    if (at.value.kind != Value::Kind::list) {
      T one{};
      item(at, one);
      out = {one};
    } else if (at.value.items.empty()) {
      at.fault("is empty", accepted());
    } else {
      List<Item>{item, "a list"}(at, out);
    }
  }
};

}  // namespace limpet::conf
