// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools keeps the programs that `build` makes among the requirements of go.mod.
package tools

import (
	_ "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
	_ "helm.sh/helm/v3/cmd/helm"
)
