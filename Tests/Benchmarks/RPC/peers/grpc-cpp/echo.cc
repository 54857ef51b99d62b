// The echo service on gRPC C++'s callback API, which is its fastest for servers.
//
// serve [CERTIFICATE KEY]: prints "port N" and serves until it is killed.
// load PORT CONNECTIONS STREAMS BYTES SECONDS [CERTIFICATE]: unary calls in a closed loop; prints
// "calls N seconds S p50_us A p99_us B mean_us C".

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "echo.grpc.pb.h"

using llmos::bench::Echo;
using llmos::bench::EchoMessage;
using Clock = std::chrono::steady_clock;

namespace {

std::string Read(const char* path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class ExpandReactor : public grpc::ServerWriteReactor<EchoMessage> {
 public:
  explicit ExpandReactor(const EchoMessage* request) : left_(request->count()) {
    answer_.set_payload(request->payload());
    Next();
  }
  void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (left_-- == 0) return Finish(grpc::Status::OK);
    StartWrite(&answer_);
  }
  uint32_t left_;
  EchoMessage answer_;
};

class ChatReactor : public grpc::ServerBidiReactor<EchoMessage, EchoMessage> {
 public:
  ChatReactor() { StartRead(&message_); }
  void OnReadDone(bool ok) override { ok ? StartWrite(&message_) : Finish(grpc::Status::OK); }
  void OnWriteDone(bool ok) override {
    ok ? StartRead(&message_) : Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  EchoMessage message_;
};

class EchoService final : public Echo::CallbackService {
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, const EchoMessage* request,
                                  EchoMessage* response) override {
    response->set_payload(request->payload());
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerWriteReactor<EchoMessage>* Expand(grpc::CallbackServerContext*,
                                                const EchoMessage* request) override {
    return new ExpandReactor(request);
  }
  grpc::ServerBidiReactor<EchoMessage, EchoMessage>* Chat(grpc::CallbackServerContext*) override {
    return new ChatReactor();
  }
};

int Serve(const char* certificate, const char* key) {
  EchoService service;
  grpc::ServerBuilder builder;
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  if (certificate != nullptr) {
    grpc::SslServerCredentialsOptions options;
    options.pem_key_cert_pairs.push_back({Read(key), Read(certificate)});
    credentials = grpc::SslServerCredentials(options);
  }
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", credentials, &port);
  builder.RegisterService(&service);
  auto server = builder.BuildAndStart();
  if (!server) return 1;
  std::printf("port %d\n", port);
  std::fflush(nullptr);
  server->Wait();
  return 0;
}

// One stream of calls, each begun when the one before it ended.
class Lane {
 public:
  Lane(Echo::Stub* stub, size_t bytes, Clock::time_point end) : stub_(stub), end_(end) {
    request_.set_payload(std::string(bytes, 'a'));
  }
  void Begin() {
    context_ = std::make_unique<grpc::ClientContext>();
    begun_ = Clock::now();
    stub_->async()->Unary(context_.get(), &request_, &response_,
                          [this](grpc::Status status) { Ended(status); });
  }
  const std::vector<double>& Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    over_.wait(lock, [this] { return is_over_; });
    return times_;
  }

 private:
  void Ended(const grpc::Status& status) {
    if (!status.ok() || response_.payload().size() != request_.payload().size()) {
      std::fprintf(stderr, "%s\n", status.error_message().c_str());
      std::exit(1);
    }
    const auto now = Clock::now();
    times_.push_back(std::chrono::duration<double, std::micro>(now - begun_).count());
    if (now < end_) return Begin();
    std::lock_guard<std::mutex> lock(mutex_);
    is_over_ = true;
    over_.notify_one();
  }

  Echo::Stub* stub_;
  Clock::time_point end_, begun_;
  EchoMessage request_, response_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::vector<double> times_;
  std::mutex mutex_;
  std::condition_variable over_;
  bool is_over_ = false;
};

int Load(const std::string& port, int connections, int streams, size_t bytes, int seconds,
         const char* certificate) {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (certificate != nullptr) credentials = grpc::SslCredentials({Read(certificate), "", ""});
  std::vector<std::unique_ptr<Echo::Stub>> stubs;
  std::vector<std::unique_ptr<Lane>> lanes;
  const auto start = Clock::now();
  for (int connection = 0; connection < connections; ++connection) {
    grpc::ChannelArguments arguments;
    // Channels to one address share a connection otherwise.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt("llmos.bench.connection", connection);
    arguments.SetSslTargetNameOverride("localhost");
    stubs.push_back(
        Echo::NewStub(grpc::CreateCustomChannel("127.0.0.1:" + port, credentials, arguments)));
    for (int stream = 0; stream < streams; ++stream) {
      lanes.push_back(std::make_unique<Lane>(stubs.back().get(), bytes,
                                             start + std::chrono::seconds(seconds)));
    }
  }
  for (auto& lane : lanes) lane->Begin();
  std::vector<double> times;
  for (auto& lane : lanes) {
    const auto& some = lane->Wait();
    times.insert(times.end(), some.begin(), some.end());
  }
  const double wall = std::chrono::duration<double>(Clock::now() - start).count();
  std::sort(times.begin(), times.end());
  double sum = 0;
  for (double time : times) sum += time;
  std::printf("calls %zu seconds %g p50_us %g p99_us %g mean_us %g\n", times.size(), wall,
              times[times.size() / 2], times[times.size() * 99 / 100], sum / times.size());
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const std::string command = count > 1 ? words[1] : "";
  if (command == "serve") return Serve(count > 3 ? words[2] : nullptr, count > 3 ? words[3] : nullptr);
  if (command == "load" && count > 6) {
    return Load(words[2], std::atoi(words[3]), std::atoi(words[4]), std::atoi(words[5]),
                std::atoi(words[6]), count > 7 ? words[7] : nullptr);
  }
  std::fprintf(stderr, "serve [CERTIFICATE KEY] | load PORT CONNECTIONS STREAMS BYTES SECONDS [CERTIFICATE]\n");
  return 64;
}
