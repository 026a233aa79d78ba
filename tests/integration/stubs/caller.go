// SPDX-License-Identifier: Apache-2.0

// A program with the generated stubs, to see that they compile: it prints what a server is and
// the layers that it holds, and calls the first of them.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	attendv1 "attend/v1"
	"google.golang.org/grpc"
)

func call(ctx context.Context, connection *grpc.ClientConn) error {
	info, err := attendv1.NewServerServiceClient(connection).GetServerInfo(
		ctx, &attendv1.GetServerInfoRequest{})
	if err != nil {
		return err
	}
	fmt.Println(info.GetVersion(), info.GetLimits().GetMaxSequenceLength())

	layers, err := attendv1.NewLayerServiceClient(connection).ListLayers(
		ctx, &attendv1.ListLayersRequest{PageSize: 1})
	if err != nil {
		return err
	}
	layer := layers.GetLayers()[0]
	scale := layer.GetScale()
	response, err := attendv1.NewAttentionServiceClient(connection).MultiHeadAttention(
		ctx, &attendv1.MultiHeadAttentionRequest{
			Layer: layer.GetName(),
			Query: &attendv1.Tensor{
				DataType: attendv1.DataType_DATA_TYPE_FLOAT32,
				Shape:    []int64{1, layer.GetEmbedDim()},
				Data:     make([]byte, 4*layer.GetEmbedDim()),
			},
			Options: &attendv1.AttentionOptions{Scale: &scale, Causal: true},
		})
	if err != nil {
		return err
	}
	fmt.Println(response.GetOutput().GetShape(), response.GetTiming().GetComputeNs())
	return nil
}

func main() {
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	if err := call(context.Background(), connection); err != nil {
		log.Fatal(err)
	}
}
