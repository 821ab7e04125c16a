// Building the comparison page: HTML and SVG as text.
#include "cli/compare_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/quantize_report.h"
#include "cli/units.h"
#include "cli/utf8.h"

namespace linnet::cli {
namespace {

constexpr double kDbMax = 60;

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: light-dark(#222, #ddd); --dim: light-dark(#777, #999); --line: light-dark(#ddd, #444);
        --first: #4878cf; --second: #e07b39; --good: #3a9a5b; --fair: #c99a1c; --bad: #c8443c; }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; } td:first-child { overflow-wrap: anywhere; }
summary { cursor: pointer; } figure { display: inline-block; margin: .5rem; } figcaption { color: var(--dim); font-size: 12px; max-width: 320px; overflow-wrap: anywhere; }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim); } .note { color: var(--dim); }
)";

std::string Escape(std::string_view text) {
  std::string out;
  for (char c : Printable(text)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

double ShownDb(const quantize::Agreement& agreement) {
  const double db = agreement.SqnrDb();
  return std::isfinite(db) ? std::clamp(db, 0.0, kDbMax) : db > 0 ? kDbMax : 0;
}

const char* ColourOf(double db) { return db >= 20 ? "var(--good)" : db >= 10 ? "var(--fair)" : "var(--bad)"; }

/// A bar a value, in the order of the graph.
std::string ErrorPlot(const std::vector<quantize::ValueComparison>& rows) {
  constexpr double kWidth = 1100, kHeight = 220, kLeft = 36, kTop = 8, kBottom = 20;
  const double step = (kWidth - kLeft) / static_cast<double>(std::max<size_t>(rows.size(), 1));
  const double plot = kHeight - kTop - kBottom;
  std::string svg = fmt::format("<svg id=\"sqnr\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"SQNR by value\">", kWidth, kHeight);
  for (int db = 0; db <= static_cast<int>(kDbMax); db += 20) {
    const double y = kTop + plot * (1 - db / kDbMax);
    svg += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"var(--line)\"/><text x=\"0\" y=\"{:.1f}\">{} dB</text>",
                       kLeft, kWidth, y, y, y + 4, db);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const double db = ShownDb(rows[i].agreement), height = std::max(plot * db / kDbMax, 1.0);
    svg += fmt::format("<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\" fill=\"{}\"><title>{} ({}): {}</title></rect>",
                       kLeft + step * static_cast<double>(i), kTop + plot - height, std::max(step * 0.85, 0.3), height, ColourOf(db),
                       Escape(rows[i].name), Escape(rows[i].op), SqnrText(rows[i].agreement));
  }
  return svg + fmt::format("<text x=\"{}\" y=\"{}\">values in the order they are computed</text></svg>\n", kLeft, kHeight - 4);
}

/// Two bars a value that has a step of its own in one of the models.
std::string TimePlot(const quantize::Comparison& comparison) {
  constexpr double kWidth = 1100, kHeight = 220, kLeft = 60, kTop = 8, kBottom = 20;
  std::vector<const quantize::ValueComparison*> rows;
  double most = 0;
  for (const quantize::ValueComparison& row : comparison.values) {
    if (row.first_ns > 0 || row.second_ns > 0) rows.push_back(&row);
    most = std::max({most, row.first_ns, row.second_ns});
  }
  if (rows.empty()) return {};
  const double step = (kWidth - kLeft) / static_cast<double>(rows.size()), plot = kHeight - kTop - kBottom;
  std::string svg = fmt::format("<svg id=\"time\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"time by value\">", kWidth, kHeight);
  for (int part = 0; part <= 2; ++part) {
    const double y = kTop + plot * (1 - part / 2.0);
    svg += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"var(--line)\"/><text x=\"0\" y=\"{:.1f}\">{}</text>", kLeft,
                       kWidth, y, y, y + 4, FormatDurationNs(most * part / 2));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    for (int side = 0; side < 2; ++side) {
      const double ns = side == 0 ? rows[i]->first_ns : rows[i]->second_ns, height = plot * ns / most;
      svg += fmt::format("<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\" fill=\"{}\"><title>{} ({}): {} &rarr; {}</title></rect>",
                         kLeft + step * (static_cast<double>(i) + 0.42 * side), kTop + plot - height, std::max(step * 0.4, 0.3), height,
                         side == 0 ? "var(--first)" : "var(--second)", Escape(rows[i]->name), Escape(rows[i]->op), FormatDurationNs(rows[i]->first_ns),
                         FormatDurationNs(rows[i]->second_ns));
    }
  }
  return svg + fmt::format("<text x=\"{}\" y=\"{}\">steps in the order they are computed; what is fused counts where its product is</text></svg>\n", kLeft, kHeight - 4);
}

/// Counts in `columns` equal parts of [low, high], as shares of the largest.
std::vector<double> Columns(const quantize::Histogram& histogram, double low, double high, int columns) {
  std::vector<double> out(static_cast<size_t>(columns), 0);
  auto put = [&](double value, int64_t count) {
    const double place = (value - low) / (high - low) * columns;
    if (place >= 0 && place < columns) out[static_cast<size_t>(place)] += static_cast<double>(count);
  };
  for (int i = 0; i < static_cast<int>(histogram.bins().size()); ++i) {
    if (histogram.bins()[static_cast<size_t>(i)] > 0) put(histogram.Centre(i), histogram.bins()[static_cast<size_t>(i)]);
  }
  // Counts span decades: their logarithms are shown.
  double most = 0;
  for (double& count : out) most = std::max(most, count = std::log1p(count));
  for (double& count : out) count /= std::max(most, 1e-9);
  return out;
}

/// Both distributions over each other, with the ends of the range if there is one. `caption` is escaped.
std::string HistogramPlot(const quantize::Histogram& first, const quantize::Histogram& second, const quantize::Range* range, const std::string& caption) {
  constexpr double kWidth = 320, kHeight = 110, kBottom = 16;
  constexpr int kColumns = 80;
  double low = std::min(first.low(), second.low()), high = std::max(first.high(), second.high());
  if (range) low = std::min(low, range->low), high = std::max(high, range->high);
  if (!(high > low)) return {};
  const double margin = (high - low) * 0.02;
  low -= margin, high += margin;
  auto x_of = [&](double value) { return (value - low) / (high - low) * kWidth; };
  std::string svg = fmt::format("<figure><svg class=\"histogram\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">", kWidth, kHeight);
  auto bars = [&](const quantize::Histogram& histogram, const char* colour, double opacity) {
    const std::vector<double> shares = Columns(histogram, low, high, kColumns);
    std::string path;
    for (int i = 0; i < kColumns; ++i) {
      const double height = shares[static_cast<size_t>(i)] * (kHeight - kBottom);
      if (height > 0) {
        path += fmt::format("M{:.1f} {:.1f}v{:.1f}h{:.1f}v{:.1f}z", i * kWidth / kColumns, kHeight - kBottom, -height,
                            kWidth / kColumns, height);
      }
    }
    svg += fmt::format("<path d=\"{}\" fill=\"{}\" fill-opacity=\"{}\"/>", path, colour, opacity);
  };
  bars(first, "var(--first)", 0.55);
  bars(second, "var(--second)", 0.45);
  if (range) {
    for (double end : {range->low, range->high}) {
      svg += fmt::format("<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"0\" y2=\"{1}\" stroke=\"var(--bad)\" stroke-dasharray=\"3 2\"/>", x_of(end),
                         kHeight - kBottom);
    }
  }
  svg += fmt::format("<text x=\"0\" y=\"{0}\">{1:.3g}</text><text x=\"{2}\" y=\"{0}\" text-anchor=\"end\">{3:.3g}</text></svg>", kHeight - 3,
                     low, kWidth, high);
  return svg + fmt::format("<figcaption>{}</figcaption></figure>\n", caption);
}

/// Up to the heading and the facts below it; `title` and `heading` are escaped.
std::string Beginning(const std::string& title, const std::string& heading, const std::vector<std::string>& facts) {
  std::string page = fmt::format("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title><style>{}</style></head><body>\n<h1>{}</h1>\n",
                                 title, kStyle, heading);
  if (facts.empty()) return page;
  page += "<ul id=\"facts\">\n";
  for (const std::string& fact : facts) page += Cat("<li>", Escape(fact), "</li>\n");
  return page + "</ul>\n";
}

}  // namespace

std::string FactsPage(const std::string& title, const std::vector<std::string>& facts) {
  return Beginning(Escape(title), Escape(title), facts) + "</body></html>\n";
}

std::string ComparePage(const std::string& first, const std::string& second, const quantize::Comparison& comparison,
                        const std::vector<std::string>& facts) {
  const std::vector<quantize::ValueComparison>& rows = comparison.values;
  std::string page = Beginning(Cat(Escape(first), " and ", Escape(second)), Cat(Escape(first), " <span class=\"note\">and</span> ", Escape(second)), facts);
  page += fmt::format("<p class=\"note\">SQNR: power of the first model's values over that of the difference; 20 dB is a tenth of the size. Equal "
                      "values are shown at {} dB.</p>\n<h2>Error by value</h2>\n", kDbMax);
  page += ErrorPlot(rows);
  page += fmt::format("<h2>Time by value</h2>\n<p class=\"note\">Blue: the first model, {} in all its steps and {} of weights; orange: the second, {} and "
                      "{}. The least of five runs on this machine.</p>\n",
                      FormatDurationNs(comparison.first_ns), FormatBytes(comparison.first_bytes.all), FormatDurationNs(comparison.second_ns),
                      FormatBytes(comparison.second_bytes.all));
  page += TimePlot(comparison);
  page += "<h2>Values</h2>\n<table id=\"values\"><tr><th>value</th><th>operator</th><th>SQNR</th><th>largest error</th><th>of values up "
          "to</th><th>saturated</th><th>weights</th><th>time</th></tr>\n";
  for (const quantize::ValueComparison& row : rows) {
    page += fmt::format(
        "<tr><td>{}{}{}</td><td>{}</td><td style=\"color:{}\">{}</td><td>{:.3g}</td><td>{:.3g}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        row.is_output ? "<b>" : "", Escape(row.name), row.is_output ? "</b>" : "", Escape(row.op), ColourOf(ShownDb(row.agreement)),
        SqnrText(row.agreement), row.agreement.max_error, row.agreement.max_value,
        row.has_range ? fmt::format("{:.3f} %", 100 * row.saturated) : std::string(),
        row.first_weights > 0 ? Cat(FormatBytes(row.first_weights), " &rarr; ", FormatBytes(row.second_weights)) : std::string(),
        row.first_ns > 0 || row.second_ns > 0 ? Cat(FormatDurationNs(row.first_ns), " &rarr; ", FormatDurationNs(row.second_ns)) : std::string());
  }
  page += "</table>\n<h2>Distributions</h2>\n<p class=\"note\">Blue: the first model, orange: the second; heights are logarithms of "
          "counts, zeros left out; red: the ends of the range that the codes express.</p>\n";
  for (const quantize::ValueComparison& row : rows) {
    page += HistogramPlot(row.first, row.second, row.has_range ? &row.range : nullptr,
                          fmt::format("{} ({}) {}{}", Escape(row.name), Escape(row.op), SqnrText(row.agreement),
                                      row.has_range ? fmt::format(", {:.3f} % saturated", 100 * row.saturated) : std::string()));
  }
  std::string weights;
  for (const quantize::ValueComparison& row : rows) {
    if (row.second_weight_values.count() == 0) continue;
    weights += HistogramPlot(row.first_weight_values, row.second_weight_values, row.has_weight_range ? &row.weight_range : nullptr,
                             fmt::format("weights of {}, {} &rarr; {}", Escape(row.name), FormatBytes(row.first_weights), FormatBytes(row.second_weights)));
  }
  if (!weights.empty()) page += Cat("<h2>Weights</h2>\n<p class=\"note\">The same of constants; red: what the codes express in any channel.</p>\n", weights);
  return page + "</body></html>\n";
}

}  // namespace linnet::cli
