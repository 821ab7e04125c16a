// What the command shows: colours only where they are wanted, bars, aligned tables, progress.
#pragma once

#include <stdint.h>
#include <stdio.h>

#include <string>
#include <string_view>
#include <vector>

namespace linnet {

enum class Color : uint8_t { kPlain, kBold, kDim, kRed, kGreen, kYellow, kBlue, kCyan };

/// A stream and what it can show.
class Terminal {
 public:
  /// Asks the system about `stream` (stdout, stderr), which must stay open. Colours need a terminal that is not "dumb"
  /// and NO_COLOR unset; bars use block characters where the locale's variables say UTF-8.
  explicit Terminal(FILE* stream);
  /// As given: for tests and for options such as --color.
  Terminal(FILE* stream, bool interactive, bool colors, bool utf8, int columns)
      : stream_(stream), interactive_(interactive), colors_(colors), utf8_(utf8), columns_(columns) {}

  bool interactive() const { return interactive_; }
  bool colors() const { return colors_; }
  bool utf8() const { return utf8_; }
  int columns() const { return columns_; }  ///< 80 when unknown
  FILE* stream() const { return stream_; }

  /// `text` in `color` when colours are on.
  std::string Paint(Color color, std::string_view text) const;
  /// A bar of `width` columns filled to `fraction` (clamped to [0, 1]): eighths of a block, or '#'.
  std::string Bar(double fraction, int width) const;
  void Print(std::string_view text) const { fwrite(text.data(), 1, text.size(), stream_); }

 private:
  FILE* stream_;
  bool interactive_, colors_, utf8_;
  int columns_;
};

/// Rows of cells in aligned columns. Cell text is made Printable; colours are added when it is shown.
class Table {
 public:
  enum class Align : uint8_t { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  struct Cell {
    Cell(std::string_view text, Color color = Color::kPlain) : text(text), color(color) {}  // NOLINT: implicit
    Cell(const char* text) : text(text) {}                                                  // NOLINT: implicit
    Cell(std::string text) : text(std::move(text)) {}                                       // NOLINT: implicit
    std::string text;
    Color color = Color::kPlain;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// Missing cells are empty, surplus ones are dropped.
  void Row(std::vector<Cell> cells);
  /// Titles and rows, two spaces between columns, no trailing spaces, every line ended. No titles when all are empty.
  std::string ToString(const Terminal& terminal) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

/// One line that is drawn over: "calibrating ████▌     45 %  9/20  8 s left", the time once a second has passed. Shows nothing
/// where nobody watches.
class Progress {
 public:
  Progress(const Terminal& terminal, std::string label, int64_t total);
  ~Progress() { Finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Draws at most ten times a second.
  void Update(int64_t done);
  /// Removes the line.
  void Finish();

 private:
  const Terminal& terminal_;
  std::string label_;
  int64_t total_;
  int64_t next_ns_ = 0, begin_ns_ = 0;
  bool drawn_ = false;
};

}  // namespace linnet
