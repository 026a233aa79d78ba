// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools keeps h2spec among the requirements of go.mod, which pins what it is built from.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
