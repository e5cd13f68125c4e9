// SPDX-License-Identifier: Apache-2.0 OR MIT
// encode_values() and decode_values() of the minifloats.
#include "element/vector_cases.h"

TEST_CASE("minifloats: the vector codecs are the scalar ones on every target", "[elements]") {
  nibble_test::check_vector_codecs(nibble::minifloat_elements{});
}
