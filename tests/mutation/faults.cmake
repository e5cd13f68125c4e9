# SPDX-License-Identifier: Apache-2.0 OR MIT
# The faults: fault(<name> <area> <header> <text> <text instead> <programs that should see it>
# [<why no test can see it>]). The text must be in the header exactly once, else the check stops: a
# change of the code has to take its faults along. Programs: probes.cmake.

# --- element
fault(integer_low element element/integer.h
  [==[v < Low ? Low :]==]
  [==[v < Low ? Low + 1 :]==]
  "elements")
fault(integer_high element element/integer.h
  [==[v > High ? High : v]==]
  [==[v > High ? High - 1 : v]==]
  "elements")
fault(integer_nan element element/integer.h
  [==[if (p.is_nan()) return zero_code;]==]
  [==[if (p.is_nan()) return 1;]==]
  "elements")
fault(integer_far element element/integer.h
  [==[int v = 1 << 16;]==]
  [==[int v = 0;]==]
  "elements;element")
fault(integer_sign element element/integer.h
  [==[if (p.negative) v = -v;]==]
  [==[]==]
  "elements")
fault(integer_point element element/integer.h
  [==[150 - p.exponent - FractionBits]==]
  [==[149 - p.exponent - FractionBits]==]
  "elements")
fault(integer_mask element element/integer.h
  [==[(c & ((1u << Bits) - 1))]==]
  [==[(c)]==]
  "elements;element")
fault(round_even_code element element/element.h
  [==[(rest == half && (q & 1) != 0)]==]
  [==[(rest == half && (q & 1) == 0)]==]
  "elements")
fault(round_tie element element/element.h
  [==[rest > half || (rest == half]==]
  [==[rest >= half || (rest == half]==]
  "elements")
fault(round_up_negative element element/element.h
  [==[up = negative ? rest > half : rest >= half]==]
  [==[up = rest >= half]==]
  "elements")
fault(round_far element element/element.h
  [==[if (shift > 25) shift = 25;]==]
  [==[if (shift > 24) shift = 24;]==]
  "elements;element")
fault(subnormal_exponent element element/element.h
  [==[      exponent = 1;]==]
  [==[      exponent = 0;]==]
  "elements;element")
fault(hidden_bit element element/element.h
  [==[significand |= 0x00800000;]==]
  [==[significand |= 0x00400000;]==]
  "elements")
fault(minifloat_block element element/minifloat.h
  [==[p.exponent - 128 + Bias]==]
  [==[p.exponent - 127 + Bias]==]
  "elements")
fault(minifloat_overflow element element/minifloat.h
  [==[if (magnitude > max_code) {]==]
  [==[if (magnitude >= max_code) {]==]
  "elements")
fault(minifloat_special element element/minifloat.h
  [==[policy.over == overflow::to_special ? special_code : max_code]==]
  [==[policy.over == overflow::to_special ? max_code : special_code]==]
  "elements")
fault(minifloat_subnormal element element/minifloat.h
  [==[shift -= block;]==]
  [==[shift -= block - 1;]==]
  "elements")
fault(minifloat_unsigned element element/minifloat.h
  [==[if (!Signed && p.negative) return 0;]==]
  [==[if (!Signed && p.negative) return 1;]==]
  "elements")
fault(minifloat_nan_sign element element/minifloat.h
  [==[p.negative && has_nan]==]
  [==[p.negative]==]
  "elements")
fault(minifloat_negative_zero element element/minifloat.h
  [==[magnitude == 0 || magnitude == special_code]==]
  [==[magnitude == special_code]==]
  "elements")
fault(minifloat_decode element element/minifloat.h
  [==[(static_cast<std::uint32_t>(127 - Bias) << 23);]==]
  [==[(static_cast<std::uint32_t>(126 - Bias) << 23);]==]
  "elements")
fault(minifloat_decode_subnormal element element/minifloat.h
  [==[- (31 - MantissaBits);]==]
  [==[- (30 - MantissaBits);]==]
  "elements")
fault(minifloat_quiet element element/minifloat.h
  [==[(inf ? 0 : detail::f32_quiet)]==]
  [==[0]==]
  "elements;element;golden")
fault(book_search element element/codebook.h
  [==[x > boundary[rank + half - 1] ? half : 0]==]
  [==[x >= boundary[rank + half - 1] ? half : 0]==]
  "elements")
fault(book_half element element/codebook.h
  [==[(left + 1) / 2]==]
  [==[left / 2 + (left == 1)]==]
  "elements"
  "any way to halve a sorted list ends at the same rank")
fault(book_equal element element/codebook.h
  [==[for (std::size_t i = s.size; i > at; --i) s.codes[i] = s.codes[i - 1];]==]
  [==[for (std::size_t i = s.size; i > at + 1; --i) s.codes[i] = s.codes[i - 1];]==]
  "elements")
fault(book_nan element element/codebook.h
  [==[if (detail::is_nan(x)) return zero_code;]==]
  [==[if (detail::is_nan(x)) return 0;]==]
  "elements;element")
fault(exponent_tie element element/exponent.h
  [==[(fraction == half && (c & 1) != 0)]==]
  [==[(fraction == half && (c & 1) == 0)]==]
  "elements")
fault(exponent_subnormal element element/exponent.h
  [==[e = -126 - up;]==]
  [==[e = -127 - up;]==]
  "elements")
fault(exponent_zero element element/exponent.h
  [==[c == 0 || c == 0xFF ? 0x00400000 : 0]==]
  [==[c == 0xFF ? 0x00400000 : 0]==]
  "elements")
fault(exponent_top element element/exponent.h
  [==[if (c > 0xFE) return]==]
  [==[if (c > 0xFF) return]==]
  "elements;element;golden")

# --- format
fault(bits_load format format/bits.h
  [==[((1u << p.width) - 1)) << p.to;]==]
  [==[((1u << p.width) - 1));]==]
  "bits")
fault(bits_store format format/bits.h
  [==[(bytes[p.byte] & ~mask)]==]
  [==[(bytes[p.byte])]==]
  "bits")
fault(bits_to format format/bits.h
  [==[to += width;]==]
  [==[to += 1;]==]
  "bits")
fault(bits_plane format format/bits.h
  [==[byte += 2 * static_cast]==]
  [==[byte += static_cast]==]
  "bits")
fault(bits_base3 format format/bits.h
  [==[& 255u) * 3u) >> 8]==]
  [==[& 127u) * 3u) >> 8]==]
  "bits")
fault(extent_flat format format/extent.h
  [==[if (flat) return {1, ceil_div(num_rows * num_cols, cols)};]==]
  [==[if (flat) return {1, ceil_div(num_cols, cols)};]==]
  "block")
fault(extent_round_up format format/extent.h
  [==[n / d + (n % d != 0)]==]
  [==[n / d + (n % d > 1)]==]
  "block")
fault(record_cols format format/codes.h
  [==[b * per_record + i < cols; ++i]==]
  [==[b * per_record + i <= cols; ++i]==]
  "gguf")
fault(record_base3 format format/codes.h
  [==[(256 * number[b] + 242) / 243]==]
  [==[(256 * number[b] + 241) / 243]==]
  "gguf")
fault(record_clear format format/codes.h
  [==[std::memset(record, 0, F::block_bytes);]==]
  [==[]==]
  "gguf;quantize_pieces")
fault(layout_nvfp4 format format/gguf.h
  [==[piece(4 + 8 * (i / 16) + i % 8, 4 * (i / 8 % 2), 4)]==]
  [==[piece(4 + 8 * (i / 16) + i % 8, 4 * (1 - i / 8 % 2), 4)]==]
  "gguf;gguf_golden")
fault(layout_sequential format format/gguf.h
  [==[piece(2 + i * Bits / 8, i * Bits % 8]==]
  [==[piece(2 + i * Bits / 8, (8 - Bits) - i * Bits % 8]==]
  "gguf;gguf_golden")

# --- scales
fault(mx_exponent scales format/rules.h
  [==[((bits_of(a) >> 23) & 0xFF) - 127]==]
  [==[((bits_of(a) >> 23) & 0xFF) - 126]==]
  "rules")
fault(mx_ceil scales format/rules.h
  [==[(exact ? 0 : 1)]==]
  [==[1]==]
  "rules")
fault(mx_even scales format/rules.h
  [==[(1u << (22 - mantissa_bits<E>()))]==]
  [==[(1u << (21 - mantissa_bits<E>()))]==]
  "rules")
fault(mx_round_up scales format/rules.h
  [==[{rounding::away_from_zero}]==]
  [==[{rounding::nearest_even}]==]
  "rules")
fault(mx_not_finite scales format/rules.h
  [==[if (!stats.finite) f.scale = e8m0::decode(0xFF);]==]
  [==[]==]
  "rules")
fault(range_divisor scales format/rules.h
  [==[width <= float_max ? width / divisor :]==]
  [==[width <= float_max ? width / (divisor + 1) :]==]
  "rules")
fault(range_overflow scales format/rules.h
  [==[width <= float_max ? width / divisor : high / divisor - low / divisor]==]
  [==[width / divisor]==]
  "rules")
fault(range_zero scales format/rules.h
  [==[f.low = f.low < 0 ? f.low : 0.0f;]==]
  [==[]==]
  "rules")
fault(min_max_larger scales format/rules.h
  [==[f.scale = up > down ? up : down;]==]
  [==[f.scale = up > down ? down : up;]==]
  "rules")
fault(scale_nonzero scales format/scale_range.h
  [==[const bool small = clips(]==]
  [==[const bool small = false && clips(]==]
  "rules")
fault(shift_zero scales format/rules.h
  [==[E::lowest - rounded(low * inverse_or_zero(scale))]==]
  [==[E::lowest + rounded(low * inverse_or_zero(scale))]==]
  "rules")
fault(value_zero scales format/rules.h
  [==[return (level - shift) * scale;]==]
  [==[return level * scale - shift;]==]
  "rules")
fault(code_infinity scales format/rules.h
  [==[if (x > float_max) x = float_max;]==]
  [==[if (x > float_max) x = 0;]==]
  "rules")
fault(code_nan scales format/rules.h
  [==[if (x != x && !E::has_nan) x = 0;]==]
  [==[if (x != x && !E::has_nan) x = float_max;]==]
  "rules")
fault(code_divide scales format/rules.h
  [==[y = p.divide && p.scale != 0 ?]==]
  [==[y = !p.divide && p.scale != 0 ?]==]
  "rules")
fault(code_zero_rounding scales format/rules.h
  [==[y = round_to_integer(y, rule.round) + p.shift;]==]
  [==[y = y + p.shift;]==]
  "rules")
fault(code_add_half scales format/rules.h
  [==[static_cast<float>(E::bias) + 0.5f]==]
  [==[static_cast<float>(E::bias) + 0.25f]==]
  "rules")
fault(percentile_rank scales format/rules.h
  [==[if (static_cast<double>(k) < exact) ++k;]==]
  [==[]==]
  "rules")
fault(report_overflow scales format/scale_range.h
  [==[if (size > S::max && s.stored != s.computed) {]==]
  [==[if (false) {]==]
  "rules")
fault(search_factors scales format/rules.h
  [==[j <= 16 ? 81 - j : 80 - j]==]
  [==[j <= 16 ? 82 - j : 81 - j]==]
  "rules")
fault(flat_scales scales format/values.h
  [==[if (e.flat) return {0, (r * cols + c) / e.cols};]==]
  [==[if (e.flat) return {0, c / e.cols};]==]
  "rules")
fault(k_scales scales format/gguf_search.h
  [==[Type::max_scale / high : 0.0f]==]
  [==[(Type::max_scale - 1) / high : 0.0f]==]
  "gguf_golden")
fault(k_sigma scales format/gguf_search.h
  [==[Type::sigma == spread::block ? 1.0f : 2.0f]==]
  [==[Type::sigma == spread::block ? 2.0f : 1.0f]==]
  "gguf_golden")
fault(k_stored_d scales format/gguf_search.h
  [==[exact ? stored.d : f16_to_f32(out.d)]==]
  [==[stored.d]==]
  "gguf_golden")
fault(k_affine_low scales format/scale_search.h
  [==[low = low > 0 ? 0.0f : low;]==]
  [==[]==]
  "gguf_golden")
fault(k_candidates scales format/scale_search.h
  [==[k <= plan.steps]==]
  [==[k < plan.steps]==]
  "gguf_golden")
fault(k_sweeps scales format/scale_search.h
  [==[sweep < 5 && changed]==]
  [==[sweep < 4 && changed]==]
  "search")

# --- quantize
fault(finite_lanes quantize kernel/block_fit-inl.h
  [==[const auto finite = hn::Lt(size,]==]
  [==[const auto finite = hn::Le(size,]==]
  "quantize_user")
fault(kth_below quantize kernel/block_fit-inl.h
  [==[if (below < k) key = candidate;]==]
  [==[if (below <= k) key = candidate;]==]
  "quantize_user")
fault(kth_sign quantize kernel/block_fit-inl.h
  [==[!= 0 ? 0x80000000u : 0xFFFFFFFFu]==]
  [==[!= 0 ? 0xFFFFFFFFu : 0x80000000u]==]
  "quantize_user")
fault(range_lanes quantize kernel/block_fit-inl.h
  [==[if (HWY_UNLIKELY(n < hn::Lanes(df))) v = hn::IfThenElse(hn::FirstN(df, n), v, first);]==]
  [==[]==]
  "quantize_user")
fault(percentile_low quantize kernel/block_fit-inl.h
  [==[KthSmallest<true>(b, n + 1 - k)]==]
  [==[KthSmallest<true>(b, n - k)]==]
  "quantize_user")
fault(many_zero quantize kernel/block_fit-inl.h
  [==[        least = hn::Min(least, zero);
]==]
  [==[]==]
  "quantize_zero")
fault(many_width quantize kernel/block_fit-inl.h
  [==[s = hn::Div(width, divisor);]==]
  [==[s = hn::Div(high, divisor);]==]
  "quantize_zero")
fault(many_minus_zero quantize kernel/block_fit-inl.h
  [==[least = hn::Add(ReduceMany(df, lows, smaller), zero);]==]
  [==[least = hn::Add(ReduceMany(df, lows, larger), zero);]==]
  "quantize_zero")
fault(many_exponent quantize kernel/block_fit-inl.h
  [==[hn::Set(di, 0x00400000), hn::Set(di, 0x00200000)]==]
  [==[hn::Set(di, 0x00200000), hn::Set(di, 0x00400000)]==]
  "quantize"
  "E8M0 has no 2^-128: both are stored as its lowest code")
fault(many_exponent_code quantize kernel/block_fit-inl.h
  [==[hn::Set(di, static_cast<int32_t>(rule.divisor))]==]
  [==[hn::Set(di, static_cast<int32_t>(rule.divisor) + 1)]==]
  "quantize")
fault(many_twin quantize kernel/block_fit-inl.h
  [==[if (HWY_UNLIKELY(!hn::AllFalse(df, twin))) return false;]==]
  [==[]==]
  "quantize")
fault(inverse_infinite quantize kernel/block_fit-inl.h
  [==[return hn::IfThenElseZero(hn::Le(hn::Abs(q), hn::Set(df, detail::float_max)), q);]==]
  [==[return q;]==]
  "quantize_user")
fault(shift_lanes quantize kernel/block_fit-inl.h
  [==[v = hn::Sub(lowest, Rounded(]==]
  [==[v = hn::Add(lowest, Rounded(]==]
  "quantize_user")
fault(shift_minimum quantize kernel/block_fit-inl.h
  [==[if constexpr (kShift == shift_kind::minimum) v = hn::Neg(v);]==]
  [==[]==]
  "quantize_user")
fault(level_nan quantize kernel/encode_row-inl.h
  [==[x = E::has_nan ? hn::IfThenElse(is_nan, x, finite) : finite;]==]
  [==[x = finite;]==]
  "quantize_user")
fault(level_divide_zero quantize kernel/encode_row-inl.h
  [==[hn::IfThenElse(zero_scale, hn::Mul(y, inverse), hn::Div(y, scale))]==]
  [==[hn::Div(y, scale)]==]
  "quantize_user")
fault(level_add_half quantize kernel/encode_row-inl.h
  [==[static_cast<float>(E::bias) + 0.5f]==]
  [==[static_cast<float>(E::bias) + 0.4999f]==]
  "quantize")
fault(codes_padding quantize kernel/encode_row-inl.h
  [==[hn::IfThenElse(there, c, hn::Set(d, E::zero_code))]==]
  [==[c]==]
  "quantize_user")
fault(codes_lane_block quantize kernel/encode_row-inl.h
  [==[const size_t b = (i + j) / length;]==]
  [==[const size_t b = i / length;]==]
  "quantize_user")
fault(error_importance quantize kernel/encode_row-inl.h
  [==[b.importance + c + i, count - i]==]
  [==[b.importance + i, count - i]==]
  "quantize_user")
fault(error_lanes quantize kernel/encode_row-inl.h
  [==[hn::IfThenElse(there, sum, hn::Load(df, sums + i))]==]
  [==[sum]==]
  "quantize_user")
fault(search_best quantize kernel/encode_row-inl.h
  [==[if (i == 0 || error < least) {]==]
  [==[if (i == 0 || error <= least) {]==]
  "quantize_user")
fault(row_lane_block quantize kernel/dequantize-inl.h
  [==[(first + i + j) / length]==]
  [==[(i + j) / length]==]
  "quantize_user;quantize_pieces")
fault(row_skip quantize kernel/dequantize-inl.h
  [==[const size_t skip = kAlign ? block % chunk_size : 0;]==]
  [==[const size_t skip = 0;]==]
  "quantize_user;quantize_pieces")
fault(row_left quantize kernel/dequantize-inl.h
  [==[      left = length;
]==]
  [==[]==]
  "quantize_user;quantize_pieces")
fault(encode_nan_payload quantize kernel/element_encode-inl.h
  [==[hn::And(code, hn::Set(du16, 0xFE00))]==]
  [==[code]==]
  "epilogue;codecs")
fault(encode_flip quantize kernel/element_encode-inl.h
  [==[codes = hn::Xor(codes, hn::Set(d, static_cast<uint8_t>(E::flip)));]==]
  [==[;]==]
  "quantize_user")
fault(base3_carry quantize kernel/chunk-inl.h
  [==[hn::Set(du16, uint16_t{242})]==]
  [==[hn::Set(du16, uint16_t{241})]==]
  "quantize"
  "the product by 270 / 65536 rounds both to one number for all n up to 242")
fault(base3_digit quantize kernel/chunk-inl.h
  [==[hn::TestBit(digits, hn::Set(d, uint8_t{2}))]==]
  [==[hn::TestBit(digits, hn::Set(d, uint8_t{1}))]==]
  "quantize")
fault(word_part quantize kernel/chunk-inl.h
  [==[LoadWord<kBytes - 2>(p + 2) << 16]==]
  [==[LoadWord<kBytes - 2>(p + 2) << 8]==]
  "quantize_user;quantize_pieces")

# --- pack
fault(pack_flip pack format/pack_codes.h
  [==[(c ^ static_cast<unsigned>(E::flip))]==]
  [==[(c ^ 0u)]==]
  "pack_integer;gemm_integer")
fault(pack_pair pack format/pack_codes.h
  [==[(low | std::uint64_t{high} << 32)]==]
  [==[(high | std::uint64_t{low} << 32)]==]
  "pack_integer")
fault(pack_plane pack format/pack_codes.h
  [==[<< (q * w);]==]
  [==[<< ((per_vector - 1 - q) * w);]==]
  "pack_float")
fault(pack_padding pack format/pack_codes.h
  [==[for (std::size_t i = count; i < n; ++i) buffer]==]
  [==[for (std::size_t i = count + 1; i < n; ++i) buffer]==]
  "pack_integer;gemm_integer")
fault(pack_rows pack format/pack_codes.h
  [==[r >= shape.rows || p >= shape.cols ? 0]==]
  [==[p >= shape.cols ? 0]==]
  "pack_integer;gemm_integer")
fault(pack_stretch pack format/pack_codes.h
  [==[read_row(from, r, p, count, buffer[row])]==]
  [==[read_row(from, r, 0, count, buffer[row])]==]
  "pack_integer;gemm_integer")
fault(pack_factor_index pack format/pack_rows.h
  [==[(panel * blocks + b) * panel_rows + row]==]
  [==[(panel * blocks + b) * panel_rows + (row ^ 1)]==]
  "pack_integer;gemm_integer")
fault(pack_supers pack format/pack_rows.h
  [==[u * every < blocks; ++u]==]
  [==[(u + 1) * every < blocks; ++u]==]
  "pack_nested")
fault(packed_every pack format/packed.h
  [==[return std::gcd(grid, S::shape.cols);]==]
  [==[return S::shape.cols;]==]
  "gemm_nested")
fault(packed_sizes pack format/packed.h
  [==[every == 0 ? 0 : (s.num_blocks + every - 1) / every]==]
  [==[every == 0 ? 0 : s.num_blocks / every]==]
  "pack_nested")
fault(packed_plane_byte pack format/packed.h
  [==[static_cast<int>(in_vector / 4) * width]==]
  [==[static_cast<int>(in_vector % 4) * width]==]
  "pack_user")
fault(packed_panels pack format/packed_shape.h
  [==[rows / panel_rows + (rows % panel_rows != 0)]==]
  [==[rows / panel_rows + (rows % panel_rows > 1)]==]
  "pack_integer")
fault(unpack_column pack format/unpack_rows.h
  [==[c / shape.block * shape.block_cols + c % shape.block]==]
  [==[c]==]
  "pack_user")
fault(unpack_padding pack format/unpack_rows.h
  [==[store_code<E>(to.sections[s], r, c, E::zero_code);]==]
  [==[store_code<E>(to.sections[s], r, c, 1);]==]
  "pack_nested")
fault(unpack_super pack format/unpack_rows.h
  [==[part_index(panel, count, b / every, row)]==]
  [==[part_index(panel, count, 0, row)]==]
  "pack_nested")
fault(unpack_center pack format/unpack_rows.h
  [==[from.center[0]]==]
  [==[from.center[1]]==]
  "pack_nested")

# --- epilogue
fault(exp_term epilogue format/epilogue_math.h
  [==[0.166665148f]==]
  [==[0.1666f]==]
  "epilogue")
fault(silu_end epilogue format/epilogue_math.h
  [==[silu_end = 110.0f]==]
  [==[silu_end = 80.0f]==]
  "epilogue")
fault(gelu_cubic epilogue format/epilogue_math.h
  [==[0.0713548163f]==]
  [==[0.0713648163f]==]
  "epilogue")
fault(relu_nan epilogue format/epilogue_math.h
  [==[return v < 0 ? 0.0f : v;]==]
  [==[return v > 0 ? v : 0.0f;]==]
  "epilogue")
fault(int32_end epilogue format/epilogue_math.h
  [==[if (v >= 2147483648.0f) return int32_max;]==]
  [==[if (v > 2147483648.0f) return int32_max;]==]
  "epilogue")
fault(doubling_round epilogue format/epilogue_math.h
  [==[(product + (std::int64_t{1} << 30)) >> 31]==]
  [==[product >> 31]==]
  "epilogue")
fault(shift_away epilogue format/epilogue_math.h
  [==[(mask >> 1) + (x < 0 ? 1 : 0)]==]
  [==[(mask >> 1)]==]
  "epilogue")
fault(fixed_half epilogue format/epilogue_math.h
  [==[std::int64_t{1} << (right - 1);]==]
  [==[std::int64_t{1} << right;]==]
  "epilogue")
fault(requantize_clamp epilogue format/epilogue_math.h
  [==[return std::clamp(t, low, high) + q.zero_point;]==]
  [==[return std::clamp(t + q.zero_point, low, high);]==]
  "epilogue")
fault(channel_of_math epilogue format/epilogue_math.h
  [==[v = rounded(v * scale[col]);]==]
  [==[v = rounded(v * scale[0]);]==]
  "epilogue")
fault(order_of_math epilogue format/epilogue_math.h
  [==[if (v < e.low) v = e.low;]==]
  [==[]==]
  "epilogue")
fault(store_tail epilogue kernel/epilogue-inl.h
  [==[  if (n >= hn::Lanes(d)) {
    hn::StoreU(v, d, p);]==]
  [==[  if (n + 1 >= hn::Lanes(d)) {
    hn::StoreU(v, d, p);]==]
  "epilogue")
fault(load_tail epilogue kernel/epilogue-inl.h
  [==[return n >= hn::Lanes(d) ? hn::LoadU(d, p)]==]
  [==[return n + 1 >= hn::Lanes(d) ? hn::LoadU(d, p)]==]
  "epilogue")
fault(exp_scale epilogue kernel/epilogue-inl.h
  [==[hn::Sub(bias, hn::Sub(k, k1))]==]
  [==[hn::Sub(bias, k1)]==]
  "epilogue")
fault(int32_nan epilogue kernel/epilogue-inl.h
  [==[  v = hn::IfThenElseZero(hn::Eq(v, v), v);
]==]
  [==[]==]
  "epilogue")
fault(doubling_least epilogue kernel/epilogue-inl.h
  [==[hn::And(hn::Eq(a, least), hn::Eq(b, least))]==]
  [==[hn::Or(hn::Eq(a, least), hn::Eq(b, least))]==]
  "epilogue")
fault(fixed_threshold epilogue kernel/epilogue-inl.h
  [==[hn::Sub(hn::ShiftRight<1>(mask), hn::BroadcastSignBit(high))]==]
  [==[hn::ShiftRight<1>(mask)]==]
  "epilogue")
fault(fixed_odd epilogue kernel/epilogue-inl.h
  [==[hn::BitCast(dw, hn::ShiftRight<32>(by))]==]
  [==[by_even]==]
  "epilogue")
fault(requantize_nan epilogue kernel/epilogue-inl.h
  [==[  t = hn::IfThenElseZero(hn::Eq(t, t), t);
]==]
  [==[]==]
  "epilogue")
fault(channel_lane epilogue kernel/epilogue-inl.h
  [==[LoadFirst(d, p + col, n)]==]
  [==[LoadFirst(d, p, n)]==]
  "epilogue")
fault(clamp_nan epilogue kernel/epilogue-inl.h
  [==[v = hn::IfThenElse(hn::Gt(v, high), high, v);]==]
  [==[v = hn::Min(v, high);]==]
  "epilogue")
fault(copy_residual epilogue format/epilogue_math.h
  [==[e.residual == nullptr && e.low]==]
  [==[e.low]==]
  "epilogue")
fault(residual_column epilogue kernel/epilogue-inl.h
  [==[row * e.residual_stride + col;]==]
  [==[row * e.residual_stride + i;]==]
  "epilogue")
fault(second_bias epilogue kernel/epilogue-inl.h
  [==[ChannelValues(df, channels.channel_scale, channels.bias,]==]
  [==[ChannelValues(df, channels.channel_scale, e.bias,]==]
  "epilogue;calls_integer")

# --- gemm
fault(start_zero gemm kernel/gemm_dot-inl.h
  [==[minus_bias = hn::Sub(minus_bias,]==]
  [==[minus_bias = hn::Add(minus_bias,]==]
  "gemm_integer")
fault(finish_zero gemm kernel/gemm_dot-inl.h
  [==[t = hn::Sub(t, Rounded(hn::Mul(shift, x_sum_f)));]==]
  [==[t = hn::Add(t, Rounded(hn::Mul(shift, x_sum_f)));]==]
  "gemm_float")
fault(finish_order gemm kernel/gemm_dot-inl.h
  [==[const auto factor = Rounded(hn::Mul(scale, x_scale_v));
  if constexpr (!kFloatShift) {
    return MulThenAdd(t, factor, c);]==]
  [==[const auto factor = Rounded(hn::Mul(scale, x_scale_v));
  if constexpr (!kFloatShift) {
    return MulThenAdd(Rounded(hn::Mul(t, scale)), x_scale_v, c);]==]
  "gemm_integer")
fault(tile_last_row gemm kernel/gemm_tiles-inl.h
  [==[for (size_t m = whole; m < rows; ++m) fn.template operator()<1, 4>]==]
  [==[for (size_t m = whole; m + 1 < rows; ++m) fn.template operator()<1, 4>]==]
  "gemm_integer")
fault(tile_step gemm kernel/gemm_tiles-inl.h
  [==[w[i] += a.segment_quads * 64;]==]
  [==[w[i] += a.segment_quads * 32;]==]
  "gemm_integer")
fault(tile_continue gemm kernel/gemm_tiles-inl.h
  [==[if (HWY_UNLIKELY(!a.first)) {]==]
  [==[if (false) {]==]
  "gemm_integer")
fault(tile_zero gemm kernel/gemm_tiles-inl.h
  [==[sum = hn::Sub(sum, hn::Mul(levels,]==]
  [==[sum = hn::Add(sum, hn::Mul(levels,]==]
  "gemm_integer")
fault(tile_quads gemm kernel/gemm_loops-inl.h
  [==[for (size_t q = 0; q < quads; ++q) multiply(q, add);]==]
  [==[for (size_t q = 0; q + 1 < quads; ++q) multiply(q, add);]==]
  "gemm_integer")
fault(float_steps gemm kernel/gemm_tiles-inl.h
  [==[static_cast<const uint8_t*>(a.x[row + m])]==]
  [==[static_cast<const uint8_t*>(a.x[row])]==]
  "gemm_float")
fault(segment_first gemm kernel/gemm_group-inl.h
  [==[a.first = skip == 0;]==]
  [==[a.first = true;]==]
  "gemm_integer")
fault(segment_last gemm kernel/gemm_group-inl.h
  [==[const bool ends = !part || skip + cols == shape.segment_cols;]==]
  [==[const bool ends = true;]==]
  "gemm_integer")
fault(level_unit gemm kernel/gemm_group-inl.h
  [==[for (size_t i = 0; unit != 1.0f && i < floats; ++i) scales[i] *= unit;]==]
  [==[]==]
  "gemm_nested")
fault(minimum_sign gemm kernel/gemm_ops-inl.h
  [==[&ReadFactor<ShiftFactor, kShift == detail::shift_use::minimum>;]==]
  [==[&ReadFactor<ShiftFactor, false>;]==]
  "gemm_nested")
fault(sums_cleared gemm kernel/gemm_group-inl.h
  [==[std::memset(job.c, 0, job.rows * kGroupColumns * sizeof(float));]==]
  [==[std::memset(job.c, 0, (job.rows - 1) * kGroupColumns * sizeof(float));]==]
  "gemm_integer")
fault(row_of_x gemm kernel/gemm_group-inl.h
  [==[size_t{x_rows[first_row + m]}]==]
  [==[size_t{x_rows[m]}]==]
  "calls_integer")
fault(group_columns gemm kernel/gemm-inl.h
  [==[HWY_MIN(num_panels * panel_rows, item.w->shape.rows - column)]==]
  [==[num_panels * panel_rows]==]
  "gemm_integer")
fault(task_rows gemm kernel/gemm-inl.h
  [==[item.y_rows == nullptr ? first_row + m :]==]
  [==[item.y_rows == nullptr ? m :]==]
  "calls_integer")
fault(factor_blocks gemm kernel/packed_decode-inl.h
  [==[(u + 1) * every - first]==]
  [==[(u + 1) * every]==]
  "gemm_nested")
fault(factor_center gemm kernel/packed_decode-inl.h
  [==[Factor::has_center ? MulThenAdd(s, level, center) : hn::Mul(s, level)]==]
  [==[hn::Mul(s, level)]==]
  "gemm_nested")
fault(scaled_offset gemm kernel/packed_decode-inl.h
  [==[: kShift == detail::shift_use::offset ? shift_kind::offset]==]
  [==[: kShift == detail::shift_use::offset ? shift_kind::none]==]
  "gemm_nested")
fault(column_codes gemm kernel/packed_decode-inl.h
  [==[fn(k + 2, hn::And(hn::ShiftRight<16>(v), byte), hn::ShiftRight<24>(v));]==]
  [==[fn(k + 2, hn::ShiftRight<24>(v), hn::And(hn::ShiftRight<16>(v), byte));]==]
  "gemm_float")
fault(gemv_scale gemm kernel/gemv_tiles-inl.h
  [==[x_scale[s], x_sum[s], y);]==]
  [==[x_scale[0], x_sum[s], y);]==]
  "gemm_integer")
fault(gemv_next gemm kernel/gemv_tiles-inl.h
  [==[if (left != 0) return;]==]
  [==[if (left == 0) return;]==]
  "gemm_float")
fault(x_scale gemm kernel/gemm_prepare-inl.h
  [==[const auto inverse = hn::Set(df, 127.0f / amax);]==]
  [==[const auto inverse = hn::Set(df, 126.0f / amax);]==]
  "gemm_integer")
fault(x_infinite gemm kernel/gemm_prepare-inl.h
  [==[if (bits >= kInf || bits < kSmall) {]==]
  [==[if (bits > kInf || bits < kSmall) {]==]
  "gemm_integer")
fault(x_small gemm kernel/gemm_prepare-inl.h
  [==[kSmall = 7 << 23]==]
  [==[kSmall = 6 << 23]==]
  "gemm_integer")
fault(x_padding gemm kernel/gemm_prepare-inl.h
  [==[std::memset(codes, zero, s.packed_cols);]==]
  [==[std::memset(codes, 0, s.packed_cols);]==]
  "gemm_integer")
fault(x_unsigned gemm kernel/gemm_prepare-inl.h
  [==[const unsigned flip = is_signed ? 0 : 128;]==]
  [==[const unsigned flip = 0;]==]
  "gemm_integer")
fault(x_sum_zero gemm kernel/gemm_prepare-inl.h
  [==[zero * static_cast<int32_t>(s.segment_cols);]==]
  [==[zero * static_cast<int32_t>(s.segment_cols - 1);]==]
  "gemm_integer")
fault(x_pad_floats gemm kernel/gemm_prepare-inl.h
  [==[if (s.packed_cols != s.cols) std::memset(out, 0, s.packed_cols * sizeof(float));]==]
  [==[]==]
  "gemm_float")
fault(x_order gemm kernel/gemm_prepare-inl.h
  [==[out[p + i] = row[x.order[c + i]];]==]
  [==[out[p + i] = row[x.order[i]];]==]
  "gemm_float;gemm_user")
fault(x_group_scale gemm kernel/gemm_prepare-inl.h
  [==[static_cast<float>(code - zero) * x.scale_at(r, c + i)]==]
  [==[static_cast<float>(code - zero) * x.scale_at(r, c)]==]
  "gemm_float")

# --- outliers
fault(sound_left outliers format/outliers.h
  [==[o.cols[e] >= left]==]
  [==[o.cols[e] > left]==]
  "packed_outliers")
fault(sound_ascend outliers format/outliers.h
  [==[o.cols[e] <= o.cols[e - 1]]==]
  [==[o.cols[e] < o.cols[e - 1]]==]
  "packed_outliers")
fault(sound_columns outliers format/outliers.h
  [==[o.columns[i] >= cols]==]
  [==[o.columns[i] > cols]==]
  "packed_outliers")
fault(add_singles outliers format/outliers.h
  [==[w[span * outlier_span + o.cols[e]] += load_number(]==]
  [==[w[span * outlier_span + o.cols[e]] = load_number(]==]
  "outliers")
fault(split_exact outliers format/split_outliers.h
  [==[if (is_zero(v) || bits_of((w[c] - v) + v) != bits_of(w[c])) continue;]==]
  [==[if (is_zero(v)) continue;]==]
  "outliers")
fault(split_sensitive outliers format/split_outliers.h
  [==[size * size * static_cast<double>]==]
  [==[size * static_cast<double>]==]
  "outliers")
fault(split_place outliers format/split_outliers.h
  [==[(r / panel_rows * o.num_columns + i) * panel_rows + r % panel_rows]==]
  [==[(r / panel_rows * o.num_columns + i) * panel_rows + (r ^ 1) % panel_rows]==]
  "outliers")
fault(split_narrow outliers format/split_outliers.h
  [==[bits_of(round_to(number_type::bf16, v)) == bits_of(v)]==]
  [==[true]==]
  "outliers")
fault(split_finite outliers format/split_outliers.h
  [==[return largest < f32_inf;]==]
  [==[return largest <= f32_inf;]==]
  "outliers")
fault(across_end outliers kernel/gemm_outliers-inl.h
  [==[HWY_MIN(block * width + first + lane, m - 1)]==]
  [==[(block * width + first + lane)]==]
  "gemm_outliers_integer")
fault(singles_rest outliers kernel/gemm_outliers-inl.h
  [==[e < end[j]; ++e) add]==]
  [==[e + 1 < end[j]; ++e) add]==]
  "gemm_outliers_integer")
fault(singles_span outliers kernel/gemm_outliers-inl.h
  [==[x += outlier_span * width)]==]
  [==[x += outlier_span)]==]
  "gemm_outliers_integer")
fault(keep_threshold outliers kernel/gemm_prepare-inl.h
  [==[hwy::ScalarAbs(kept[i]) >= columns.threshold]==]
  [==[hwy::ScalarAbs(kept[i]) > columns.threshold]==]
  "gemm_outliers_integer")
fault(keep_zero outliers kernel/gemm_prepare-inl.h
  [==[      row[PackedColumn(s, c)] = 0;
]==]
  [==[]==]
  "gemm_outliers_integer")
fault(keep_code_zero outliers kernel/gemm_prepare-inl.h
  [==[codes[PackedColumn(s, c)] = static_cast<int8_t>(zero);]==]
  [==[codes[PackedColumn(s, c)] = 0;]==]
  "gemm_outliers_integer")
fault(find_largest outliers kernel/gemm_find-inl.h
  [==[found.largest = HWY_MAX(found.largest, size);]==]
  [==[found.largest = size;]==]
  "gemm_outliers_integer")
fault(find_order outliers kernel/gemm_find-inl.h
  [==[workers[i].marks[ColumnOfX(x, c)]]==]
  [==[workers[i].marks[c]]==]
  "gemm_outliers_integer")

# --- readers
fault(gguf_version readers io/detail/gguf_reader.h
  [==[version == 2 || version == 3]==]
  [==[version >= 2]==]
  "io_gguf")
fault(gguf_name_size readers io/detail/gguf_reader.h
  [==[if (size > max_bytes) {]==]
  [==[if (size >= max_bytes) {]==]
  "io_gguf;malformed")
fault(gguf_name_empty readers io/detail/gguf_reader.h
  [==[if (name.empty() || !valid_utf8(name)) {]==]
  [==[if (!valid_utf8(name)) {]==]
  "io_gguf")
fault(gguf_value_type readers io/detail/gguf_reader.h
  [==[if (number > static_cast<std::uint32_t>(metadata_type::f64)) {]==]
  [==[if (number > 1 + static_cast<std::uint32_t>(metadata_type::f64)) {]==]
  "io_gguf")
fault(gguf_boolean readers io/detail/gguf_reader.h
  [==[if (bytes[i] > std::byte{1}) {]==]
  [==[if (bytes[i] > std::byte{2}) {]==]
  "io_gguf")
fault(gguf_nesting readers io/detail/gguf_reader.h
  [==[max_nesting = 4;]==]
  [==[max_nesting = 5;]==]
  "io_gguf")
fault(gguf_alignment_low readers io/detail/gguf_reader.h
  [==[alignment_ >= 8 &&]==]
  [==[alignment_ >= 4 &&]==]
  "io_gguf;malformed")
fault(gguf_alignment_power readers io/detail/gguf_reader.h
  [==[&& std::has_single_bit(alignment_)]==]
  [==[]==]
  "io_gguf")
fault(gguf_rank readers io/detail/gguf_reader.h
  [==[if (rank > 4) {]==]
  [==[if (rank > 5) {]==]
  "io_gguf")
fault(gguf_zero_dim readers io/detail/gguf_reader.h
  [==[if (tensor.dims[i] > max_dim) {]==]
  [==[if (i != 0 && tensor.dims[i] > max_dim) {]==]
  "io_gguf;malformed")
fault(gguf_whole_blocks readers io/detail/gguf_reader.h
  [==[tensor.cols() % type->block_values != 0]==]
  [==[tensor.cols() % type->block_values > 1]==]
  "io_gguf;malformed")
fault(gguf_offset readers io/detail/gguf_reader.h
  [==[offset % alignment_ != 0]==]
  [==[offset % 8 != 0]==]
  "io_gguf;malformed")
fault(gguf_counts readers io/detail/gguf_reader.h
  [==[if (num_keys > cursor_.left() / min_key_bytes ||
      num_tensors]==]
  [==[if (num_tensors]==]
  "io_gguf")
fault(index_overlap readers io/detail/index.h
  [==[if (t.data.data() < covered) {]==]
  [==[if (t.data.data() + 1 < covered) {]==]
  "io_gguf;io_safetensors")
fault(index_hole readers io/detail/index.h
  [==[if (hole > max_hole) {]==]
  [==[if (hole > max_hole + 1) {]==]
  "io_gguf;io_safetensors")
fault(index_rest readers io/detail/index.h
  [==[if (rest > max_hole) {]==]
  [==[if (rest > max_hole + 1) {]==]
  "io_gguf;io_safetensors")
fault(index_end readers io/detail/index.h
  [==[begin <= size && bytes <= size - begin]==]
  [==[begin < size && bytes <= size - begin]==]
  "io_gguf;io_safetensors")
fault(index_twice readers io/detail/index.h
  [==[if (name == key_of(items[order[i - 1]])) {]==]
  [==[if (false) {]==]
  "io_gguf")
fault(json_depth readers io/detail/json.h
  [==[if (depth == max_depth) return]==]
  [==[if (depth == max_depth + 1) return]==]
  "io_json")
fault(json_zero readers io/detail/json.h
  [==[number[0] == '0' && number.size() > 1]==]
  [==[number[0] == '0' && number.size() > 2]==]
  "io_json")
fault(json_overflow readers io/detail/json.h
  [==[(~std::uint64_t{0} - digit) / 10]==]
  [==[~std::uint64_t{0} / 10]==]
  "io_json")
fault(json_control readers io/detail/json.h
  [==[(c) < 0x20)]==]
  [==[(c) < 0x1F)]==]
  "io_json;malformed")
fault(json_surrogate readers io/detail/json.h
  [==[low >= 0xDC00 && low <= 0xDFFF]==]
  [==[low >= 0xDC00]==]
  "io_json;malformed")
fault(json_pair readers io/detail/json.h
  [==[0x10000 + ((point - 0xD800) << 10)]==]
  [==[((point - 0xD800) << 10)]==]
  "io_json")
fault(json_exponent readers io/detail/json.h
  [==[if (peek() == '+' || peek() == '-') ++position_;
  return digits();]==]
  [==[return digits();]==]
  "io_json")
fault(safetensors_twice readers io/detail/safetensors_reader.h
  [==[if ((seen >> part & 1) != 0) {]==]
  [==[if (false) {]==]
  "io_safetensors")
fault(safetensors_size readers io/detail/safetensors_reader.h
  [==[begin > end || end - begin != bytes]==]
  [==[begin > end || end - begin < bytes]==]
  "io_safetensors")
fault(safetensors_missing readers io/detail/safetensors_reader.h
  [==[if (seen != 7) {]==]
  [==[if (seen == 0) {]==]
  "io_safetensors")
fault(safetensors_metadata readers io/detail/safetensors_reader.h
  [==[if (has_metadata) return]==]
  [==[if (false) return]==]
  "io_safetensors")
fault(npy_missing readers io/detail/npy_header.h
  [==[if (seen != 7) return]==]
  [==[if (seen == 0) return]==]
  "io_npy")
fault(npy_tuple readers io/detail/npy_header.h
  [==[tensor.rank == 1 && !comma]==]
  [==[tensor.rank == 2 && !comma]==]
  "io_npy")
fault(npy_rank readers io/detail/npy_header.h
  [==[if (tensor.rank == max_tensor_rank) {]==]
  [==[if (false) {]==]
  "io_npy")
fault(npy_big_endian readers io/detail/npy_header.h
  [==[(order == '|' || order == '>')]==]
  [==[order == '|']==]
  "io_npy")
fault(packed_alignment readers io/detail/packed_reader.h
  [==[begin % packed_alignment != 0]==]
  [==[begin % 32 != 0]==]
  "packed_plain;packed_outliers")
fault(packed_num_outliers readers io/detail/packed_reader.h
  [==[num_values > 0xFFFFFFFFu || num_values > rows * cols]==]
  [==[num_values > 0xFFFFFFFFu]==]
  "packed_outliers")
fault(packed_checksum readers io/detail/packed_reader.h
  [==[if (sum.value() != u64(file_.data() + packed_checksum_at)) {]==]
  [==[if (false) {]==]
  "malformed")
fault(packed_reserved readers io/detail/packed_reader.h
  [==[!is_zero(header + 12, header + 16) || ]==]
  [==[]==]
  "malformed")
fault(packed_size readers io/detail/packed_reader.h
  [==[if (size != file_.size()) {]==]
  [==[if (size > file_.size()) {]==]
  "malformed")
fault(packed_padding readers io/detail/packed_reader.h
  [==[if (!is_zero(covered, m.bytes.data())) {]==]
  [==[if (false) {]==]
  "packed_plain")
fault(packed_padding_at_end readers io/detail/packed_reader.h
  [==[if (!is_zero(covered, file_.data() + file_.size())) {]==]
  [==[if (false) {]==]
  "packed_plain")
fault(packed_last readers io/detail/packed_reader.h
  [==[if (rest >= static_cast<std::ptrdiff_t>(packed_alignment)) {]==]
  [==[if (false) {]==]
  "malformed")
fault(packed_rank readers io/detail/packed_reader.h
  [==[rank > 2 || (rank < 2 && rows != 1)]==]
  [==[rank > 2]==]
  "packed_plain")
fault(gguf_empty_at_end readers io/detail/gguf_reader.h
  [==[offset - section.size() < alignment_]==]
  [==[offset - section.size() <= alignment_]==]
  "io_gguf")
fault(safetensors_null readers io/detail/safetensors_reader.h
  [==[if (json.null()) continue;]==]
  [==[]==]
  "io_safetensors")
fault(npy_opaque readers io/detail/npy_header.h
  [==[!(opaque && order == '|')]==]
  [==[!opaque]==]
  "io_npy")
fault(type_by_number readers io/tensor_format.h
  [==[F::type_id != id]==]
  [==[F::type_id < id]==]
  "io_tensor_format")
fault(retype_rows readers io/tensor_file.h
  [==[t.cols() % from.block_values != 0 ||]==]
  [==[]==]
  "io_read_rows")
fault(retype_order readers io/tensor_file.h
  [==[(t.fortran_order && t.rank > 1) || ]==]
  [==[]==]
  "io_read_rows")
fault(rows_bits readers io/read_rows.h
  [==[if (shift + E::bits > 8)]==]
  [==[if (shift + E::bits > 10)]==]
  "io_read_rows")
fault(rows_section readers io/read_rows.h
  [==[section + 1 + num_sections<S>]==]
  [==[section + num_sections<S>]==]
  "io_tensor_format")
fault(part_exclusive readers io/detail/new_file.h
  [==[O_CREAT | O_EXCL | O_CLOEXEC]==]
  [==[O_CREAT | O_CLOEXEC]==]
  "saving")
fault(part_removed readers io/detail/new_file.h
  [==[if (part_ != nullptr) std::remove(part_.get());]==]
  [==[]==]
  "saving")
fault(names_begin format format/names.h
  [==[(begins ? 0 : contains ? 1 : 2)]==]
  [==[(contains ? 1 : 2)]==]
  "names")
