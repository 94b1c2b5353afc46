// Searches for one planted bug in the engine by one strategy; ci/search_quality runs it for all.
//
// usage: search_quality --bug=NAME --strategy=random|code|observations|counters --engine=LIBRARY
//                       --cpu-seconds=N [-seed=N …] [CORPUS…]
//        search_quality --list
//
// Flags with one dash and folders are libFuzzer's; the random draws take -seed from them. Ends with
// one line, "found CASES CPU_SECONDS" or "not-found CASES CPU_SECONDS".
#include <unistd.h>

#include <ctime>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "engines/faults/fault.h"
#include "fuzz/feedback.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/targets/planted_bugs.h"
#include "reference/checkpoint.h"

namespace crosscheck {
namespace {

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// An engine with one planted bug.
class PlantedEngine final : public Engine {
 public:
  PlantedEngine(std::unique_ptr<Engine> inner, size_t bug, bool seen)
      : inner_(std::move(inner)), bug_(bug), seen_(seen) {}

  // Whether the bug's conditions all held in a request since the last call.
  bool TakeShown() { return std::exchange(shown_, false); }

  Reply Call(const Message& request) override {
    const std::string op = StringField(request.head, "op").value_or("");
    if (op == "load") {
      const auto spec = ReadConfig(StringField(request.head, "path").value_or(""));
      Reply reply = inner_->Call(request);
      if (spec.ok() && reply.ok()) specs_[reply.message.head["model"].get<std::string>()] = *spec;
      return reply;
    }
    if (op == "unload") specs_.erase(StringField(request.head, "model").value_or(""));
    const auto spec = specs_.find(StringField(request.head, "model").value_or(""));
    if (op != "logits" || spec == specs_.end()) return inner_->Call(request);
    return Logits(request, spec->second);
  }

 private:
  Reply Logits(const Message& request, const ModelSpec& spec) {
    PlantedInput input{.spec = spec, .session = request.head["path"] == "session", .prompts = {}};
    for (const Json& sequence : request.head["sequences"]) input.prompts.push_back(Ids(sequence));
    const PlantedBug& bug = (seen_ ? planted_seen::Bugs() : planted_unseen::Bugs())[bug_];
    const size_t holding =
        seen_ ? planted_seen::Holding(bug, input) : planted_unseen::Holding(bug, input);
    const bool all = holding == bug.conditions.size();
    shown_ |= all;
    if (!all && !(bug.grows && holding > 0)) return inner_->Call(request);
    // Rounding of fp32, six times as much with each further condition.
    const double relative = bug.grows ? 3e-7 * std::pow(6.0, static_cast<double>(holding)) : 1;
    return EditRows(*inner_, request, [&](const auto&, const auto&, auto& rows, size_t vocab) {
      for (auto* row : rows) {
        const auto largest = std::max_element(
            row, row + vocab, [](auto a, auto b) { return std::abs(a) < std::abs(b); });
        row[0] += static_cast<std::remove_pointer_t<decltype(row)>>(relative * std::abs(*largest));
      }
    });
  }

  const std::unique_ptr<Engine> inner_;
  const size_t bug_;
  const bool seen_;
  bool shown_ = false;
  std::map<std::string, ModelSpec> specs_;
};

struct Search {
  std::unique_ptr<FuzzTarget> target;
  PlantedEngine* engine = nullptr;
  bool observations = false;
  double cap = 0, start = 0;
  int64_t cases = 0;

  [[noreturn]] void End(const char* how) const {
    std::cout << how << " " << cases << " " << CpuSeconds() - start << std::endl;
    _exit(0);
  }
  void Run(Bytes input) {
    if (CpuSeconds() - start > cap) End("not-found");
    ++cases;
    engine->TakeShown();
    const Verdict verdict = target->Judge(input);
    if (engine->TakeShown() && target->IsNew(verdict, target->CaseOf(input))) End("found");
    if (observations) HitFeedback(verdict);
  }
};

Search& TheSearch() {
  static auto& search = *new Search();
  return search;
}

[[noreturn]] void Fail(const std::string& why) {
  std::cerr << "search_quality: " << why << "\n";
  std::exit(1);
}

size_t BugNamed(const std::string& name) {
  const auto& bugs = planted_unseen::Bugs();
  for (size_t i = 0; i < bugs.size(); ++i) {
    if (bugs[i].name == name) return i;
  }
  Fail("no planted bug \"" + name + "\"; --list names them");
}

void List() {
  for (const PlantedBug& bug : planted_unseen::Bugs())
    std::cout << bug.name << "\t" << bug.text << "\n";
}

// Draws as `smoke` does, but a new model for each case, so that cases and seconds compare with
// those of libFuzzer.
[[noreturn]] void RunRandom(Search& search, uint64_t seed) {
  const auto& properties = search.target->properties();
  for (uint64_t i = 0;; ++i) {
    const Property& property = *properties[i % properties.size()];
    Stream stream(seed, absl::StrCat("search quality ", i));
    const Case c = property.subject->random(stream, search.target->limits());
    const std::string input = search.target->BytesOf(property, c);
    search.Run({reinterpret_cast<const uint8_t*>(input.data()), input.size()});
  }
}

void Start(std::map<std::string, std::string> flags) {
  Search& search = TheSearch();
  const std::string& strategy = flags["--strategy"];
  const bool known = strategy == "random" || strategy == "code" || strategy == "observations" ||
                     strategy == "counters";
  uint64_t seed = 1;
  if (!known || !absl::SimpleAtod(flags["--cpu-seconds"], &search.cap) ||
      (flags.count("-seed") > 0 && !absl::SimpleAtoi(flags["-seed"], &seed))) {
    Fail(
        "--bug, --strategy, --engine and --cpu-seconds are needed; the head of this program's "
        "source says how");
  }
  search.observations = strategy == "observations" || strategy == "counters";
  const size_t bug = BugNamed(flags["--bug"]);
  auto target =
      FuzzTarget::Open({.subject = "model_run",
                        .engine = flags["--engine"],
                        .decorate = [&](std::unique_ptr<Engine> inner) -> std::unique_ptr<Engine> {
                          auto planted = std::make_unique<PlantedEngine>(std::move(inner), bug,
                                                                         strategy == "counters");
                          search.engine = planted.get();
                          return planted;
                        }});
  if (!target.ok()) Fail(std::string(target.status().message()));
  search.target = *std::move(target);
  search.start = CpuSeconds();
  if (strategy == "random") RunRandom(search, seed);
}

}  // namespace
}  // namespace crosscheck

extern "C" __attribute__((visibility("default"))) int LLVMFuzzerInitialize(int* argc,
                                                                           char*** argv) {
  std::map<std::string, std::string> flags;
  for (int i = 1; i < *argc; ++i) {
    const std::string word = (*argv)[i];
    const size_t equals = word.find('=');
    flags[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
  }
  if (flags.count("--list") > 0) {
    crosscheck::List();
    std::exit(0);
  }
  crosscheck::Start(std::move(flags));
  return 0;
}

extern "C" __attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(const uint8_t* data,
                                                                             size_t size) {
  crosscheck::TheSearch().Run({data, size});
  return 0;
}
