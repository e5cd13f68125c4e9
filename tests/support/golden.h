// SPDX-License-Identifier: Apache-2.0 OR MIT
// Golden vectors: arrays made by independent implementations, in tests/data/golden.
//
// index.tsv names the arrays: name, bundle file, byte offset, bytes, dtype, shape. A missing name,
// a wrong type or a short file is a broken checkout, so loading stops the test program.
#ifndef NIBBLE_TESTS_SUPPORT_GOLDEN_H_
#define NIBBLE_TESTS_SUPPORT_GOLDEN_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#ifndef NIBBLE_TEST_DATA
#error "define NIBBLE_TEST_DATA: the path of tests/data"
#endif

namespace nibble_test {

class golden {
 public:
  /// All values of the array `name`, flat.
  template <class T>
  static std::vector<T> load(const std::string& name) {
    static golden the_only;
    return the_only.read<T>(name);
  }

 private:
  struct entry {
    std::string file;
    std::size_t offset = 0;
    std::size_t bytes = 0;
    std::string dtype;
  };

  golden() {
    std::istringstream lines(whole_file("index.tsv"));
    std::string line;
    std::getline(lines, line);  // the header
    while (std::getline(lines, line)) {
      std::istringstream fields(line);
      std::string name;
      entry e;
      fields >> name >> e.file >> e.offset >> e.bytes >> e.dtype;
      if (!fields) stop("index.tsv", "a line has too few fields");
      index_.emplace(std::move(name), std::move(e));
    }
  }

  template <class T>
  std::vector<T> read(const std::string& name) {
    const auto at = index_.find(name);
    if (at == index_.end()) stop(name, "no such array");
    const entry& e = at->second;
    if (e.dtype != dtype_name<T>()) stop(name, "the array has another type: " + e.dtype);
    auto bundle = bundles_.find(e.file);
    if (bundle == bundles_.end()) bundle = bundles_.emplace(e.file, whole_file(e.file)).first;
    if (e.offset + e.bytes > bundle->second.size()) stop(e.file, "the bundle is too short");
    std::vector<T> values(e.bytes / sizeof(T));
    std::memcpy(values.data(), bundle->second.data() + e.offset, e.bytes);
    return values;
  }

  template <class T>
  static std::string dtype_name() {
    if (std::is_same_v<T, float>) return "float32";
    if (std::is_same_v<T, double>) return "float64";
    return (std::is_signed_v<T> ? "int" : "uint") + std::to_string(8 * sizeof(T));
  }

  static std::string whole_file(const std::string& file) {
    std::ifstream in(std::string(NIBBLE_TEST_DATA) + "/golden/" + file, std::ios::binary);
    if (!in) stop(file, "cannot open");
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

  [[noreturn]] static void stop(const std::string& what, const std::string& why) {
    std::fprintf(stderr, "golden vectors: %s: %s\n", what.c_str(), why.c_str());
    std::exit(3);
  }

  std::map<std::string, entry> index_;
  std::map<std::string, std::string> bundles_;
};

}  // namespace nibble_test

#endif  // NIBBLE_TESTS_SUPPORT_GOLDEN_H_
