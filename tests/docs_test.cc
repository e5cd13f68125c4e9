// SPDX-License-Identifier: Apache-2.0 OR MIT
// The documentation says what is there: the tables of docs/formats.md list the catalogue, README.md
// shows the text of the example, and links between the pages lead somewhere.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "nibble/formats.h"
#include "support/catch.h"

namespace {

std::filesystem::path in_source(const std::string& name) {
  return std::filesystem::path(NIBBLE_SOURCE_DIR) / name;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t from = text.find(begin);
  REQUIRE(from != std::string::npos);
  const std::size_t to = text.find(end, from + begin.size());
  REQUIRE(to != std::string::npos);
  return text.substr(from + begin.size(), to - from - begin.size());
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

/// Rows "| `name` | bits | ..." of the catalogue: bits by name.
std::map<std::string, std::string, std::less<>> catalogue_table() {
  std::map<std::string, std::string, std::less<>> table;
  const std::string text =
      between(read(in_source("docs/formats.md")), "<!-- catalogue", "<!-- end of catalogue -->");
  for (const std::string& line : lines_of(text)) {
    if (line.rfind("| `", 0) != 0) continue;
    const std::string name = between(line, "| `", "` |");
    INFO("listed twice: " << name);
    CHECK(table.emplace(name, between(line, "` | ", " |")).second);
  }
  return table;
}

std::string bits_text(double bits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", bits);
  return text;
}

}  // namespace

TEST_CASE("docs/formats.md lists every format of the catalogue with its bits per weight") {
  auto table = catalogue_table();
  nibble::for_each_format([&]<class F>() {
    INFO(F::name);
    const auto row = table.find(F::name);
    REQUIRE(row != table.end());
    CHECK(row->second == bits_text(nibble::bits_per_weight<F>(4096, 4096)));
    table.erase(row);
  });
  for (const auto& row : table) FAIL_CHECK("not in the catalogue: " << row.first);
}

TEST_CASE("README.md names only formats of the catalogue in its table") {
  const std::string text =
      between(read(in_source("README.md")), "<!-- formats -->", "<!-- end of formats -->");
  std::size_t count = 0;
  for (const std::string& line : lines_of(text)) {
    if (line.rfind("| `", 0) != 0) continue;
    ++count;
    const std::string name = between(line, "| `", "` |");
    INFO(name);
    CHECK(nibble::visit_format(name, []<class>() {}));
  }
  CHECK(count >= 20);
}

namespace {

/// Checks that the first program text after `from` in the README is that of an example.
void check_shown(const std::string& from, const std::string& example_file) {
  const std::string readme = read(in_source("README.md"));
  const std::size_t start = readme.find(from);
  REQUIRE(start != std::string::npos);
  const std::string shown = between(readme.substr(start), "```cpp\n", "```");
  const std::string example = read(in_source(example_file));
  // Pieces of the example in their order; "// ..." stands for what is left out.
  std::size_t at = 0;
  std::string piece;
  const auto find_piece = [&] {
    INFO(piece);
    const std::size_t found = example.find(piece, at);
    REQUIRE(found != std::string::npos);
    at = found + piece.size();
    piece.clear();
  };
  for (const std::string& line : lines_of(shown)) {
    if (line.find("// ...") != std::string::npos) {
      find_piece();
    } else {
      piece += line + '\n';
    }
  }
  find_piece();
}

/// README.md, bench/README.md and docs/*.md.
std::vector<std::filesystem::path> all_pages() {
  std::vector<std::filesystem::path> pages{in_source("README.md"), in_source("bench/README.md")};
  for (const auto& entry : std::filesystem::directory_iterator(in_source("docs"))) {
    if (entry.path().extension() == ".md") pages.push_back(entry.path());
  }
  return pages;
}

/// A line of shell without its comment, words with one blank between them.
std::string command_of(const std::string& line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool blank = line[i] == ' ';
    if (blank && i + 1 < line.size() && line[i + 1] == '#') break;
    if (!blank || (!text.empty() && text.back() != ' ')) text += line[i];
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

/// Whether a text is meant to be typed into a shell: a program of ours or one that builds nibble,
/// with arguments.
bool is_command(const std::string& text) {
  static const std::regex command(
      "(([A-Z_]+=\\S+ )+\\S.*|(sh|bash|cmake|ctest|valgrind|build/\\S+) \\S.*)");
  return std::regex_match(text, command) && text.find("...") == std::string::npos;
}

/// The commands that a page shows: lines of ```sh, indented lines, and `single ones` in the text.
std::set<std::string> commands_of(const std::string& page) {
  std::set<std::string> commands;
  bool in_fence = false;
  bool in_shell = false;
  static const std::regex span("`([^`]+)`");
  for (const std::string& line : lines_of(page)) {
    if (line.rfind("```", 0) == 0) {
      in_fence = !in_fence;
      in_shell = in_fence && line == "```sh";
    } else if (in_fence) {
      if (in_shell && !command_of(line).empty()) commands.insert(command_of(line));
    } else if (line.rfind("    ", 0) == 0) {
      const std::string text = command_of(line);
      if (is_command(text) || text.rfind("build/", 0) == 0) commands.insert(text);
    } else {
      for (std::sregex_iterator i(line.begin(), line.end(), span), end; i != end; ++i) {
        if (is_command((*i)[1])) commands.insert(command_of((*i)[1]));
      }
    }
  }
  return commands;
}

}  // namespace

TEST_CASE("every command of the pages is one that CI or cmake/release.sh runs") {
  std::map<std::string, std::string, std::less<>> who_runs;
  const std::string ci = read(in_source(".ci/run"));
  std::vector<std::string> lines = lines_of(read(in_source("docs/commands.tsv")));
  REQUIRE(lines.size() > 1);
  lines.erase(lines.begin());  // names of columns
  for (const std::string& line : lines) {
    const std::size_t tab = line.find('\t');
    REQUIRE(tab != std::string::npos);
    const std::string who = line.substr(0, tab);
    const std::string command = line.substr(tab + 1, line.find('\t', tab + 1) - tab - 1);
    INFO(command);
    CHECK((who == "ci" || who == "release" || who == "itself"));
    CHECK(who_runs.emplace(command, who).second);
    if (who == "ci") CHECK(ci.find(command) != std::string::npos);
  }
  for (const auto& page : all_pages()) {
    for (const std::string& command : commands_of(read(page))) {
      INFO(page.filename().string() << " shows: " << command);
      const auto found = who_runs.find(command);
      CHECK(found != who_runs.end());
      if (found != who_runs.end()) found->second = "shown";
    }
  }
  for (const auto& [command, who] : who_runs) {
    INFO("docs/commands.tsv lists what no page shows: " << command);
    CHECK(who == "shown");
  }
}

TEST_CASE("README.md shows the text of its examples") {
  check_shown("## In C++", "examples/quickstart.cc");
  check_shown("Weights packed once", "examples/linear_layer.cc");
}

TEST_CASE("links from page to page lead to files and headings that exist") {
  for (const auto& page : all_pages()) {
    const std::string text = read(page);
    for (std::size_t at = text.find("]("); at != std::string::npos; at = text.find("](", at + 1)) {
      const std::size_t end = text.find(')', at);
      const std::string link = text.substr(at + 2, end - at - 2);
      if (link.find("://") != std::string::npos || end == std::string::npos) continue;
      INFO(page.filename().string() << " links to " << link);
      const std::size_t hash = std::min(link.find('#'), link.size());
      const auto target = hash == 0 ? page : page.parent_path() / link.substr(0, hash);
      REQUIRE(std::filesystem::exists(target));
      if (hash == link.size()) continue;
      // A heading's anchor: lower case, blanks to hyphens, of the rest letters and digits only.
      bool found = false;
      for (const std::string& line : lines_of(read(target))) {
        if (line.rfind('#', 0) != 0) continue;
        std::string anchor;
        for (const char c : line.substr(line.find(' ') + 1)) {
          if (c >= 'A' && c <= 'Z') anchor += static_cast<char>(c - 'A' + 'a');
          if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-') anchor += c;
          if (c == ' ') anchor += '-';
        }
        found = found || anchor == link.substr(hash + 1);
      }
      CHECK(found);
    }
  }
}

TEST_CASE("docs/accuracy.md names every test of results, and no file that is not there") {
  const std::string text = read(in_source("docs/accuracy.md"));
  for (const auto& entry : std::filesystem::directory_iterator(in_source("tests"))) {
    const std::string file = entry.path().filename().string();
    if (file.find("_test.cc") == std::string::npos) continue;
    for (const char* const kind :
         {"elements_", "quantize_", "dequantize_", "pack_", "gemm_", "epilogue_", "outliers_"}) {
      INFO(file);
      if (file.rfind(kind, 0) == 0) CHECK(text.find(file) != std::string::npos);
    }
  }
  for (std::size_t at = text.find("`tests/"); at != std::string::npos;
       at = text.find("`tests/", at + 1)) {
    const std::string file = text.substr(at + 1, text.find('`', at + 1) - at - 1);
    INFO(file);
    if (file.find('*') == std::string::npos) CHECK(std::filesystem::exists(in_source(file)));
  }
}
