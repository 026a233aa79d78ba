// SPDX-License-Identifier: Apache-2.0

// Sends a layer a query of the wrong width and prints the details of the error, one per line, as
// gRPC for Go and Google's own classes read them.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	attendv1 "attend/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

func main() {
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	_, err = attendv1.NewAttentionServiceClient(connection).MultiHeadAttention(
		context.Background(), &attendv1.MultiHeadAttentionRequest{
			Layer: os.Args[2],
			Query: &attendv1.Tensor{
				DataType: attendv1.DataType_DATA_TYPE_FLOAT32,
				Shape:    []int64{1, 3},
				Data:     make([]byte, 12),
			},
		})
	answer := status.Convert(err)
	fmt.Println(answer.Code())
	for _, detail := range answer.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			fmt.Println("ErrorInfo", detail.GetReason(), detail.GetDomain(), detail.GetMetadata())
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				fmt.Printf("BadRequest %s: %s\n", violation.GetField(), violation.GetDescription())
			}
		default:
			fmt.Printf("%T\n", detail)
		}
	}
	fmt.Println(answer.Message())
}
