// SPDX-License-Identifier: Apache-2.0
#include "server/services/health_service.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>

#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/support/call_server.h"

namespace attend {
namespace {

namespace health = grpc::health::v1;
using Response = health::HealthCheckResponse;

class HealthServiceTest : public testing::Test {
 protected:
  HealthServiceTest() : server_(MakeRoutes(service_)) {}

  static Routes MakeRoutes(HealthService& service) {
    Routes routes;
    service.AddTo(routes);
    return routes;
  }

  grpc::Status Check(const std::string& name, Response& response) {
    grpc::ClientContext context;
    health::HealthCheckRequest request;
    request.set_service(name);
    return stub_->Check(&context, request, &response);
  }

  HealthService service_;
  CallServer server_;
  const std::unique_ptr<health::Health::Stub> stub_ = health::Health::NewStub(server_.channel());
};

TEST_F(HealthServiceTest, TellsTheStateOfTheServerAndOfEachService) {
  for (const bool serving : {false, true, false}) {
    service_.SetServing(serving);
    for (const char* name : {"", "attend.v1.AttentionService", "attend.v1.LayerService"}) {
      Response response;
      ASSERT_TRUE(Check(name, response).ok()) << name;
      EXPECT_EQ(response.status(), serving ? Response::SERVING : Response::NOT_SERVING) << name;
    }
  }
}

TEST_F(HealthServiceTest, KnowsNoOtherService) {
  Response response;
  const grpc::Status status = Check("nobody", response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no service is named \"nobody\"");
  EXPECT_EQ(Check("grpc.health.v1.Health", response).error_code(), grpc::StatusCode::NOT_FOUND)
      << "only those of attend.v1 have a health";
}

TEST_F(HealthServiceTest, TellsThoseWhoWatchEachChange) {
  grpc::ClientContext context;
  const auto stream = stub_->Watch(&context, {});
  Response response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), Response::NOT_SERVING);
  for (const bool serving : {true, false, true}) {
    service_.SetServing(serving);
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.status(), serving ? Response::SERVING : Response::NOT_SERVING);
  }
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  service_.SetServing(false);  // touches nothing of the call that has ended
}

TEST_F(HealthServiceTest, WatchesServicesThatItDoesNotKnow) {
  grpc::ClientContext context;
  health::HealthCheckRequest request;
  request.set_service("nobody");
  const auto stream = stub_->Watch(&context, request);
  Response response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), Response::SERVICE_UNKNOWN);
}

}  // namespace
}  // namespace attend
