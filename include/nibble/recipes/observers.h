// SPDX-License-Identifier: Apache-2.0 OR MIT
// Observers of activations: what values come, so that scales can be chosen before they do.
//
//   auto made = nibble::histogram_observer::create(nibble::slot_layout::per_tensor());
//   if (!made) return made.error();
//   nibble::histogram_observer& observer = *made;
//   for (batch x) if (errc e = observer.observe(x); e != errc::ok) return e;
//   const nibble::value_range r = *observer[0].entropy();
//   const nibble::static_scale s = nibble::symmetric_scale(r);
//
// An observer is a statistic (recipes/statistics.h, recipes/histogram.h) for each slot, and a slot
// is what shares a scale: the tensor, a channel, a token or a group of channels.
#ifndef NIBBLE_RECIPES_OBSERVERS_H_
#define NIBBLE_RECIPES_OBSERVERS_H_

#include <new>
#include <utility>

#include "nibble/matrix.h"
#include "nibble/recipes/histogram.h"

namespace nibble::inline NIBBLE_ABI {

/// Which values of activations x [m x k] share a slot.
class slot_layout {
 public:
  /// One slot; batches of any shape.
  [[nodiscard]] static constexpr slot_layout per_tensor() noexcept { return {kind::tensor, 1, 1}; }
  /// A slot per column of x; batches have `cols` columns.
  [[nodiscard]] static constexpr slot_layout per_channel(std::size_t cols) noexcept {
    return {kind::group, cols, 1};
  }
  /// A slot per row of x: slot r collects row r of every batch. Batches have `rows` rows.
  [[nodiscard]] static constexpr slot_layout per_token(std::size_t rows) noexcept {
    return {kind::token, rows, 1};
  }
  /// A slot per `group_size` neighbouring columns, the last of them perhaps fewer; batches have
  /// `cols` columns.
  [[nodiscard]] static constexpr slot_layout per_group(std::size_t cols,
                                                       std::size_t group_size) noexcept {
    return {kind::group, cols, group_size};
  }

  [[nodiscard]] constexpr std::size_t num_slots() const noexcept {
    return size_ / group_size_ + (size_ % group_size_ != 0 ? 1 : 0);
  }
  [[nodiscard]] constexpr bool valid() const noexcept { return group_size_ != 0; }
  [[nodiscard]] constexpr bool fits(matrix_view<const float> x) const noexcept {
    if (kind_ == kind::tensor) return true;
    return (kind_ == kind::token ? x.rows : x.cols) == size_;
  }
  /// Slot of a row's first value, and how many neighbours share a slot.
  [[nodiscard]] constexpr std::size_t first_slot(std::size_t row) const noexcept {
    return kind_ == kind::token ? row : 0;
  }
  [[nodiscard]] constexpr std::size_t run(std::size_t cols) const noexcept {
    return kind_ == kind::group ? group_size_ : cols;
  }

  [[nodiscard]] friend constexpr bool operator==(slot_layout, slot_layout) noexcept = default;

 private:
  enum class kind : std::uint8_t { tensor, token, group };
  constexpr slot_layout(kind k, std::size_t size, std::size_t group_size) noexcept
      : kind_(k), size_(size), group_size_(group_size) {}
  kind kind_;
  std::size_t size_;
  std::size_t group_size_;
};

struct observer_options {
  /// false: NaN and infinities are passed over and counted. true: a batch with one is refused.
  bool reject_non_finite = false;
  /// Weight of a new batch in moving averages, in (0, 1].
  double averaging_constant = 0.01;

  [[nodiscard]] friend constexpr bool operator==(const observer_options&,
                                                 const observer_options&) noexcept = default;
};

/// Statistics of batches of activations, one Statistic per slot.
///
/// Batches of rows, of any number and split, and merged observers give the same state as one pass
/// over all values: in every bit, except for moving averages, where the split into batches is part
/// of the definition and merging is exact up to rounding in double. Only create() allocates;
/// nothing throws. Not synchronized: give each thread an observer of its own, then merge.
template <class Statistic>
class observer {
 public:
  /// invalid_argument: a group size of 0 or an averaging constant outside (0, 1]. out_of_memory.
  [[nodiscard]] static result<observer> create(slot_layout layout,
                                               observer_options options = {}) noexcept {
    const double c = options.averaging_constant;
    if (!layout.valid() || !(c > 0 && c <= 1)) return errc::invalid_argument;
    observer o(layout, options);
    if (o.slots_ == nullptr) return errc::out_of_memory;
    return o;
  }
  observer(observer&& other) noexcept
      : layout_(other.layout_),
        options_(other.options_),
        num_slots_(std::exchange(other.num_slots_, 0)),
        slots_(std::exchange(other.slots_, nullptr)) {}
  observer& operator=(observer&& other) noexcept {
    std::swap(layout_, other.layout_);
    std::swap(options_, other.options_);
    std::swap(num_slots_, other.num_slots_);
    std::swap(slots_, other.slots_);
    return *this;
  }
  ~observer() { delete[] slots_; }

  /// Takes in one batch x [m x k]. A batch without values changes nothing.
  ///
  /// shape_mismatch: x does not fit the layout. invalid_argument: x has no data. non_finite:
  /// refused as options say. After an error nothing has changed.
  [[nodiscard]] errc observe(matrix_view<const float> x) noexcept {
    if (!layout_.fits(x)) return errc::shape_mismatch;
    if (!x.valid()) return errc::invalid_argument;
    if (options_.reject_non_finite && !all_finite(x)) return errc::non_finite;
    const std::size_t run = layout_.run(x.cols);
    for (std::size_t r = 0; r < x.rows; ++r) {
      std::size_t slot = layout_.first_slot(r);
      for (std::size_t c = 0; c < x.cols; c += run, ++slot) {
        slots_[slot].add({x.row_data(r) + c, run < x.cols - c ? run : x.cols - c});
      }
    }
    for (Statistic& s : all()) s.end_batch(options_.averaging_constant);
    return errc::ok;
  }

  /// Takes in what `later` has seen, as if its batches had been observed after this one's.
  /// shape_mismatch: another layout. invalid_argument: other options.
  [[nodiscard]] errc merge(const observer& later) noexcept {
    if (layout_ != later.layout_) return errc::shape_mismatch;
    if (options_ != later.options_) return errc::invalid_argument;
    for (std::size_t i = 0; i < num_slots_; ++i) slots_[i].merge(later.slots_[i]);
    return errc::ok;
  }

  [[nodiscard]] std::size_t num_slots() const noexcept { return num_slots_; }
  [[nodiscard]] const Statistic& operator[](std::size_t slot) const noexcept {
    NIBBLE_ASSERT(slot < num_slots_, "slot out of range");
    return slots_[slot];
  }
  [[nodiscard]] std::span<const Statistic> slots() const noexcept { return {slots_, num_slots_}; }
  [[nodiscard]] slot_layout layout() const noexcept { return layout_; }

  /// Range, largest magnitude, mean of x^2 of every slot (the largest float where it is larger: all
  /// are importances that quantize() takes). shape_mismatch: `out` has not num_slots()
  /// places, and none is written.
  [[nodiscard]] errc copy_ranges(std::span<value_range> out) const noexcept {
    return copy(out, [](const Statistic& s) { return s.range(); });
  }
  [[nodiscard]] errc copy_amax(std::span<float> out) const noexcept {
    return copy(out, [](const Statistic& s) { return s.range().amax(); });
  }
  [[nodiscard]] errc copy_mean_squares(std::span<float> out) const noexcept requires
      requires(const Statistic& s) {
    s.mean_square();
  }
  {
    return copy(out, [](const Statistic& s) {
      constexpr double largest = std::numeric_limits<float>::max();
      const double mean = s.mean_square();
      return static_cast<float>(mean < largest ? mean : largest);
    });
  }

 private:
  observer(slot_layout layout, observer_options options) noexcept
      : layout_(layout), options_(options), num_slots_(layout.num_slots()) {
    if (num_slots_ > static_cast<std::size_t>(PTRDIFF_MAX) / sizeof(Statistic)) return;
    slots_ = new (std::nothrow) Statistic[num_slots_];
  }

  [[nodiscard]] std::span<Statistic> all() noexcept { return {slots_, num_slots_}; }

  [[nodiscard]] static bool all_finite(matrix_view<const float> x) noexcept {
    bool finite = true;
    for (std::size_t r = 0; r < x.rows; ++r) {
      for (const float v : x.row(r)) finite = detail::has_finite_bits(v) && finite;
    }
    return finite;
  }

  template <class T, class Of>
  [[nodiscard]] errc copy(std::span<T> out, Of of) const noexcept {
    if (out.size() != num_slots_) return errc::shape_mismatch;
    for (std::size_t i = 0; i < num_slots_; ++i) out[i] = of(slots_[i]);
    return errc::ok;
  }

  slot_layout layout_;
  observer_options options_;
  std::size_t num_slots_ = 0;
  Statistic* slots_ = nullptr;
};

using min_max_observer = observer<min_max>;
using moving_average_observer = observer<moving_average>;
using second_moment_observer = observer<second_moment>;
using histogram_observer = observer<histogram>;

}  // namespace nibble::inline NIBBLE_ABI

#endif  // NIBBLE_RECIPES_OBSERVERS_H_
