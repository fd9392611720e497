// What reading a text gives: a value, or what is wrong with the text.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace limpet::conf {

// The end of a sentence that begins with the text, "has no port", and does not repeat the text.
struct Wrong {
  std::string what;
};

template <class T>
class Parsed {
 public:
  Parsed(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Parsed(Wrong wrong) : held_(std::in_place_index<1>, std::move(wrong)) {}

  T* value() { return std::get_if<0>(&held_); }
  const std::string& what() const { return std::get<1>(held_).what; }

 private:
  std::variant<T, Wrong> held_;
};

}  // namespace limpet::conf
