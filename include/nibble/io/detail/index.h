// SPDX-License-Identifier: Apache-2.0 OR MIT
// Checks that all readers share: a tensor's size and place, overlaps and holes, unique names.
#ifndef NIBBLE_IO_DETAIL_INDEX_H_
#define NIBBLE_IO_DETAIL_INDEX_H_

#include "nibble/io/tensor_file.h"

namespace nibble::inline NIBBLE_ABI::detail {

using ull = unsigned long long;  // for printf

/// Bytes of a tensor by its shape and type, in `bytes`. The product runs from the outermost
/// dimension, so that rows() cannot overflow even if a later dimension is 0.
[[nodiscard]] inline errc tensor_bytes(const tensor_info& t, std::uint64_t& bytes,
                                       error_note* note) noexcept {
  std::uint64_t values = 1;
  for (const std::uint64_t dim : t.shape()) {
    if (!checked_multiply(values, dim, values)) {
      return fail(note, errc::overflow, "tensor '%s': the product of its dimensions overflows",
                  printable_name(t.name).text);
    }
  }
  const tensor_type_info& type = describe(t.type);
  if (values % type.block_values != 0) {
    return fail(
        note, errc::shape_mismatch, "tensor '%s': %llu values are no whole blocks of %u (%s)",
        printable_name(t.name).text, ull{values}, unsigned{type.block_values}, type.name.data());
  }
  if (!checked_multiply(values / type.block_values, type.block_bytes, bytes)) {
    return fail(note, errc::overflow, "tensor '%s': its size in bytes overflows",
                printable_name(t.name).text);
  }
  return errc::ok;
}

/// Sets t.data to the bytes [begin, begin + bytes) of `section`, the file's data.
[[nodiscard]] inline errc place_tensor(tensor_info& t, std::span<const std::byte> section,
                                       std::uint64_t begin, std::uint64_t bytes,
                                       error_note* note) noexcept {
  const std::uint64_t size = section.size();
  if (begin <= size && bytes <= size - begin) {
    t.data = section.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(bytes));
    return errc::ok;
  }
  return fail(note, begin > size ? errc::out_of_bounds : errc::truncated,
              "tensor '%s': %llu bytes at offset %llu, but the file has %llu bytes of data",
              printable_name(t.name).text, ull{bytes}, ull{begin}, ull{size});
}

/// `order` = 0, 1, ... size - 1.
[[nodiscard]] inline errc number_items(fixed_array<std::uint32_t>& order, std::uint64_t size,
                                       memory_budget& budget) noexcept {
  if (size > 0xFFFFFFFFu) return errc::limit_exceeded;
  const errc e = order.reserve(budget, size);
  for (std::uint32_t i = 0; e == errc::ok && i < size; ++i) order.push(i);
  return e;
}

/// Sorts `order` by name; duplicate_name if two are equal.
template <class T>
[[nodiscard]] errc sort_by_name(const fixed_array<T>& items, fixed_array<std::uint32_t>& order,
                                const char* what, error_note* note) noexcept {
  sort_indices(order.items(), [&items](std::uint32_t a, std::uint32_t b) {
    return key_of(items[a]) < key_of(items[b]);
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const std::string_view name = key_of(items[order[i]]);
    if (name == key_of(items[order[i - 1]])) {
      return fail(note, errc::duplicate_name, "%s '%s'", what, printable_name(name).text);
    }
  }
  return errc::ok;
}

/// The tensors must cover `section` in some order, without overlap, and without a hole of more than
/// `max_hole` bytes. `order` is sorted by place.
[[nodiscard]] inline errc check_coverage(const fixed_array<tensor_info>& tensors,
                                         fixed_array<std::uint32_t>& order,
                                         std::span<const std::byte> section, std::uint64_t max_hole,
                                         error_note* note) noexcept {
  sort_indices(order.items(), [&tensors](std::uint32_t a, std::uint32_t b) {
    const auto& x = tensors[a].data;
    const auto& y = tensors[b].data;
    return x.data() != y.data() ? x.data() < y.data() : x.size() < y.size();
  });
  const std::byte* covered = section.data();
  for (const std::uint32_t i : order.items()) {
    const tensor_info& t = tensors[i];
    if (t.data.data() < covered) {
      return fail(note, errc::overlap, "tensor '%s' begins inside the tensor before it",
                  printable_name(t.name).text);
    }
    const auto hole = static_cast<std::uint64_t>(t.data.data() - covered);
    if (hole > max_hole) {
      return fail(note, errc::malformed, "%llu bytes before tensor '%s' belong to no tensor",
                  ull{hole}, printable_name(t.name).text);
    }
    covered = t.data.data() + t.data.size();
  }
  const auto rest = static_cast<std::uint64_t>(section.data() + section.size() - covered);
  if (rest > max_hole) {
    return fail(note, errc::malformed, "the last %llu bytes belong to no tensor", ull{rest});
  }
  return errc::ok;
}

/// The last step of every reader: coverage, then unique names of tensors and metadata.
[[nodiscard]] inline errc finish_index(file_index& index, std::span<const std::byte> section,
                                       std::uint64_t max_hole, memory_budget& budget,
                                       error_note* note) noexcept {
  errc e = number_items(index.tensors_by_name, index.tensors.size(), budget);
  if (e == errc::ok) e = number_items(index.metadata_by_key, index.metadata.size(), budget);
  if (e != errc::ok) return fail(note, e, "%llu tensors", ull{index.tensors.size()});
  e = check_coverage(index.tensors, index.tensors_by_name, section, max_hole, note);
  if (e == errc::ok) e = sort_by_name(index.tensors, index.tensors_by_name, "tensor", note);
  if (e == errc::ok) e = sort_by_name(index.metadata, index.metadata_by_key, "key", note);
  return e;
}

}  // namespace nibble::inline NIBBLE_ABI::detail

#endif  // NIBBLE_IO_DETAIL_INDEX_H_
