// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools keeps the programs that `build` makes among the requirements of go.mod.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
