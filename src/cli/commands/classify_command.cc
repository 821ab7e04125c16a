// linnet classify: what is in these pictures, with a bar a class, how long it took and what it needed.
#include <fmt/format.h>
#include <stdio.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cli/commands/commands.h"
#include "cli/data/compare.h"
#include "cli/json.h"
#include "cli/data/model_inputs.h"
#include "cli/data/preprocessing_flags.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "cli/system.h"

namespace linnet::cli {
namespace {

struct ClassifyArguments {
  std::string model, labels, activation = "auto";
  std::vector<std::string> images;
  CommonOptions common;
  PreprocessingFlags preprocessing;
  int top = 3, repeat = 20;
  bool json = false;
};

struct Class {
  int64_t index;
  double score;
};

/// A model that takes one picture and gives one score a class.
struct Classifier {
  std::unique_ptr<Session> session;
  size_t input = 0;
  Preprocessing preprocessing;
  std::vector<std::string> labels;
  std::string activation;

  std::string Name(int64_t index) const {
    return static_cast<size_t>(index) < labels.size() ? labels[static_cast<size_t>(index)] : Cat("class ", index);
  }
};

Result<Classifier> Open(const ClassifyArguments& arguments) {
  Classifier out;
  LINNET_ASSIGN(SessionOptions options, arguments.common.ToSession());
  LINNET_ASSIGN(out.session, Session::Open(arguments.model, options));
  const std::vector<PortInfo>& ports = out.session->inputs();
  int pictures = 0;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].has_default) continue;
    out.input = i;
    ++pictures;
  }
  if (pictures != 1) {
    return InvalidArgument("a classifier takes one picture; ", Quote(arguments.model), " has ", pictures, " inputs");
  }
  if (out.session->outputs().empty()) return InvalidModel(Quote(arguments.model), " has no output");
  LINNET_ASSIGN(out.preprocessing, ChoosePreprocessing(ports[out.input], out.session->info(), arguments.preprocessing));
  out.labels = LabelsOf(out.session->info());
  if (!arguments.labels.empty()) {
    LINNET_ASSIGN(out.labels, ReadLabels(arguments.labels));
  }
  out.activation = arguments.activation;
  return out;
}

/// The classes of one output, best first. Scores that are no distribution go through a softmax ("auto").
Result<std::vector<Class>> Rank(const Classifier& classifier, const Tensor& scores) {
  if (!IsFloating(scores.dtype()) || scores.elements() < 2) {
    return InvalidModel("output ", Quote(classifier.session->outputs()[0].name), " is ", ToString(scores.type()),
                        ", not one score a class");
  }
  std::vector<Class> classes;
  double sum = 0, lowest = 0, highest = -INFINITY;
  for (int64_t i = 0; i < scores.elements(); ++i) {
    double score = ElementAsDouble(scores.dtype(), scores.data(), i);
    if (std::isnan(score)) return InvalidModel("the score of class ", i, " is not a number");
    classes.push_back({i, score});
    sum += score, lowest = std::min(lowest, score), highest = std::max(highest, score);
  }
  bool distribution = lowest >= 0 && std::abs(sum - 1) < 1e-2;
  if (classifier.activation == "softmax" || (classifier.activation == "auto" && !distribution)) {
    double total = 0;
    for (Class& one : classes) total += one.score = std::exp(one.score - highest);
    for (Class& one : classes) one.score /= total;
  }
  std::stable_sort(classes.begin(), classes.end(), [](const Class& a, const Class& b) { return a.score > b.score; });
  return classes;
}

struct Answer {
  std::string image;
  std::vector<Class> classes;
};

struct Results {
  std::vector<Answer> answers;
  std::vector<double> ns;      ///< of each timed run
};

Result<Results> ClassifyAll(Classifier& classifier, const ClassifyArguments& arguments) {
  Session& session = *classifier.session;
  Results report;
  std::vector<Fact> facts(session.inputs().size());
  Terminal terminal(stderr);
  Progress progress(terminal, "classifying", static_cast<int64_t>(arguments.images.size()));
  for (const std::string& path : arguments.images) {
    LINNET_ASSIGN(Image image, LoadImage(path));
    Result<Tensor> made = ImageTensor(image, classifier.preprocessing.recipe);
    if (!made.ok()) return made.TakeStatus().At(Quote(path));
    LINNET_ASSIGN(Tensor tensor, ConvertFloats(*made, session.inputs()[classifier.input].type.dtype));
    facts[classifier.input] = {tensor.type(), tensor.data()};
    std::vector<RunOutput> outputs(session.outputs().size());
    // The first run makes the plan; the others are what a camera preview would see.
    for (int i = 0; i <= arguments.repeat; ++i) {
      outputs = std::vector<RunOutput>(session.outputs().size());
      int64_t begin = MonotonicNs();
      LINNET_TRY(session.Run(facts.data(), outputs.data()).At(Quote(path)));
      if (i > 0) report.ns.push_back(static_cast<double>(MonotonicNs() - begin));
    }
    LINNET_ASSIGN(std::vector<Class> classes, Rank(classifier, outputs[0].datum.tensor));
    classes.resize(std::min(classes.size(), static_cast<size_t>(arguments.top)));
    report.answers.push_back({path, std::move(classes)});
    progress.Update(static_cast<int64_t>(report.answers.size()));
  }
  std::sort(report.ns.begin(), report.ns.end());
  return report;
}

std::string FileName(const std::string& path) { return std::filesystem::path(path).filename().string(); }

int Classify(const ClassifyArguments& arguments) {
  Result<Classifier> opened = Open(arguments);
  if (!opened.ok()) return Report(opened.status());
  Result<Results> report = ClassifyAll(*opened, arguments);
  if (!report.ok()) return Report(report.status());
  Session& session = *opened->session;
  double median = report->ns[report->ns.size() / 2], fastest = report->ns.front();
  int64_t weights = session.model().weight_bytes(), activations = session.arena_bytes(), peak = PeakRssBytes();

  if (arguments.json) {
    Json json;
    json["model"] = arguments.model;
    json["preprocessing"] = opened->preprocessing.sentence;
    json["images"] = Json::array();
    for (const Answer& answer : report->answers) {
      Json image{{"file", answer.image}, {"classes", Json::array()}};
      for (const Class& one : answer.classes) {
        image["classes"].push_back({{"index", one.index}, {"label", opened->Name(one.index)}, {"probability", one.score}});
      }
      json["images"].push_back(std::move(image));
    }
    json["threads"] = session.threads();
    json["median_ms"] = median / 1e6;
    json["min_ms"] = fastest / 1e6;
    json["weight_bytes"] = weights;
    json["arena_bytes"] = activations;
    json["peak_rss_bytes"] = peak;
    fmt::print("{}", FormatJson(json));
    return kSuccess;
  }
  Terminal terminal(stdout);
  Table table({{""}, {""}, {""}, {"", Table::Align::kRight}});
  for (const Answer& answer : report->answers) {
    for (size_t i = 0; i < answer.classes.size(); ++i) {
      const Class& one = answer.classes[i];
      table.Row({{i == 0 ? FileName(answer.image) : "", Color::kBold},
                 {opened->Name(one.index), i == 0 ? Color::kGreen : Color::kPlain},
                 {terminal.Bar(one.score, 24), i == 0 ? Color::kCyan : Color::kDim},
                 fmt::format("{:.1f} %", 100 * one.score)});
    }
  }
  fmt::print("{}", table.ToString(terminal));
  fmt::print("\n{}\n", terminal.Paint(Color::kDim, Cat("each picture: ", opened->preprocessing.sentence)));
  fmt::print("latency   median {}   min {}   ({} thread{}, {} runs)\n", FormatDurationNs(median), FormatDurationNs(fastest),
             session.threads(), session.threads() == 1 ? "" : "s", report->ns.size());
  fmt::print("memory    weights {}   activations {}   process at its peak {}\n", FormatBytes(weights),
             FormatBytes(activations), FormatBytes(peak));
  return kSuccess;
}

}  // namespace

void AddClassifyCommand(Arguments& root) {
  auto arguments = std::make_shared<ClassifyArguments>();
  PreprocessingFlags& flags = arguments->preprocessing;
  Arguments classify = root.Command("classify", "Say what is in pictures (JPEG, PNG, BMP, GIF, PNM of any size)");
  classify.Add("model", arguments->model, "Model file: one picture in, one score a class out").Required();
  classify.Add("images", arguments->images, "Pictures").Required();
  classify.Add("--labels", arguments->labels, "File with one label a line; otherwise the model's metadata");
  classify.Add("--top", arguments->top, "Classes to show (3)").Range(1, 1000);
  classify.Add("--repeat", arguments->repeat, "Timed runs of each picture (20)").Range(1, 1000000);
  classify.Add("--activation", arguments->activation, "softmax, none, or auto: softmax unless the scores sum to 1")
      .OneOf({"auto", "softmax", "none"});
  AddPreprocessingFlags(classify, &flags);
  classify.Flag("--json", arguments->json, "Print one JSON object");
  arguments->common.AddTo(classify);
  classify.OnRun([arguments] { return Classify(*arguments); });
}

}  // namespace linnet::cli
