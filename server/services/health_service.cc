// SPDX-License-Identifier: Apache-2.0
#include "server/services/health_service.h"

#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"
#include "core/engine/failures.h"
#include "server/calls/message_call.h"
#include "server/calls/wire_status.h"
#include "server/codec/byte_buffer.h"
#include "server/telemetry/method.h"

namespace attend {

// One call that is told each change until its caller leaves.
class HealthService::WatchCall final : public Call {
 public:
  WatchCall(HealthService& service, Rpc& rpc) : service_(service), rpc_(rpc) {}

  // Sends the state, or once the one before has been sent.
  void Tell(const Response& state) {
    MutexLock lock(mutex_);
    state_ = state;
    untold_ = true;
    Write();
  }

 private:
  void Start() override { rpc_.Read(request_); }

  void OnReadDone(bool ok) override {
    if (ended_) return;
    const absl::Status status = ok ? CatchFailures([&] { return Watch(); }) : MissingMessageError();
    if (!status.ok()) End(status);
  }

  absl::Status Watch() {
    ATTEND_ASSIGN_OR_RETURN(const Request request, ParseMessage<Request>(request_));
    known_ = Knows(request.service());
    MutexLock lock(service_.mutex_);
    service_.watches_.insert(this);
    Tell(service_.State());
    return absl::OkStatus();
  }

  void Write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || !untold_) return;
    writing_ = true;
    untold_ = false;
    if (!known_) state_.set_status(Response::SERVICE_UNKNOWN);
    rpc_.Write(SerializeMessage(state_));
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(mutex_);
    writing_ = false;
    if (ok && !ended_) Write();
  }

  void OnCancel(const absl::Status& why) override {
    if (!ended_) End(why);
  }

  bool IsStream() const override { return true; }

  void End(const absl::Status& status) {
    {
      MutexLock lock(service_.mutex_);
      ended_ = true;
      service_.watches_.erase(this);
    }
    rpc_.Finish(PrepareEnd(status, rpc_.context()));
  }

  HealthService& service_;
  Rpc& rpc_;
  grpc::ByteBuffer request_;
  bool known_ = false;  // whether there is such a service
  bool ended_ = false;

  Mutex mutex_;  // taken after the service's
  Response state_ ABSL_GUARDED_BY(mutex_);
  bool untold_ ABSL_GUARDED_BY(mutex_) = false;  // `state_` has not been written
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
};

void HealthService::AddTo(Routes& routes) {
  routes[MethodPath(Method::kHealthCheck)] = AnswerUncounted(AnswerMessages<Request, Response>(
      [this](const Request& request, Response& response) { return Check(request, response); }));
  routes[MethodPath(Method::kHealthWatch)] = [this](Rpc& rpc) {
    return std::make_shared<WatchCall>(*this, rpc);
  };
}

void HealthService::SetServing(bool serving) {
  MutexLock lock(mutex_);
  if (serving_ == serving) return;
  serving_ = serving;
  for (WatchCall* watch : watches_) watch->Tell(State());
}

bool HealthService::Knows(const std::string& service) {
  // Of attend.v1, whose health it is.
  return service.empty() ||
         (absl::StartsWith(service, "attend.v1.") &&
          std::any_of(kMethods.begin(), kMethods.end(),
                      [&](const MethodName& name) { return name.service == service; }));
}

HealthService::Response HealthService::State() const {
  Response response;
  response.set_status(serving_ ? Response::SERVING : Response::NOT_SERVING);
  return response;
}

absl::Status HealthService::Check(const Request& request, Response& response) {
  if (!Knows(request.service())) {
    return MakeError(absl::StatusCode::kNotFound, "UNKNOWN_SERVICE", "service",
                     absl::StrCat("no service is named ", Quoted(request.service())));
  }
  MutexLock lock(mutex_);
  response = State();
  return absl::OkStatus();
}

}  // namespace attend
