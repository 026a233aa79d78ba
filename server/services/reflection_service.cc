// SPDX-License-Identifier: Apache-2.0
#include "server/services/reflection_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "attend/v1/attention.pb.h"
#include "attend/v1/layer.pb.h"
#include "attend/v1/server.pb.h"
#include "core/base/quoted.h"
#include "core/engine/failures.h"
#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "server/calls/message_call.h"
#include "server/calls/wire_status.h"
#include "server/telemetry/method.h"

namespace attend {
namespace {

namespace pb = google::protobuf;
namespace reflection = grpc::reflection::v1alpha;
using Request = reflection::ServerReflectionRequest;
using Response = reflection::ServerReflectionResponse;

using ServiceNames = std::set<std::string>;

const pb::DescriptorPool& Pool() {
  // The linker leaves out generated files that nothing refers to.
  v1::MultiHeadAttentionRequest::descriptor();
  v1::LayerInfo::descriptor();
  v1::ServerInfo::descriptor();
  grpc::health::v1::HealthCheckRequest::descriptor();
  return *pb::DescriptorPool::generated_pool();
}

void AddFile(const pb::FileDescriptor& file, std::set<const pb::FileDescriptor*>& added,
             reflection::FileDescriptorResponse& files) {
  if (!added.insert(&file).second) return;
  pb::FileDescriptorProto proto;
  file.CopyTo(&proto);
  proto.SerializeToString(files.add_file_descriptor_proto());
  for (int i = 0; i < file.dependency_count(); ++i) AddFile(*file.dependency(i), added, files);
}

void SetNotFound(absl::string_view what, absl::string_view name, Response& response) {
  response.mutable_error_response()->set_error_code(
      static_cast<int32_t>(grpc::StatusCode::NOT_FOUND));
  response.mutable_error_response()->set_error_message(
      absl::StrCat("there is no ", what, " ", Quoted(name)));
}

// `file` is nullptr where there is none.
void SetFile(const pb::FileDescriptor* file, absl::string_view what, absl::string_view name,
             Response& response) {
  if (file == nullptr) return SetNotFound(what, name, response);
  std::set<const pb::FileDescriptor*> added;
  AddFile(*file, added, *response.mutable_file_descriptor_response());
}

void SetExtension(const reflection::ExtensionRequest& request, Response& response) {
  const pb::Descriptor* type = Pool().FindMessageTypeByName(request.containing_type());
  const pb::FieldDescriptor* field =
      type == nullptr ? nullptr : Pool().FindExtensionByNumber(type, request.extension_number());
  SetFile(field == nullptr ? nullptr : field->file(), "extension of", request.containing_type(),
          response);
}

void SetExtensionNumbers(const std::string& name, Response& response) {
  const pb::Descriptor* type = Pool().FindMessageTypeByName(name);
  if (type == nullptr) return SetNotFound("message", name, response);
  std::vector<const pb::FieldDescriptor*> fields;
  Pool().FindAllExtensions(type, &fields);
  auto& numbers = *response.mutable_all_extension_numbers_response();
  numbers.set_base_type_name(name);
  for (const pb::FieldDescriptor* field : fields) numbers.add_extension_number(field->number());
}

Response Answer(const Request& request, const ServiceNames& services) {
  Response response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case Request::kFileByFilename:
      SetFile(Pool().FindFileByName(request.file_by_filename()), "file", request.file_by_filename(),
              response);
      break;
    case Request::kFileContainingSymbol:
      SetFile(Pool().FindFileContainingSymbol(request.file_containing_symbol()), "symbol",
              request.file_containing_symbol(), response);
      break;
    case Request::kFileContainingExtension:
      SetExtension(request.file_containing_extension(), response);
      break;
    case Request::kAllExtensionNumbersOfType:
      SetExtensionNumbers(request.all_extension_numbers_of_type(), response);
      break;
    case Request::kListServices:
      for (const std::string& name : services) {
        response.mutable_list_services_response()->add_service()->set_name(name);
      }
      break;
    case Request::MESSAGE_REQUEST_NOT_SET:
      response.mutable_error_response()->set_error_code(
          static_cast<int32_t>(grpc::StatusCode::INVALID_ARGUMENT));
      response.mutable_error_response()->set_error_message("the request asks for nothing");
      break;
  }
  return response;
}

// A stream: reads a request, writes its response, and so on.
class ReflectionCall final : public Call {
 public:
  ReflectionCall(Rpc& rpc, std::shared_ptr<const ServiceNames> services)
      : rpc_(rpc), services_(std::move(services)) {}

 private:
  void Start() override { rpc_.Read(request_); }

  void OnReadDone(bool ok) override {
    if (ended_) return;
    if (!ok) return End(absl::OkStatus());
    const absl::Status status = CatchFailures([&] { return AnswerOne(); });
    if (!status.ok()) End(status);
  }

  absl::Status AnswerOne() {
    ATTEND_ASSIGN_OR_RETURN(const Request request, ParseMessage<Request>(request_));
    rpc_.Write(SerializeMessage(Answer(request, *services_)));
    return absl::OkStatus();
  }

  void OnWriteDone(bool ok) override {
    if (ok && !ended_) rpc_.Read(request_);
  }

  void OnCancel(const absl::Status& why) override {
    if (!ended_) End(why);
  }

  bool IsStream() const override { return true; }

  void End(const absl::Status& status) {
    ended_ = true;
    rpc_.Finish(PrepareEnd(status, rpc_.context()));
  }

  Rpc& rpc_;
  const std::shared_ptr<const ServiceNames> services_;
  grpc::ByteBuffer request_;
  bool ended_ = false;
};

}  // namespace

void AddReflectionService(Routes& routes) {
  const auto services = std::make_shared<ServiceNames>();
  const CallFactory make = [services](Rpc& rpc) {
    return std::make_shared<ReflectionCall>(rpc, services);
  };
  routes[MethodPath(Method::kReflection)] = make;
  routes[MethodPath(Method::kReflectionV1Alpha)] = make;
  for (const auto& [path, route] : routes) {
    // "", service, method
    const std::vector<std::string> parts = absl::StrSplit(path, '/');
    if (Pool().FindServiceByName(parts[1]) != nullptr) services->insert(parts[1]);
  }
}

}  // namespace attend
