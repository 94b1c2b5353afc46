// `crosscheck serve`: log-probabilities of an engine over HTTP, for lm-eval (docs/serve.md).
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/verb.h"
#include "fmt/format.h"
#include "httplib.h"
#include "quality/completions.h"

namespace crosscheck {
namespace {

constexpr size_t kMostBodyBytes = 8 << 20;
constexpr char kJson[] = "application/json";

struct ServeFlags {
  quality::SideOptions side;
  std::string host = "127.0.0.1";
  int port = 8000;
};

void AnswerError(int status, std::string_view message, httplib::Response& response) {
  const nlohmann::json json = {{"error",
                                {{"message", std::string(message)},
                                 {"type", status < 500 ? "invalid_request_error" : "server_error"},
                                 {"code", status}}}};
  response.status = status;
  response.set_content(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                       kJson);
}

int HttpStatusOf(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? 400 : absl::IsUnimplemented(status) ? 501 : 500;
}

// Counted while it arrives: a chunked or compressed body does not say how long it is.
void AnswerCompletion(quality::Completions& completions, const httplib::ContentReader& reader,
                      httplib::Response& response) {
  std::string body;
  bool too_large = false;
  const bool whole = reader([&](const char* data, size_t size) {
    too_large = body.size() + size > kMostBodyBytes;
    if (!too_large) body.append(data, size);
    return !too_large;
  });
  if (too_large || response.status == 413) {
    return AnswerError(413, absl::StrCat("a body has at most ", kMostBodyBytes, " bytes"),
                       response);
  }
  if (!whole) return AnswerError(400, "the body does not arrive as its header says", response);
  const auto answer = completions.Answer(body);
  if (!answer.ok()) {
    return AnswerError(HttpStatusOf(answer.status()), std::string(answer.status().message()),
                       response);
  }
  response.status = 200;
  response.set_content(
      answer->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n", kJson);
}

void AddRoutes(quality::Completions& completions, httplib::Server& server) {
  server.set_payload_max_length(kMostBodyBytes);
  // The library's own options would let a second server share the port.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.Post("/v1/completions", [&](const httplib::Request&, httplib::Response& response,
                                     const httplib::ContentReader& reader) {
    AnswerCompletion(completions, reader, response);
  });
  server.Get("/v1/models", [&](const httplib::Request&, httplib::Response& response) {
    const nlohmann::json json = {{"object", "list"},
                                 {"data",
                                  {{{"id", completions.model()},
                                    {"object", "model"},
                                    {"owned_by", completions.engine()},
                                    {"vocab", completions.vocab()},
                                    {"context", completions.context()}}}}};
    response.set_content(json.dump() + "\n", kJson);
  });
  server.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    const bool lost = response.status == 404;
    AnswerError(response.status,
                lost ? absl::StrCat(request.method, " ", request.path.substr(0, 100),
                                    ": there are POST /v1/completions and GET /v1/models")
                     : "the request is not one of HTTP that is served",
                response);
  });
}

int RunServe(const ServeFlags& flags) {
  auto completions = quality::Completions::Open(flags.side);
  if (!completions.ok()) return Fail(completions.status());
  httplib::Server server;
  AddRoutes(**completions, server);
  const int port = flags.port == 0 ? server.bind_to_any_port(flags.host)
                   : server.bind_to_port(flags.host, flags.port) ? flags.port
                                                                 : -1;
  if (port < 0) {
    return Fail(absl::UnavailableError(
        absl::StrCat("cannot listen on ", flags.host, ":", flags.port,
                     "; --port 0 takes a free port, --host another address")));
  }
  std::cout << fmt::format("{} by {}: http://{}:{}/v1/completions (Ctrl-C ends)\n",
                           flags.side.model, flags.side.engine, flags.host, port)
            << std::flush;
  std::jthread watcher([&](const std::stop_token& ended) {
    while (!ended.stop_requested() && !InterruptFlag()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    server.stop();
  });
  server.listen_after_bind();  // a signal ends it as well, with false
  if (InterruptFlag()) return kExitClean;
  return Fail(absl::UnavailableError("the server stopped listening"));
}

}  // namespace

void AddServe(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ServeFlags>();
  flags->side.engine = "lattice";
  CLI::App* verb = app.add_subcommand(
      "serve", "Log-probabilities of an engine over HTTP, for lm-eval's local-completions");
  verb->add_option("model", flags->side.model, "Checkpoint folder")->required();
  verb->add_option("--engine", flags->side.engine, "Engine that answers (default lattice)");
  verb->add_option("--lora", flags->side.adapter, "Adapter folder in PEFT's format");
  verb->add_option("--host", flags->host, "Address to listen on (default 127.0.0.1)");
  verb->add_option("--port", flags->port, "Port; 0: a free one, which is printed (default 8000)")
      ->check(CLI::Range(0, 65535));
  verb->footer(
      "Served: POST /v1/completions with temperature 0, max_tokens 1, echo, logprobs 1 to 5; all "
      "else is refused.\nExamples:\n"
      "  crosscheck serve seeds/checkpoints/tiny-qwen35 --engine torch:fp64 --port 0\n"
      "  crosscheck serve MODEL --engine lattice   # and in another shell:\n"
      "  lm_eval run --model local-completions --tasks hellaswag --model_args \\\n"
      "    model=MODEL,tokenizer=MODEL,base_url=http://127.0.0.1:8000/v1/completions");
  verb->callback([flags, &exit_code] { exit_code = RunServe(*flags); });
}

}  // namespace crosscheck
