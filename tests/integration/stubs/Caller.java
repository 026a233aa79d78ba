// SPDX-License-Identifier: Apache-2.0
import attend.v1.AttentionOptions;
import attend.v1.AttentionServiceGrpc;
import attend.v1.DataType;
import attend.v1.GetServerInfoRequest;
import attend.v1.LayerInfo;
import attend.v1.LayerServiceGrpc;
import attend.v1.ListLayersRequest;
import attend.v1.MultiHeadAttentionRequest;
import attend.v1.MultiHeadAttentionResponse;
import attend.v1.ServerInfo;
import attend.v1.ServerServiceGrpc;
import attend.v1.Tensor;
import com.google.protobuf.ByteString;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;

/**
 * A program with the generated stubs, to see that they compile: it prints what a server is and the
 * layers that it holds, and calls the first of them.
 */
public final class Caller {
  public static void main(String[] arguments) {
    ManagedChannel channel = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext().build();

    ServerInfo info =
        ServerServiceGrpc.newBlockingStub(channel)
            .getServerInfo(GetServerInfoRequest.getDefaultInstance());
    System.out.println(info.getVersion() + " " + info.getLimits().getMaxSequenceLength());

    LayerInfo layer =
        LayerServiceGrpc.newBlockingStub(channel)
            .listLayers(ListLayersRequest.newBuilder().setPageSize(1).build())
            .getLayers(0);
    MultiHeadAttentionResponse response =
        AttentionServiceGrpc.newBlockingStub(channel)
            .multiHeadAttention(
                MultiHeadAttentionRequest.newBuilder()
                    .setLayer(layer.getName())
                    .setQuery(
                        Tensor.newBuilder()
                            .setDataType(DataType.DATA_TYPE_FLOAT32)
                            .addShape(1)
                            .addShape(layer.getEmbedDim())
                            .setData(ByteString.copyFrom(new byte[4 * (int) layer.getEmbedDim()])))
                    .setOptions(
                        AttentionOptions.newBuilder().setScale(layer.getScale()).setCausal(true))
                    .build());
    System.out.println(
        response.getOutput().getShapeList() + " " + response.getTiming().getComputeNs());
    channel.shutdownNow();
  }
}
