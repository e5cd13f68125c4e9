// SPDX-License-Identifier: Apache-2.0 OR MIT
// result<T>: a value or an error, also of types that can only be moved.
#include "nibble/core/errors.h"

#include <memory>
#include <string>

#include "support/catch.h"

using nibble::errc;
using nibble::result;

namespace {

using owner = std::unique_ptr<int>;
result<owner> make(int v) {
  if (v < 0) return errc::invalid_argument;
  return std::make_unique<int>(v);
}
result<std::string> text(bool there) {
  if (!there) return errc::not_found;
  return std::string("text");
}

}  // namespace

TEST_CASE("a value that can only be moved leaves a temporary result") {
  owner a = *make(3);
  CHECK(*a == 3);
  const auto b = make(4).value();
  CHECK(*b == 4);
  auto named = make(5);
  owner c = *std::move(named);
  CHECK(*c == 5);
  CHECK(**make(6) == 6);
  CHECK(make(7)->get() != nullptr);
  CHECK(text(true)->size() == 4);
}

TEST_CASE("a result is read where it is") {
  auto r = text(true);
  REQUIRE(r);
  *r += "s";
  CHECK(r->size() == 5);
  const auto& same = r;
  CHECK(*same == "texts");
  CHECK(same->back() == 's');
  CHECK(&*same == &r.value());
}

TEST_CASE("value_or gives the value or the other one") {
  CHECK(text(true).value_or("none") == "text");
  CHECK(text(false).value_or("none") == "none");
  const auto r = text(false);
  CHECK(r.value_or(std::string("other")) == "other");
  CHECK(r.error() == errc::not_found);
  CHECK(*make(-1).value_or(std::make_unique<int>(9)) == 9);
  CHECK(*make(2).value_or(nullptr) == 2);
}

TEST_CASE("what is moved is not copied, and constants stay constant") {
  STATIC_REQUIRE(std::is_same_v<decltype(*make(1)), owner&&>);
  STATIC_REQUIRE(std::is_same_v<decltype(*std::declval<result<owner>&>()), owner&>);
  STATIC_REQUIRE(std::is_same_v<decltype(*std::declval<const result<owner>&>()), const owner&>);
}

TEST_CASE("every error has a message of its own") {
  for (unsigned i = 0; i <= static_cast<unsigned>(errc::invalid_argument); ++i) {
    const std::string m = message(static_cast<errc>(i));
    CHECK(m != "unknown error");
    for (unsigned j = 0; j < i; ++j) CHECK(m != message(static_cast<errc>(j)));
  }
  CHECK(std::string(message(static_cast<errc>(200))) == "unknown error");
}
