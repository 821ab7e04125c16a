// Escape sequences and layout of text.
#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/knobs.h"
#include "base/text.h"
#include "cli/system.h"
#include "cli/utf8.h"

namespace linnet {
namespace {

/// The system's own variables, which are not switches of ours.
std::string_view SystemVariable(const char* name) {
  const char* value = getenv(name);
  return value ? value : "";
}

bool LocaleIsUtf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {  // the first that is set decides
    std::string_view value = SystemVariable(name);
    if (value.empty()) continue;
    std::string lower;
    for (char c : value) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c;
    return lower.find("utf-8") != lower.npos || lower.find("utf8") != lower.npos;
  }
  return false;
}

std::string Pad(std::string_view text, std::string_view shown, int width, Table::Align align) {
  std::string spaces(static_cast<size_t>(std::max(0, width - DisplayWidth(text))), ' ');
  return align == Table::Align::kLeft ? Cat(shown, spaces) : Cat(spaces, shown);
}

}  // namespace

Terminal::Terminal(FILE* stream) : stream_(stream) {
  interactive_ = isatty(fileno(stream));
  colors_ = interactive_ && !KnobFlag(Knob::kNoColor) && SystemVariable("TERM") != "dumb";
  utf8_ = LocaleIsUtf8();
  columns_ = cli::TerminalColumns(stream);
}

std::string Terminal::Paint(Color color, std::string_view text) const {
  static constexpr const char* kCodes[] = {"", "1", "2", "31", "32", "33", "34", "36"};
  if (!colors_ || color == Color::kPlain || text.empty()) return std::string(text);
  return Cat("\x1b[", kCodes[static_cast<int>(color)], "m", text, "\x1b[0m");
}

std::string Terminal::Bar(double fraction, int width) const {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  width = std::clamp(width, 0, 1000);
  int eighths = fraction > 0 ? static_cast<int>(std::min(fraction, 1.0) * 8 * width + 0.5) : 0;
  if (!utf8_) eighths = (eighths + 4) / 8 * 8;
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += utf8_ ? "█" : "#";
  bar += kEighths[eighths % 8];
  bar.append(static_cast<size_t>(width - (eighths + 7) / 8), ' ');
  return bar;
}

void Table::Row(std::vector<Cell> cells) {
  cells.resize(columns_.size(), Cell(""));
  for (Cell& cell : cells) cell.text = Printable(cell.text);
  rows_.push_back(std::move(cells));
}

std::string Table::ToString(const Terminal& terminal) const {
  std::vector<int> widths;
  bool titled = false;
  for (size_t c = 0; c < columns_.size(); ++c) {
    titled = titled || !columns_[c].title.empty();
    int width = DisplayWidth(columns_[c].title);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[c].text));
    widths.push_back(width);
  }
  std::string out;
  auto line = [&](auto cell_of) {
    std::string text;
    for (size_t c = 0; c < columns_.size(); ++c) {
      Cell cell = cell_of(c);
      text += Cat(c > 0 ? "  " : "", Pad(cell.text, terminal.Paint(cell.color, cell.text), widths[c], columns_[c].align));
    }
    text.resize(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  if (titled) line([&](size_t c) { return Cell(columns_[c].title, Color::kBold); });
  for (const auto& row : rows_) line([&](size_t c) { return row[c]; });
  return out;
}

Progress::Progress(const Terminal& terminal, std::string label, int64_t total)
    : terminal_(terminal), label_(Printable(label)), total_(std::max<int64_t>(total, 1)) {}

void Progress::Update(int64_t done) {
  constexpr int64_t kIntervalNs = 100000000;
  if (!terminal_.interactive()) return;
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t now_ns = int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
  if (begin_ns_ == 0) begin_ns_ = now_ns;
  if (now_ns < next_ns_) return;
  next_ns_ = now_ns + kIntervalNs;
  double fraction = static_cast<double>(done) / static_cast<double>(total_);
  std::string tail = Cat(" ", static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 100), " %  ", done, "/", total_);
  const double seconds = static_cast<double>(now_ns - begin_ns_) / 1e9;
  if (seconds >= 1 && done > 0 && done < total_) {
    tail += Cat("  ", static_cast<int64_t>(seconds * (1 - fraction) / fraction + 0.5), " s left");
  }
  int room = terminal_.columns() - 2 - DisplayWidth(label_) - static_cast<int>(tail.size());
  std::string bar = room >= 5 ? Cat(" ", terminal_.Bar(fraction, std::min(room, 40))) : "";
  terminal_.Print(Cat("\r", label_, bar, tail, "\x1b[K"));
  fflush(terminal_.stream());
  drawn_ = true;
}

void Progress::Finish() {
  if (!drawn_) return;
  terminal_.Print("\r\x1b[K");
  fflush(terminal_.stream());
  drawn_ = false;
}

}  // namespace linnet
