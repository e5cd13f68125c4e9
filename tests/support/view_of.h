// SPDX-License-Identifier: Apache-2.0 OR MIT
// From the sections of the run-time table to a typed view of a quantized matrix.
#ifndef NIBBLE_TESTS_SUPPORT_VIEW_OF_H_
#define NIBBLE_TESTS_SUPPORT_VIEW_OF_H_

#include <algorithm>

#include "nibble/format/storage.h"

namespace nibble_test {
namespace detail {

template <class F, class Byte>
auto view_of(const nibble::basic_section<Byte>* parts, std::size_t rows, std::size_t cols) {
  using view_format = std::conditional_t<std::is_const_v<Byte>, const F, F>;
  nibble::quantized_view<view_format> view;
  std::copy_n(parts, nibble::num_sections<F>, view.sections.begin());
  view.rows = rows;
  view.cols = cols;
  return view;
}

}  // namespace detail
}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_VIEW_OF_H_
