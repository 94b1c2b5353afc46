// `crosscheck serve` over a socket: answers, errors, hostile bytes, the end by a signal.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <thread>

#include "nlohmann/json.hpp"
#include "tests/cli/command.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

// The server on a free port, as a child of the test.
class Server {
 public:
  explicit Server(const std::string& arguments) {
    int out[2];
    if (pipe(out) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      dup2(out[1], STDOUT_FILENO);
      close(out[0]);
      close(out[1]);
      const std::string line =
          "exec " + (BuildFolder() / "crosscheck").string() + " serve " + arguments;
      execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      _exit(127);
    }
    close(out[1]);
    std::string text;
    for (char c = 0; read(out[0], &c, 1) == 1 && c != '\n';) text += c;
    close(out[0]);
    greeting_ = text;
    const size_t colon = text.find("http://127.0.0.1:");
    if (colon != std::string::npos) port_ = std::atoi(text.c_str() + colon + 17);
  }
  ~Server() {
    if (pid_ > 0) Stop(SIGKILL);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const { return port_; }
  const std::string& greeting() const { return greeting_; }
  // The exit code, 128 + signal where one ended it.
  int Stop(int signal) {
    kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  // Sends bytes as they are; the answer until the connection is closed or 20 s pass.
  std::string Exchange(const std::string& bytes, bool finish = true) const {
    const int connection = socket(AF_INET, SOCK_STREAM, 0);
    timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    std::string answer;
    if (connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      for (size_t sent = 0; sent < bytes.size();) {
        const ssize_t n = send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += static_cast<size_t>(n);
      }
      if (finish) shutdown(connection, SHUT_WR);
      char buffer[4096];
      for (ssize_t n = 0; (n = recv(connection, buffer, sizeof buffer, 0)) > 0;) {
        answer.append(buffer, static_cast<size_t>(n));
      }
    }
    close(connection);
    return answer;
  }
  std::string Post(const std::string& body, const std::string& path = "/v1/completions") const {
    return Exchange("POST " + path +
                        " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " +
                        std::to_string(body.size()) + "\r\n\r\n" + body,
                    false);
  }

 private:
  pid_t pid_ = -1;
  int port_ = 0;
  std::string greeting_;
};

json BodyOf(const std::string& answer) {
  const size_t at = answer.find("\r\n\r\n");
  return json::parse(at == std::string::npos ? "" : answer.substr(at + 4), nullptr, false);
}

std::string Request(const json& prompt) {
  return json({{"model", "m"},
               {"prompt", prompt},
               {"temperature", 0},
               {"max_tokens", 1},
               {"logprobs", 1},
               {"echo", true},
               {"seed", 1}})
      .dump();
}

class ServeTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = new Server("seeds/checkpoints/tiny-qwen35 --engine torch:fp64 --port 0");
    ASSERT_GT(server_->port(), 0) << server_->greeting();
  }
  static void TearDownTestSuite() { delete server_; }
  // It still answers, and the same.
  static void ExpectAlive() {
    const json body = BodyOf(server_->Post(Request({1, 2, 3})));
    ASSERT_TRUE(body.is_object());
    EXPECT_EQ(body["choices"][0]["logprobs"]["token_logprobs"].size(), 4U);
  }
  static Server* server_;
};
Server* ServeTest::server_ = nullptr;

TEST_F(ServeTest, AnswersAsTheClientExpects) {
  const std::string answer = server_->Post(Request({{1, 2, 3}, {4, 5}}));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("application/json"));
  const json body = BodyOf(answer);
  ASSERT_EQ(body["choices"].size(), 2U);
  EXPECT_TRUE(body["choices"][1]["logprobs"]["token_logprobs"][0].is_null());
  EXPECT_EQ(body["choices"][1]["logprobs"]["token_logprobs"].size(), 3U);
  EXPECT_EQ(body["object"], "text_completion");
  const json models = BodyOf(
      server_->Exchange("GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false));
  EXPECT_EQ(models["data"][0]["vocab"], 1024);
}

TEST_F(ServeTest, RefusalsAre400AndNameTheParameter) {
  json request = json::parse(Request({1, 2}));
  request["top_k"] = 5;
  const std::string answer = server_->Post(request.dump());
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(BodyOf(answer)["error"]["message"].get<std::string>(), HasSubstr("\"top_k\""));
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[1]"), Request({1, 5000}),
        std::string(200000, '['), std::string("\0\xff", 2)}) {
    EXPECT_THAT(server_->Post(body), StartsWith("HTTP/1.1 400 "));
  }
  ExpectAlive();
}

TEST_F(ServeTest, UnknownPathsAre404) {
  for (const char* path : {"/", "/v1/chat/completions", "/v1/completions/x", "/%00", "/../etc"}) {
    const std::string answer = server_->Post("{}", path);
    EXPECT_THAT(answer, testing::AnyOf(StartsWith("HTTP/1.1 404 "), StartsWith("HTTP/1.1 400 ")))
        << path;
    EXPECT_TRUE(BodyOf(answer).contains("error")) << path << answer;
  }
  EXPECT_THAT(server_->Exchange(
                  "GET /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false),
              StartsWith("HTTP/1.1 404 "));
}

TEST_F(ServeTest, LargeBodiesAre413HoweverTheyAreSent) {
  const std::string large(9 << 20, ' ');
  EXPECT_THAT(server_->Post(large), StartsWith("HTTP/1.1 413 "));
  std::string chunked =
      "POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 9; ++i) chunked += "100000\r\n" + std::string(1 << 20, ' ') + "\r\n";
  chunked += "0\r\n\r\n";
  EXPECT_THAT(server_->Exchange(chunked, false), StartsWith("HTTP/1.1 413 "));
  ExpectAlive();
}

TEST_F(ServeTest, BytesThatAreNoRequestEndTheConnectionOnly) {
  const std::string head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n";
  for (const std::string& bytes :
       {std::string("\r\n\r\n"), std::string(100000, 'A'), std::string("GET"),
        std::string("\x16\x03\x01\x02\x00\x01\x00", 7), head + "Content-Length: -5\r\n\r\n",
        head + "Content-Length: 99999999999999999999\r\n\r\n{}",
        head + "Content-Length: 50\r\n\r\n{\"prompt\"",
        head + "Transfer-Encoding: chunked\r\n\r\nzz",
        head + std::string(20000, 'h') + ": 1\r\n\r\n",
        head + "Content-Encoding: gzip\r\n"
               "Content-Length: 4\r\n\r\nabcd"}) {
    const std::string answer = server_->Exchange(bytes);
    if (!answer.empty()) EXPECT_THAT(answer, StartsWith("HTTP/1.1 4")) << bytes.substr(0, 80);
  }
  ExpectAlive();
}

TEST_F(ServeTest, RequestsAtOnceAreAnsweredOneByOne) {
  const std::string alone = server_->Post(Request({1, 2, 3}));
  std::vector<std::string> answers(6);
  {
    std::vector<std::jthread> clients;
    for (std::string& answer : answers) {
      clients.emplace_back([&] { answer = server_->Post(Request({1, 2, 3})); });
    }
  }
  for (const std::string& answer : answers) EXPECT_EQ(BodyOf(answer), BodyOf(alone));
}

TEST(ServeCommandTest, ASignalEndsItCleanly) {
  for (const int signal : {SIGINT, SIGTERM}) {
    Server server("seeds/checkpoints/tiny-qwen35 --engine exact --port 0");
    ASSERT_GT(server.port(), 0) << server.greeting();
    EXPECT_THAT(server.greeting(), HasSubstr("Ctrl-C"));
    EXPECT_THAT(server.Post(Request({1})), StartsWith("HTTP/1.1 200 "));
    EXPECT_EQ(server.Stop(signal), 0);
  }
}

TEST(ServeCommandTest, WhatCannotBeServedIsSaid) {
  const CommandResult model = RunCrosscheck("serve no/such/model --engine exact --port 0");
  EXPECT_EQ(model.exit_code, 1);
  EXPECT_THAT(model.err, HasSubstr("no/such/model"));
  Server server("seeds/checkpoints/tiny-qwen35 --engine exact --port 0");
  ASSERT_GT(server.port(), 0);
  const CommandResult taken = RunCrosscheck(
      "serve seeds/checkpoints/tiny-qwen35 --engine exact --port " + std::to_string(server.port()));
  EXPECT_EQ(taken.exit_code, 1);
  EXPECT_THAT(taken.err, HasSubstr("--port 0"));
  EXPECT_EQ(RunCrosscheck("serve seeds/checkpoints/tiny-qwen35 --port 70000").exit_code, 1);
}

}  // namespace
}  // namespace crosscheck
