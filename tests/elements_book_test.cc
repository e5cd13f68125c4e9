// SPDX-License-Identifier: Apache-2.0 OR MIT
// encode_values() and decode_values() of the codebooks, exponents and f32.
#include "element/vector_cases.h"

TEST_CASE("codebooks and exponents: the vector codecs are the scalar ones on every target",
          "[elements]") {
  nibble_test::check_vector_codecs(nibble::book_elements{});
}
