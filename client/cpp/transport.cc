// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/transport.h"

#include <utility>

namespace attend::client::internal {

Transport::Transport(const std::vector<std::shared_ptr<grpc::Channel>>& channels, Pacer& pacer,
                     LoadControl& load)
    : pacer_(pacer), load_(load) {
  for (const std::shared_ptr<grpc::Channel>& channel : channels) {
    stubs_.push_back(std::make_unique<grpc::GenericStub>(channel));
  }
}

Transport::~Transport() {
  std::vector<std::shared_ptr<Call>> calls;
  std::thread poller;
  {
    MutexLock lock(mutex_);
    closing_ = true;
    for (const auto& [key, running] : running_) calls.push_back(running.call);
  }
  for (const std::shared_ptr<Call>& call : calls) call->Cancel();
  {
    MutexLock lock(mutex_);
    while (unfinished_ > 0) none_running_.Wait(mutex_);
    poller = std::move(poller_);
  }
  queue_.Shutdown();
  if (poller.joinable()) {
    poller.join();
  } else {
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
    }
  }
}

Call::NextStub Transport::NextStub() {
  return [this]() -> grpc::GenericStub& {
    return *stubs_[turn_.fetch_add(1, std::memory_order_relaxed) % stubs_.size()];
  };
}

CallResult Transport::Run(CallSpec spec) {
  grpc::CompletionQueue queue;
  Call call(std::move(spec), NextStub(), &queue, pacer_, load_);
  call.Start();
  void* tag;
  bool ok;
  while (queue.Next(&tag, &ok)) {
    if (call.Advance()) break;
  }
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  return call.TakeResult();
}

std::weak_ptr<Call> Transport::Start(CallSpec spec, Done done) {
  auto call = std::make_shared<Call>(std::move(spec), NextStub(), &queue_, pacer_, load_);
  bool closing = false;
  {
    MutexLock lock(mutex_);
    closing = closing_;
    running_.emplace(call.get(), Running{call, std::move(done)});
    ++unfinished_;
    if (!poller_.joinable()) poller_ = std::thread(&Transport::Poll, this);
  }
  call->Start();
  if (closing) call->Cancel();
  return call;
}

void Transport::Poll() {
  void* tag;
  bool ok;
  while (queue_.Next(&tag, &ok)) {
    auto* const call = static_cast<Call*>(tag);
    {
      // Taken by Start after it made the call: orders the two for readers, human
      // and ThreadSanitizer, who do not know that the queue does so.
      MutexLock lock(mutex_);
    }
    if (!call->Advance()) continue;
    Running ended;
    {
      MutexLock lock(mutex_);
      const auto it = running_.find(call);
      ended = std::move(it->second);
      running_.erase(it);
    }
    std::move(ended.done)(ended.call->TakeResult());
    ended = {};  // the callback's captures go before the destructor may return
    MutexLock lock(mutex_);
    if (--unfinished_ == 0) none_running_.NotifyAll();
  }
}

}  // namespace attend::client::internal
