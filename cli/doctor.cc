// `crosscheck doctor`: what is installed, what is missing and how to get it. Every line is a real
// attempt, not a file check.
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/verb.h"
#include "engines/host_client.h"
#include "engines/registry.h"
#include "fmt/format.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

struct Finding {
  std::string what;
  bool ok;
  bool required;
  std::string detail;
};

std::string FirstLineOf(const std::string& command) {
  std::string line;
  if (FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r")) {
    char buffer[256];
    if (std::fgets(buffer, sizeof buffer, pipe) != nullptr) line = buffer;
    pclose(pipe);
  }
  while (!line.empty() && line.back() == '\n') line.pop_back();
  return line;
}

Finding CheckCargo() {
  std::string version = FirstLineOf("cargo --version");
  int major = 0;
  int minor = 0;
  bool parsed = std::sscanf(version.c_str(), "cargo %d.%d", &major, &minor) == 2;
  bool ok = parsed && (major > 1 || minor >= 93);
  return {"cargo", ok, false,
          ok ? version
             : absl::StrCat(version.empty() ? "not found" : version,
                            "; the lattice engine needs 1.93 or newer: install Rust with rustup "
                            ", then run "
                            "ci/build again")};
}

ModelSpec TinySpec() {
  ModelSpec spec;
  spec.layers = {LayerKind::kLinearAttention, LayerKind::kFullAttention};
  spec.vocab = 8;
  spec.hidden = 4;
  spec.intermediate = 4;
  spec.head_dim = 4;
  spec.rotary_dim = 2;
  spec.linear_value_heads = 2;
  spec.linear_key_dim = 2;
  spec.linear_value_dim = 2;
  spec.max_positions = 8;
  return spec;
}

// The references are compared on a real (tiny) model, so a broken BLAS or a wrong libtorch shows
// here.
Finding CheckReferences() {
  auto model = std::make_shared<const Model>(GenerateModel({TinySpec(), {}}));
  auto exact = MakeExactModel(model, ExactVariant::kFp64);
  if (!exact.ok()) return {"exact model", false, true, std::string(exact.status().message())};
  auto torch = MakeTorchModel(model, TorchPrecision::kFp64);
  if (!torch.ok()) {
    return {
        "libtorch", false, true,
        absl::StrCat(std::string(torch.status().message()), "; run ci/setup and ci/build again")};
  }
  const std::vector<int32_t> ids = {1, 2, 3};
  auto want = (*exact)->NewSession()->Extend({.ids = ids});
  auto got = (*torch)->NewSession()->Extend({.ids = ids});
  if (!want.ok() || !got.ok()) return {"libtorch", false, true, "a tiny model does not run"};
  double worst = 0;
  for (size_t i = 0; i < want->values.size(); ++i) {
    worst = std::max(worst, std::abs(want->values[i] - got->values[i]));
  }
  return {"libtorch", worst < 1e-9, true,
          fmt::format("loaded; differs from the exact model by {:.1e}", worst)};
}

Finding CheckEngine(const EngineInfo& engine) {
  std::string what = "engine " + engine.name;
  if (!engine.available) return {what, false, false, engine.hint};
  auto client = HostClient::Start({.engine = engine.name});
  if (!client.ok()) return {what, false, false, std::string(client.status().message())};
  return {what, true, false, "answers hello, version " + (*client)->hello().value("version", "?")};
}

Finding CheckMemoryStorage() {
  bool writable = access("/dev/shm", W_OK) == 0;
  struct statvfs space = {};
  statvfs("/dev/shm", &space);
  return {"memory-backed storage", writable, false,
          writable
              ? fmt::format("/dev/shm, {} MiB free", (space.f_bavail * space.f_frsize) >> 20)
              : "no writable /dev/shm; model files go to the temporary folder, which is slower"};
}

int RunDoctor(const std::string& json_path) {
  std::vector<Finding> findings;
  findings.push_back({"crosscheck", true, true, VersionText()});
  findings.push_back(CheckReferences());
  findings.push_back(CheckCargo());
  for (const EngineInfo& engine : ListEngines()) {
    if (engine.name.find(':') == std::string::npos) findings.push_back(CheckEngine(engine));
  }
  findings.push_back(CheckMemoryStorage());
  bool all_required = true;
  nlohmann::json json = {{"schema", 1}, {"checks", nlohmann::json::array()}};
  for (const Finding& f : findings) {
    std::cout << fmt::format("{:8} {:24} {}\n",
                             f.ok         ? "ok"
                             : f.required ? "MISSING"
                                          : "missing",
                             f.what, f.detail);
    json["checks"].push_back(
        {{"what", f.what}, {"ok", f.ok}, {"required", f.required}, {"detail", f.detail}});
    all_required = all_required && (f.ok || !f.required);
  }
  absl::Status written = WriteJson(json, json_path);
  if (!written.ok()) return Fail(written);
  return all_required ? kExitClean : kExitError;
}

}  // namespace

void AddDoctor(CLI::App& app, int& exit_code) {
  auto json = std::make_shared<std::string>();
  CLI::App* verb =
      app.add_subcommand("doctor", "What is installed, what is missing and how to get it");
  verb->add_option("--json", *json, "Write JSON to a file, '-' for stdout");
  verb->footer("Examples:\n  crosscheck doctor\n  crosscheck doctor --json doctor.json");
  verb->callback([json, &exit_code] { exit_code = RunDoctor(*json); });
}

}  // namespace crosscheck
